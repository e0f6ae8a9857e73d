"""Small layers that fit no family: the identity, a function, masks made and dropped."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import Marker
from fnlayers.core.shapes import is_shape
from fnlayers.layers.common import check_rank

__all__ = ["Identity", "Lambda", "Masking", "DropMask", "CopyMask"]


@layerclass
class Identity(Layer):
    """y = x.

    Shapes: unchanged.
    Mask: passed on.
    """

    passes_mask: ClassVar[bool] = True

    def call(self, params: Any, x: Any) -> Any:
        return x


@layerclass
class Lambda(Layer):
    """y = function(x, **arguments), for a pure function of arrays.

    Arguments:
        function: any function of x (a tuple of arrays where the layer is called with several).
        mask: a function (x, mask) -> mask of the output; None: the output has none.
        arguments: keyword arguments for the function.

    Shapes: what the function makes of them.
    Mask: given to `mask`, else ended.

    A saved model names the function; whoever loads it gives the function in `layers=`.

    Example:
        >>> import jax.numpy as jnp
        >>> Lambda(jnp.sum, arguments={"axis": -1}).apply({}, jnp.ones((2, 3))).tolist()
        [3.0, 3.0]
    """

    function: Callable
    mask: Callable | None = None
    arguments: Mapping[str, Any] | None = None

    def check(self) -> None:
        for name in ("function", "mask"):
            value = getattr(self, name)
            if not callable(value) and (value is not None or name == "function"):
                raise ConfigError(
                    f"Lambda: {name}={value!r} is not a function; give one of arrays, such as jax.numpy.sin"
                )

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        mask = None if self.mask is None else self.mask(x, ctx.mask)
        return Out(self.function(x, **(self.arguments or {})), mask=mask)


@layerclass
class Masking(Layer):
    """Makes a mask: a step whose features all equal mask_value is padding, and is set to 0.

    Arguments:
        mask_value: the number that marks padding.

    Shapes: (batch, time, ..., features) unchanged.
    Mask: made: (batch, time, ...), True where a step is valid. One that comes in is replaced.
    """

    mask_value: Marker = 0.0

    def check(self) -> None:
        """A number that equals itself."""
        if not isinstance(self.mask_value, (int, float)) or math.isnan(self.mask_value):
            raise ConfigError(f"Masking: mask_value={self.mask_value!r} is wrong; give a number (NaN equals nothing)")

    def check_shape(self, shape: Shape) -> None:
        check_rank(self, shape, *range(2, 16))

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Compare, and set padding to 0."""
        mask = jnp.any(x != self.mask_value, axis=-1)
        return Out(jnp.where(mask[..., None], x, jnp.zeros((), x.dtype)), mask=mask)


@layerclass
class DropMask(Layer):
    """y = x, without its mask: padded steps count as data from here on. Not in Keras, which drops masks silently.

    Shapes: unchanged.
    Mask: ended.
    """

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        return Out(x)


@layerclass
class CopyMask(Layer):
    """Of (x, other): x, with the mask of `other` in place of its own. Not in Keras.

    Shapes: those of the two -> that of x, whose first axes are those of the mask.
    Mask: made, from that of the second input; none where it has none.

    Example:
        >>> import jax.numpy as jnp
        >>> x, mask = jnp.ones((1, 3, 2)), jnp.array([[True, True, False]])
        >>> CopyMask().run({}, (x + 1, x), mask=(None, mask)).mask.tolist()
        [[True, True, False]]
    """

    def check_shape(self, shape: Shape) -> None:
        if is_shape(shape) or not isinstance(shape, tuple) or len(shape) != 2:
            raise ShapeError(f"CopyMask takes (x, other), got the shape {shape!r}")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        x, mask = x[0], None if ctx.mask is None else ctx.mask[1]
        if mask is not None and mask.shape != x.shape[: mask.ndim]:
            raise ShapeError(
                f"CopyMask: the mask to copy has shape {mask.shape}, which does not fit x, {x.shape}; give two inputs "
                "of the same steps"
            )
        return Out(x, mask=mask)
