"""Hinge losses: nothing to learn from answers that are right by a margin of 1."""

from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.training.losses.arrays import as_pair


def hinge(y_pred: Any, y_true: Any) -> jax.Array:
    """max(1 - y_true y_pred, 0) of each answer.

    Arguments:
        y_pred: any numbers; their sign is the answer.
        y_true: -1 or 1, of the same shape; 0 counts as -1.

    Returns:
        The same shape. (Keras returns their means along the last axis.)

    Example:
        >>> hinge(jnp.array([2.0, 0.5, 0.5]), jnp.array([1, 1, 0])).tolist()
        [0.0, 0.5, 1.5]
    """
    y_pred, y_true = as_pair("hinge", y_pred, y_true)
    return jnp.maximum(1 - _signs(y_true) * y_pred, 0)


def squared_hinge(y_pred: Any, y_true: Any) -> jax.Array:
    """The square of `hinge`."""
    y_pred, y_true = as_pair("squared_hinge", y_pred, y_true)
    return jnp.square(jnp.maximum(1 - _signs(y_true) * y_pred, 0))


def categorical_hinge(y_pred: Any, y_true: Any) -> jax.Array:
    """max(1 + the largest of the other classes' numbers - the right one's, 0).

    Arguments:
        y_pred: any numbers, (..., classes).
        y_true: one-hot labels, of the same shape.

    Returns:
        The shape without the last axis.
    """
    y_pred, y_true = as_pair("categorical_hinge", y_pred, y_true)
    right, other = jnp.sum(y_true * y_pred, -1), jnp.max((1 - y_true) * y_pred, -1)
    return jnp.maximum(other - right + 1, 0)


def _signs(y_true: jax.Array) -> jax.Array:
    """Label by label, so that no example depends on another's: Keras asks whether a whole batch is of 0 and 1."""
    return jnp.where(y_true == 0, -1, y_true)
