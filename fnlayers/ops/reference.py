"""The reference of each operation: one plain call, which says what the operation is.

It runs on every platform. What `ops/cpu` and `ops/cuda` hold besides is faster there, and gives the same numbers with
all their derivatives.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.layout import channel_axis, lowest


class Window(NamedTuple):
    """How a kernel goes over x: numbers of elements for each spatial axis."""

    strides: tuple[int, ...]
    padding: Any  # (before, after) for each; or lax's word for them, where sizes are not known
    dilation: tuple[int, ...]
    groups: int = 1

    def sizes(self, space: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
        """The sizes of y along the spatial axes, for those of x with its padding, and of the kernel."""
        spans = ((k - 1) * d + 1 for k, d in zip(kernel, self.dilation, strict=True))
        return tuple((n - span) // s + 1 for n, span, s in zip(space, spans, self.strides, strict=True))

    def padded(self, space: Sequence[int]) -> list[int]:
        """The sizes of x along the spatial axes with its padding."""
        return [n + sum(pads) for n, pads in zip(space, self.padding, strict=True)]


class TransposedWindow(NamedTuple):
    """How a transposed convolution goes: numbers of elements for each spatial axis."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # (before, after) of x with zeros between its elements
    dilation: tuple[int, ...]


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


def conv(x: jax.Array, kernel: jax.Array, window: Window, data_format: str = "channels_last") -> jax.Array:
    """The convolution.

    Shapes: x (batch, *space, channels), kernel (*window, channels / groups, out), y (batch, *new_space, out).
    """
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=window.strides,
        padding=window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=dimension_numbers(x.ndim - 2, data_format, "IO"),
        feature_group_count=window.groups,
    )


def conv_transpose(
    x: jax.Array, kernel: jax.Array, window: TransposedWindow, data_format: str = "channels_last"
) -> jax.Array:
    """The transposed convolution: a convolution of x with zeros between its elements.

    Shapes: x (batch, *space, in), kernel (*window, out, in), y (batch, *new_space, out).
    """
    rank = x.ndim - 2
    return lax.conv_general_dilated(
        x,
        jnp.flip(kernel, tuple(range(rank))),
        window_strides=(1,) * rank,
        padding=window.padding,
        lhs_dilation=window.strides,
        rhs_dilation=window.dilation,
        dimension_numbers=dimension_numbers(rank, data_format, "OI"),
    )


def dimension_numbers(rank: int, data_format: str, kernel: str) -> tuple[str, str, str]:
    """The letters of x, kernel and y for lax: N batch, C channels, I and O the kernel's channels in and out."""
    space = "DHW"[-rank:]
    x = f"N{space}C" if channel_axis(data_format) == -1 else f"NC{space}"
    return x, space + kernel, x


def max_pool(x: jax.Array, window: PoolWindow) -> jax.Array:
    """The largest element of each window; the gradient goes to the first that is as large."""
    return lax.reduce_window(x, lowest(x.dtype), lax.max, *window)


def sum_pool(x: jax.Array, window: PoolWindow) -> jax.Array:
    """The sum of each window."""
    return lax.reduce_window(x, x.dtype.type(0), lax.add, *window)


def mean_operand(x: jax.Array) -> jax.Array:
    """What a mean is taken of: x itself."""
    return x


def gradient_once(x: jax.Array) -> jax.Array:
    """What has a gradient of many terms: x itself."""
    return x
