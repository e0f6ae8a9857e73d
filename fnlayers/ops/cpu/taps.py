"""What algorithms of windows share: what each tap of a kernel meets in x, and tiles of rows.

Shapes: x (batch, *space, channels), kernel (*window, channels, out), y (batch, *new_space, out).
"""

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.reference import Window

Algorithm = Callable[[jax.Array, jax.Array, Window], jax.Array]


def padded(x: jax.Array, window: Window) -> jax.Array:
    """X with zeros around it."""
    return jnp.pad(x, [(0, 0), *window.padding, (0, 0)]) if any(map(any, window.padding)) else x


def taps(x: jax.Array, kernel: Sequence[int], window: Window) -> Iterator[tuple[tuple[int, ...], jax.Array]]:
    """For each tap of a kernel of those sizes: where it is, and what it meets in x, which is padded; of y's sizes."""
    sizes = window.sizes(x.shape[1:-1], kernel)
    for tap in product(*map(range, kernel)):
        yield tap, met(x, tap, sizes, window)


def met(x: jax.Array, tap: Sequence[int], sizes: Sequence[int], window: Window) -> jax.Array:
    """What a tap meets in x."""
    axes = zip(tap, sizes, window.strides, window.dilation, strict=True)
    for axis, (n, size, stride, dilation) in enumerate(axes, 1):
        start = n * dilation
        x = lax.slice_in_dim(x, start, start + (size - 1) * stride + 1, stride, axis)
    return x


def total(terms: Iterable[jax.Array]) -> jax.Array:
    """Their sum."""
    return functools.reduce(operator.add, terms)


def by_row_tiles(algorithm: Algorithm, x: jax.Array, kernel: jax.Array, window: Window, most: int) -> jax.Array:
    """That algorithm, of tiles of the rows of x, which is padded, as examples of their own: as many or fewer."""
    batch, stride, span = x.shape[0], window.strides[0], (kernel.shape[0] - 1) * window.dilation[0] + 1
    sizes = window.sizes(x.shape[1:-1], kernel.shape[:-2])
    rows = -(-sizes[0] // most)  # of y in each tile
    count = -(-sizes[0] // rows)
    reach = (rows - 1) * stride + span
    x = jnp.pad(x, [(0, 0), (0, max((count - 1) * rows * stride + reach - x.shape[1], 0)), *[(0, 0)] * (x.ndim - 2)])
    cut = [lax.slice_in_dim(x, i * rows * stride, i * rows * stride + reach, axis=1) for i in range(count)]
    tiles = jnp.stack(cut, 1).reshape(batch * count, reach, *x.shape[2:])
    y = algorithm(tiles, kernel, window._replace(padding=((0, 0),) * len(sizes)))
    return y.reshape(batch, count * rows, *y.shape[2:])[:, : sizes[0]]
