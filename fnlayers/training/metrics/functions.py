"""Metrics: functions (y_pred, y_true) -> values, one for each example or step. Whoever calls them takes the mean.

They average nothing themselves, so that weights, masks and ragged batches count right over a whole epoch. Any function
of that form is a metric; a loss is one too.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.values import check_values


def accuracy(y_pred: Any, y_true: Any) -> jax.Array:
    """1 where the largest of y_pred's last axis (logits or probabilities) is at the class y_true, else 0.

    Arguments:
        y_pred: (..., classes).
        y_true: (...), class numbers.

    Example:
        >>> accuracy(jnp.array([[1.0, 3.0], [2.0, 0.0]]), jnp.array([1, 1])).tolist()
        [1.0, 0.0]
    """
    _check_classes("accuracy", y_pred, y_true)
    return _as_number(jnp.argmax(y_pred, axis=-1) == y_true)


def categorical_accuracy(y_pred: Any, y_true: Any) -> jax.Array:
    """1 where y_pred and y_true (one-hot or probabilities) have their largest entry at the same class, else 0."""
    _check_same("categorical_accuracy", y_pred, y_true)
    return _as_number(jnp.argmax(y_pred, axis=-1) == jnp.argmax(y_true, axis=-1))


def binary_accuracy(y_pred: Any, y_true: Any, threshold: float = 0.5) -> jax.Array:
    """1 where y_pred lies on y_true's side of the threshold, else 0.

    Arguments:
        y_pred: probabilities; for logits, use functools.partial(binary_accuracy, threshold=0.0).
        y_true: 0 or 1, of the same shape.
        threshold: above it, the answer is 1.
    """
    _check_same("binary_accuracy", y_pred, y_true)
    return _as_number((y_pred > threshold) == (y_true > 0.5))


@dataclass(frozen=True)
class TopKAccuracy:
    """What `top_k_accuracy` makes: a function of (y_pred, y_true) that compares by value."""

    k: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise ConfigError(f"top_k_accuracy(k={self.k!r}): give a whole number of at least 1")

    def __call__(self, y_pred: Any, y_true: Any) -> jax.Array:
        """1 where fewer than k classes are rated above the right one."""
        _check_classes("top_k_accuracy", y_pred, y_true)
        right = jnp.take_along_axis(y_pred, y_true[..., None], axis=-1)
        return _as_number((jnp.sum(y_pred > right, axis=-1) < self.k) & jnp.isfinite(right[..., 0]))


def top_k_accuracy(k: int = 5) -> TopKAccuracy:
    """The metric that is 1 where the class y_true is among the k largest of y_pred's last axis, else 0.

    Example:
        >>> top_k_accuracy(2)(jnp.array([[1.0, 3.0, 2.0]]), jnp.array([2])).tolist()
        [1.0]
    """
    return TopKAccuracy(k)


def cosine_similarity(y_pred: Any, y_true: Any) -> jax.Array:
    """The cosine of the angle between the vectors along the last axis; 0 where one of them is zero."""
    _check_same("cosine_similarity", y_pred, y_true)
    dot, norms = jnp.sum(y_pred * y_true, -1), jnp.sum(y_pred**2, -1) * jnp.sum(y_true**2, -1)
    return jnp.where(norms > 0, dot * jax.lax.rsqrt(jnp.where(norms > 0, norms, 1)), 0)


def _as_number(right: jax.Array) -> jax.Array:
    return right.astype("float32")


def _check_classes(name: str, y_pred: Any, y_true: Any) -> None:
    check_values(y_true, "y")
    if tuple(y_true.shape) != tuple(y_pred.shape[:-1]) or not jnp.issubdtype(y_true.dtype, jnp.integer):
        raise ShapeError(
            f"{name} takes class numbers of shape {tuple(y_pred.shape[:-1])} for y_pred {tuple(y_pred.shape)}, got "
            f"{y_true.dtype}{tuple(y_true.shape)}; for one-hot labels use categorical_accuracy, for one probability "
            "an answer binary_accuracy"
        )


def _check_same(name: str, y_pred: Any, y_true: Any) -> None:
    check_values(y_true, "y")
    if tuple(y_pred.shape) != tuple(y_true.shape):
        raise ShapeError(
            f"{name} takes two arrays of one shape, got y_pred {tuple(y_pred.shape)} and y {tuple(y_true.shape)}; "
            "reshape one of them"
        )
