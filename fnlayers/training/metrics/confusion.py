"""Metrics of yes and no: true and false positives and negatives over thresholds, and what is made of them."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.plain_data import recordclass
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

NEVER = -1e10  # what a class that is not among the largest is rated, as in Keras
COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class _Counted(Metric):
    """Base: the four counts for each threshold."""

    keeps: ClassVar[tuple[str, ...]] = COUNTS

    @property
    def takes(self) -> Takes:
        """Probabilities, and answers of 0 and 1."""
        name = f"fnlayers.metrics.{type(self).__name__}"
        return Takes(name, "binary", "probabilities", f"fnlayers.metrics.FromLogits({name}(...))", better=self.better)

    def levels(self) -> tuple[float, ...]:
        """The thresholds."""
        raise NotImplementedError

    def sizes(self, shape: tuple | None) -> Mapping[str, tuple]:
        """A number for each threshold."""
        return dict.fromkeys(self.keeps, (len(self.levels()),))

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """Of one batch."""
        check_pair(self, y_pred, y_true)
        y_pred, y_true, weight = self.chosen(y_pred, y_true, weights_of(self, weight, y_pred.shape))
        counted = confusion(y_pred.ravel(), y_true.ravel(), weight.ravel(), self.levels())
        return {name: counted[name] for name in self.keeps}

    def chosen(self, y_pred: Array, y_true: Array, weight: Array) -> tuple[Array, Array, Array]:
        """What of them counts."""
        top_k, class_id = getattr(self, "top_k", None), getattr(self, "class_id", None)
        for name, number in (("top_k", top_k), ("class_id", class_id)):
            most = y_pred.shape[-1] if y_pred.ndim > 1 else 0
            if number is not None and number >= most + (name == "top_k"):
                raise ShapeError(
                    f"{type(self).__name__}: {name}={number} does not fit y_pred of shape {y_pred.shape}; its last "
                    "axis is that of the classes"
                )
        if top_k is not None:
            y_pred = _only_top(y_pred, top_k)
        if class_id is not None:
            y_pred, y_true, weight = (a[..., class_id] for a in (y_pred, y_true, weight))
        return y_pred, y_true, weight


class _OverThresholds(_Counted):
    """Base of those whose thresholds are given: one, or several and as many results."""

    direction: ClassVar[str] = "max"
    thresholds: float | tuple[float, ...] | None

    def check(self) -> None:
        """Thresholds lie from 0 to 1."""
        several = self.thresholds if isinstance(self.thresholds, tuple) else (self.thresholds,)
        for threshold in several:
            if threshold is not None:
                in_unit(self, "thresholds", threshold)
        if not several:
            raise ConfigError(f"{type(self).__name__}: thresholds=() is empty; give one, or None for 0.5")
        for name in ("top_k", "class_id"):
            number = getattr(self, name, None)
            if number is not None and number < (name == "top_k"):
                raise ConfigError(f"{type(self).__name__}: {name}={number} is too small")

    @property
    def better(self) -> str | None:  # type: ignore[override]
        """As of one number; of one for each threshold nothing is."""
        return self.direction if len(self.levels()) == 1 else None

    def levels(self) -> tuple[float, ...]:
        """The thresholds that were given."""
        if self.thresholds is None:
            return (0.5 if getattr(self, "top_k", None) is None else NEVER,)
        return self.thresholds if isinstance(self.thresholds, tuple) else (self.thresholds,)

    def of_each(self, values: Array) -> Array:
        """The values, or the one that there is."""
        return values if len(self.levels()) > 1 else values[0]


class _Count(_OverThresholds):
    """Base of the four counts themselves."""

    def result(self, sums: Sums) -> Array:
        """The count, or one for each threshold."""
        return self.of_each(sums[self.keeps[0]])


@recordclass
class TruePositives(_Count):
    """How many of the ones are found: predictions above the threshold whose answer is 1, weighted.

    Arguments:
        thresholds: a number from 0 to 1, or several; None: 0.5.
        name: what it is called in the logs.
    """

    thresholds: float | tuple[float, ...] | None = None
    name: str = "true_positives"
    keeps: ClassVar[tuple[str, ...]] = ("true_positives",)


@recordclass
class FalsePositives(_Count):
    """How many zeros are taken for ones: predictions above the threshold whose answer is 0."""

    thresholds: float | tuple[float, ...] | None = None
    name: str = "false_positives"
    direction: ClassVar[str] = "min"
    keeps: ClassVar[tuple[str, ...]] = ("false_positives",)


@recordclass
class TrueNegatives(_Count):
    """How many of the zeros are found: predictions not above the threshold whose answer is 0."""

    thresholds: float | tuple[float, ...] | None = None
    name: str = "true_negatives"
    keeps: ClassVar[tuple[str, ...]] = ("true_negatives",)


@recordclass
class FalseNegatives(_Count):
    """How many ones are missed: predictions not above the threshold whose answer is 1."""

    thresholds: float | tuple[float, ...] | None = None
    name: str = "false_negatives"
    direction: ClassVar[str] = "min"
    keeps: ClassVar[tuple[str, ...]] = ("false_negatives",)


@recordclass
class Precision(_OverThresholds):
    """The fraction of the predictions above the threshold whose answer is 1; 0 where there are none.

    Arguments:
        thresholds: a number from 0 to 1, or several, which give as many results; None: 0.5, and with top_k none.
        top_k: of each example only the so many largest predictions count as above.
        class_id: the one class (of the last axis) that is looked at; None: all.
        name: what it is called in the logs.

    y_pred: probabilities, of any shape; y_true: 0 or 1, of the same shape.

    Example:
        >>> metric = Precision()
        >>> sums = metric.update(metric.init(), jnp.array([0.9, 0.7, 0.2]), jnp.array([1, 0, 1]))
        >>> float(metric.result(sums))
        0.5
    """

    thresholds: float | tuple[float, ...] | None = None
    top_k: int | None = None
    class_id: int | None = None
    name: str = "precision"
    keeps: ClassVar[tuple[str, ...]] = ("true_positives", "false_positives")

    def result(self, sums: Sums) -> Array:
        """True positives among the positives."""
        return self.of_each(_precision(sums))


@recordclass
class Recall(_OverThresholds):
    """The fraction of the ones whose prediction is above the threshold; 0 where there are none.

    Arguments: as for `Precision`.
    """

    thresholds: float | tuple[float, ...] | None = None
    top_k: int | None = None
    class_id: int | None = None
    name: str = "recall"
    keeps: ClassVar[tuple[str, ...]] = ("true_positives", "false_negatives")

    def result(self, sums: Sums) -> Array:
        """True positives among the ones."""
        return self.of_each(_recall(sums))


class _AtConstraint(_Counted):
    """Base: the best of one number over the thresholds at which another is large enough."""

    num_thresholds: int

    def check(self) -> None:
        """The constraint lies from 0 to 1."""
        in_unit(self, *self.constraint())
        if self.num_thresholds < 1:
            raise ConfigError(f"{type(self).__name__}: num_thresholds={self.num_thresholds}: give 1 at least")

    def constraint(self) -> tuple[str, float]:
        """The first option's name, and its value."""
        raise NotImplementedError

    def levels(self) -> tuple[float, ...]:
        """From 0 to 1, evenly."""
        return (0.5,) if self.num_thresholds == 1 else evenly(self.num_thresholds)

    def best(self, dependent: Array, constrained: Array) -> Array:
        """The largest of the one where the other is as large as it must be; 0 where it never is."""
        xp = namespace(dependent, constrained)
        return xp.max(xp.where(constrained >= self.constraint()[1], dependent, 0))


@recordclass
class SensitivityAtSpecificity(_AtConstraint):
    """The largest recall of ones at any threshold at which the recall of zeros is `specificity` at least.

    Arguments:
        specificity: from 0 to 1.
        num_thresholds: how many are looked at.
        class_id: the one class (of the last axis) that is looked at; None: all.
        name: what it is called in the logs.
    """

    specificity: float
    num_thresholds: int = 200
    class_id: int | None = None
    name: str = "sensitivity_at_specificity"

    def constraint(self) -> tuple[str, float]:
        """The specificity."""
        return "specificity", self.specificity

    def result(self, sums: Sums) -> Array:
        """The best sensitivity."""
        return self.best(_recall(sums), _specificity(sums))


@recordclass
class SpecificityAtSensitivity(_AtConstraint):
    """The largest recall of zeros at any threshold at which that of ones is `sensitivity` at least."""

    sensitivity: float
    num_thresholds: int = 200
    class_id: int | None = None
    name: str = "specificity_at_sensitivity"

    def constraint(self) -> tuple[str, float]:
        """The sensitivity."""
        return "sensitivity", self.sensitivity

    def result(self, sums: Sums) -> Array:
        """The best specificity."""
        return self.best(_specificity(sums), _recall(sums))


@recordclass
class PrecisionAtRecall(_AtConstraint):
    """The largest precision at any threshold at which recall is `recall` at least."""

    recall: float
    num_thresholds: int = 200
    class_id: int | None = None
    name: str = "precision_at_recall"

    def constraint(self) -> tuple[str, float]:
        """The recall."""
        return "recall", self.recall

    def result(self, sums: Sums) -> Array:
        """The best precision."""
        return self.best(_precision(sums), _recall(sums))


@recordclass
class RecallAtPrecision(_AtConstraint):
    """The largest recall at any threshold at which precision is `precision` at least."""

    precision: float
    num_thresholds: int = 200
    class_id: int | None = None
    name: str = "recall_at_precision"

    def constraint(self) -> tuple[str, float]:
        """The precision."""
        return "precision", self.precision

    def result(self, sums: Sums) -> Array:
        """The best recall."""
        return self.best(_recall(sums), _precision(sums))


def evenly(count: int) -> tuple[float, ...]:
    """So many thresholds from 0 to 1."""
    return tuple(step / (count - 1) for step in range(count))


def confusion(y_pred: Array, y_true: Array, weight: Array, thresholds: tuple[float, ...]) -> Sums:
    """The four counts for each threshold: what is greater than it counts as 1.

    Arguments:
        y_pred: (n, ...) predictions; further axes are counted apart.
        y_true: of the same shape; anything but 0 counts as 1.
        weight: of the same shape.
        thresholds: k of them, in any order.

    Returns:
        Arrays (k, ...).
    """
    order = np.argsort(np.asarray(thresholds), kind="stable")
    bucket = _bucket(y_pred, np.asarray(thresholds)[order])
    columns = jnp.indices(y_pred.shape)[1:]

    def above(values: Array) -> Array:
        """For each threshold the sum of the values of what lies above it."""
        empty = jnp.zeros((len(thresholds), *y_pred.shape[1:]), "float32")
        sums = empty.at[(bucket, *columns)].add(values, mode="drop")
        return jnp.cumsum(sums[::-1], axis=0)[::-1][np.argsort(order, kind="stable")]

    ones, zeros = jnp.where(y_true != 0, weight, 0), jnp.where(y_true != 0, 0, weight)
    true_positives, false_positives = above(ones), above(zeros)
    negatives = jnp.sum(zeros, 0) - false_positives, jnp.sum(ones, 0) - true_positives
    return dict(zip(COUNTS, (true_positives, false_positives, *negatives), strict=True))


def _bucket(y_pred: Array, thresholds: np.ndarray) -> Array:
    """The number of the largest threshold that each prediction is above; out of range where there is none."""
    count = len(thresholds)
    if count >= 3 and np.allclose(thresholds, evenly(count), atol=EPSILON):
        # As Keras does it, whose rounding at the thresholds themselves is followed
        bucket = jnp.ceil(jnp.clip(y_pred, 0, 1) * jnp.float32(count - 1)) - 1
        bucket = jnp.maximum(bucket, 0) if thresholds[0] < 0 or thresholds[-1] > 1 else bucket
    else:
        bucket = jnp.searchsorted(jnp.asarray(thresholds, "float32"), y_pred, side="left") - 1
    return jnp.where(jnp.isnan(y_pred) | (bucket < 0), count, bucket).astype("int32")


def _only_top(y_pred: Array, k: int) -> Array:
    """The predictions with all but the k largest of the last axis put below any threshold."""
    _, places = jax.lax.top_k(y_pred, k)
    top = jnp.sum(jax.nn.one_hot(places, y_pred.shape[-1]), -2) > 0
    return jnp.where(top, y_pred, NEVER)


def _precision(sums: Any) -> Array:
    return divide(sums["true_positives"], sums["true_positives"] + sums["false_positives"])


def _recall(sums: Any) -> Array:
    return divide(sums["true_positives"], sums["true_positives"] + sums["false_negatives"])


def _specificity(sums: Any) -> Array:
    return divide(sums["true_negatives"], sums["true_negatives"] + sums["false_positives"])
