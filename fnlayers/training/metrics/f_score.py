"""F scores: harmonic means of precision and recall."""

from collections.abc import Mapping
from typing import Any, Literal

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.plain_data import recordclass
from fnlayers.training.metrics.metric import (
    EPSILON,
    Array,
    Metric,
    Sums,
    check_pair,
    namespace,
    weighted_sum,
    weights_of,
)
from fnlayers.training.takes import Takes


class _FScore(Metric):
    """What both share."""

    average: str | None
    threshold: float | None

    def check(self) -> None:
        """Beta is above 0, the threshold above 0 and at most 1."""
        if self.weight_of_recall <= 0:
            raise ConfigError(f"{type(self).__name__}: beta={self.weight_of_recall!r} is wrong; beta must be above 0")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ConfigError(f"{type(self).__name__}: threshold={self.threshold!r} must be above 0 and at most 1")

    @property
    def better(self) -> str | None:  # type: ignore[override]
        """More; of a score for each class nothing is."""
        return None if self.average is None else "max"

    @property
    def weight_of_recall(self) -> float:
        """How much more recall counts than precision."""
        return getattr(self, "beta", 1.0)

    @property
    def takes(self) -> Takes:
        """Scores of classes, or probabilities where there is a threshold; one-hot labels."""
        name = f"fnlayers.metrics.{type(self).__name__}"
        if self.threshold is None:
            return Takes(name, "one-hot", better=self.better)
        return Takes(name, "binary", "probabilities", f"fnlayers.metrics.FromLogits({name}(...))", better=self.better)

    def sizes(self, shape: tuple | None) -> Mapping[str, tuple]:
        """A number for each class, one for all with "micro"."""
        size = () if shape is None or self.average == "micro" else (shape[-1],)
        return dict.fromkeys(("true_positives", "false_positives", "false_negatives", "ones"), size)

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """Of one batch."""
        check_pair(self, y_pred, y_true)
        if y_pred.ndim < 2:
            raise ShapeError(f"{type(self).__name__} takes y_pred of shape (examples, classes), got {y_pred.shape}")
        weight, y_true = weights_of(self, weight, y_pred.shape), y_true.astype("float32")
        if self.threshold is None:  # the largest, but where all are 0
            chosen = (y_pred >= jnp.max(y_pred, -1, keepdims=True)) & (jnp.abs(y_pred) > 1e-9)
        else:
            chosen = y_pred > self.threshold
        chosen = chosen.astype("float32")
        axes = None if self.average == "micro" else tuple(range(y_pred.ndim - 1))
        parts = (chosen * y_true, chosen * (1 - y_true), (1 - chosen) * y_true, y_true)
        return {name: weighted_sum(part, weight, axes) for name, part in zip(self.sizes(None), parts, strict=True)}

    def result(self, sums: Sums) -> Array:
        """The score, or one for each class."""
        xp, beta = namespace(*sums.values()), self.weight_of_recall
        hits = sums["true_positives"]
        precision = hits / (hits + sums["false_positives"] + EPSILON)
        recall = hits / (hits + sums["false_negatives"] + EPSILON)
        scores = (1 + beta**2) * precision * recall / (beta**2 * precision + recall + EPSILON)
        if self.average == "weighted":
            return xp.sum(scores * sums["ones"] / (xp.sum(sums["ones"]) + EPSILON))
        return scores if self.average is None else xp.mean(scores)


@recordclass
class FBetaScore(_FScore):
    """The harmonic mean of precision and recall in which recall counts beta times as much.

    Arguments:
        average: None (a score for each class), "micro" (of all counts together), "macro" (the mean of all classes),
            "weighted" (that weighted by how often each is true).
        beta: the weight of recall, above 0.
        threshold: above it a class is chosen; None: the largest of the last axis is, as in argmax.
        name: what it is called in the logs.

    y_pred: (..., classes); y_true: one-hot, or 0 or 1 for each class, of the same shape.

    Example:
        >>> metric = FBetaScore("macro", beta=2.0)
        >>> sums = metric.update(metric.init(), jnp.array([[0.9, 0.1], [0.8, 0.2]]), jnp.array([[1, 0], [0, 1]]))
        >>> round(float(metric.result(sums)), 4)
        0.4167
    """

    average: Literal["micro", "macro", "weighted"] | None = None
    beta: float = 1.0
    threshold: float | None = None
    name: str = "fbeta_score"


@recordclass
class F1Score(_FScore):
    """The harmonic mean of precision and recall: `FBetaScore` with beta 1.

    Arguments: as for `FBetaScore`.
    """

    average: Literal["micro", "macro", "weighted"] | None = None
    threshold: float | None = None
    name: str = "f1_score"
