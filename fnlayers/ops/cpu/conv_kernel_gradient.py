"""Convolutions so written that their transpose by the kernel is fast: that is the gradient of the kernel.

Nothing is gained from them forward. Each is linear in the kernel, and serves derivatives of all orders.

Shapes: x (batch, *space, channels), kernel (*window, channels, out), y (batch, *new_space, out).
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops import reference
from fnlayers.ops.cpu.conv import for_each_channel, strided
from fnlayers.ops.cpu.dense import dot
from fnlayers.ops.cpu.taps import by_row_tiles, padded, taps, total
from fnlayers.ops.reference import Window


def half_products(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """A kernel of one tap: two products, one for each half of the channels.

    64 channels are rows of 256 bytes, which conflict in the cache; 32 are copied at a time, and the two products
    run at once: together 0.5 to 0.8 of the time.
    """
    x = strided(x, window)
    rows, matrix = x.reshape(-1, x.shape[-1]), kernel.reshape(kernel.shape[-2:])
    halves = zip(jnp.split(rows, 2, axis=1), jnp.split(matrix, 2, axis=0), strict=True)
    return total(dot(*half) for half in halves).reshape(*x.shape[:-1], matrix.shape[-1])


def depthwise_by_rows(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """Each channel by itself, a row of the last spatial axis after the other.

    The transpose sums the kernel's gradient in an array of one row's size, which stays in the cache; a sum over whole
    arrays takes ten times as long.
    """
    dtype, (x, kernel) = x.dtype, for_each_channel(x, kernel, window)
    *outer, width = window.sizes(x.shape[1:-1], kernel.shape[:-1])
    (*spans, _) = [(k - 1) * d + 1 for k, d in zip(kernel.shape, window.dilation, strict=False)]
    *strides, stride = window.strides
    within = window._replace(strides=(*(1 for _ in strides), stride))
    channels = kernel.shape[-1]
    vectors = [
        jnp.broadcast_to(kernel[tap], (width, channels)) for tap in itertools.product(*map(range, kernel.shape[:-1]))
    ]

    @jax.checkpoint  # or each row would be saved as a residual
    def row(x: jax.Array, vectors: list, at: jax.Array) -> jax.Array:
        example, *position = jnp.unravel_index(at, (x.shape[0], *outer))
        start = (example, *(p * s for p, s in zip(position, strides, strict=True)), 0, 0)
        rows = lax.dynamic_slice(x, start, (1, *spans, *x.shape[-2:]))
        pairs = zip(taps(rows, kernel.shape[:-1], within), vectors, strict=True)
        return total(c.reshape(width, channels) * v for (_, c), v in pairs)

    _, y = lax.scan(lambda _, at: (None, row(x, vectors, at)), None, jnp.arange(x.shape[0] * math.prod(outer)))
    return y.reshape(x.shape[0], *outer, width, channels).astype(dtype)


def half_im2col(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """Two spatial axes: the kernel's columns as channels of x, its rows as channels of y, which are shifted and added.

    So all of the kernel is one matrix, nearly square, and its gradient one product.
    """
    (rows, cols, channels, out), (step, stride), (down, right) = kernel.shape, window.strides, window.dilation
    x = padded(x, window)
    along = Window((1, stride), ((0, 0), (0, 0)), (1, right))
    side = jnp.concatenate([shifted for _, shifted in taps(x, (1, cols), along)], axis=-1)
    matrix = kernel.transpose(1, 2, 0, 3).reshape(cols * channels, rows * out)
    y = dot(side.reshape(-1, cols * channels), matrix).reshape(*side.shape[:-1], rows * out)
    size = (y.shape[1] - (rows - 1) * down - 1) // step + 1
    parts = enumerate(jnp.split(y, rows, axis=-1))
    return total(lax.slice_in_dim(part, i * down, i * down + (size - 1) * step + 1, step, 1) for i, part in parts)


def row_tiles(x: jax.Array, kernel: jax.Array, window: Window, *, examples: int) -> jax.Array:
    """Tiles of rows as examples of their own, `examples` in all or more, each with the rows that its windows reach.

    XLA's own code sums the gradient along the batch, several examples in one instruction: for few it is slow.
    """
    return by_row_tiles(reference.conv, padded(x, window), kernel, window, -(-examples // x.shape[0]))
