"""Activations as layers. The functions themselves are in `fnlayers.activations`."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.checks import check_numbers
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import known
from fnlayers.functions import activations
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.common import activate, check_activation, check_rank, normal_axes, normal_axis, option_param

__all__ = ["Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax"]


@layerclass
class Activation(Layer):
    """y = activation(x).

    Arguments:
        activation: a name ("relu"), a function of one array, or a layer without weights.

    Shapes: unchanged.
    Mask: passed on.
    """

    activation: activations.Activation

    single_input: ClassVar[bool] = True
    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        check_activation(self, "activation")

    def call(self, params: Any, x: Any) -> Any:
        """Keras's own functions, which order numbers or take their roots, take real ones."""
        if isinstance(self.activation, str):
            check_numbers(self, x, booleans=self.activation == "linear")
        return activate(self.activation, x)


@layerclass
class ReLU(Layer):
    """y = max_value where x >= max_value, x where x > threshold, negative_slope (x - threshold) elsewhere.

    Arguments:
        max_value: where the output saturates; None: nowhere.
        negative_slope: the slope below the threshold.
        threshold: where the output starts to be x.

    Shapes: unchanged.
    Mask: passed on.
    """

    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0

    single_input: ClassVar[bool] = True
    passes_mask: ClassVar[bool] = True
    takes: ClassVar[str] = "ordered"

    def check(self) -> None:
        """No negative bounds, as in Keras."""
        for name in ("max_value", "negative_slope", "threshold"):
            value = getattr(self, name)
            if value is None and name != "max_value" or value is not None and value < 0:
                raise ConfigError(f"ReLU: {name}={value!r} is wrong; give a number of at least 0")

    def call(self, params: Any, x: Any) -> Any:
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


@layerclass
class LeakyReLU(Layer):
    """y = x where x >= 0, negative_slope x below.

    Arguments:
        negative_slope: the slope below 0. The layer's default is 0.3; that of the function `leaky_relu` is 0.2.

    Shapes: unchanged.
    Mask: passed on.
    """

    negative_slope: float = 0.3

    single_input: ClassVar[bool] = True
    passes_mask: ClassVar[bool] = True
    takes: ClassVar[str] = "ordered"

    def check(self) -> None:
        if self.negative_slope is None:
            raise ConfigError("LeakyReLU: negative_slope=None is wrong; give a number")

    def call(self, params: Any, x: Any) -> Any:
        return activations.leaky_relu(x, self.negative_slope)


@layerclass
class ELU(Layer):
    """y = x where x > 0, alpha (exp(x) - 1) below.

    Arguments:
        alpha: minus the value at minus infinity.

    Shapes: unchanged.
    Mask: passed on.
    """

    alpha: float = 1.0

    single_input: ClassVar[bool] = True
    passes_mask: ClassVar[bool] = True
    takes: ClassVar[str] = "ordered"

    def call(self, params: Any, x: Any) -> Any:
        return activations.elu(x, self.alpha)


@layerclass
class PReLU(Layer):
    """y = x where x > 0, alpha x below, with a learned alpha for each position and channel.

    Arguments:
        alpha_initializer, alpha_regularizer, alpha_constraint: of the weight.
        shared_axes: axes of the input (the batch axis is 0) along which there is one alpha; [1, 2]: one per channel.

    Shapes: unchanged; all axes but the batch and the shared ones must be known.
    Weights: alpha, of the input's shape without the batch axis, 1 along shared axes.
    Mask: passed on.

    Reference: He, Zhang, Ren, Sun, Delving Deep into Rectifiers, 2015.
    """

    alpha_initializer: Initializer = "zeros"
    alpha_regularizer: Regularizer = None
    alpha_constraint: Constraint = None
    shared_axes: Sequence[int] | None = None

    single_input: ClassVar[bool] = True
    passes_mask: ClassVar[bool] = True
    takes: ClassVar[str] = "ordered"

    def weights(self, shape: Shape) -> dict:
        """One alpha for each element of an example, or one along each shared axis."""
        check_rank(self, shape, *range(2, 16))
        axes = (self.shared_axes,) if isinstance(self.shared_axes, int) else self.shared_axes or ()
        shared = {normal_axis(self, axis, len(shape)) for axis in axes}
        sizes = tuple(1 if axis in shared else known(shape, axis) for axis in range(1, len(shape)))
        return {"alpha": option_param(self, "alpha", sizes, decay=False)}

    def call(self, params: Any, x: Any) -> Any:
        """The positive and the negative part, each from a relu: so the gradient at 0 is 0 for both, as in Keras."""
        return activations.relu(x) - params["alpha"] * activations.relu(-x)


@layerclass
class Softmax(Layer):
    """y = exp(x) / sum exp(x), over an axis or several, in float32.

    Arguments:
        axis: an axis or a tuple of them.

    Shapes: unchanged.
    Mask: used and passed on: masked elements get 0 and count in no sum; where all are masked, all are 0. A mask with
        fewer axes than x covers x's first axes.
    """

    axis: int | Sequence[int] = -1

    single_input: ClassVar[bool] = True
    passes_mask: ClassVar[bool] = True
    takes: ClassVar[str] = "ordered"

    def check_shape(self, shape: Shape) -> None:
        """The axes are there."""
        normal_axes(self, len(shape))

    def call(self, params: Any, x: Any) -> Any:
        """Without a mask; also where this layer is another one's activation."""
        return activations.softmax(x, self.axis)

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Masked elements are left out of the sum; their gradient is 0."""
        if ctx.mask is None:
            return Out(self.call(params, x))
        valid = ops.expand_trailing(ctx.mask, x.ndim)
        # a finite number, not -inf: where all are masked, 0 would be divided by 0
        y = activations.softmax(jnp.where(valid, x, float(jnp.finfo(x.dtype).min) / 2), self.axis)
        return Out(jnp.where(valid, y, 0), mask=ctx.mask)
