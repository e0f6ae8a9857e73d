"""Layers that multiply by a matrix."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from fnlayers import ops
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import known
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.common import (
    activate,
    add_bias,
    check_activation,
    check_count,
    check_rank,
    kernel_and_bias,
    option_param,
)

__all__ = ["Dense", "EinsumDense"]


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
    Mask: passed on; one that covers the features is refused.

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
    sums_features: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """A positive number of units, a known activation."""
        check_count(self, "units")
        check_activation(self, "activation")

    def weights(self, shape: Shape) -> dict:
        return kernel_and_bias(self, (known(shape, -1, "features"), self.units), axes=("in", "out"))

    def call(self, params: Any, x: Any) -> Any:
        """One product over the last axis."""
        return activate(self.activation, add_bias(self, params, ops.dot(x, params["kernel"])))


@layerclass
class EinsumDense(Layer):
    """y = activation(einsum(equation, x, kernel) + bias).

    Arguments:
        equation: an einsum of two operands, "ab,bc->ac", where "..." may stand at the left or right end of x and y for
            axes that are left alone: "...x,xy->...y".
        output_shape: the sizes of y without its batch axis and without the axes behind "..."; None: x's size.
        activation: a name, a function, or None.
        bias_axes: the letters of y that the bias has an axis for; None: no bias.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint:
            as in Dense.

    Shapes: as the equation says.
    Weights: kernel, with the sizes of its letters; bias, from its first letter on, 1 where it has no axis.
    Mask: refused; the equation may mix steps.

    Example:
        >>> EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d").out_shape((None, 5, 3))
        (None, 5, 8)
    """

    equation: str
    output_shape: int | Sequence[int | None]
    activation: Activation = None
    bias_axes: str | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """An equation that can be read."""
        inputs, kernel, outputs = einsum_terms(self)
        check_activation(self, "activation")
        for letter in outputs.replace(".", ""):
            if letter not in inputs + kernel:
                raise ConfigError(f"{self!r}: {letter!r} of the output is in neither operand")
        for letter in kernel:
            if letter not in inputs + outputs:
                raise ConfigError(f"{self!r}: {letter!r} of the kernel is in neither the input nor the output")
        check_sizes(self)
        if self.bias_axes == "":
            raise ConfigError("EinsumDense: bias_axes='' names no axis; give letters of the output, or None")
        for letter in self.bias_axes or "":
            if letter not in outputs:
                raise ConfigError(f"{self!r}: {letter!r} of bias_axes is not in the output {outputs!r}")

    def weights(self, shape: Shape) -> dict:
        """A size for each letter, from x and from output_shape."""
        inputs, kernel, outputs = einsum_terms(self)
        letters = len(inputs.replace("...", ""))
        check_rank(self, shape, *range(letters, 16 if "..." in inputs else letters + 1))
        sizes = self._sizes(shape)
        for letter in kernel + (self.bias_axes or ""):
            if sizes[letter] is None:
                raise ShapeError(f"{self!r}: the size of {letter!r} must be known; give it in output_shape")
        specs = {"kernel": option_param(self, "kernel", tuple(sizes[letter] or 0 for letter in kernel))}
        if self.bias_axes is None:
            return specs
        after = outputs.replace(".", "")
        after = after[min(after.index(letter) for letter in self.bias_axes) :]
        trailing = (1,) * self._elided(len(shape)) if outputs.endswith("...") else ()
        bias = tuple((sizes[letter] or 0) if letter in self.bias_axes else 1 for letter in after)
        return specs | {"bias": option_param(self, "bias", (*bias, *trailing), decay=False)}

    def call(self, params: Any, x: Any) -> Any:
        y = ops.einsum(self.equation, x, params["kernel"])
        return activate(self.activation, y if self.bias_axes is None else y + params["bias"])

    def _elided(self, rank: int) -> int:
        return rank - len(einsum_terms(self)[0].replace(".", ""))

    def _sizes(self, shape: Shape) -> dict[str, int | None]:
        """The size of each letter: x's, and for letters that x lacks the output's."""
        inputs, _, outputs = einsum_terms(self)
        elided = self._elided(len(shape))
        out_sizes = self.output_shape if isinstance(self.output_shape, tuple) else (self.output_shape,)
        letters = inputs.replace(".", "")
        own = shape[elided:] if inputs.startswith(".") else shape[: len(letters)]
        sizes = dict(zip(letters, own, strict=True))
        # output_shape speaks of y without its first axis, which is behind "..." where that stands at the left
        named = outputs.replace(".", "")[0 if outputs.startswith(".") and elided else 1 :]
        if len(named) != len(out_sizes):
            raise ShapeError(f"{self!r}: output_shape needs a size for each letter of {named!r}, got {len(out_sizes)}")
        for letter, size in zip(named, out_sizes, strict=True):
            if size is not None and sizes.setdefault(letter, size) not in (None, size):
                raise ShapeError(
                    f"{self!r}: {letter!r} is {size} in output_shape and {sizes[letter]} in the input {shape}"
                )
        return {letter: sizes.get(letter) for letter in inputs + outputs if letter != "."}


def check_sizes(layer: Any) -> None:
    """Raise ConfigError for an output_shape that is not a size, or holds one."""
    sizes = layer.output_shape if isinstance(layer.output_shape, tuple) else (layer.output_shape,)
    if any(isinstance(size, int) and size < 1 for size in sizes):
        raise ConfigError(
            f"{type(layer).__name__}: output_shape={layer.output_shape!r} is wrong; give sizes of at least 1, or None "
            "for the input's"
        )


def einsum_terms(layer: Any) -> tuple[str, str, str]:
    """The letters of x, kernel and y, with "..." left in; ConfigError where the equation has another form."""
    side = r"(\.{3})?([a-zA-Z]+)(\.{3})?"
    match = re.fullmatch(rf"{side},([a-zA-Z]+)->{side}", layer.equation.replace(" ", ""))
    if match is None or match[1] != match[5] or match[3] != match[7] or (match[1] and match[3]):
        raise ConfigError(
            f"EinsumDense: equation={layer.equation!r} is wrong; write one like 'ab,bc->ac', '...x,xy->...y' or "
            "'ab...,bc->ac...'"
        )
    return (match[1] or "") + match[2] + (match[3] or ""), match[4], (match[5] or "") + match[6] + (match[7] or "")
