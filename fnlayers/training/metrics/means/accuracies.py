"""How often answers are right."""

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import recordclass
from fnlayers.training.metrics import functions
from fnlayers.training.metrics.metric import Array, MeanMetric, check_pair
from fnlayers.training.takes import Takes

_SPARSE = "fnlayers.metrics.SparseCategoricalAccuracy()"


@recordclass
class Accuracy(MeanMetric):
    """How often y_pred equals y_true. (By the name "accuracy", `fit` takes the accuracy that fits the output.)

    Arguments:
        name: what it is called in the logs.
    """

    name: str = "accuracy"

    @property
    def takes(self) -> Takes:
        """Numbers."""
        return Takes("fnlayers.metrics.Accuracy", "numbers", better="max")

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """1 where they are equal."""
        check_pair(self, y_pred, y_true)
        return (y_pred == y_true).astype("float32")


@recordclass
class BinaryAccuracy(MeanMetric):
    """How often y_pred lies on y_true's side of the threshold.

    Arguments:
        name: what it is called in the logs.
        threshold: above it, the answer is 1: 0.5 for probabilities, 0.0 for logits.
    """

    name: str = "binary_accuracy"
    threshold: float = 0.5

    @property
    def takes(self) -> Takes:
        """Probabilities at the threshold 0.5."""
        form = "probabilities" if self.threshold == 0.5 else None
        name = "fnlayers.metrics.BinaryAccuracy"
        return Takes(name, "binary", form, f"{name}(threshold=0.0)", better="max")

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """1 where the answer is right."""
        return functions.binary_accuracy(y_pred, y_true, self.threshold)


@recordclass
class CategoricalAccuracy(MeanMetric):
    """How often y_pred and the one-hot labels are largest at the same class.

    Arguments:
        name: what it is called in the logs.
    """

    name: str = "categorical_accuracy"

    @property
    def takes(self) -> Takes:
        """One-hot labels."""
        return Takes("fnlayers.metrics.CategoricalAccuracy", "one-hot", other_labels=_SPARSE, better="max")

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """1 where the class is right."""
        return functions.categorical_accuracy(y_pred, y_true)


@recordclass
class SparseCategoricalAccuracy(MeanMetric):
    """How often y_pred is largest at the class y_true.

    Arguments:
        name: what it is called in the logs.
    """

    name: str = "sparse_categorical_accuracy"

    @property
    def takes(self) -> Takes:
        """Class numbers."""
        other = "fnlayers.metrics.CategoricalAccuracy()"
        return Takes("fnlayers.metrics.SparseCategoricalAccuracy", "classes", other_labels=other, better="max")

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """1 where the class is right."""
        return functions.accuracy(y_pred, y_true)


class _TopK(MeanMetric):
    k: int

    def check(self) -> None:
        """Of one class at least."""
        if self.k < 1:
            raise ConfigError(f"{type(self).__name__}: k={self.k}: give a whole number of at least 1")


@recordclass
class TopKCategoricalAccuracy(_TopK):
    """How often the class of the one-hot labels is among the k that y_pred rates highest.

    Arguments:
        k: how many count.
        name: what it is called in the logs.
    """

    k: int = 5
    name: str = "top_k_categorical_accuracy"

    @property
    def takes(self) -> Takes:
        """One-hot labels."""
        other = "fnlayers.metrics.SparseTopKCategoricalAccuracy()"
        return Takes("fnlayers.metrics.TopKCategoricalAccuracy", "one-hot", other_labels=other, better="max")

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """1 where the class is among them."""
        check_pair(self, y_pred, y_true)
        return functions.TopKAccuracy(self.k)(y_pred, jnp.argmax(y_true, -1))


@recordclass
class SparseTopKCategoricalAccuracy(_TopK):
    """How often the class y_true is among the k that y_pred rates highest.

    Arguments:
        k: how many count.
        name: what it is called in the logs.
    """

    k: int = 5
    name: str = "sparse_top_k_categorical_accuracy"

    @property
    def takes(self) -> Takes:
        """Class numbers."""
        other = "fnlayers.metrics.TopKCategoricalAccuracy()"
        return Takes("fnlayers.metrics.SparseTopKCategoricalAccuracy", "classes", other_labels=other, better="max")

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """1 where the class is among them."""
        return functions.TopKAccuracy(self.k)(y_pred, y_true)
