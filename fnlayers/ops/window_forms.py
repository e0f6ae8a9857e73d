"""Pooling in two formulations, which give the same numbers, and the rule that says where each is taken.

`lax.reduce_window` is the reference. On CPUs XLA makes little of its gradient, and of windows that overlap; there the
cells of a window are gone through one by one, each a strided slice of the whole array: up to 30 times as fast. A
barrier keeps XLA from making x anew for each of them.

Sizes, steps and pads are given for all axes of x, those of batch and channels among them.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.layout import lowest, sum_dtype

MOST_CELLS = 64  # of a window that is gone through one by one
MOST_COMPARED = 16  # of a window whose maximum's gradient is found so, too
FEW_CELLS = 4  # of a window that XLA sums as fast on the way back, and if it hangs over x, also forward
MOST_ADDED = 1 << 20  # numbers of x, of more of which XLA's gradient of a sum is the faster one, for steps of 1


class Pool(NamedTuple):
    """How windows lie on x: their sizes, the steps between them, and the padding, for each axis."""

    sizes: tuple[int, ...]
    steps: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @property
    def overlaps(self) -> bool:
        """Whether a cell may be in several windows."""
        return any(step < size for size, step in zip(self.sizes, self.steps, strict=True))

    @property
    def cells(self) -> int:
        """How many a window has."""
        return math.prod(self.sizes)

    @property
    def is_plain(self) -> bool:
        """Whether XLA's own loop is the fastest: no windows overlap, or few cells of them, and they hang over x."""
        hangs = max(self.steps) == 1 and any(map(any, self.pads))
        return not self.overlaps or (hangs and self.cells <= FEW_CELLS)


def maximum(x: jax.Array, pool: Pool) -> jax.Array:
    """The largest cell of each window; its gradient goes to the first cell that is as large."""
    if not is_small(x, pool):
        return _largest(x, pool)
    return lax.platform_dependent(x, cpu=lambda x: maximum_by_cells(x, pool), default=lambda x: _largest(x, pool))


def total(x: jax.Array, pool: Pool) -> jax.Array:
    """The sum of each window."""
    if not is_small(x, pool) or pool.is_plain:
        return _total(x, pool)
    return lax.platform_dependent(x, cpu=lambda x: total_by_cells(x, pool), default=lambda x: _total(x, pool))


def _largest(x: jax.Array, pool: Pool) -> jax.Array:
    return lax.reduce_window(x, lowest(x.dtype), lax.max, *pool)


def _total(x: jax.Array, pool: Pool) -> jax.Array:
    return lax.reduce_window(x, x.dtype.type(0), lax.add, *pool)


def is_small(x: jax.Array, pool: Pool) -> bool:
    """Whether there are few cells in a window, at least one window, and all sizes are known."""
    known = all(isinstance(n, int) for n, size in zip(x.shape, pool.sizes, strict=True) if size > 1)
    return known and 1 < pool.cells <= MOST_CELLS


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def maximum_by_cells(x: jax.Array, pool: Pool) -> jax.Array:
    """The largest of a window's cells, one by one; where XLA's loop is the fastest, only the gradient is found so."""
    if pool.is_plain:
        return _largest(x, pool)
    return functools.reduce(jnp.maximum, _cells(lax.optimization_barrier(x), pool, lowest(x.dtype)))


@maximum_by_cells.defjvp
def _(pool: Pool, primals: tuple, tangents: tuple) -> tuple:
    y = maximum_by_cells(*primals, pool)
    if pool.cells > MOST_COMPARED:
        return y, jax.jvp(lambda x: _largest(x, pool), primals, tangents)[1]
    (x,), (dx,), wide = primals, tangents, sum_dtype(y)  # half types take four times as long to compare
    x, dx = x.astype(wide), dx.astype(wide)
    (largest, dy), *others = zip(_cells(x, pool, lowest(x.dtype)), _cells(dx, pool, 0), strict=True)
    # Cells are compared with each other, not with y: XLA may compute x twice, and round it in two ways.
    for cell, dcell in others:
        larger = cell > largest
        largest, dy = jnp.where(larger, cell, largest), jnp.where(larger, dcell, dy)
    return y, dy.astype(y.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def total_by_cells(x: jax.Array, pool: Pool) -> jax.Array:
    """The sum of a window's cells, one by one."""
    return _added(x, pool)


@total_by_cells.defjvp
def _(pool: Pool, primals: tuple, tangents: tuple) -> tuple:
    (x,), (dx,) = primals, tangents
    large = isinstance(x.size, int) and x.size > MOST_ADDED
    plain = max(pool.steps) == 1 and (large or pool.cells <= FEW_CELLS)
    return total_by_cells(x, pool), (_total if plain else _added)(dx, pool)


def _added(x: jax.Array, pool: Pool) -> jax.Array:
    return functools.reduce(jnp.add, _cells(lax.optimization_barrier(x), pool, 0))


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
