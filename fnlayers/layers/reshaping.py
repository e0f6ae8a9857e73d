"""Reshaping: the same numbers in another shape."""

import math
from typing import Any

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import known
from fnlayers.layers.bases import FORMATS, channel_axis, check_choice, check_rank


@layerclass
class Flatten(Layer):
    """All axes but the batch in one.

    Arguments:
        data_format: "channels_first" moves the channels to the end first, so that both formats flatten alike.

    Shapes: (batch, ...) -> (batch, product); (batch,) -> (batch, 1). All axes but the batch must be known.
    Mask: refused; it would have no steps left.
    """

    data_format: str | None = None

    def check(self) -> None:
        """A known format."""
        check_choice(self, "data_format", FORMATS)

    def check_shape(self, shape: Shape) -> None:
        """Known sizes."""
        check_rank(self, shape, *range(1, 16))
        for axis in range(1, len(shape)):
            known(shape, axis)

    def call(self, params: Any, x: Any) -> Any:
        """One reshape."""
        if channel_axis(self) == 1 and x.ndim > 2:
            x = jnp.moveaxis(x, 1, -1)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


@layerclass
class Reshape(Layer):
    """The same numbers, in order, in another shape.

    Arguments:
        target_shape: the new shape without the batch axis; one size may be -1: what is left.

    Shapes: (batch, ...) -> (batch, *target_shape).
    Mask: refused.
    """

    target_shape: tuple[int, ...]

    def check(self) -> None:
        """Positive sizes, one of them -1 at most."""
        sizes = self.target_shape
        if not isinstance(sizes, tuple) or not all(isinstance(n, int) and (n > 0 or n == -1) for n in sizes):
            raise ConfigError(
                f"Reshape: target_shape={sizes!r} is wrong; give a tuple of positive sizes, one may be -1"
            )
        if sizes.count(-1) > 1:
            raise ConfigError(f"Reshape: target_shape={sizes!r} has -1 more than once; only one size can be found")

    def check_shape(self, shape: Shape) -> None:
        """As many numbers after as before."""
        check_rank(self, shape, *range(1, 16))
        cells = None if None in shape[1:] else math.prod(shape[1:])
        wanted = math.prod(n for n in self.target_shape if n != -1)
        if cells is not None and (cells % wanted if -1 in self.target_shape else cells != wanted):
            raise ShapeError(
                f"{self!r}: an input of {tuple(shape)} has {cells} numbers for each example, which do not fit"
            )

    def call(self, params: Any, x: Any) -> Any:
        """One reshape."""
        return x.reshape(x.shape[0], *self.target_shape)
