"""Losses: functions (y_pred, y_true) -> values, for examples, steps or numbers; whoever calls them takes the mean.

optax has losses on logits, which are the better ones: more exact, and with gradients where a probability is 0. These
are Keras's, on probabilities, for models that end in a softmax or sigmoid, as most that come from Keras do. Their
numbers are Keras's, the bounds of the probabilities included.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ShapeError

EPSILON = 1e-7  # Keras: probabilities are clipped to [EPSILON, 1 - EPSILON] before the logarithm


def categorical_crossentropy(y_pred: Any, y_true: Any, label_smoothing: float = 0.0, axis: int = -1) -> jax.Array:
    """- sum y_true log(y_pred) over the classes. On logits: `optax.softmax_cross_entropy`.

    Arguments:
        y_pred: probabilities of the classes along `axis`; divided by their sum first, as in Keras.
        y_true: one-hot labels or probabilities, of the same shape.
        label_smoothing: the part of each label that is spread over all classes, from 0 to 1.
        axis: that of the classes.

    Returns:
        The shape of y_pred without the axis of the classes.

    Example:
        >>> print(categorical_crossentropy(jnp.array([[0.25, 0.75]]), jnp.array([[0.0, 1.0]])).round(4))
        [0.2877]
    """
    _check_same("categorical_crossentropy", y_pred, y_true)
    y_pred = _as_float(y_pred)
    y_true = y_true.astype(y_pred.dtype)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[axis]
    return -jnp.sum(y_true * _log_probabilities(y_pred, axis), axis)


def sparse_categorical_crossentropy(y_pred: Any, y_true: Any, axis: int = -1) -> jax.Array:
    """- log(y_pred) at the class y_true. On logits: `optax.softmax_cross_entropy_with_integer_labels`.

    Arguments:
        y_pred: probabilities of the classes along `axis`; divided by their sum first, as in Keras.
        y_true: class numbers, of y_pred's shape without the axis of the classes. What is not a class gives NaN.
        axis: that of the classes.

    Returns:
        The shape of y_true.

    Example:
        >>> print(sparse_categorical_crossentropy(jnp.array([[0.25, 0.75]]), jnp.array([1])).round(4))
        [0.2877]
    """
    shape = jnp.moveaxis(y_pred, axis, -1).shape[:-1]
    if tuple(y_true.shape) != shape or not jnp.issubdtype(y_true.dtype, jnp.integer):
        raise ShapeError(
            f"sparse_categorical_crossentropy takes class numbers of shape {shape} for y_pred {tuple(y_pred.shape)}, "
            f"got {y_true.dtype}{tuple(y_true.shape)}; for one-hot labels use categorical_crossentropy"
        )
    y_pred = _as_float(y_pred)
    count = y_pred.shape[axis]
    labels = jnp.expand_dims(jnp.clip(y_true, 0, count - 1), axis)
    values = -jnp.take_along_axis(_log_probabilities(y_pred, axis), labels, axis).squeeze(axis)
    return jnp.where((y_true >= 0) & (y_true < count), values, jnp.nan)


def binary_crossentropy(y_pred: Any, y_true: Any, label_smoothing: float = 0.0) -> jax.Array:
    """- y_true log(y_pred) - (1 - y_true) log(1 - y_pred). On logits: `optax.sigmoid_binary_cross_entropy`.

    Arguments:
        y_pred: probabilities of the answer 1.
        y_true: 0 or 1, or probabilities, of the same shape.
        label_smoothing: how far labels are moved towards 0.5, from 0 to 1.

    Returns:
        The same shape: a value for each answer. (Keras returns their means along the last axis.)

    Example:
        >>> print(binary_crossentropy(jnp.array([[0.25]]), jnp.array([[1]])).round(4))
        [[1.3863]]
    """
    _check_same("binary_crossentropy", y_pred, y_true)
    y_pred = _as_float(y_pred)
    y_true = y_true.astype(y_pred.dtype)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    y_pred = jnp.clip(y_pred, EPSILON, 1 - EPSILON)
    return -(y_true * jnp.log(y_pred) + (1 - y_true) * jnp.log(1 - y_pred))


def _log_probabilities(y_pred: jax.Array, axis: int) -> jax.Array:
    return jnp.log(jnp.clip(y_pred / jnp.sum(y_pred, axis, keepdims=True), EPSILON, 1 - EPSILON))


def _as_float(y_pred: Any) -> jax.Array:
    """At least float32, in which 1 - EPSILON is not 1."""
    return y_pred.astype(jnp.promote_types(y_pred.dtype, "float32"))


def _check_same(name: str, y_pred: Any, y_true: Any) -> None:
    if tuple(y_pred.shape) != tuple(y_true.shape):
        sparse = "; for class numbers use sparse_categorical_crossentropy" if name.startswith("categorical") else ""
        shapes = f"y_pred {tuple(y_pred.shape)} and y {tuple(y_true.shape)}"
        raise ShapeError(f"{name} takes two arrays of one shape, got {shapes}{sparse}")
