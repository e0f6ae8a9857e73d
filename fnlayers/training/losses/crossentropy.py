"""Crossentropies on probabilities, for models that end in a softmax or sigmoid, as most that come from Keras do.

optax has them on logits, which are the better ones: more exact, and with gradients where a probability is 0. The
numbers here are Keras's, the bounds of the probabilities included.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ShapeError
from fnlayers.training.losses.arrays import EPSILON, as_float, as_labels, as_pair, check_fraction


def categorical_crossentropy(
    y_pred: Any, y_true: Any, label_smoothing: float = 0.0, axis: int = -1, from_logits: bool = False
) -> jax.Array:
    """- sum y_true log(y_pred) over the classes. On logits: `optax.softmax_cross_entropy`.

    Arguments:
        y_pred: probabilities of the classes along `axis`; divided by their sum first, as in Keras.
        y_true: one-hot labels or probabilities, of the same shape.
        label_smoothing: the part of each label that is spread over all classes, from 0 to 1.
        axis: that of the classes.
        from_logits: whether y_pred are logits.

    Returns:
        The shape of y_pred without the axis of the classes.

    Example:
        >>> print(categorical_crossentropy(jnp.array([[0.25, 0.75]]), jnp.array([[0.0, 1.0]])).round(4))
        [0.2877]
    """
    y_pred, y_true = as_pair("categorical_crossentropy", y_pred, y_true)
    y_true = _smoothed("categorical_crossentropy", y_true, label_smoothing, 1 / y_true.shape[axis])
    return -jnp.sum(y_true * _log_probabilities(y_pred, axis, from_logits), axis)


def sparse_categorical_crossentropy(
    y_pred: Any, y_true: Any, axis: int = -1, from_logits: bool = False, ignore_class: int | None = None
) -> jax.Array:
    """- log(y_pred) at the class y_true. On logits: `optax.softmax_cross_entropy_with_integer_labels`.

    Arguments:
        y_pred: probabilities of the classes along `axis`; divided by their sum first, as in Keras.
        y_true: class numbers, of y_pred's shape without the axis of the classes. What is not a class gives NaN.
        axis: that of the classes.
        from_logits: whether y_pred are logits.
        ignore_class: a number in y_true that stands for no class: its value is 0, and in `fit` it does not count.

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
    y_pred, y_true = as_float(y_pred), as_labels(y_true)
    count = y_pred.shape[axis]
    labels = jnp.expand_dims(jnp.clip(y_true, 0, count - 1), axis)
    values = -jnp.take_along_axis(_log_probabilities(y_pred, axis, from_logits), labels, axis).squeeze(axis)
    values = jnp.where((y_true >= 0) & (y_true < count), values, jnp.nan)
    return values if ignore_class is None else jnp.where(y_true == ignore_class, 0, values)


def binary_crossentropy(y_pred: Any, y_true: Any, label_smoothing: float = 0.0, from_logits: bool = False) -> jax.Array:
    """- y_true log(y_pred) - (1 - y_true) log(1 - y_pred). On logits: `optax.sigmoid_binary_cross_entropy`.

    Arguments:
        y_pred: probabilities of the answer 1.
        y_true: 0 or 1, or probabilities, of the same shape.
        label_smoothing: how far labels are moved towards 0.5, from 0 to 1.
        from_logits: whether y_pred are logits.

    Returns:
        The same shape: a value for each answer. (Keras returns their means along the last axis.)

    Example:
        >>> print(binary_crossentropy(jnp.array([[0.25]]), jnp.array([[1]])).round(4))
        [[1.3863]]
    """
    y_pred, y_true = as_pair("binary_crossentropy", y_pred, y_true)
    y_true = _smoothed("binary_crossentropy", y_true, label_smoothing, 0.5)
    if from_logits:
        return -y_true * jax.nn.log_sigmoid(y_pred) - (1 - y_true) * jax.nn.log_sigmoid(-y_pred)
    y_pred = jnp.clip(y_pred, EPSILON, 1 - EPSILON)
    return -(y_true * jnp.log(y_pred) + (1 - y_true) * jnp.log(1 - y_pred))


def binary_focal_crossentropy(
    y_pred: Any,
    y_true: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> jax.Array:
    """Binary crossentropy in which easy answers count less: times (1 - the probability of the right one)^gamma.

    Arguments:
        y_pred: probabilities of the answer 1.
        y_true: 0 or 1, of the same shape.
        apply_class_balancing: whether ones are weighted by alpha, and zeros by 1 - alpha.
        alpha: the weight of ones.
        gamma: how much less; 0: not at all.
        from_logits: whether y_pred are logits.
        label_smoothing: how far labels are moved towards 0.5, from 0 to 1.

    Returns:
        The same shape: a value for each answer. (Keras returns their means along the last axis.)
    """
    y_pred, y_true = as_pair("binary_focal_crossentropy", y_pred, y_true)
    y_true = _smoothed("binary_focal_crossentropy", y_true, label_smoothing, 0.5)
    y_pred = jax.nn.sigmoid(y_pred) if from_logits else y_pred
    right = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    values = (1 - right) ** gamma * binary_crossentropy(y_pred, y_true)
    return values * (y_true * alpha + (1 - y_true) * (1 - alpha)) if apply_class_balancing else values


def categorical_focal_crossentropy(
    y_pred: Any,
    y_true: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> jax.Array:
    """Categorical crossentropy in which easy examples count less: times alpha (1 - the class's probability)^gamma.

    Arguments:
        y_pred: probabilities of the classes along `axis`; divided by their sum first.
        y_true: one-hot labels, of the same shape.
        alpha: a factor of all.
        gamma: how much less; 0: not at all.
        from_logits: whether y_pred are logits.
        label_smoothing: the part of each label that is spread over all classes, from 0 to 1.
        axis: that of the classes.

    Returns:
        The shape of y_pred without the axis of the classes.
    """
    y_pred, y_true = as_pair("categorical_focal_crossentropy", y_pred, y_true)
    y_true = _smoothed("categorical_focal_crossentropy", y_true, label_smoothing, 1 / y_true.shape[axis])
    logs = _log_probabilities(jax.nn.softmax(y_pred, axis) if from_logits else y_pred, axis)
    return jnp.sum(-alpha * (1 - jnp.exp(logs)) ** gamma * y_true * logs, axis)


def kl_divergence(y_pred: Any, y_true: Any) -> jax.Array:
    """Sum y_true log(y_true / y_pred) over the last axis, both being probabilities.

    Returns:
        The shape without the last axis.

    Example:
        >>> print(kl_divergence(jnp.array([[0.5, 0.5]]), jnp.array([[1.0, 0.0]])).round(4))
        [0.6931]
    """
    y_pred, y_true = as_pair("kl_divergence", y_pred, y_true)
    y_pred, y_true = jnp.clip(y_pred, EPSILON, 1), jnp.clip(y_true, EPSILON, 1)
    return jnp.sum(y_true * jnp.log(y_true / y_pred), -1)


def _smoothed(name: str, y_true: jax.Array, smoothing: float, towards: float) -> jax.Array:
    check_fraction(name, "label_smoothing", smoothing)
    return y_true * (1 - smoothing) + smoothing * towards if smoothing else y_true


def _log_probabilities(y_pred: jax.Array, axis: int, from_logits: bool = False) -> jax.Array:
    if from_logits:
        return jax.nn.log_softmax(y_pred, axis)
    return jnp.log(jnp.clip(y_pred / jnp.sum(y_pred, axis, keepdims=True), EPSILON, 1 - EPSILON))
