"""Transposed convolutions that multiply no zero between the elements of x, as the plain call does.

The positions of y that are r after a whole stride, its phase r, meet only each stride-th tap of the kernel. So there is
a convolution for each phase, with a part of the taps, and y is what they give, interleaved.

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
from fnlayers.ops.cpu.dense import dot
from fnlayers.ops.cpu.taps import Algorithm, total
from fnlayers.ops.reference import TransposedWindow, Window, dimension_numbers


def overlap_add(x: jax.Array, kernel: jax.Array, window: TransposedWindow) -> jax.Array:
    """One product of each element of x with the whole kernel, and the windows added where they lie.

    The gradient of the kernel is one product with what y's windows hold, of few channels out two to four times as fast
    as that of the phases.
    """
    *spans, _, channels = kernel.shape
    products = dot(x.reshape(-1, channels), kernel.reshape(-1, channels).T).reshape(*x.shape[:-1], -1)
    zero, whole = np.zeros((), x.dtype), (0, 0, 0)

    def placed(tap: tuple[int, ...], product: jax.Array) -> jax.Array:
        axes = zip(tap, spans, window.strides, strict=True)
        return lax.pad(product, zero, [whole, *((i, k - 1 - i, s - 1) for i, k, s in axes), whole])

    taps = itertools.product(*map(range, spans))
    y = total(placed(*at) for at in zip(taps, jnp.split(products, math.prod(spans), -1), strict=True))
    ends = zip(spans, window.padding, strict=True)
    return lax.pad(y, zero, [whole, *((before - (k - 1), after - (k - 1), 0) for k, (before, after) in ends), whole])


def subpixel(
    x: jax.Array, kernel: jax.Array, window: TransposedWindow, *, conv: Algorithm = reference.conv
) -> jax.Array:
    """All phases as channels of one convolution, where each meets as many taps."""
    p = _phases(x.shape[1:-1], kernel, window)
    first, spans = [min(starts) for starts in zip(*p.starts, strict=True)], p.kernels[0].shape[:-2]
    last = [max(starts) for starts in zip(*p.starts, strict=True)]
    ends = [m + n + k - 1 for m, n, k in zip(last, p.counts, spans, strict=True)]
    pads = tuple((-begin, end - n) for begin, end, n in zip(first, ends, x.shape[1:-1], strict=True))
    ones, kernels = (1,) * len(spans), jnp.concatenate(p.kernels, -2).swapaxes(-1, -2)
    y = conv(x, kernels, Window(ones, pads, ones))
    ys = []
    for phase, starts in zip(jnp.split(y, len(p.kernels), -1), p.starts, strict=True):
        cuts = [slice(m - begin, m - begin + n) for m, begin, n in zip(starts, first, p.counts, strict=True)]
        ys.append(phase[(slice(None), *cuts)])
    return p.interleaved(ys, window)


def subpixel_by_row_tiles(x: jax.Array, kernel: jax.Array, window: TransposedWindow, *, examples: int) -> jax.Array:
    """The same, of tiles of rows as examples, for the gradient of the kernel: see `conv_kernel_gradient.row_tiles`."""
    return subpixel(x, kernel, window, conv=functools.partial(row_tiles, examples=examples))


def phase_by_phase(x: jax.Array, kernel: jax.Array, window: TransposedWindow) -> jax.Array:
    """A convolution for each phase."""
    p, numbers = _phases(x.shape[1:-1], kernel, window), dimension_numbers(x.ndim - 2, "channels_last", "OI")
    ys = []
    for part, starts in zip(p.kernels, p.starts, strict=True):
        if 0 in part.shape:
            ys.append(jnp.zeros((x.shape[0], *p.counts, kernel.shape[-2]), x.dtype))
            continue
        axes = zip(starts, p.counts, part.shape, x.shape[1:-1], strict=False)
        pads = [(-start, start + count + k - 1 - n) for start, count, k, n in axes]
        ys.append(lax.conv_general_dilated(x, part, (1,) * len(pads), pads, dimension_numbers=numbers))
    return p.interleaved(ys, window)


class _Phases(NamedTuple):
    """The phases: the taps that each meets, and where in x each begins."""

    kernels: list[jax.Array]  # (*taps, out, in)
    starts: list[tuple[int, ...]]
    counts: list[int]  # positions of each phase along each spatial axis
    sizes: list[int]  # of y

    def interleaved(self, ys: Sequence[jax.Array], window: TransposedWindow) -> jax.Array:
        """Y, from its phases (batch, *counts, out)."""
        rank, (batch, *_, out) = len(self.counts), ys[0].shape
        y = jnp.stack(ys).reshape(*window.strides, batch, *self.counts, out)
        axes = [a for axis in range(rank) for a in (rank + 1 + axis, axis)]  # each count before its phase
        y = y.transpose(rank, *axes, y.ndim - 1)
        y = y.reshape(batch, *(n * s for n, s in zip(self.counts, window.strides, strict=True)), out)
        return y[(slice(None), *map(slice, self.sizes))]


def _phases(space: Sequence[int], kernel: jax.Array, window: TransposedWindow) -> _Phases:
    spans, rank = kernel.shape[:-2], len(space)
    kernel = jnp.flip(kernel, tuple(range(rank)))
    sizes = [
        (n - 1) * s + 1 + before + after - k + 1
        for n, s, (before, after), k in zip(space, window.strides, window.padding, spans, strict=True)
    ]
    kernels, starts = [], []
    for phase in itertools.product(*map(range, window.strides)):
        part, start = kernel, []
        for axis, (r, s, (before, _)) in enumerate(zip(phase, window.strides, window.padding, strict=True)):
            first = (before - r) % s  # the tap that meets an element of x and not a zero between two
            part = lax.slice_in_dim(part, min(first, spans[axis]), spans[axis], s, axis)
            start.append((r + first - before) // s)
        kernels.append(part)
        starts.append(tuple(start))
    return _Phases(kernels, starts, [-(-size // s) for size, s in zip(sizes, window.strides, strict=True)], sizes)
