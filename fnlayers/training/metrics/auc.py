"""The area under the ROC curve, or under that of precision and recall."""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.plain_data import recordclass
from fnlayers.training.metrics.confusion import COUNTS, confusion, evenly
from fnlayers.training.metrics.metric import (
    EPSILON,
    Array,
    Metric,
    Sums,
    check_pair,
    divide,
    in_unit,
    namespace,
    weights_of,
)
from fnlayers.training.takes import Takes


@recordclass
class AUC(Metric):
    """The area under a curve over thresholds, as Keras approximates it: by the counts at so many of them.

    Arguments:
        num_thresholds: how many, evenly from 0 to 1.
        curve: "ROC" (recall over the rate of false positives), "PR" (precision over recall), "PRGAIN".
        summation_method: how the area between two thresholds is found: "interpolation" (for "PR" that of Davis and
            Goadrich), "minoring", "majoring".
        name: what it is called in the logs.
        thresholds: given ones between 0 and 1 instead, to which both ends are added.
        multi_label: whether each class of the last axis has a curve, whose areas are averaged.
        num_labels: how many classes; needed for nothing but `init()` without a shape.
        label_weights: a weight for each class: of its area with multi_label, else of its examples.
        from_logits: whether y_pred are logits, to which a sigmoid is applied.

    y_pred: probabilities, of any shape, (n, classes) with multi_label; y_true: 0 or 1, of the same shape.

    Example:
        >>> metric = AUC()
        >>> sums = metric.update(metric.init(), jnp.array([0.0, 0.5, 0.3, 0.9]), jnp.array([0, 0, 1, 1]))
        >>> round(float(metric.result(sums)), 4)
        0.75
    """

    num_thresholds: int = 200
    curve: Literal["ROC", "PR", "PRGAIN", "roc", "pr", "prgain"] = "ROC"
    summation_method: Literal["interpolation", "minoring", "majoring"] = "interpolation"
    name: str = "auc"
    thresholds: tuple[float, ...] | None = None
    multi_label: bool = False
    num_labels: int | None = None
    label_weights: tuple[float, ...] | None = None
    from_logits: bool = False

    def check(self) -> None:
        """Thresholds lie from 0 to 1, and classes are counted with multi_label alone."""
        if self.thresholds is None and self.num_thresholds < 2:
            raise ConfigError(f"AUC: num_thresholds={self.num_thresholds}: give a whole number of at least 2")
        for threshold in self.thresholds or ():
            in_unit(self, "thresholds", threshold)
        if self.num_labels is not None and not self.multi_label:
            raise ConfigError("AUC: num_labels is for multi_label=True; leave it out")

    @property
    def takes(self) -> Takes:
        """Probabilities or logits, and answers of 0 and 1."""
        name = "fnlayers.metrics.AUC"
        form, other = ("logits", f"{name}()") if self.from_logits else ("probabilities", f"{name}(from_logits=True)")
        return Takes(name, "binary", form, other, better="max")

    def levels(self) -> tuple[float, ...]:
        """The thresholds, the ends a little outside of 0 and 1."""
        inner = evenly(self.num_thresholds)[1:-1] if self.thresholds is None else tuple(sorted(self.thresholds))
        return (-EPSILON, *inner, 1 + EPSILON)

    def sizes(self, shape: tuple | None) -> Mapping[str, tuple]:
        """A number for each threshold, and for each class."""
        classes = (shape[-1],) if shape is not None else (self.num_labels,) if self.num_labels else None
        if not self.multi_label:
            return dict.fromkeys(COUNTS, (len(self.levels()),))
        return dict.fromkeys(COUNTS, () if classes is None else (len(self.levels()), *classes))

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """Of one batch."""
        check_pair(self, y_pred, y_true)
        weight = weights_of(self, weight, y_pred.shape)
        if self.multi_label or self.label_weights is not None:
            self._check_classes(y_pred)
        if self.label_weights is not None and not self.multi_label:
            weight = weight * jnp.asarray(self.label_weights, "float32")
        y_pred = jax.nn.sigmoid(y_pred) if self.from_logits else y_pred
        shape = (-1, y_pred.shape[-1]) if self.multi_label else (-1,)
        return confusion(y_pred.reshape(shape), y_true.reshape(shape), weight.reshape(shape), self.levels())

    def _check_classes(self, y_pred: Array) -> None:
        counts = (self.num_labels, self.label_weights and len(self.label_weights))
        if y_pred.ndim < 2 or any(count not in (None, y_pred.shape[-1]) for count in counts):
            raise ShapeError(
                f"{self!r} takes y_pred of shape (examples, classes) with as many classes, got {y_pred.shape}"
            )

    def result(self, sums: Sums) -> Array:
        """The area; with multi_label the mean of all."""
        xp = namespace(*sums.values())
        if self.curve.upper() == "PR" and self.summation_method == "interpolation":
            parts = _interpolated(sums)
        else:
            x, y = self._curve(sums)
            heights = {
                "interpolation": (y[:-1] + y[1:]) / 2,
                "minoring": xp.minimum(y[:-1], y[1:]),
                "majoring": xp.maximum(y[:-1], y[1:]),
            }
            parts = (x[:-1] - x[1:]) * heights[self.summation_method]
        areas = xp.sum(parts, 0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return xp.mean(areas)
        weights = xp.asarray(self.label_weights, "float32")
        return divide(xp.sum(areas * weights), xp.sum(weights))

    def _curve(self, sums: Any) -> tuple[Array, Array]:
        true_positives, false_positives, true_negatives, false_negatives = (sums[name] for name in COUNTS)
        recall = divide(true_positives, true_positives + false_negatives)
        if self.curve.upper() == "ROC":
            return divide(false_positives, false_positives + true_negatives), recall
        if self.curve.upper() == "PR":
            return recall, divide(true_positives, true_positives + false_positives)
        xp = namespace(true_positives)
        odds = divide(true_positives + false_negatives, true_negatives + false_positives)  # of a one
        recall_gain = xp.where(true_positives == 0, 0, 1 - odds * divide(false_negatives, true_positives))
        precision_gain = xp.where(true_positives == 0, 1, 1 - odds * divide(false_positives, true_positives))
        return xp.maximum(recall_gain, 0), precision_gain


def _interpolated(sums: Any) -> Array:
    """The area under precision and recall between each two thresholds, precision being no straight line between."""
    true_positives, false_positives, _, false_negatives = (sums[name] for name in COUNTS)
    xp = namespace(true_positives)
    positives = true_positives + false_positives
    new = true_positives[:-1] - true_positives[1:]
    slope = divide(new, xp.maximum(positives[:-1] - positives[1:], 0))
    intercept = true_positives[1:] - slope * positives[1:]
    both = (positives[:-1] > 0) & (positives[1:] > 0)
    ratio = xp.where(both, divide(positives[:-1], positives[1:]), 1)
    return divide(slope * (new + intercept * xp.log(ratio)), true_positives[1:] + false_negatives[1:])
