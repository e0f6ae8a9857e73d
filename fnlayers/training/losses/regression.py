"""Losses of numbers, with Keras's values: one for each number, where Keras returns the mean along the last axis."""

from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.training.losses.arrays import EPSILON, as_pair


def mean_squared_error(y_pred: Any, y_true: Any) -> jax.Array:
    """(y_pred - y_true)^2 of each number."""
    y_pred, y_true = as_pair("mean_squared_error", y_pred, y_true)
    return jnp.square(y_pred - y_true)


def mean_absolute_error(y_pred: Any, y_true: Any) -> jax.Array:
    """|y_pred - y_true| of each number."""
    y_pred, y_true = as_pair("mean_absolute_error", y_pred, y_true)
    return jnp.abs(y_pred - y_true)


def mean_absolute_percentage_error(y_pred: Any, y_true: Any) -> jax.Array:
    """100 |y_pred - y_true| / |y_true| of each number, in percent; |y_true| counts as 1e-7 at least."""
    y_pred, y_true = as_pair("mean_absolute_percentage_error", y_pred, y_true)
    return 100 * jnp.abs((y_pred - y_true) / jnp.maximum(jnp.abs(y_true), EPSILON))


def mean_squared_logarithmic_error(y_pred: Any, y_true: Any) -> jax.Array:
    """(log(1 + y_pred) - log(1 + y_true))^2 of each number; what is below 1e-7 counts as that.

    Example:
        >>> round(float(mean_squared_logarithmic_error(jnp.array([1.0]), jnp.array([3.0]))[0]), 4)
        0.4805
    """
    y_pred, y_true = as_pair("mean_squared_logarithmic_error", y_pred, y_true)
    logs = (jnp.log(jnp.maximum(y, EPSILON) + 1) for y in (y_pred, y_true))
    return jnp.square(next(logs) - next(logs))


def huber(y_pred: Any, y_true: Any, delta: float = 1.0) -> jax.Array:
    """Half the square of an error up to delta, and a straight line beyond it.

    Arguments:
        y_pred, y_true: numbers, of one shape.
        delta: where the line begins.
    """
    y_pred, y_true = as_pair("huber", y_pred, y_true)
    error = jnp.abs(y_pred - y_true)
    return jnp.where(error <= delta, 0.5 * error**2, delta * error - 0.5 * delta**2)


def log_cosh(y_pred: Any, y_true: Any) -> jax.Array:
    """log(cosh(y_pred - y_true)): about half the square of small errors, and |error| - log 2 of large ones."""
    y_pred, y_true = as_pair("log_cosh", y_pred, y_true)
    error = y_pred - y_true
    return error + jax.nn.softplus(-2 * error) - jnp.log(2.0)


def poisson(y_pred: Any, y_true: Any) -> jax.Array:
    """y_pred - y_true log(y_pred): of counts y_true, for rates y_pred above 0, as activation="softplus" gives them."""
    y_pred, y_true = as_pair("poisson", y_pred, y_true)
    return y_pred - y_true * jnp.log(y_pred + EPSILON)


def cosine_similarity(y_pred: Any, y_true: Any, axis: int = -1) -> jax.Array:
    """Minus the cosine of the angle between the vectors along an axis, so that less is better, as in Keras.

    The metric `fnlayers.metrics.cosine_similarity` is the cosine itself. A vector of zeros gives 0.

    Returns:
        The shape of y_pred without that axis.
    """
    y_pred, y_true = as_pair("cosine_similarity", y_pred, y_true)
    return -jnp.sum(_unit(y_pred, axis) * _unit(y_true, axis), axis)


def _unit(vectors: jax.Array, axis: int) -> jax.Array:
    """The vectors at length 1, those of zeros as they are."""
    square = jnp.sum(jnp.square(vectors), axis, keepdims=True)
    return vectors * jax.lax.rsqrt(jnp.maximum(square, 1e-12))
