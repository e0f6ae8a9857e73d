"""Transposed convolutions in two formulations, which give the same numbers, with derivatives of all orders.

`plain_transpose` is the reference. `phases` is for XLA's CPU compiler, which multiplies the zeros that the reference
puts between the cells of x.

Shapes: x (batch, *space, in), kernel (*window, out, in), y (batch, *new_space, out).
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnlayers.ops import reference
from fnlayers.ops.cpu.conv_kernel_gradient import row_tiles
from fnlayers.ops.cpu.problem import uses_ynnpack as uses_library
from fnlayers.ops.cpu.taps import Algorithm as Form
from fnlayers.ops.cpu.taps import total
from fnlayers.ops.dense import dot
from fnlayers.ops.reference import Window, dimension_numbers

# All phases at once take a cell more along each axis of space: too much for less space, where there are many channels
MOST_CELLS, FEW_EXAMPLES, WIDE = 64, 8, (jnp.float32, jnp.float64)
LEAST_SPACE, MANY_CHANNELS = 9, 64
FEW_CHANNELS = 8  # out
LEAST_CHANNELS = 8  # of x, from which on a product with the whole kernel is worth its memory
LONGEST_LINE = 32  # of a window along one axis, whose cells are added one by one


class Transposed(NamedTuple):
    """How a transposed convolution goes: strides, and the padding of x stretched by them, for each axis of space."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]


def plain_transpose(x: jax.Array, kernel: jax.Array, t: Transposed, data_format: str = "channels_last") -> jax.Array:
    """The reference of the transposed convolution, kernel (*window, out, in): zeros between the cells of x."""
    rank = x.ndim - 2
    return lax.conv_general_dilated(
        x,
        jnp.flip(kernel, tuple(range(rank))),
        window_strides=(1,) * rank,
        padding=t.padding,
        lhs_dilation=t.strides,
        rhs_dilation=t.dilation,
        dimension_numbers=dimension_numbers(rank, data_format, "OI"),
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def phases(x: jax.Array, kernel: jax.Array, t: Transposed) -> jax.Array:
    """No zero between the cells of x is multiplied.

    The cells of y that are r after a whole stride, its phase r, meet only each stride-th cell of the kernel: so all
    phases are channels of one convolution. Small windows are added, where they overlap.
    """
    own, overlap = not uses_library(), kernel.shape[:-2] != t.strides
    # If no windows overlap, XLA's own convolution is as fast
    if x.dtype in WIDE and (overlap or not own) and _adds_windows(kernel, t):
        return _windows_added(x, kernel, t)
    tiny = min(x.shape[1:-1]) < LEAST_SPACE and x.shape[-1] >= MANY_CHANNELS
    if _is_even(kernel, t) and (own or overlap) and not tiny:
        return _phases_at_once(x, kernel, t)
    return plain_transpose(x, kernel, t)


@phases.defjvp
def _(t: Transposed, primals: tuple, tangents: tuple) -> tuple:
    (x, kernel), (dx, dkernel) = primals, tangents
    y, batch, (out, channels), wide = phases(x, kernel, t), x.shape[0], kernel.shape[-2:], x.dtype in WIDE
    if wide and out <= FEW_CHANNELS:
        return y, _windows_added(dx, kernel, t) + _windows_added(x, dkernel, t)
    if wide and 4 * out <= channels:
        of_kernel = _windows_added(x, dkernel, t)
    elif isinstance(batch, int) and 0 < batch < FEW_EXAMPLES and _by_bands(kernel, t):
        of_kernel = _phases_at_once(x, dkernel, t, functools.partial(row_tiles, examples=FEW_EXAMPLES))
    else:
        of_kernel = _phases_apart(x, dkernel, t)
    return y, plain_transpose(dx, kernel, t) + of_kernel


def _adds_windows(kernel: jax.Array, t: Transposed) -> bool:
    """Whether few windows meet in a cell, or phases would be uneven or, of few channels, narrow."""
    *window, out, channels = kernel.shape
    if len(window) > 1:
        return max(window) <= 3 and max(t.strides) <= 2 and channels >= LEAST_CHANNELS
    if not _is_even(kernel, t):
        return window[0] <= LONGEST_LINE
    return t.strides[0] <= 2 and (out < channels or window[0] <= 4)


def _by_bands(kernel: jax.Array, t: Transposed) -> bool:
    """Whether the gradient of the kernel is found with bands of rows as examples of their own."""
    return not uses_library() and _is_even(kernel, t) and kernel.shape[-2] <= 2 * kernel.shape[-1]


def _is_even(kernel: jax.Array, t: Transposed) -> bool:
    """Whether each phase meets as many cells of the kernel."""
    return all(k % s == 0 for k, s in zip(kernel.shape[:-2], t.strides, strict=True))


def _windows_added(x: jax.Array, kernel: jax.Array, t: Transposed) -> jax.Array:
    """One product of each cell of x with the whole kernel, and the windows added at their places.

    The gradient of the kernel is one product with what y's windows hold, of few channels out two to four times as fast
    as that of the phases.
    """
    *window, _, channels = kernel.shape
    products = dot(x.reshape(-1, channels), kernel.reshape(-1, channels).T).reshape(*x.shape[:-1], -1)
    zero, whole = np.zeros((), x.dtype), (0, 0, 0)

    def placed(q: tuple[int, ...], cells: jax.Array) -> jax.Array:
        axes = zip(q, window, t.strides, strict=True)
        return lax.pad(cells, zero, [whole, *((i, k - 1 - i, s - 1) for i, k, s in axes), whole])

    places = itertools.product(*map(range, window))
    y = total(placed(*at) for at in zip(places, jnp.split(products, math.prod(window), -1), strict=True))
    ends = zip(window, t.padding, strict=True)
    return lax.pad(y, zero, [whole, *((before - (k - 1), after - (k - 1), 0) for k, (before, after) in ends), whole])


class _Phases(NamedTuple):
    """The phases of a transposed convolution: the cells of the kernel that each meets, and of x where each begins."""

    kernels: list[jax.Array]  # (*cells, out, in)
    starts: list[tuple[int, ...]]
    counts: list[int]  # cells of each phase along each axis of space
    sizes: list[int]  # of y

    def interleaved(self, ys: Sequence[jax.Array], t: Transposed) -> jax.Array:
        """Y, from its phases (batch, *counts, out)."""
        rank, (batch, *_, out) = len(self.counts), ys[0].shape
        y = jnp.stack(ys).reshape(*t.strides, batch, *self.counts, out)
        places = [place for axis in range(rank) for place in (rank + 1 + axis, axis)]  # each count before its phase
        y = y.transpose(rank, *places, y.ndim - 1)
        y = y.reshape(batch, *(n * s for n, s in zip(self.counts, t.strides, strict=True)), out)
        return y[(slice(None), *map(slice, self.sizes))]


def _phases_of(space: Sequence[int], kernel: jax.Array, t: Transposed) -> _Phases:
    window, rank = kernel.shape[:-2], len(space)
    kernel = jnp.flip(kernel, tuple(range(rank)))
    sizes = [
        (n - 1) * s + 1 + before + after - k + 1
        for n, s, (before, after), k in zip(space, t.strides, t.padding, window, strict=True)
    ]
    kernels, starts = [], []
    for phase in itertools.product(*map(range, t.strides)):
        part, start = kernel, []
        for axis, (r, s, (before, _)) in enumerate(zip(phase, t.strides, t.padding, strict=True)):
            first = (before - r) % s  # the cell of the kernel that meets a cell of x and not a zero between two
            part = lax.slice_in_dim(part, min(first, window[axis]), window[axis], s, axis)
            start.append((r + first - before) // s)
        kernels.append(part)
        starts.append(tuple(start))
    return _Phases(kernels, starts, [-(-size // s) for size, s in zip(sizes, t.strides, strict=True)], sizes)


def _phases_at_once(x: jax.Array, kernel: jax.Array, t: Transposed, form: Form = reference.conv) -> jax.Array:
    """All phases as channels of one convolution, for kernels of equal size."""
    p = _phases_of(x.shape[1:-1], kernel, t)
    first, window = [min(starts) for starts in zip(*p.starts, strict=True)], p.kernels[0].shape[:-2]
    last = [max(starts) for starts in zip(*p.starts, strict=True)]
    ends = [m + n + k - 1 for m, n, k in zip(last, p.counts, window, strict=True)]
    pads = tuple((-begin, end - n) for begin, end, n in zip(first, ends, x.shape[1:-1], strict=True))
    ones, kernels = (1,) * len(window), jnp.concatenate(p.kernels, -2).swapaxes(-1, -2)
    y = form(x, kernels, Window(ones, pads, ones))
    ys = []
    for phase, starts in zip(jnp.split(y, len(p.kernels), -1), p.starts, strict=True):
        cuts = [slice(m - begin, m - begin + n) for m, begin, n in zip(starts, first, p.counts, strict=True)]
        ys.append(phase[(slice(None), *cuts)])
    return p.interleaved(ys, t)


def _phases_apart(x: jax.Array, kernel: jax.Array, t: Transposed) -> jax.Array:
    """A convolution for each phase."""
    p, numbers = _phases_of(x.shape[1:-1], kernel, t), dimension_numbers(x.ndim - 2, "channels_last", "OI")
    ys = []
    for part, starts in zip(p.kernels, p.starts, strict=True):
        if 0 in part.shape:
            ys.append(jnp.zeros((x.shape[0], *p.counts, kernel.shape[-2]), x.dtype))
            continue
        cells = zip(starts, p.counts, part.shape, x.shape[1:-1], strict=False)
        pads = [(-start, start + count + k - 1 - n) for start, count, k, n in cells]
        ys.append(lax.conv_general_dilated(x, part, (1,) * len(pads), pads, dimension_numbers=numbers))
    return p.interleaved(ys, t)


def has_phases(space: Sequence[int], kernel: jax.Array, t: Transposed) -> bool:
    """Whether `phases` is taken on CPUs, for x of these axes of space."""
    known = all(isinstance(n, int) and n for n in (*space, *kernel.shape))
    return known and 1 < math.prod(t.strides) <= MOST_CELLS and max(t.dilation) == 1
