"""Convolutions by other algorithms than the plain call, with the same numbers.

Shapes: x (batch, *space, channels), kernel (*window, channels / groups, out), y (batch, *new_space, out).
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.half_precision import accumulation_dtype
from fnlayers.ops import reference
from fnlayers.ops.cpu.dense import dot
from fnlayers.ops.cpu.fusion import fusion_barrier, materialized, materialized_gradient
from fnlayers.ops.cpu.taps import Algorithm, by_row_tiles, met, padded, taps, total
from fnlayers.ops.reference import Window


def pointwise(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """A kernel of one tap: a matrix product over all positions at once."""
    x = strided(x, window)
    y = dot(x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[-2:]))
    return y.reshape(*x.shape[:-1], y.shape[-1])


def strided(x: jax.Array, window: Window) -> jax.Array:
    """What the tap of a kernel that has only one meets in x, which has no padding."""
    return x[(slice(None), *(slice(None, None, stride) for stride in window.strides))]


def depthwise(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """Each channel by itself: the sum over taps of what each meets in x times a vector.

    Along the last spatial axis first, then along the others. XLA computes it once, and not within a mean that follows.
    """
    dtype, (x, vectors) = x.dtype, for_each_channel(x, kernel, window)
    (*spans, last), ones = vectors.shape[:-1], (1,) * (len(window.strides) - 1)
    along = window._replace(strides=(*ones, window.strides[-1]), dilation=(*ones, window.dilation[-1]))
    across = window._replace(strides=(*window.strides[:-1], 1), dilation=(*window.dilation[:-1], 1))
    sizes = window.sizes(x.shape[1:-1], vectors.shape[:-1])
    columns = [column for _, column in taps(x, (*ones, last), along)]
    rows = {
        tap: total(column * vector for column, vector in zip(columns, vectors[tap], strict=True))
        for tap in itertools.product(*map(range, spans))
    }
    y = total(met(row, (*tap, 0), sizes, across) for tap, row in rows.items())
    return fusion_barrier(materialized(y)).astype(dtype)


def depthwise_by_taps(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """The same, a tap after the other."""
    dtype, (x, vectors) = x.dtype, for_each_channel(x, kernel, window)
    return total(shifted * vectors[tap] for tap, shifted in taps(x, vectors.shape[:-1], window)).astype(dtype)


def for_each_channel(x: jax.Array, kernel: jax.Array, window: Window) -> tuple[jax.Array, jax.Array]:
    """X padded, with a channel for each of y, and the kernel (*window, out), in float32 at least.

    Of half precision the backward pass saves this float32 copy: widening x again there took 1.1 to 2 times as long.
    """
    times, dtype = kernel.shape[-1] // x.shape[-1], accumulation_dtype(x.dtype)
    x = padded(jnp.repeat(x, times, axis=-1) if times > 1 else x, window).astype(dtype)
    return x, kernel[..., 0, :].astype(dtype)


def grouped(
    x: jax.Array, kernel: jax.Array, window: Window, *, conv: Algorithm, channels: int, convolutions: int
) -> jax.Array:
    """Convolutions without groups: of one group, or of several along a diagonal of blocks so that there are `channels`.

    There are as many as `convolutions` or fewer, each of them `conv`.
    """
    most = min(convolutions, max(1, max(x.shape[-1], kernel.shape[-1]) // channels))
    parts = max(n for n in range(1, most + 1) if window.groups % n == 0)
    blocks = window.groups // parts
    each = zip(jnp.split(x, parts, axis=-1), jnp.split(kernel, parts, axis=-1), strict=True)
    return jnp.concatenate([conv(x, _diagonal(k, blocks), window._replace(groups=1)) for x, k in each], axis=-1)


def _diagonal(kernel: jax.Array, blocks: int) -> jax.Array:
    """A kernel of as many groups as one without groups: zeros between the groups."""
    if blocks == 1:
        return kernel
    *spans, inner, outer = kernel.shape
    split = kernel.reshape(*spans, 1, inner, blocks, outer // blocks)
    full = split * jnp.eye(blocks, dtype=kernel.dtype)[:, None, :, None]
    return full.reshape(*spans, blocks * inner, outer)


def conv3d_as_conv2d(x: jax.Array, kernel: jax.Array, window: Window, *, conv: Algorithm) -> jax.Array:
    """Each plane of y by `conv` from as many planes of x as the kernel is deep, concatenated as channels."""
    (stride, *strides), (pads, *padding), (dilation, *dilations), _ = window
    depth, *spans, channels, out = kernel.shape
    x = jnp.pad(x, [(0, 0), pads, *[(0, 0)] * 3])
    count = (x.shape[1] - (depth - 1) * dilation - 1) // stride + 1
    starts = [tap * dilation for tap in range(depth)]
    planes = [lax.slice_in_dim(x, start, start + (count - 1) * stride + 1, stride, 1) for start in starts]
    stacked = jnp.concatenate(planes, -1)
    flat = materialized(stacked.reshape(-1, *stacked.shape[2:]))  # read by y and by the gradient of the kernel
    kernel = jnp.moveaxis(kernel, 0, -3).reshape(*spans, depth * channels, out)
    y = materialized_gradient(conv(flat, kernel, Window(tuple(strides), tuple(padding), tuple(dilations))))
    return y.reshape(-1, count, *y.shape[1:])


def pad_past_input(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """Two spatial axes, stride 1: with padding so far past x that y is larger, along the longer axis, and cut off.

    XLA gives no convolution whose y is larger than x to YNNPACK, neither alone nor with a mean that follows.
    """
    axis = 1 if x.shape[1] >= x.shape[2] else 2
    size = window.sizes(window.padded(x.shape[1:-1]), kernel.shape[:-2])[axis - 1]
    pads = list(window.padding)
    pads[axis - 1] = (pads[axis - 1][0], pads[axis - 1][1] + x.shape[axis] + 1 - size)
    y = reference.conv(x, kernel, window._replace(padding=tuple(pads)))
    return lax.slice_in_dim(y, 0, size, axis=axis)


def im2col(x: jax.Array, kernel: jax.Array, window: Window, *, elements: int, tile_elements: int) -> jax.Array:
    """A product of the kernel with what all taps meet in x, side by side; of some examples at a time.

    So `elements` of that matrix lie in the cache at a time, and those of large examples are cut into tiles of rows of
    `tile_elements`. In the backward pass they are computed again, and the gradient of the kernel is summed over the
    parts: 2 to 3 times as fast as YNNPACK's.
    """
    x, spans = padded(x, window), kernel.shape[:-2]
    sizes = window.sizes(x.shape[1:-1], spans)
    tiles = min(-(-math.prod(sizes) * math.prod(kernel.shape[:-1]) // tile_elements), sizes[0])
    algorithm = functools.partial(_im2col, elements=elements)
    return by_row_tiles(algorithm, x, kernel, window, tiles) if tiles > 1 else algorithm(x, kernel, window)


def _im2col(x: jax.Array, kernel: jax.Array, window: Window, elements: int) -> jax.Array:
    """The same of x that is padded, its examples whole."""
    *spans, channels, out = kernel.shape
    sizes = window.sizes(x.shape[1:-1], spans)
    flattened = kernel.reshape(-1, out).T  # its gradient, y^T rows, needs no transpose after

    @functools.partial(jax.checkpoint, prevent_cse=False)  # the matrix is computed again, not saved as a residual
    def some(x: jax.Array, flattened: jax.Array) -> jax.Array:
        rows = jnp.concatenate([elements for _, elements in taps(x, spans, window)], axis=-1)
        return dot(rows.reshape(-1, flattened.shape[-1]), flattened.T).reshape(-1, *sizes, out)

    part = _examples_at_once(x.shape[0], elements // max(math.prod(sizes) * math.prod(spans) * channels, 1))
    if part == x.shape[0]:
        return some(x, flattened)
    parts = x.reshape(-1, part, *x.shape[1:])
    _, y = lax.scan(lambda _, x: (None, some(x, flattened)), None, parts)
    return y.reshape(-1, *sizes, out)


def _examples_at_once(examples: int, most: int) -> int:
    """How many examples are worked on at a time: in equal parts, as many as `most` or fewer."""
    if not isinstance(examples, int):  # not known
        return 1
    return max((n for n in range(1, min(most, examples) + 1) if examples % n == 0), default=1)
