"""Pooling in two formulations, which give the same numbers, and the rule that says where each is taken.

`lax.reduce_window` is the reference. On CPUs XLA makes little of it, and less of its gradient; there the cells of a
window are gone through one by one, each a strided slice of the whole array: 2 to 30 times as fast.

Sizes, steps and pads are given for all axes of x, those of batch and channels among them.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.layout import lowest

MOST_CELLS = 64  # of a window that is gone through one by one


class Pool(NamedTuple):
    """How windows lie on x: their sizes, the steps between them, and the padding, for each axis."""

    sizes: tuple[int, ...]
    steps: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]


def maximum(x: jax.Array, pool: Pool) -> jax.Array:
    """The largest cell of each window; its gradient goes to the first cell that is as large."""
    return _by_platform(x, pool, maximum_by_cells, lambda x: lax.reduce_window(x, lowest(x.dtype), lax.max, *pool))


def total(x: jax.Array, pool: Pool) -> jax.Array:
    """The sum of each window."""
    return _by_platform(x, pool, total_by_cells, lambda x: lax.reduce_window(x, x.dtype.type(0), lax.add, *pool))


def _by_platform(x: jax.Array, pool: Pool, by_cells: Callable, reference: Callable) -> jax.Array:
    """Small windows cell by cell on CPUs, all else by the reference."""
    if not is_small(x, pool):
        return reference(x)
    return lax.platform_dependent(x, cpu=lambda x: by_cells(x, pool), default=reference)


def is_small(x: jax.Array, pool: Pool) -> bool:
    """Whether there are few cells in a window, at least one window, and all sizes are known."""
    known = all(isinstance(n, int) for n, size in zip(x.shape, pool.sizes, strict=True) if size > 1)
    return known and 1 < math.prod(pool.sizes) <= MOST_CELLS


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def maximum_by_cells(x: jax.Array, pool: Pool) -> jax.Array:
    """The largest of a window's cells, one by one."""
    return functools.reduce(jnp.maximum, _cells(x, pool, lowest(x.dtype)))


@maximum_by_cells.defjvp
def _(pool: Pool, primals: tuple, tangents: tuple) -> tuple:
    (x,), (dx,) = primals, tangents
    y = maximum_by_cells(x, pool)
    before, dy = jnp.zeros(y.shape, bool), jnp.zeros(y.shape, dx.dtype)
    for cell, dcell in zip(_cells(x, pool, lowest(x.dtype)), _cells(dx, pool, 0), strict=True):
        equal = cell == y
        dy = dy + jnp.where(equal & ~before, dcell, 0)
        before |= equal
    return y, dy


def total_by_cells(x: jax.Array, pool: Pool) -> jax.Array:
    """The sum of a window's cells, one by one."""
    return functools.reduce(jnp.add, _cells(x, pool, 0))


def _cells(x: jax.Array, pool: Pool, fill: object) -> Iterator[jax.Array]:
    """For each cell of a window, those of all windows: as many as there are windows."""
    x = jnp.pad(x, pool.pads, constant_values=fill) if any(map(any, pool.pads)) else x
    pooled = [axis for axis, (size, step) in enumerate(zip(pool.sizes, pool.steps, strict=True)) if size * step > 1]
    counts = {axis: (x.shape[axis] - pool.sizes[axis]) // pool.steps[axis] + 1 for axis in pooled}
    for place in itertools.product(*(range(pool.sizes[axis]) for axis in pooled)):
        cells = x
        for axis, start in zip(pooled, place, strict=True):
            end = start + (counts[axis] - 1) * pool.steps[axis] + 1
            cells = lax.slice_in_dim(cells, start, end, pool.steps[axis], axis)
        yield cells
