"""Convolutions in several formulations, which give the same numbers, and the table that says where each is taken.

The plain call is the reference. The others are for XLA's CPU compiler, which makes little of grouped and
three-dimensional convolutions, and of the gradients of kernels; elsewhere, and in programs exported to there, the plain
call stands. Each has the gradients of all orders, forward and reverse, that the plain call has: where the gradient
wants a formulation of its own, a `custom_jvp` states the tangent, whose transpose it is.

Shapes: x (batch, *space, channels), kernel (*window, channels / groups, out), y (batch, *new_space, out).
"""

import functools
import itertools
import math
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.conv_base import (
    MOST_CELLS,
    Case,
    Form,
    Rule,
    Window,
    first,
    padded,
    padded_space,
    plain,
    shifted,
    shifts,
    total,
)
from fnlayers.ops.conv_gradients import (
    FEW_CHANNELS,
    HAS_LIBRARY,
    columns,
    gradient_rule,
    has_few_channels,
    is_coarse,
    uses_library,
)
from fnlayers.ops.dense import dot
from fnlayers.ops.layout import sum_dtype
from fnlayers.ops.once import bounded, gradient_once, once

# jax 0.6 cannot transpose a scan whose body is made again on the way back. There the gradient is right, but slow.
TRANSPOSES_ROWS = jax.__version_info__ >= (0, 10)


def pointwise(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """A window of one cell: a matrix product over all cells at once."""
    x = x[(slice(None), *(slice(None, None, step) for step in w.strides))]
    rows, matrix = x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[-2:])
    known = isinstance(rows.shape[0], int) and LEAST_PRODUCT <= rows.shape[0] * matrix.shape[1]
    halved = known and rows.shape[0] <= FEW_ROWS and matrix.shape[0] == 64 and matrix.shape[1] <= 96
    y = (_product_by_halves if halved else dot)(rows, matrix)
    return y.reshape(*x.shape[:-1], y.shape[-1])


@jax.custom_jvp
def _product_by_halves(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The product; the gradient of the kernel as two, one for each half of the channels.

    64 channels are rows of 256 bytes, which caches lay upon each other; the halves are copied, and the two products run
    at once: together 0.5 to 0.8 of the time.
    """
    return dot(x, kernel)


@_product_by_halves.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    (x, kernel), (dx, dkernel) = primals, tangents
    halves = zip(jnp.split(x, 2, axis=1), jnp.split(dkernel, 2, axis=0), strict=True)
    return _product_by_halves(x, kernel), dot(dx, kernel) + total(dot(*half) for half in halves)


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
        q: total(c * v for c, v in zip(cells, kernel[q], strict=True)) for q in itertools.product(*map(range, spans))
    }
    y = total(shifted(row, (*q, 0), sizes, across) for q, row in rows.items())
    return bounded(once(y))


@_shifted_sum.defjvp
def _(w: Window, primals: tuple, tangents: tuple) -> tuple:
    (x, kernel), (dx, dkernel) = primals, tangents
    by_rows = _shifted_sum_by_rows if TRANSPOSES_ROWS else _sum_of_shifts
    return _shifted_sum(x, kernel, w), _sum_of_shifts(dx, kernel, w) + by_rows(x, dkernel, w)


def _sum_of_shifts(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    return total(cells * kernel[q] for q, cells in shifts(x, kernel.shape[:-1], w))


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
        return total(c.reshape(width, channels) * v for (_, c), v in zip(cells, vectors, strict=True))

    _, y = lax.scan(lambda _, at: (None, row(x, vectors, at)), None, jnp.arange(x.shape[0] * math.prod(outer)))
    return y.reshape(x.shape[0], *outer, width, channels)


def grouped(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """Convolutions of one group, or of several along a diagonal of blocks so that there are channels enough."""
    most = min(MOST_PARTS, max(1, max(x.shape[-1], kernel.shape[-1]) // FULL_CHANNELS))
    parts = max(n for n in range(1, most + 1) if w.groups % n == 0)
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
    flat = once(stacked.reshape(-1, *stacked.shape[2:]))  # read by y and by the gradient of the kernel
    kernel = jnp.moveaxis(kernel, 0, -3).reshape(*window, depth * channels, out)
    y = gradient_once(on_cpu(flat, kernel, Window(tuple(strides), tuple(padding), tuple(dilations))))
    return y.reshape(-1, count, *y.shape[1:])


def in_training(form: Form) -> Form:
    """That formulation in programs with derivatives alone; else the plain call, of what is too small for more."""

    @functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
    def chosen(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
        return plain(x, kernel, w)

    @chosen.defjvp
    def _(w: Window, primals: tuple, tangents: tuple) -> tuple:
        return jax.jvp(lambda x, kernel: form(x, kernel, w), primals, tangents)

    return functools.wraps(form)(chosen)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def direct(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """One call; in programs with derivatives as `conv_gradients` says."""
    return _chosen(first(FORWARD, Case.of(x.shape, kernel, w)))(x, kernel, w)


@direct.defjvp
def _(w: Window, primals: tuple, tangents: tuple) -> tuple:
    (x, kernel), (dx, dkernel) = primals, tangents
    case = Case.of(x.shape, kernel, w)
    # XLA's own convolutions are taken along by no mean of a training step, and need not hang over
    form = columns if has_few_channels(case) or is_coarse(case) else direct if uses_library() else plain
    rule, linear = gradient_rule(case), plain if form is direct else form
    return form(x, kernel, w), linear(dx, kernel, w) + _chosen(rule)(x, dkernel, w)


def overhanging(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """Two axes of space, stride 1: a window that goes over one cell too many along the longer axis.

    XLA gives no convolution whose y is larger than x to the library, neither alone nor with a mean that follows.
    """
    axis = 1 if x.shape[1] >= x.shape[2] else 2
    size = w.sizes(padded_space(x.shape[1:-1], w), kernel.shape[:-2])[axis - 1]
    pads = list(w.padding)
    pads[axis - 1] = (pads[axis - 1][0], pads[axis - 1][1] + x.shape[axis] + 1 - size)
    return lax.slice_in_dim(plain(x, kernel, w._replace(padding=tuple(pads))), 0, size, axis=axis)


def _overhangs(case: Case) -> bool:
    """Whether the library would take it and be the slower one, and would not if y had one cell more."""
    fits = HAS_LIBRARY and case.wide and case.rank == 2 and case.w.strides == (1, 1)
    fits = fits and max(case.channels, case.out) > 16
    least = MUCH_WORK_A_CELL if uses_library() else 4 * MUCH_WORK_A_CELL
    much = case.work >= MUCH_WORK and case.channels * case.cells >= least
    return fits and much and not any(map(operator.gt, case.sizes, case.space))


def _is_single(case: Case) -> bool:
    """Whether a single channel makes few, at places enough."""
    few = case.channels == 1 and case.out <= FEW_OUT and 1 < case.cells <= MOST_CELLS
    return few and not 0 < case.places <= FEW_PLACES


def _is_pointwise(case: Case) -> bool:
    """Whether the window is one cell."""
    return case.cells == case.w.groups == 1 and not any(map(any, case.w.padding))


def _is_light(case: Case) -> bool:
    """Whether a product takes longer than the plain call: of few channels, or of cells that must be gathered for it."""
    most = FEW_WORK if uses_library() and case.channels <= FEW_CHANNELS else 0
    if any(step > 1 for step in case.w.strides):
        most = STRIDED_WORK if uses_library() else math.inf if case.channels >= STRIDED_CHANNELS else 0
    return case.wide and 0 < case.work < most


# On CPUs the first rule that holds is taken; where none does, the plain call. Of one call, forward:
FORWARD = (
    Rule(depthwise, _is_single),
    Rule(columns, lambda case: case.rank == 1 and has_few_channels(case)),
    Rule(overhanging, _overhangs),
)
# And of all:
CPU = (
    Rule(in_training(pointwise), lambda case: _is_pointwise(case) and _is_light(case)),
    Rule(pointwise, _is_pointwise),
    Rule(depthwise, lambda case: 1 < case.channels == case.w.groups and case.cells <= MOST_CELLS),
    Rule(depthwise, lambda case: case.rank == case.out == 1 and _is_single(case)),
    Rule(in_training(grouped), lambda case: case.w.groups > 1 and case.wide and 0 < case.places <= FEW_PLACES),
    Rule(grouped, lambda case: case.w.groups > 1),
    Rule(planes, lambda case: case.rank == 3),
    Rule(direct, lambda case: first(FORWARD, case) is not None or has_few_channels(case)),
    Rule(direct, lambda case: gradient_rule(case) is not None),
)
FEW_ROWS = 1 << 14  # of a product, of which copies stay in the cache
LEAST_PRODUCT = 1 << 17  # numbers, for which copies are worth their time
FEW_PLACES = 256  # of a grouped convolution, or of a single channel
STRIDED_WORK, FEW_WORK = 1 << 24, 1 << 20  # multiplications of a light product: with strides, and of few channels
STRIDED_CHANNELS = 64  # from which on XLA's own convolution with strides is the faster one of any size
FULL_CHANNELS = 16  # an instruction's worth: with fewer, a convolution takes as long
FEW_OUT = 8  # channels that a single one makes, each a sum of shifted arrays
MOST_PARTS = 16  # convolutions that a grouped one is cut into: each takes time to compile
MUCH_WORK = 300_000_000  # multiplications, from which on the library is the slower one
MUCH_WORK_A_CELL = 128  # for each of y, so that it matters little that y is copied


def rule_for(shape: Sequence[int], kernel: jax.Array, w: Window) -> Rule | None:
    """The first rule that holds for x of that shape, its channels last; None for the plain call."""
    return first(CPU, Case.of(shape, kernel, w))


def on_cpu(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """The convolution in the formulation for CPUs."""
    return _chosen(rule_for(x.shape, kernel, w))(x, kernel, w)


def _chosen(rule: Rule | None) -> Form:
    return plain if rule is None else rule.form
