"""Images: resized, read at other positions, blurred. An image is (height, width, channels), without a batch axis.

Positions count pixels: (0, 0) is the middle of the first one. A batch is `jax.vmap` of these functions.
"""

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.kinds import Interpolation
from fnlayers.ops.layout import check_choice

FillMode = Literal["constant", "nearest", "wrap", "mirror", "reflect"]
Order = Literal["nearest", "bilinear"]
FILL_MODES, ORDERS = get_args(FillMode), get_args(Order)
NEAREST = 1e-6  # to the horizon, where a projective transform would divide by 0


def resize(
    image: jax.Array, size: tuple[int, int], interpolation: Interpolation = "bilinear", antialias: bool = False
) -> Any:
    """The image in another size, in its own dtype: integers are rounded, and stay between their dtype's limits.

    Arguments:
        image: (height, width, channels).
        size: the new height and width.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether a smaller image is made of averages.
    """
    if jnp.issubdtype(image.dtype, jnp.inexact):
        return jax.image.resize(image, (*size, image.shape[-1]), interpolation, antialias)
    resized = jax.image.resize(image.astype(jnp.float32), (*size, image.shape[-1]), interpolation, antialias)
    return like(resized, image.dtype)


def like(values: jax.Array, dtype: Any) -> jax.Array:
    """Floating numbers in another dtype; in an integer one rounded, and between its limits."""
    if jnp.issubdtype(dtype, jnp.integer):
        info = jnp.iinfo(dtype)
        values = jnp.clip(jnp.round(values), float(info.min), float(info.max))
    return values.astype(dtype)


def projected(matrix: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Where each pixel of an image reads its source, as (y, x), each (height, width).

    Arguments:
        matrix: (8,), of a projective transform from a pixel (x, y) to its source:
            x' = (m0 x + m1 y + m2) / (m6 x + m7 y + 1), y' = (m3 x + m4 y + m5) / (m6 x + m7 y + 1).
        shape: of the image.
    """
    y = jnp.arange(shape[0], dtype=matrix.dtype)[:, None]
    x = jnp.arange(shape[1], dtype=matrix.dtype)[None, :]
    a0, a1, a2, b0, b1, b2, c0, c1 = matrix
    scale = c0 * x + c1 * y + 1
    scale = jnp.where(jnp.abs(scale) < NEAREST, NEAREST, scale)
    return (b0 * x + b1 * y + b2) / scale, (a0 * x + a1 * y + a2) / scale


def affine(x: tuple[Any, Any, Any], y: tuple[Any, Any, Any], dtype: Any = jnp.float32) -> jax.Array:
    """The matrix (8,) of `projected` with which x' = x[0] x + x[1] y + x[2], and likewise y'."""
    return jnp.stack([jnp.asarray(value, dtype) for value in (*x, *y, 0.0, 0.0)])


def inverted(matrix: jax.Array) -> jax.Array:
    """The inverse matrix (8,): from a source to the pixel that reads it."""
    a, b, c, d, e, f, g, h = matrix
    rows = [
        *(e - f * h, c * h - b, b * f - c * e),
        *(f * g - d, a - c * g, c * d - a * f),
        *(d * h - e * g, b * g - a * h),
    ]
    return jnp.stack(rows) / (a * e - b * d)


def quadrilateral(corners: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The matrix (8,) with which the corners of an image are drawn at other positions.

    Arguments:
        corners: (4, 2), the new (x, y) of the upper left, upper right, lower left and lower right corner.
        shape: of the image.
    """
    (x0, y0), (x1, y1), (x3, y3), (x2, y2) = corners
    # Heckbert, Fundamentals of Texture Mapping, 1989: from the unit square to the corners, here in source pixels
    dx1, dx2, dx3 = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, dy3 = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    area = dx1 * dy2 - dx2 * dy1
    g, h = (dx3 * dy2 - dx2 * dy3) / area, (dx1 * dy3 - dx3 * dy1) / area
    wide, high = max(shape[1] - 1, 1), max(shape[0] - 1, 1)
    forward = [
        *((x1 - x0 + g * x1) / wide, (x3 - x0 + h * x3) / high, x0),
        *((y1 - y0 + g * y1) / wide, (y3 - y0 + h * y3) / high, y0),
        *(g / wide, h / high),
    ]
    return inverted(jnp.stack(forward))


def sample_at(
    image: jax.Array,
    y: Any,
    x: Any,
    interpolation: Order = "bilinear",
    fill_mode: FillMode = "constant",
    fill_value: float = 0.0,
) -> jax.Array:
    """The image read at floating positions (y, x), in its own dtype.

    Arguments:
        image: (height, width, channels).
        y, x: positions, of one shape, usually (height, width).
        interpolation: "nearest" or "bilinear".
        fill_mode: what is outside the image: "constant" (`fill_value`), "nearest" (the edge), "wrap" (the image again),
            "mirror" (mirrored at the middle of the edge's pixels) or "reflect" (mirrored at the edge).
        fill_value: the constant.
    """
    check_choice("interpolation", interpolation, ORDERS)
    check_choice("fill_mode", fill_mode, FILL_MODES)
    if interpolation == "nearest":
        rows, columns = (lax.round(position).astype(jnp.int32) for position in (y, x))
        return _taken(image, rows, columns, fill_mode, fill_value)
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = ((position - first)[..., None].astype(image.dtype) for position, first in ((y, top), (x, left)))
    rows, columns = top.astype(jnp.int32), left.astype(jnp.int32)

    def tap(below: int, beyond: int) -> jax.Array:
        return _taken(image, rows + below, columns + beyond, fill_mode, fill_value)

    upper = tap(0, 0) * (1 - right) + tap(0, 1) * right
    lower = tap(1, 0) * (1 - right) + tap(1, 1) * right
    return upper * (1 - down) + lower * down


def _taken(image: jax.Array, rows: jax.Array, columns: jax.Array, fill_mode: str, fill_value: float) -> jax.Array:
    """The pixels at whole positions, which may be outside the image."""
    height, width, channels = image.shape
    row, column = _inside(rows, height, fill_mode), _inside(columns, width, fill_mode)
    pixels = image.reshape(height * width, channels)[row * width + column]
    if fill_mode != "constant":
        return pixels
    outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
    return jnp.where(outside[..., None], jnp.asarray(fill_value, image.dtype), pixels)


def _inside(index: jax.Array, size: int, fill_mode: str) -> jax.Array:
    """The position within 0 to size - 1 at which a position on an axis is read."""
    if fill_mode == "wrap":
        return index % size
    if fill_mode == "mirror" and size > 1:
        return jnp.abs((index + size - 1) % (2 * (size - 1)) - (size - 1))
    if fill_mode == "reflect":
        again = index % (2 * size)
        return jnp.minimum(again, 2 * size - 1 - again)
    return jnp.clip(index, 0, size - 1)


def gaussian_blur(image: jax.Array, size: tuple[int, int], sigma: Any, taps: Any = None) -> jax.Array:
    """The image averaged with Gaussian weights; outside it is 0.

    Arguments:
        image: (height, width, channels).
        size: the height and width of the window.
        sigma: (2,), the standard deviations over height and width.
        taps: how many of the window's rows, and of its columns, count, the middle ones; None: all.
    """
    for axis in (0, 1):
        distance = jnp.arange(size[axis], dtype=image.dtype) - (size[axis] - 1) / 2
        weights = jnp.exp(-0.5 * jnp.square(distance / sigma[axis]))
        if taps is not None:
            weights = jnp.where(jnp.abs(distance) <= (taps - 1) / 2, weights, 0)
        image = _filtered(image, weights / jnp.sum(weights), axis)
    return image


def _filtered(image: jax.Array, weights: jax.Array, axis: int) -> jax.Array:
    """The sum of the image's shifted copies along an axis, each with its weight."""
    count, size = len(weights), image.shape[axis]
    padding = [(0, 0)] * image.ndim
    padding[axis] = ((count - 1) // 2, count // 2)
    padded = jnp.pad(image, padding)
    return sum(weights[i] * lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(count))  # type: ignore[return-value]


def box_blur(image: jax.Array, middle: float) -> jax.Array:
    """The mean of the 3 x 3 pixels around each one, which itself counts `middle` times; outside the image is 0."""
    ones = jnp.ones(3, image.dtype)
    around = _filtered(_filtered(image, ones, 0), ones, 1)
    return (around + (middle - 1) * image) / (8 + middle)


def displacement(noise: jax.Array, sigma: Any, size: int, taps: Any) -> jax.Array:
    """Smooth displacements, made from noise (height, width, 2): blurred by sigma, which they grow with, too."""
    return gaussian_blur(noise * sigma, (size, size), jnp.stack([sigma, sigma]), taps)
