"""Colors: between RGB, HSV and gray, and what histograms tell. An image is (height, width, channels), of floats."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

GRAY = (0.2989, 0.5870, 0.1140)  # how bright red, green and blue are
LEVELS = 256


def scaled(image: jax.Array, source: Sequence[float], target: Sequence[float]) -> jax.Array:
    """Values between the numbers of `source` as values between those of `target`."""
    if tuple(source) == tuple(target):
        return image
    fraction = (image - source[0]) / (source[1] - source[0])
    return fraction * (target[1] - target[0]) + target[0]


def to_gray(image: jax.Array) -> jax.Array:
    """How bright each pixel is, (height, width, 1)."""
    if image.shape[-1] == 1:
        return image
    red, green, blue = (image[..., i : i + 1] for i in range(3))
    return GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue


def to_hsv(image: jax.Array) -> jax.Array:
    """Hue and saturation from 0 to 1, and the value, in the units of the image: (height, width, 3) from RGB.

    >>> to_hsv(jnp.array([[[0.0, 2.0, 2.0]]])).tolist()
    [[[0.5, 1.0, 2.0]]]
    """
    image = jnp.where(jnp.abs(image) < jnp.finfo(image.dtype).eps, 0, image)
    red, green, blue = (image[..., i] for i in range(3))
    value, least = jnp.max(image, -1), jnp.min(image, -1)
    span = value - least
    saturation = jnp.where(value > 0, span / jnp.where(value > 0, value, 1), 0)
    sixth = 1 / (6 * jnp.where(span > 0, span, 1))
    hue = jnp.where(value == green, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = jnp.where(value == red, sixth * (green - blue), hue)
    hue = jnp.where(span > 0, hue, 0) + (hue < 0).astype(hue.dtype)
    return jnp.stack([hue, saturation, value], -1)


def from_hsv(image: jax.Array) -> jax.Array:
    """RGB from hue, saturation and value. See `to_hsv`."""
    hue, saturation, value = (image[..., i] for i in range(3))
    turn = jnp.mod(hue, 1) * 6
    parts = (jnp.abs(turn - 3) - 1, 2 - jnp.abs(turn - 2), 2 - jnp.abs(turn - 4))
    return jnp.stack([value * (1 - saturation + saturation * jnp.clip(part, 0, 1)) for part in parts], -1)


def autocontrast(image: jax.Array) -> jax.Array:
    """Each channel stretched over 0 to 255; a channel of one value stays as it is."""
    low, high = (f(image, axis=(0, 1), keepdims=True) for f in (jnp.min, jnp.max))
    flat = high == low
    scale = 255 / jnp.where(flat, 1, high - low)
    return jnp.where(flat, image, jnp.clip(image * scale + -low * scale, 0, 255))


def posterize(image: jax.Array, bits: jax.Array) -> jax.Array:
    """Values of 0 to 255 with their first `bits` of 8 bits alone."""
    step = jnp.exp2((8 - bits).astype(image.dtype))
    return jnp.floor(jnp.clip(image, 0, 255) / step) * step


def equalize(image: jax.Array, bins: int = LEVELS) -> jax.Array:
    """Each channel, of values of 0 to 255, mapped so that all levels are about equally frequent.

    Arguments:
        image: (height, width, channels).
        bins: how many levels are told apart.
    """
    return jax.vmap(lambda channel: _equalized(channel, bins), -1, -1)(image)


def _equalized(channel: jax.Array, bins: int) -> jax.Array:
    levels = jnp.clip((channel * (bins - 1) / 255).astype(jnp.int32), 0, bins - 1)
    counts = _histogram(levels.reshape(-1), bins)
    below = jnp.cumsum(counts)
    first = below[jnp.argmax(below > 0)]  # of the lowest level that occurs
    rest = (below[-1] - first).astype(channel.dtype)
    table = (below - first).astype(channel.dtype) * 255 / jnp.maximum(rest, 1)
    # in this order, which decides between two levels, as in Keras
    index = jnp.clip(channel / 255 * (bins - 1), 0, bins - 1).astype(jnp.int32)
    return jnp.where(rest == 0, channel, jnp.clip(jnp.round(table), 0, 255)[index])


def _histogram(levels: jax.Array, bins: int) -> jax.Array:
    return jnp.zeros(bins, jnp.int32).at[levels].add(1)


def equalize_adaptively(image: jax.Array, limit: float, grid: tuple[int, int]) -> jax.Array:
    """Contrast-limited adaptive histogram equalization of values of 0 to 255: each tile of a grid by its own histogram.

    Arguments:
        image: (height, width, channels).
        limit: how many times the mean a level may count; what is above is given to all. 0: no limit.
        grid: how many tiles there are over height and width. Between the middles of tiles results are interpolated.

    Reference: Zuiderveld, Contrast Limited Adaptive Histogram Equalization, 1994.
    """
    height, width, channels = image.shape
    tile = tuple(-(-size // count) for size, count in zip((height, width), grid, strict=True))
    padding = [(0, t * n - size) for t, n, size in zip(tile, grid, (height, width), strict=True)]
    levels = jnp.clip(jnp.pad(image, [*padding, (0, 0)], mode="symmetric"), 0, 255).astype(jnp.int32)
    tables = _tables(levels, limit, grid, tile, image.dtype)
    rows, columns = (_between(n, t, image.dtype) for n, t in zip(grid, tile, strict=True))

    def read(row: jax.Array, column: jax.Array) -> jax.Array:
        return tables[row[:, None, None], column[None, :, None], jnp.arange(channels), levels]

    (top, bottom, down), (left, right, beyond) = rows, columns
    down, beyond = down[:, None, None], beyond[None, :, None]
    upper = read(top, left) * (1 - beyond) + read(top, right) * beyond
    lower = read(bottom, left) * (1 - beyond) + read(bottom, right) * beyond
    return (upper * (1 - down) + lower * down)[:height, :width]


def _tables(levels: jax.Array, limit: float, grid: tuple[int, int], tile: tuple[int, ...], dtype: Any) -> jax.Array:
    """What each level becomes in each tile: (tiles, tiles, channels, 256)."""
    channels, pixels = levels.shape[-1], tile[0] * tile[1]
    tiles = levels.reshape(grid[0], tile[0], grid[1], tile[1], channels)
    tiles = tiles.transpose(0, 2, 4, 1, 3).reshape(grid[0] * grid[1] * channels, pixels)
    counts = jax.vmap(lambda tile: _histogram(tile, LEVELS))(tiles).astype(dtype)
    if limit > 0:
        most = limit * pixels / LEVELS
        clipped = jnp.minimum(counts, most)
        counts = clipped + jnp.sum(counts - clipped, -1, keepdims=True) / LEVELS
    below = jnp.cumsum(counts, -1)
    least = jnp.min(below, -1, keepdims=True)
    rest = pixels - least
    table = jnp.clip((below - least) * 255 / jnp.where(rest == 0, 1, rest), 0, 255)
    return table.reshape(*grid, channels, LEVELS)


def _between(count: int, size: int, dtype: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For each pixel along an axis the two tiles whose middles are around it, and how far it is from the first."""
    position = (jnp.arange(count * size, dtype=dtype) - size / 2) / size
    first = jnp.floor(position)
    index = first.astype(jnp.int32)
    return jnp.clip(index, 0, count - 1), jnp.clip(index + 1, 0, count - 1), position - first
