"""Losses of sequences and of embeddings."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from fnlayers.core.errors import ShapeError
from fnlayers.training.losses.arrays import as_float, as_labels


def ctc(y_pred: Any, y_true: Any) -> jax.Array:
    """Connectionist temporal classification: labels in order, without saying at which steps. By `optax.ctc_loss`.

    Arguments:
        y_pred: logits (batch, steps, classes), class 0 being the blank.
        y_true: class numbers (batch, labels); 0 is padding.

    Returns:
        (batch,).
    """
    if jnp.ndim(y_pred) != 3 or jnp.ndim(y_true) != 2 or y_pred.shape[0] != y_true.shape[0]:
        raise ShapeError(
            f"ctc takes logits (batch, steps, classes) and labels (batch, labels), got y_pred {tuple(y_pred.shape)} "
            f"and y {tuple(y_true.shape)}"
        )
    logits, labels = as_float(y_pred), as_labels(y_true).astype("int32")
    paddings = jnp.zeros(logits.shape[:2], logits.dtype)
    return optax.ctc_loss(logits, paddings, labels, (labels == 0).astype(logits.dtype), blank_id=0)


def circle(
    y_pred: Any,
    y_true: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> jax.Array:
    """Circle loss: embeddings of one class near each other, those of different classes apart.

    Each value depends on the whole batch.

    Arguments:
        y_pred: embeddings of length 1, (batch, size): end the model in `UnitNormalization()`.
        y_true: class numbers (batch,) or (batch, 1).
        ref_labels, ref_embeddings: what they are compared with; None: with each other.
        remove_diagonal: whether an embedding is not compared with itself.
        gamma: how much the differences are scaled.
        margin: how far apart classes are to be.

    Returns:
        (batch,).
    """
    y_pred, y_true = as_float(y_pred), as_labels(y_true)
    if y_pred.ndim != 2 or y_true.size != y_pred.shape[0]:
        raise ShapeError(
            f"circle takes embeddings (batch, size) and a class number for each, got y_pred {y_pred.shape} and y "
            f"{y_true.shape}"
        )
    others = y_pred if ref_embeddings is None else as_float(ref_embeddings)
    labels = y_true.reshape(-1)
    other_labels = labels if ref_labels is None else jnp.asarray(ref_labels).reshape(-1)
    same = labels[:, None] == other_labels
    different = ~same
    if remove_diagonal:
        same = same & ~jnp.eye(*same.shape, dtype=bool)
    distance = jnp.maximum(1 - y_pred @ others.T, 0)
    near = -gamma * jnp.maximum(margin + distance, 0) * (margin - distance)
    far = gamma * jnp.maximum(1 + margin - distance, 0) * (1 - margin - distance)
    return jax.nn.softplus(_log_sum(near, same) + _log_sum(far, different))


def _log_sum(exponents: jax.Array, where: jax.Array) -> jax.Array:
    """The logarithm of the sum of exponentials along the last axis; -infinity, without a gradient, of none."""
    some = jnp.any(where, 1)
    safe = jnp.where(some[:, None], where, True)
    return jnp.where(some, jax.nn.logsumexp(jnp.where(safe, exponents, -jnp.inf), axis=1), -jnp.inf)
