"""The reference of each operation: one plain call, which says what the operation is.

It runs on every platform. What `ops/cpu` and `ops/cuda` hold besides is faster there, and gives the same numbers with
all their derivatives.
"""

import math
from typing import NamedTuple

import jax
from jax import lax

from fnlayers.ops.layout import lowest


class PoolWindow(NamedTuple):
    """How windows lie on x: sizes, strides and padding in elements, for each axis of x, batch and channels included."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @property
    def taps(self) -> int:
        """How many elements of x a window covers."""
        return math.prod(self.sizes)

    @property
    def overlaps(self) -> bool:
        """Whether an element may be in several windows."""
        return any(stride < size for size, stride in zip(self.sizes, self.strides, strict=True))


def max_pool(x: jax.Array, window: PoolWindow) -> jax.Array:
    """The largest element of each window; the gradient goes to the first that is as large."""
    return lax.reduce_window(x, lowest(x.dtype), lax.max, *window)


def sum_pool(x: jax.Array, window: PoolWindow) -> jax.Array:
    """The sum of each window."""
    return lax.reduce_window(x, x.dtype.type(0), lax.add, *window)
