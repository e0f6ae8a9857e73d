"""Formulations by which the gradient of a convolution's kernel is found, and the table that says where each is taken.

The gradient is the transpose of the convolution as a function of its kernel. So each formulation here is the
convolution, so written that its transpose is fast on CPUs; nothing is gained from it forward.

Shapes: x (batch, *space, channels), kernel (*window, channels, out), y (batch, *new_space, out).
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.conv_base import MOST_CELLS, WIDE, Case, Form, Rule, Window, first, padded, plain, shifts, total
from fnlayers.ops.dense import dot
from fnlayers.ops.tracing import own_convolutions

HAS_LIBRARY = jax.__version_info__ >= (0, 10)  # whether XLA hands convolutions on CPUs to a library


def columns(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """A product with all cells of a window side by side; some examples at a time, so that these stay in the cache.

    Its transpose sums the kernel's gradient over those parts: 2 to 3 times as fast as the library's. Large examples are
    cut into bands.
    """
    x, window = padded(x, w), kernel.shape[:-2]
    sizes = w.sizes(x.shape[1:-1], window)
    count = min(-(-math.prod(sizes) * math.prod(kernel.shape[:-1]) // CELLS_IN_BAND), sizes[0])
    return _in_bands(_columns, x, kernel, w, count) if count > 1 else _columns(x, kernel, w)


def _columns(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """The same of x that is padded, its examples whole."""
    *window, channels, out = kernel.shape
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


def halves(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """Two axes of space: the window's columns as channels of x, its rows as channels of y, which are shifted and added.

    So all of the kernel is one matrix, nearly square, and its gradient one product.
    """
    if x.dtype not in WIDE:
        return plain(x, kernel, w)
    (rows, cols, channels, out), (step, stride), (down, right) = kernel.shape, w.strides, w.dilation
    x = padded(x, w)
    along = Window((1, stride), ((0, 0), (0, 0)), (1, right))
    side = jnp.concatenate([cells for _, cells in shifts(x, (1, cols), along)], axis=-1)
    matrix = kernel.transpose(1, 2, 0, 3).reshape(cols * channels, rows * out)
    y = dot(side.reshape(-1, cols * channels), matrix).reshape(*side.shape[:-1], rows * out)
    size = (y.shape[1] - (rows - 1) * down - 1) // step + 1
    parts = enumerate(jnp.split(y, rows, axis=-1))
    return total(lax.slice_in_dim(part, i * down, i * down + (size - 1) * step + 1, step, 1) for i, part in parts)


def bands(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    """Bands of rows as examples of their own, each with the rows that its windows reach over to.

    XLA's own code sums the gradient along the batch, several examples in one instruction: for few it is slow.
    """
    return _in_bands(plain, padded(x, w), kernel, w, -(-FEW_EXAMPLES // x.shape[0]))


def _in_bands(form: Form, x: jax.Array, kernel: jax.Array, w: Window, most: int) -> jax.Array:
    """That formulation of bands of x, which is padded: as many or fewer."""
    batch, step, span = x.shape[0], w.strides[0], (kernel.shape[0] - 1) * w.dilation[0] + 1
    sizes = w.sizes(x.shape[1:-1], kernel.shape[:-2])
    rows = -(-sizes[0] // most)  # of y in each band
    count = -(-sizes[0] // rows)
    reach = (rows - 1) * step + span
    x = jnp.pad(x, [(0, 0), (0, max((count - 1) * rows * step + reach - x.shape[1], 0)), *[(0, 0)] * (x.ndim - 2)])
    cut = [lax.slice_in_dim(x, i * rows * step, i * rows * step + reach, axis=1) for i in range(count)]
    apart = jnp.stack(cut, 1).reshape(batch * count, reach, *x.shape[2:])
    y = form(apart, kernel, w._replace(padding=((0, 0),) * len(sizes)))
    return y.reshape(batch, count * rows, *y.shape[2:])[:, : sizes[0]]


def uses_library() -> bool:
    """Whether convolutions go to the library that is slow at gradients of kernels."""
    return HAS_LIBRARY and not own_convolutions()


def has_few_channels(case: Case | None) -> bool:
    """Whether x has so few channels that a convolution can do little with them, and its columns stay in the cache."""
    if case is None or case.rank > 2 or (case.rank == 2 and uses_library()):
        return False
    return case.channels <= FEW_CHANNELS and _stays_in_cache(case)


def _stays_in_cache(case: Case) -> bool:
    """Whether all columns of a window of several cells do."""
    return 0 < case.places * case.cells * case.channels <= CELLS_AT_ONCE and 1 < case.cells <= MOST_CELLS


def is_coarse(case: Case | None) -> bool:
    """Whether a window goes in steps over a line as below: then the plain call's gradient by x is slow, too."""
    return case is not None and _is_line(case) and case.w.strides[0] > 1


def _is_line(case: Case) -> bool:
    """Whether x has one axis of space, and few examples or channels."""
    if case.rank != 1 or case.cells > MOST_CELLS:
        return False
    few = case.channels <= (LINE_CHANNELS if case.out > LINE_CHANNELS else FEW_CHANNELS)
    return _is_small(case, FEW_LINES if uses_library() else FEW_EXAMPLES) or (few and _stays_in_cache(case))


def _is_small(case: Case, few: int) -> bool:
    """Whether there are few examples, and the copies stay in the cache."""
    cells = case.batch * math.prod(case.space) * case.channels
    return 0 < case.batch < few and 0 < cells <= MOST_COPIED and 0 < case.places * case.out <= 2 * MOST_COPIED


def _has_many_places(case: Case) -> bool:
    """Whether the library sums the gradient over so many that it is slow; half types it does not take."""
    many = case.wide or case.channels * case.out > LEAST_MATRIX
    return case.out >= 32 and case.places >= MANY_PLACES and many


def _is_narrow(case: Case) -> bool:
    """Whether a window of several cells, stride 1, makes few channels of not many more."""
    return case.cells > 1 and case.w.strides == (1, 1) and case.out <= 16 and 8 <= case.channels <= 32


# On CPUs the first rule that holds is taken; where none does, the plain call's gradient. In programs with the library:
LIBRARY = (
    Rule(columns, _is_line),
    Rule(columns, lambda case: case.rank == 2 and case.cells <= MOST_CELLS and _has_many_places(case)),
)
# In programs with XLA's own convolutions:
OWN = (
    Rule(columns, _is_line),
    Rule(columns, lambda case: has_few_channels(case) and case.out >= 128),
    Rule(halves, lambda case: case.rank == 2 and _is_narrow(case) and _is_small(case, FEW_EXAMPLES)),
    Rule(bands, lambda case: case.rank == 2 and case.sizes[0] > 1 and _is_small(case, FEW_EXAMPLES)),
)
LEAST_MATRIX = 256  # numbers of each cell of the window, from which on half types are worth columns
MANY_PLACES = 1 << 12  # over which the library sums the gradient of a kernel slowly
CELLS_AT_ONCE, CELLS_IN_BAND = 1 << 21, 1 << 20  # of columns that are made at a time: 8 MB in float32, and of one band
FEW_EXAMPLES, FEW_LINES = 8, 3  # fewer are few: of any, and of those with one axis of space that the library has
FEW_CHANNELS, LINE_CHANNELS = 4, 16  # of x, of which a product with columns is faster, and on a line its gradient
MOST_COPIED = 1 << 19  # cells of x that are laid out anew


def gradient_rule(case: Case | None) -> Rule | None:
    """The first rule that holds; None for the plain call's gradient."""
    return first(LIBRARY if uses_library() else OWN, case)
