"""Layers that multiply by a matrix."""

from typing import Any, ClassVar

from fnlayers import ops
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import known
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.bases import activate, add_bias, check_activation, check_count, kernel_and_bias


@layerclass
class Dense(Layer):
    """y = activation(x @ kernel + bias), over the last axis.

    Arguments:
        units: the number of outputs.
        activation: a name, a function, or None for the identity.
        use_bias: whether to add a bias.
        kernel_initializer, bias_initializer: where the weights start.
        kernel_regularizer, bias_regularizer: terms for `fnlayers.penalty`.
        activity_regularizer: a loss on the output, divided by the batch size.
        kernel_constraint, bias_constraint: projections for `fnlayers.project`.

    Shapes: (batch, ..., features) -> (batch, ..., units).
    Weights: kernel (features, units), bias (units,).
    Mask: passed on.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = Dense(3, activation="relu")
        >>> params = layer.init(jax.random.key(0), (None, 4))
        >>> layer.apply(params, jnp.ones((2, 4))).shape
        (2, 3)
    """

    units: int
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """A positive number of units, a known activation."""
        check_count(self, "units")
        check_activation(self, "activation")

    def weights(self, shape: Shape) -> dict:
        """Kernel and bias."""
        return kernel_and_bias(self, (known(shape, -1, "features"), self.units), axes=("in", "out"))

    def call(self, params: Any, x: Any) -> Any:
        """One product over the last axis."""
        return activate(self.activation, add_bias(params, ops.dot(x, params["kernel"])))
