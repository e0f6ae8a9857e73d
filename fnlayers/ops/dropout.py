"""Random noise on activations in training. Each function takes its key first and returns x's shape and dtype.

A rate is the fraction that is dropped, 0 to 1, a Python number: 0 returns x, 1 returns zeros with gradient 0.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

# SELU sends large negative values to -scale * alpha; alpha dropout drops to that value.
_SELU_FLOOR = -1.0507009873554805 * 1.6732632423543772


def dropout(key: jax.Array, x: jax.Array, rate: float, noise_shape: Sequence[int | None] | None = None) -> jax.Array:
    """(x / (1 - rate)) where a coin keeps it, and 0 elsewhere, so that the mean stays.

    One coin is thrown for each element of `noise_shape`, in which None means x's size and 1 means that all elements
    along that axis share a coin: (None, 1, None) drops whole channels of a sequence.

    Reference: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.
    """
    _check(x, rate)
    if rate == 0:
        return x
    if rate == 1:
        return jnp.zeros_like(x)
    return jnp.where(_kept(key, x, rate, noise_shape), x / (1 - rate), 0)


def alpha_dropout(
    key: jax.Array, x: jax.Array, rate: float, noise_shape: Sequence[int | None] | None = None
) -> jax.Array:
    """(a x + b) where a coin keeps x, and (a f + b) elsewhere, with f = -1.758 the floor of SELU.

    a and b are such that an x of mean 0 and variance 1 keeps both:
    a = ((1 - rate) (1 + rate f^2))^-1/2, b = -a f rate. `noise_shape` as in `dropout`.

    Reference: Klambauer et al., Self-Normalizing Neural Networks, 2017.
    """
    _check(x, rate)
    if rate == 0:
        return x
    if rate == 1:  # the limit: a f + b goes to 0
        return jnp.zeros_like(x)
    a = ((1 - rate) * (1 + rate * _SELU_FLOOR**2)) ** -0.5
    b = -a * _SELU_FLOOR * rate
    return jnp.where(_kept(key, x, rate, noise_shape), a * x + b, a * _SELU_FLOOR + b)


def gaussian_dropout(key: jax.Array, x: jax.Array, rate: float) -> jax.Array:
    """Normal noise times x: of mean 1 and standard deviation sqrt(rate / (1 - rate)), that of dropout's coin.

    Reference: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.
    """
    _check(x, rate)
    if rate == 0:
        return x
    if rate == 1:  # no finite deviation would do
        return jnp.zeros_like(x)
    return x * (1 + math.sqrt(rate / (1 - rate)) * jax.random.normal(key, x.shape, x.dtype))


def gaussian_noise(key: jax.Array, x: jax.Array, stddev: float) -> jax.Array:
    """Normal noise added to x: of mean 0 and standard deviation `stddev`, in x's units."""
    _check(x)
    return x + stddev * jax.random.normal(key, x.shape, x.dtype)


def _check(x: jax.Array, rate: float = 0) -> None:
    """The errors for noise on integers, and for a rate that is not a fraction."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"noise needs a floating x, not {x.dtype}")
    if not 0 <= rate <= 1:
        raise ValueError(f"rate={rate!r} is wrong; give a fraction from 0 to 1")


def _kept(key: jax.Array, x: jax.Array, rate: float, noise_shape: Sequence[int | None] | None) -> jax.Array:
    """True with probability 1 - rate, in the noise shape, its None filled in from x."""
    shape = x.shape if noise_shape is None else noise_shape
    if len(shape) > x.ndim:
        raise ValueError(f"noise_shape={noise_shape!r} is wrong; give one size, 1 or None for each axis of {x.shape}")
    # Keras: None is the size of the axis counted from the front, and what is drawn broadcasts over the last axes
    sizes = tuple(n if s is None else s for n, s in zip(x.shape, shape, strict=False))
    return jax.random.bernoulli(key, 1 - rate, sizes)
