"""The means of the crossentropies, of logits or of probabilities."""

from typing import Any, ClassVar

from fnlayers.plain_data import recordclass
from fnlayers.training import losses
from fnlayers.training.metrics.metric import Array, MeanMetric, weights_of
from fnlayers.training.takes import Takes


class _Crossentropy(MeanMetric):
    """Base of the crossentropies; from_logits says what y_pred is."""

    better: ClassVar[str | None] = "min"
    labels: ClassVar[str]
    from_logits: bool

    @property
    def takes(self) -> Takes:
        """Logits or probabilities."""
        name = f"fnlayers.metrics.{type(self).__name__}"
        form, other = ("logits", f"{name}()") if self.from_logits else ("probabilities", f"{name}(from_logits=True)")
        ignore = getattr(self, "ignore_class", None)
        return Takes(name, self.labels, form, other, axis=getattr(self, "axis", -1), ignore=ignore)


@recordclass
class BinaryCrossentropy(_Crossentropy):
    """The mean of `fnlayers.losses.binary_crossentropy`.

    Arguments:
        name: what it is called in the logs.
        from_logits: whether y_pred are logits; False: probabilities.
        label_smoothing: how far labels are moved towards 0.5, from 0 to 1.
    """

    name: str = "binary_crossentropy"
    from_logits: bool = False
    label_smoothing: float = 0.0
    labels: ClassVar[str] = "binary"

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """Those of the loss."""
        return losses.binary_crossentropy(y_pred, y_true, self.label_smoothing, self.from_logits)


@recordclass
class CategoricalCrossentropy(_Crossentropy):
    """The mean of `fnlayers.losses.categorical_crossentropy`.

    Arguments:
        name: what it is called in the logs.
        from_logits: whether y_pred are logits; False: probabilities.
        label_smoothing: the part of each label that is spread over all classes, from 0 to 1.
        axis: that of the classes.
    """

    name: str = "categorical_crossentropy"
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    labels: ClassVar[str] = "one-hot"

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """Those of the loss."""
        return losses.categorical_crossentropy(y_pred, y_true, self.label_smoothing, self.axis, self.from_logits)


@recordclass
class SparseCategoricalCrossentropy(_Crossentropy):
    """The mean of `fnlayers.losses.sparse_categorical_crossentropy`.

    Arguments:
        name: what it is called in the logs.
        from_logits: whether y_pred are logits; False: probabilities.
        ignore_class: a class number in y_true that does not count.
        axis: that of the classes.
    """

    name: str = "sparse_categorical_crossentropy"
    from_logits: bool = False
    ignore_class: int | None = None
    axis: int = -1
    labels: ClassVar[str] = "classes"

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """Those of the loss."""
        return losses.sparse_categorical_crossentropy(y_pred, y_true, self.axis, self.from_logits, self.ignore_class)

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> dict:
        """Of one batch, without what is ignored."""
        if self.ignore_class is not None:
            weight = weights_of(self, weight, y_true.shape) * (y_true != self.ignore_class)
        return super().counts(y_pred, y_true, weight)
