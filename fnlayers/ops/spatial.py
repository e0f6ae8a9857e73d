"""What moves windows over space without weights: pooling, padding, cropping, upsampling.

All work for one to three spatial axes (x.ndim - 2), under both data formats. Averages of float16 and bfloat16 are
summed in float32 and returned in x's dtype.
"""

import functools
from collections.abc import Callable
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnlayers.half_precision import accumulation_dtype, is_half_precision
from fnlayers.kinds import DataFormat, Interpolation, Padding
from fnlayers.ops import reference
from fnlayers.ops.dispatch import dispatch
from fnlayers.ops.fusion import mean_operand
from fnlayers.ops.layout import (
    channel_axis,
    check_choice,
    check_space,
    lowest,
    mean_dtype,
    over_space,
    space_axes,
)
from fnlayers.ops.problem import PoolProblem
from fnlayers.ops.reference import PoolWindow


def max_pool(
    x: jax.Array,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: Padding,
    data_format: DataFormat = "channels_last",
) -> jax.Array:
    """The largest value in each window; padding never wins. Padding is "valid" or "same"."""
    return _pooled("max_pool", x, _windows(x, window, strides, padding, data_format))


def average_pool(
    x: jax.Array,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: Padding,
    data_format: DataFormat = "channels_last",
) -> jax.Array:
    """The mean of each window; under "same" only the elements inside x count."""
    windows, dtype = _windows(x, window, strides, padding, data_format), accumulation_dtype(x.dtype)
    total = _pooled("sum_pool", x.astype(dtype), windows)
    counts = windows.taps if padding == "valid" else _element_counts(x, total, windows, dtype)
    return (total / counts).astype(mean_dtype(x))


def adaptive_average_pool(
    x: jax.Array, output_size: tuple[int, ...], data_format: DataFormat = "channels_last"
) -> jax.Array:
    """The mean of windows that cut each spatial axis in `output_size` parts: [floor(i n / o), ceil((i + 1) n / o))."""

    def mean(elements: jax.Array, inside: jax.Array, axis: int) -> jax.Array:
        return jnp.sum(jnp.where(inside, elements, 0), axis) / jnp.sum(inside, 1, dtype=elements.dtype)

    return _adaptive_pool(x.astype(accumulation_dtype(x.dtype)), output_size, data_format, mean).astype(mean_dtype(x))


def adaptive_max_pool(
    x: jax.Array, output_size: tuple[int, ...], data_format: DataFormat = "channels_last"
) -> jax.Array:
    """The largest value of windows that cut each spatial axis in `output_size` parts, as in the average."""

    def largest(elements: jax.Array, inside: jax.Array, axis: int) -> jax.Array:
        elements = jnp.where(inside, elements, lowest(elements.dtype))
        # Taken by its position, so that of equal values the first gets all of the gradient, as in `max_pool`.
        position = jnp.argmax(elements, axis, keepdims=True)
        return jnp.squeeze(jnp.take_along_axis(elements, position, axis), axis)

    return _adaptive_pool(x, output_size, data_format, largest)


def global_average_pool(
    x: jax.Array, keepdims: bool, data_format: DataFormat = "channels_last", mask: jax.Array | None = None
) -> jax.Array:
    """The mean over the spatial axes. With a mask (batch, time), for one axis only: the mean of the valid steps.

    A row without a valid step gives 0, with gradient 0.
    """
    axes, dtype = space_axes(x.ndim, data_format), accumulation_dtype(x.dtype)
    if mask is None:
        return jnp.mean(mean_operand(x.astype(dtype)), axes, keepdims=keepdims).astype(mean_dtype(x))
    if x.ndim != 3 or mask.shape != (x.shape[0], x.shape[axes[0]]):
        raise ValueError(
            f"a mask of shape {mask.shape} needs x of (batch, time) {mask.shape} and channels, not {x.shape}"
        )
    valid = jnp.expand_dims(mask.astype(bool), channel_axis(data_format))
    total = jnp.sum(jnp.where(valid, x.astype(dtype), 0), axes, keepdims=keepdims)
    counts = jnp.sum(valid, axes, dtype=dtype, keepdims=keepdims)
    return (total / jnp.maximum(counts, 1)).astype(mean_dtype(x))


def global_max_pool(x: jax.Array, keepdims: bool, data_format: DataFormat = "channels_last") -> jax.Array:
    """The largest value over the spatial axes."""
    return jnp.max(x, space_axes(x.ndim, data_format), keepdims=keepdims)


def zero_pad(
    x: jax.Array, padding: tuple[tuple[int, int], ...], data_format: DataFormat = "channels_last"
) -> jax.Array:
    """Zeros added around x: `padding` holds how many (before, after) for each spatial axis."""
    pairs = _pairs("padding", padding, x, data_format)
    return jnp.pad(x, pairs)


def crop(x: jax.Array, cropping: tuple[tuple[int, int], ...], data_format: DataFormat = "channels_last") -> jax.Array:
    """Elements cut off from x: `cropping` holds how many (before, after) for each spatial axis."""
    for axis, (before, after) in enumerate(_pairs("cropping", cropping, x, data_format)):
        x = lax.slice_in_dim(x, before, x.shape[axis] - after, axis=axis)
    return x


def upsample(
    x: jax.Array,
    size: tuple[int, ...],
    interpolation: Interpolation = "nearest",
    data_format: DataFormat = "channels_last",
) -> jax.Array:
    """Each spatial axis made `size` times as long.

    "nearest" repeats elements. The others weigh those around a point, with the centers of elements at half numbers:
    "bilinear" (2 along each axis), "bicubic" (4), "lanczos3" (6) and "lanczos5" (10).
    """
    check_choice("interpolation", interpolation, get_args(Interpolation))
    check_space("size", size, x.ndim - 2)
    if interpolation == "nearest":
        for axis, times in zip(space_axes(x.ndim, data_format), size, strict=True):
            x = jnp.repeat(x, times, axis)
        return x
    if is_half_precision(x):
        return _upsample_in_half_precision(x, size, interpolation, data_format)
    shape = tuple(n * times for n, times in zip(x.shape, over_space(size, 1, data_format), strict=True))
    y = jax.image.resize(x.astype(accumulation_dtype(x.dtype)), shape, interpolation, antialias=False)
    return y.astype(mean_dtype(x))


def _upsample_in_half_precision(
    x: jax.Array, size: tuple[int, ...], interpolation: Interpolation, data_format: DataFormat
) -> jax.Array:
    """One product along each axis, with weights that are found in float32 and rounded once.

    `jax.image.resize` finds the positions of elements in x's dtype, in which large images have too few digits; and of x
    in float32 its products would be of float32, too.
    """
    kernel = INTERPOLATION_KERNELS[interpolation]
    for axis, times in zip(space_axes(x.ndim, data_format), size, strict=True):
        if times > 1:
            length = x.shape[axis]
            centers = (jnp.arange(length * times, dtype="float32") + 0.5) / times - 0.5
            weights = kernel(abs(centers - jnp.arange(length, dtype="float32")[:, None]))
            weights = (weights / jnp.sum(weights, 0)).astype(x.dtype)  # those beyond the edges are left out
            x = jnp.moveaxis(jnp.tensordot(x, weights, (axis, 0)), -1, axis)
    return x


def _cubic(distance: jax.Array) -> jax.Array:
    """Keys' cubic with a = -0.5."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return jnp.where(distance < 1, near, jnp.where(distance < 2, far, 0))


def _lanczos(radius: int) -> Callable[[jax.Array], jax.Array]:
    return lambda distance: jnp.where(distance < radius, jnp.sinc(distance) * jnp.sinc(distance / radius), 0)


# The weight of an element at so many elements' distance, before all weights are divided by their sum.
INTERPOLATION_KERNELS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "bilinear": lambda distance: jnp.maximum(1 - distance, 0),
    "bicubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


def _pooled(operation: str, x: jax.Array, window: PoolWindow) -> jax.Array:
    plain = getattr(reference, operation)
    return dispatch(functools.partial(plain, window=window), PoolProblem.of(operation, x, window), x)


def _windows(
    x: jax.Array, window: tuple[int, ...], strides: tuple[int, ...], padding: Padding, data_format: DataFormat
) -> PoolWindow:
    """The windows over all axes of x."""
    check_choice("padding", padding, get_args(Padding))
    check_space("window", window, x.ndim - 2)
    check_space("strides", strides, x.ndim - 2)
    sizes, steps = over_space(window, 1, data_format), over_space(strides, 1, data_format)
    return PoolWindow(sizes, steps, tuple(lax.padtype_to_pads(x.shape, sizes, steps, padding.upper())))


def _element_counts(x: jax.Array, y: jax.Array, window: PoolWindow, dtype: jnp.dtype) -> jax.Array:
    """How many elements of x each window covers: a product of counts along the axes, broadcastable to y."""
    counts = jnp.ones((1,) * x.ndim, dtype)
    for axis in (axis for axis, size in enumerate(window.sizes) if size > 1):
        start = jnp.arange(y.shape[axis]) * window.strides[axis] - window.padding[axis][0]
        inside = jnp.minimum(start + window.sizes[axis], x.shape[axis]) - jnp.maximum(start, 0)
        counts = counts * inside.astype(dtype).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    return counts


def _adaptive_pool(x: jax.Array, output_size: tuple[int, ...], data_format: DataFormat, reduce: Callable) -> jax.Array:
    """Axis after axis, the elements of each window side by side on an axis of their own, then reduced along it."""
    check_space("output_size", output_size, x.ndim - 2)
    for axis, parts in zip(space_axes(x.ndim, data_format), output_size, strict=True):
        size = x.shape[axis]
        starts = np.arange(parts) * size // parts
        ends = -(-np.arange(1, parts + 1) * size // parts)
        positions = starts[:, None] + np.arange((ends - starts).max())
        inside = (positions < ends[:, None]).reshape(positions.shape + (1,) * (x.ndim - 1 - axis))
        x = reduce(jnp.take(x, np.minimum(positions, size - 1), axis), inside, axis + 1)
    return x


def _pairs(what: str, pairs: tuple, x: jax.Array, data_format: DataFormat) -> tuple[tuple[int, int], ...]:
    """A pair (before, after) for each axis of x; an error where a number is negative."""
    check_space(what, pairs, x.ndim - 2)
    if any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(f"{what}={pairs!r} is wrong; give a pair (before, after) of 0 or more for each spatial axis")
    return over_space(pairs, (0, 0), data_format)
