"""Convolutions in several formulations, which give the same numbers, and the table that says where each is taken.

`plain` is the reference. The others are for XLA's CPU compiler, which makes little of grouped and three-dimensional
convolutions, and of the gradients of kernels; elsewhere, and in programs exported to there, the plain call stands. Each
has the gradients of all orders, forward and reverse, that the plain call has: where the gradient wants a formulation of
its own, a `custom_jvp` states the tangent, whose transpose it is.

Shapes: x (batch, *space, channels), kernel (*window, channels / groups, out), y (batch, *new_space, out).
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.dense import dot
from fnlayers.ops.layout import channel_axis, sum_dtype
from fnlayers.ops.tracing import own_convolutions

# jax 0.6 cannot transpose a scan whose body is made again on the way back. There the gradient is right, but slow.
TRANSPOSES_ROWS = jax.__version_info__ >= (0, 10)
HAS_LIBRARY = jax.__version_info__ >= (0, 10)  # whether XLA hands convolutions on CPUs to a library


class Window(NamedTuple):
    """How a kernel goes over x: numbers for each axis of space."""

    strides: tuple[int, ...]
    padding: Any  # (before, after) in cells for each; or lax's word for them, where sizes are not known
    dilation: tuple[int, ...]
    groups: int = 1

    def sizes(self, space: Sequence[int], window: Sequence[int]) -> tuple[int, ...]:
        """The cells of y along each axis of space, for those of x, which is padded."""
        spans = ((k - 1) * d + 1 for k, d in zip(window, self.dilation, strict=True))
        return tuple((n - span) // s + 1 for n, span, s in zip(space, spans, self.strides, strict=True))


def plain(x: jax.Array, kernel: jax.Array, w: Window, data_format: str = "channels_last") -> jax.Array:
    """The reference: one call."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=w.strides,
        padding=w.padding,
        rhs_dilation=w.dilation,
        dimension_numbers=dimension_numbers(x.ndim - 2, data_format, "IO"),
        feature_group_count=w.groups,
    )


def pointwise(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """A window of one cell: a matrix product over all cells at once."""
    x = x[(slice(None), *(slice(None, None, step) for step in w.strides))]
    y = dot(x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[-2:]))
    return y.reshape(*x.shape[:-1], y.shape[-1])


def depthwise(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """Each channel by itself: the sum over the window's cells of a shifted x times a vector."""
    times, dtype = kernel.shape[-1] // x.shape[-1], x.dtype
    x = padded(jnp.repeat(x, times, axis=-1) if times > 1 else x, w).astype(sum_dtype(x))
    return _shifted_sum(x, kernel[..., 0, :].astype(x.dtype), w).astype(dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _shifted_sum(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """For x that is padded, and a kernel (*window, channels): along the last axis of space, then along the others."""
    (*spans, last), ones = kernel.shape[:-1], (1,) * (len(w.strides) - 1)
    along = w._replace(strides=(*ones, w.strides[-1]), dilation=(*ones, w.dilation[-1]))
    across = w._replace(strides=(*w.strides[:-1], 1), dilation=(*w.dilation[:-1], 1))
    sizes = w.sizes(x.shape[1:-1], kernel.shape[:-1])
    cells = [cells for _, cells in shifts(x, (*ones, last), along)]
    rows = {
        q: _sum(c * v for c, v in zip(cells, kernel[q], strict=True)) for q in itertools.product(*map(range, spans))
    }
    y = _sum(_shifted(row, (*q, 0), sizes, across) for q, row in rows.items())
    # A bound that holds for all keeps the sum apart from a mean or a product that takes it: XLA would give both to a
    # library that makes an array of each term, and takes ten times as long.
    return lax.clamp(y.dtype.type(-jnp.inf), y, y.dtype.type(jnp.inf))


@_shifted_sum.defjvp
def _(w: Window, primals: tuple, tangents: tuple) -> tuple:
    (x, kernel), (dx, dkernel) = primals, tangents
    by_rows = _shifted_sum_by_rows if TRANSPOSES_ROWS else _sum_of_shifts
    return _shifted_sum(x, kernel, w), _sum_of_shifts(dx, kernel, w) + by_rows(x, dkernel, w)


def _sum_of_shifts(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    return _sum(cells * kernel[q] for q, cells in shifts(x, kernel.shape[:-1], w))


def _shifted_sum_by_rows(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """The same, a row of the last axis of space after the other.

    Its transpose sums the kernel's gradient in an array of one row's size, which stays in the cache; a sum over whole
    arrays takes ten times as long.
    """
    *outer, width = w.sizes(x.shape[1:-1], kernel.shape[:-1])
    (*spans, _), (*steps, step) = [(k - 1) * d + 1 for k, d in zip(kernel.shape, w.dilation, strict=False)], w.strides
    channels, places = kernel.shape[-1], list(itertools.product(*map(range, kernel.shape[:-1])))
    vectors = [jnp.broadcast_to(kernel[q], (width, channels)) for q in places]

    @jax.checkpoint  # or each row would be kept for the way back
    def row(x: jax.Array, vectors: list, at: jax.Array) -> jax.Array:
        example, *place = jnp.unravel_index(at, (x.shape[0], *outer))
        start = (example, *(p * s for p, s in zip(place, steps, strict=True)), 0, 0)
        rows = lax.dynamic_slice(x, start, (1, *spans, *x.shape[-2:]))
        cells = shifts(rows, kernel.shape[:-1], w._replace(strides=(*(1 for _ in steps), step)))
        return _sum(c.reshape(width, channels) * v for (_, c), v in zip(cells, vectors, strict=True))

    _, y = lax.scan(lambda _, at: (None, row(x, vectors, at)), None, jnp.arange(x.shape[0] * math.prod(outer)))
    return y.reshape(x.shape[0], *outer, width, channels)


def grouped(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """Groups apart: at most MOST_PARTS convolutions, each of one group or of several along a diagonal of blocks."""
    parts = max(n for n in range(1, MOST_PARTS + 1) if w.groups % n == 0)
    blocks = w.groups // parts
    one = w._replace(groups=1)
    kernels = jnp.split(kernel, parts, axis=-1)
    ys = [
        on_cpu(part, _diagonal(own, blocks), one)
        for part, own in zip(jnp.split(x, parts, axis=-1), kernels, strict=True)
    ]
    return jnp.concatenate(ys, axis=-1)


def _diagonal(kernel: jax.Array, blocks: int) -> jax.Array:
    """A kernel of as many groups as one without groups: zeros between the groups."""
    if blocks == 1:
        return kernel
    *window, inner, outer = kernel.shape
    split = kernel.reshape(*window, 1, inner, blocks, outer // blocks)
    full = split * jnp.eye(blocks, dtype=kernel.dtype)[:, None, :, None]
    return full.reshape(*window, blocks * inner, outer)


def planes(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """Three axes of space as two: each plane of y from as many planes of x side by side as the window is deep."""
    (stride, *strides), (pads, *padding), (dilation, *dilations), _ = w
    depth, *window, channels, out = kernel.shape
    x = jnp.pad(x, [(0, 0), pads, *[(0, 0)] * 3])
    cells = x.shape[1] - (depth - 1) * dilation - 1
    count = cells // stride + 1
    stacked = jnp.concatenate(
        [lax.slice_in_dim(x, q * dilation, q * dilation + (count - 1) * stride + 1, stride, 1) for q in range(depth)],
        -1,
    )
    flat = stacked.reshape(-1, *stacked.shape[2:])
    kernel = jnp.moveaxis(kernel, 0, -3).reshape(*window, depth * channels, out)
    y = on_cpu(flat, kernel, Window(tuple(strides), tuple(padding), tuple(dilations)))
    return y.reshape(-1, count, *y.shape[1:])


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def overhanging(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """Two axes of space, stride 1: a window that goes over one cell too many along the longer axis.

    XLA gives no convolution whose y is larger than x to the library, neither alone nor with a mean that follows.
    """
    if x.dtype not in (jnp.float32, jnp.float64):  # of which the library takes none
        return plain(x, kernel, w)
    axis = 1 if x.shape[1] >= x.shape[2] else 2
    size = w.sizes(padded_space(x.shape[1:-1], w), kernel.shape[:-2])[axis - 1]
    pads = list(w.padding)
    pads[axis - 1] = (pads[axis - 1][0], pads[axis - 1][1] + x.shape[axis] + 1 - size)
    return lax.slice_in_dim(plain(x, kernel, w._replace(padding=tuple(pads))), 0, size, axis=axis)


@overhanging.defjvp
def _(w: Window, primals: tuple, tangents: tuple) -> tuple:
    (x, kernel), (dx, dkernel) = primals, tangents
    if not _slow():  # in a training step the means do not take convolutions with them
        return jax.jvp(lambda x, kernel: plain(x, kernel, w), primals, tangents)
    y = overhanging(x, kernel, w)
    by_columns = _has_columns(math.prod(y.shape[:-1]), y.shape[-1], math.prod(kernel.shape[:-2]))
    return y, plain(dx, kernel, w) + (_by_columns if by_columns else plain)(x, dkernel, w)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def columns(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """The plain call; the gradient of the kernel by matrix products with all cells of a window side by side."""
    return plain(x, kernel, w)


@columns.defjvp
def _(w: Window, primals: tuple, tangents: tuple) -> tuple:
    (x, kernel), (dx, dkernel) = primals, tangents
    return columns(x, kernel, w), columns(dx, kernel, w) + _by_columns(x, dkernel, w)


def _by_columns(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """The same, some examples at a time, so that their columns stay in the cache.

    Its transpose sums the kernel's gradient over those parts: 2 to 3 times as fast as the plain call's.
    """
    x, (*window, channels, out) = padded(x, w), kernel.shape
    sizes = w.sizes(x.shape[1:-1], window)
    turned = kernel.reshape(-1, out).T  # its gradient, y^T columns, is summed as it comes

    @functools.partial(jax.checkpoint, prevent_cse=False)  # the columns are made again on the way back, not kept
    def some(x: jax.Array, turned: jax.Array) -> jax.Array:
        cells = jnp.concatenate([cells for _, cells in shifts(x, window, w)], axis=-1)
        return dot(cells.reshape(-1, turned.shape[-1]), turned.T).reshape(-1, *sizes, out)

    part = _at_once(x.shape[0], math.prod(sizes) * math.prod(window) * channels)
    if part == x.shape[0]:
        return some(x, turned)
    parts = x.reshape(-1, part, *x.shape[1:])
    _, y = lax.scan(lambda _, x: (None, some(x, turned)), None, parts)
    return y.reshape(-1, *sizes, out)


def _at_once(examples: int, cells: int) -> int:
    """How many examples, of so many cells each, are worked on at a time: in equal parts, as many or more."""
    if not isinstance(examples, int):  # not known
        return 1
    most = min(CELLS_AT_ONCE // max(cells, 1), examples)
    return max((n for n in range(1, most + 1) if examples % n == 0), default=1)


def padded(x: jax.Array, w: Window) -> jax.Array:
    """X with zeros around it."""
    return jnp.pad(x, [(0, 0), *w.padding, (0, 0)]) if any(map(any, w.padding)) else x


def padded_space(space: Sequence[int], w: Window) -> list[int]:
    """The axes of space with the zeros around."""
    return [n + sum(pads) for n, pads in zip(space, w.padding, strict=True)]


def shifts(x: jax.Array, window: Sequence[int], w: Window) -> Iterator[tuple[tuple[int, ...], jax.Array]]:
    """For each cell q of the window: q, and what it meets in x, which is padded; of y's size."""
    sizes = w.sizes(x.shape[1:-1], window)
    for q in itertools.product(*map(range, window)):
        yield q, _shifted(x, q, sizes, w)


def _shifted(x: jax.Array, q: Sequence[int], sizes: Sequence[int], w: Window) -> jax.Array:
    """What the cell q of the window meets in x."""
    for axis, (n, size, stride, dilation) in enumerate(zip(q, sizes, w.strides, w.dilation, strict=True), 1):
        start = n * dilation
        x = lax.slice_in_dim(x, start, start + (size - 1) * stride + 1, stride, axis)
    return x


def _sum(terms: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(operator.add, terms)


def dimension_numbers(rank: int, data_format: str, kernel: str) -> tuple[str, str, str]:
    """The letters of x, kernel and y for lax: N batch, C channels, I and O the kernel's channels in and out."""
    space = "DHW"[-rank:]
    x = f"N{space}C" if channel_axis(data_format) == -1 else f"NC{space}"
    return x, space + kernel, x


def _slow() -> bool:
    """Whether convolutions go to the library that is slow at gradients of kernels."""
    return HAS_LIBRARY and not own_convolutions()


def _has_columns(places: int, out: int, cells: int) -> bool:
    """Whether the library would sum the gradient of a kernel slowly."""
    return cells <= MOST_CELLS and out >= 32 and places >= MANY_PLACES


class Case(NamedTuple):
    """What the rules look at."""

    places: int  # cells of y, over the batch and space; 0 where they are not known
    channels: int  # of x
    out: int  # channels of y
    cells: int  # of the window
    rank: int  # axes of space
    w: Window
    grows: bool  # whether y is larger than x along an axis of space

    @property
    def work(self) -> int:
        """How many multiplications it takes."""
        return self.places * self.channels * self.out * self.cells

    @property
    def overhangs(self) -> bool:
        """Whether the library would take it, and not if y had one cell more."""
        return self.rank == 2 and self.w.strides == (1, 1) and not self.grows and max(self.channels, self.out) > 16


class Rule(NamedTuple):
    """A formulation, and the cases for which it is taken."""

    form: Callable[[jax.Array, jax.Array, Window], jax.Array]
    holds: Callable[[Case], bool]


# On CPUs the first rule that holds is taken; where none does, the plain call.
CPU = (
    Rule(pointwise, lambda case: case.cells == case.w.groups == 1 and not any(map(any, case.w.padding))),
    Rule(depthwise, lambda case: 1 < case.channels == case.w.groups and case.cells <= MOST_CELLS),
    Rule(grouped, lambda case: case.w.groups > 1),
    Rule(planes, lambda case: case.rank == 3),
    Rule(overhanging, lambda case: HAS_LIBRARY and case.overhangs and case.work >= MUCH_WORK),
    Rule(columns, lambda case: case.rank == 2 and _has_columns(case.places, case.out, case.cells) and _slow()),
)
MOST_PARTS = 16  # convolutions that a grouped one is cut into: each takes time to compile
MANY_PLACES = 1 << 12  # over which the plain call sums the gradient of a kernel slowly
CELLS_AT_ONCE = 1 << 21  # of columns that are made at a time: 8 MB in float32
MUCH_WORK = 300_000_000  # multiplications, from which on the library is the slower one
MOST_CELLS = 64  # of a window that is gone through one by one


def rule_for(shape: Sequence[int], kernel: jax.Array, w: Window) -> Rule | None:
    """The first rule that holds for x of that shape, its channels last; None for the plain call."""
    if 0 in kernel.shape or isinstance(w.padding, str):
        return None
    *window, _, out = kernel.shape
    batch, *space, channels = shape
    sizes = w.sizes(padded_space(space, w), window)
    known = all(isinstance(n, int) for n in (batch, *sizes))
    places, grows = math.prod([batch, *sizes]) if known else 0, known and any(map(operator.gt, sizes, space))
    case = Case(places, channels, out, math.prod(window), len(window), w, grows)
    return next((rule for rule in CPU if rule.holds(case)), None)


def on_cpu(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """The convolution in the formulation for CPUs."""
    rule = rule_for(x.shape, kernel, w)
    return plain(x, kernel, w) if rule is None else rule.form(x, kernel, w)
