"""Means, variances and norms, and the normalizations made of them.

All sums are taken in float32 (float64 stays float64). What normalizes returns x's dtype; what measures returns the
dtype it summed in.

What normalizes is right, gradients included, for deviations and norms up to 1e12. The gradient holds the third power of
their inverse, which is 0 in float32 from about 5e12 on; from about 1e18 on their squares are infinite, and y is 0.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.half_precision import accumulation_dtype, in_float32, is_half_precision, statistic
from fnlayers.ops.layout import expand_trailing, mean_dtype

MASK_EPSILON = 1e-7  # Keras: added to the number of valid elements, so that a mean over none of them is 0
NORM_EPSILON = 1e-12  # Keras: the least norm that has a direction


def moments(
    x: jax.Array, axes: tuple[int, ...], mask: jax.Array | None = None, keepdims: bool = False
) -> tuple[jax.Array, jax.Array]:
    """The mean and the population variance over `axes`: sum x / n and sum (x - mean)^2 / n.

    The mean is taken first and then the squares around it, so that a large mean costs no digits of the variance.
    A mask, of x's leading axes, is True where elements are valid; n is then their number plus 1e-7, so that a mean
    over none is 0 and so is the variance: `mask_count` tells that case from a true 0.
    """
    if mask is None:
        mean, variance = in_float32(lambda x: _all_moments(x.astype(accumulation_dtype(x.dtype)), axes), x)
    else:
        mean, variance = in_float32(
            lambda x, mask: _masked_moments(x.astype(accumulation_dtype(x.dtype)), axes, mask), x, mask
        )
    return (mean, variance) if keepdims else (jnp.squeeze(mean, axes), jnp.squeeze(variance, axes))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _all_moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """The moments of all elements, with the axes as 1."""
    mean = jnp.mean(x, axes, keepdims=True)
    return mean, jnp.mean(jnp.square(x - mean), axes, keepdims=True)


@_all_moments.defjvp
def _(axes: tuple[int, ...], primals: tuple, tangents: tuple) -> tuple:
    """What the mean brings to the variance is 0, the sum of all x - mean: left out, it costs no sum backward."""
    (x,), (dx,) = primals, tangents
    mean, variance = map(statistic, _all_moments(x, axes))
    return (mean, variance), (jnp.mean(dx, axes, keepdims=True), jnp.mean(2 * (x - mean) * dx, axes, keepdims=True))


def _masked_moments(x: jax.Array, axes: tuple[int, ...], mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The moments of the elements where the mask is True, with the axes as 1."""
    valid = _from_left(mask, x)
    count = mask_count(x, axes, mask, keepdims=True) + MASK_EPSILON
    mean = jnp.sum(jnp.where(valid, x, 0), axes, keepdims=True) / count
    return mean, jnp.sum(jnp.square(jnp.where(valid, x - mean, 0)), axes, keepdims=True) / count


def sum_arrays(xs: Sequence[jax.Array]) -> jax.Array:
    """The sum of several arrays; of float16 and bfloat16 in float32, rounded once."""
    return _together_in_float32(_sum_arrays, xs)


def average_arrays(xs: Sequence[jax.Array]) -> jax.Array:
    """The mean of several arrays; of float16 and bfloat16 in float32, since sums in float16 overflow from 65,520 on."""
    return _together_in_float32(lambda xs: _sum_arrays(xs) / len(xs), xs)


def _sum_arrays(xs: Sequence[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, xs)


def _together_in_float32(combine: Callable[[Sequence[jax.Array]], jax.Array], xs: Sequence[jax.Array]) -> jax.Array:
    if not all(map(is_half_precision, xs)):
        return combine(xs)
    return combine([x.astype(jnp.float32) for x in xs]).astype(xs[0].dtype)


def mask_count(x: jax.Array, axes: tuple[int, ...], mask: jax.Array, keepdims: bool = False) -> jax.Array:
    """The number of elements over `axes` where the mask is True, as a float: the n of `moments` without the epsilon."""
    valid = jnp.broadcast_to(_from_left(mask, x), x.shape)
    return jnp.sum(valid, axes, dtype=accumulation_dtype(x.dtype), keepdims=keepdims)


def normalize(
    x: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    gamma: jax.Array | None,
    beta: jax.Array | None,
    epsilon: float,
) -> jax.Array:
    """(x - mean) rsqrt(variance + epsilon) gamma + beta; gamma and beta may be None, all broadcast to x."""
    normalized = functools.partial(_normalized, epsilon=epsilon)
    return in_float32(normalized, x, mean, variance, gamma, beta).astype(mean_dtype(x))


def _normalized(
    x: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    gamma: jax.Array | None,
    beta: jax.Array | None,
    epsilon: float,
) -> jax.Array:
    dtype = accumulation_dtype(x.dtype)
    scale = lax.rsqrt(variance.astype(dtype) + epsilon)
    if gamma is not None:
        scale = scale * gamma.astype(dtype)
    beta = jnp.zeros((), dtype) if beta is None else beta.astype(dtype)
    # where each element has a scale of its own, as in layer normalization, there is nothing to be joined
    scaled = _scaled if scale.shape == x.shape else _scaled_alike
    return scaled(x.astype(dtype), mean.astype(dtype), scale, beta)


def _scaled(x: jax.Array, mean: jax.Array, scale: jax.Array, beta: jax.Array) -> jax.Array:
    return (x - mean) * scale + beta


_scaled_alike = jax.custom_jvp(_scaled)


@_scaled_alike.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    """What mean and beta bring is joined, then broadcast: one sum over x's elements does for both backward."""
    (x, mean, scale, _), (dx, dmean, dscale, dbeta) = primals, tangents
    return _scaled_alike(*primals), dx * scale + (x - mean) * dscale + (dbeta - dmean * scale)


def group_normalize(
    x: jax.Array, groups: int, axis: int, gamma: jax.Array | None, beta: jax.Array | None, epsilon: float
) -> jax.Array:
    """Each example normalized by its own moments, over all axes but the batch and a split of the channels in `groups`.

    Shapes: gamma and beta (channels,) or None; `axis` is that of the channels. groups=-1 makes each channel a group.

    Reference: Wu and He, Group Normalization, 2018.
    """
    axis, channels = axis % x.ndim, x.shape[axis]
    groups = channels if groups == -1 else groups
    if axis == 0 or groups < 1 or channels % groups:
        raise ValueError(f"groups={groups} does not divide the {channels} channels of axis {axis} of {x.shape}")
    split = x.shape[:axis] + (groups, channels // groups) + x.shape[axis + 1 :]
    affine = (groups, channels // groups) + (1,) * (x.ndim - 1 - axis)
    grouped = x.reshape(split)
    gamma, beta = (None if value is None else value.reshape(affine) for value in (gamma, beta))
    mean, variance = moments(grouped, tuple(a for a in range(1, x.ndim + 1) if a != axis), keepdims=True)
    return normalize(grouped, mean, variance, gamma, beta, epsilon).reshape(x.shape)


def rms_normalize(x: jax.Array, scale: jax.Array | None, axes: tuple[int, ...], epsilon: float) -> jax.Array:
    """(x rsqrt(mean(x^2) + epsilon)) scale, the mean over `axes`; scale broadcasts to x, or is None.

    Reference: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """

    def normalized(x: jax.Array, scale: jax.Array | None) -> jax.Array:
        z = x.astype(accumulation_dtype(x.dtype))
        y = z * lax.rsqrt(jnp.mean(jnp.square(z), axes, keepdims=True) + epsilon)
        return y if scale is None else y * scale.astype(z.dtype)

    return in_float32(normalized, x, scale).astype(mean_dtype(x))


def l2_normalize(x: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    """(x / norm), the Euclidean norm along `axis`; vectors shorter than 1e-12 have no direction: 0, with gradient 0."""

    def normalized(x: jax.Array) -> jax.Array:
        z = x.astype(accumulation_dtype(x.dtype))
        squared = jnp.sum(jnp.square(z), axis, keepdims=True)
        # The choice stands before the root as well as after it: its gradient at 0 is infinite, and 0 * inf is NaN.
        short = squared <= NORM_EPSILON**2
        return jnp.where(short, 0, z * lax.rsqrt(jnp.where(short, 1, squared)))

    return in_float32(normalized, x).astype(mean_dtype(x))


def spectral_norm(matrix: jax.Array, u: jax.Array, turns: int) -> tuple[jax.Array, jax.Array]:
    """The largest singular value of a matrix (rows, columns), and the vector u (1, columns) after `turns` iterations.

    v = u W^T / |u W^T|, u = v W / |v W|, sigma = v W u^T. No gradient flows through u and v. A matrix of zeros has
    sigma 1, so that it can be divided by, and leaves u as it was.
    """
    summed = matrix.astype(accumulation_dtype(matrix.dtype))
    flat, zero = lax.stop_gradient(summed), jnp.all(matrix == 0)
    turned = l2_normalize(u.astype(summed.dtype), -1)
    v = l2_normalize(turned @ flat.T, -1)
    for turn in range(turns):
        v = l2_normalize(turned @ flat.T, -1) if turn else v
        turned = l2_normalize(v @ flat, -1)
    sigma = jnp.where(zero, 1, jnp.squeeze(v @ summed @ turned.T))
    return sigma.astype(matrix.dtype), jnp.where(zero, u, turned.astype(u.dtype)) if turns else u


def _from_left(mask: jax.Array, x: jax.Array) -> jax.Array:
    """The mask as booleans, with axes of 1 added at its end until it has as many axes as x."""
    if mask.ndim > x.ndim:
        raise ValueError(f"a mask of shape {mask.shape} has more axes than x of shape {x.shape}")
    return expand_trailing(mask.astype(bool), x.ndim)
