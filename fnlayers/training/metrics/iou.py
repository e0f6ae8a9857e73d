"""The confusion matrix of classes, and what is made of it: intersection over union."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.plain_data import recordclass
from fnlayers.training.metrics.metric import EPSILON, Array, Metric, Sums, in_unit, namespace, weights_of
from fnlayers.training.takes import Takes


class _Classes(Metric):
    """Base: a matrix of weights, a row for each true class, a column for each predicted one."""

    num_classes: int
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    def check(self) -> None:
        """There are classes, and those that are named are among them."""
        targets = getattr(self, "target_class_ids", (0,))
        if self.num_classes < 1:
            raise ConfigError(f"{type(self).__name__}: num_classes={self.num_classes}: give 1 at least")
        if not targets or min(targets) < 0 or max(targets) >= self.num_classes:
            raise ConfigError(
                f"{type(self).__name__}: target_class_ids={targets!r} must be classes from 0 to {self.num_classes - 1}"
            )

    @property
    def takes(self) -> Takes | None:
        """Scores or class numbers, and class numbers or one-hot labels."""
        name, better = f"fnlayers.metrics.{type(self).__name__}", self.better
        if self.sparse_y_true:
            labels = "numbers" if self.sparse_y_pred else "classes"
            ignore, classes = self.ignore_class, self.num_classes
            return Takes(name, labels, axis=self.axis, better=better, ignore=ignore, classes=classes)
        return None if self.sparse_y_pred else Takes(name, "one-hot", axis=self.axis, better=better)

    def sizes(self, shape: tuple | None) -> Mapping[str, tuple]:
        """The matrix."""
        return {"matrix": (self.num_classes, self.num_classes)}

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """Of one batch; what is not a class is left out."""
        y_true = y_true if self.sparse_y_true else self._largest("y", y_true)
        y_pred = y_pred if self.sparse_y_pred else self._largest("y_pred", y_pred)
        if y_pred.shape != y_true.shape:
            raise ShapeError(
                f"{self!r}: y_pred stands for {y_pred.shape} classes, y for {y_true.shape}; for scores of classes give "
                "sparse_y_pred=False, for one-hot labels sparse_y_true=False"
            )
        weight = weights_of(self, weight, y_true.shape)
        true, pred = y_true.astype("int32"), y_pred.astype("int32")
        counts = (true >= 0) & (true < self.num_classes) & (pred >= 0) & (pred < self.num_classes)
        if self.ignore_class is not None:
            counts &= true != self.ignore_class
        matrix = jnp.zeros((self.num_classes, self.num_classes), "float32")
        return {"matrix": matrix.at[jnp.where(counts, true, self.num_classes), pred].add(weight, mode="drop")}

    def _largest(self, name: str, scores: Array) -> Array:
        """The class with the highest score; more classes than there are here would be left out without a word."""
        if scores.ndim and scores.shape[self.axis] > self.num_classes:
            raise ShapeError(
                f"{self!r}: {name} of shape {scores.shape} has {scores.shape[self.axis]} classes; "
                f"give num_classes={scores.shape[self.axis]}"
            )
        return jnp.argmax(scores, self.axis)


@recordclass
class ConfusionMatrix(_Classes):
    """How often each class is predicted for each: row i, column j is the weight of examples of class i taken for j.

    Arguments:
        num_classes: how many.
        ignore_class: a class number in y_true that does not count.
        sparse_y_true: whether y_true are class numbers; False: one-hot labels.
        sparse_y_pred: whether y_pred are class numbers; False: scores of the classes, of which the largest counts.
        axis: that of the classes in scores and one-hot labels.
        name: what it is called in the logs, where it stands as nested lists.

    Example:
        >>> metric = ConfusionMatrix(2)
        >>> sums = metric.update(metric.init(), jnp.array([[0.9, 0.1], [0.2, 0.8]]), jnp.array([0, 0]))
        >>> metric.result(sums).tolist()
        [[1.0, 1.0], [0.0, 0.0]]
    """

    num_classes: int
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = False
    axis: int = -1
    name: str = "confusion_matrix"
    better: ClassVar[str | None] = None

    def result(self, sums: Sums) -> Array:
        """The matrix."""
        return sums["matrix"]


class _Overlap(_Classes):
    """Base: the mean of intersection over union of some classes, of those that occur."""

    @property
    def targets(self) -> tuple[int, ...]:
        """The classes."""
        return getattr(self, "target_class_ids", tuple(range(self.num_classes)))

    def result(self, sums: Sums) -> Array:
        """The mean; 0 where none of the classes occurs."""
        matrix, targets = sums["matrix"], np.asarray(self.targets)
        xp = namespace(matrix)
        both = xp.diagonal(matrix)[targets]
        union = (matrix.sum(0) + matrix.sum(1))[targets] - both
        occurs = union > 1e-9
        ratio = xp.where(occurs, both / (union + EPSILON), 0)
        return ratio.sum() / (occurs.sum() + EPSILON)


@recordclass
class IoU(_Overlap):
    """Intersection over union: of what is or is taken for a class, the fraction that is both; a mean over classes.

    Arguments:
        num_classes: how many there are.
        target_class_ids: those that are averaged.
        name: what it is called in the logs.
        ignore_class: a class number in y_true that does not count.
        sparse_y_true: whether y_true are class numbers; False: one-hot labels.
        sparse_y_pred: whether y_pred are class numbers, as in Keras; False: scores, of which the largest counts.
        axis: that of the classes in scores and one-hot labels.
    """

    num_classes: int
    target_class_ids: tuple[int, ...]
    name: str = "io_u"
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1


@recordclass
class MeanIoU(_Overlap):
    """`IoU` of all classes.

    Arguments: as for `IoU`.

    Example:
        >>> metric = MeanIoU(2)
        >>> round(float(metric.result(metric.update(metric.init(), jnp.array([0, 1, 1]), jnp.array([0, 0, 1])))), 4)
        0.5
    """

    num_classes: int
    name: str = "mean_io_u"
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1


@recordclass
class OneHotIoU(_Overlap):
    """`IoU` of one-hot labels, and of scores.

    Arguments: as for `IoU`.
    """

    num_classes: int
    target_class_ids: tuple[int, ...]
    name: str = "one_hot_io_u"
    ignore_class: int | None = None
    sparse_y_true: ClassVar[bool] = False
    sparse_y_pred: bool = False
    axis: int = -1


@recordclass
class OneHotMeanIoU(_Overlap):
    """`OneHotIoU` of all classes.

    Arguments: as for `IoU`.
    """

    num_classes: int
    name: str = "one_hot_mean_io_u"
    ignore_class: int | None = None
    sparse_y_true: ClassVar[bool] = False
    sparse_y_pred: bool = False
    axis: int = -1


@recordclass
class BinaryIoU(_Overlap):
    """`IoU` of probabilities and answers of 0 and 1.

    Arguments:
        target_class_ids: of 0 and 1 those that are averaged.
        threshold: a prediction of at least that much counts as 1.
        name: what it is called in the logs.
    """

    target_class_ids: tuple[int, ...] = (0, 1)
    threshold: float = 0.5
    name: str = "binary_io_u"
    num_classes: ClassVar[int] = 2

    def check(self) -> None:
        """The threshold lies from 0 to 1."""
        super().check()
        in_unit(self, "threshold", self.threshold)

    @property
    def takes(self) -> Takes:
        """Probabilities, and answers of 0 and 1."""
        name = "fnlayers.metrics.BinaryIoU"
        return Takes(name, "binary", "probabilities", f"fnlayers.metrics.FromLogits({name}())", better="max")

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """Of one batch."""
        return super().counts(jnp.asarray(y_pred >= self.threshold, "int32"), y_true, weight)
