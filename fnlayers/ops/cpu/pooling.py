"""Pooling tap by tap: the elements that all windows have at one of their taps are a strided slice of x.

XLA's CPU backend makes little of the gradient of `lax.reduce_window`, and of windows that overlap: so it takes up to 30
times as long. A barrier keeps XLA from computing x again for each slice.
"""

import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.half_precision import accumulation_dtype
from fnlayers.ops.layout import lowest
from fnlayers.ops.reference import PoolWindow


def max_by_taps(x: jax.Array, window: PoolWindow) -> jax.Array:
    """The largest element of each window."""
    return functools.reduce(jnp.maximum, _taps(lax.optimization_barrier(x), window, lowest(x.dtype)))


def sum_by_taps(x: jax.Array, window: PoolWindow) -> jax.Array:
    """The sum of each window."""
    return functools.reduce(jnp.add, _taps(lax.optimization_barrier(x), window, 0))


def max_tangent_by_taps(x: jax.Array, dx: jax.Array, window: PoolWindow) -> jax.Array:
    """The tangent of each window's largest element: of the first that is as large."""
    dtype, compared = dx.dtype, accumulation_dtype(x.dtype)  # half precision takes four times as long to compare
    x, dx = x.astype(compared), dx.astype(compared)
    (largest, tangent), *others = zip(_taps(x, window, lowest(compared)), _taps(dx, window, 0), strict=True)
    # Taps are compared with each other, not with y: XLA may compute x twice, and round it in two ways.
    for tap, dtap in others:
        larger = tap > largest
        largest, tangent = jnp.where(larger, tap, largest), jnp.where(larger, dtap, tangent)
    return tangent.astype(dtype)


def sum_tangent_by_taps(_: jax.Array, dx: jax.Array, window: PoolWindow) -> jax.Array:
    """The tangent of each window's sum."""
    return sum_by_taps(dx, window)


def _taps(x: jax.Array, window: PoolWindow, fill: object) -> Iterator[jax.Array]:
    """For each tap of a window, what all windows have there: an array of y's shape."""
    x = jnp.pad(x, window.padding, constant_values=fill) if any(map(any, window.padding)) else x
    axes = zip(window.sizes, window.strides, strict=True)
    pooled = [axis for axis, (size, stride) in enumerate(axes) if size * stride > 1]
    counts = {axis: (x.shape[axis] - window.sizes[axis]) // window.strides[axis] + 1 for axis in pooled}
    for tap in itertools.product(*(range(window.sizes[axis]) for axis in pooled)):
        met = x
        for axis, start in zip(pooled, tap, strict=True):
            end = start + (counts[axis] - 1) * window.strides[axis] + 1
            met = lax.slice_in_dim(met, start, end, window.strides[axis], axis)
        yield met
