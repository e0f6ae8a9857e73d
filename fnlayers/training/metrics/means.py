"""Keras's metrics that are means, by its names of classes; functions of values are in `functions` and `losses`."""

from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import recordclass
from fnlayers.training import losses
from fnlayers.training.metrics import functions
from fnlayers.training.metrics.metric import EPSILON, Array, MeanMetric, check_pair, weights_of
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


class _OfNumbers(MeanMetric):
    """Base of the means of a loss of numbers."""

    function: ClassVar
    better: ClassVar[str | None] = "min"
    labels: ClassVar[str] = "numbers"

    @property
    def takes(self) -> Takes:
        """Numbers of the same shape."""
        return Takes(f"fnlayers.metrics.{type(self).__name__}", self.labels, better=self.better)

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """Those of the loss."""
        return type(self).function(y_pred, y_true)


@recordclass
class MeanSquaredError(_OfNumbers):
    """The mean of (y_pred - y_true)^2. Arguments: `name`, what it is called in the logs; so in those that follow."""

    name: str = "mean_squared_error"
    function: ClassVar = staticmethod(losses.mean_squared_error)


@recordclass
class MeanAbsoluteError(_OfNumbers):
    """The mean of |y_pred - y_true|."""

    name: str = "mean_absolute_error"
    function: ClassVar = staticmethod(losses.mean_absolute_error)


@recordclass
class MeanAbsolutePercentageError(_OfNumbers):
    """The mean of 100 |y_pred - y_true| / |y_true|."""

    name: str = "mean_absolute_percentage_error"
    function: ClassVar = staticmethod(losses.mean_absolute_percentage_error)


@recordclass
class MeanSquaredLogarithmicError(_OfNumbers):
    """The mean of (log(1 + y_pred) - log(1 + y_true))^2."""

    name: str = "mean_squared_logarithmic_error"
    function: ClassVar = staticmethod(losses.mean_squared_logarithmic_error)


@recordclass
class LogCoshError(_OfNumbers):
    """The mean of log(cosh(y_pred - y_true))."""

    name: str = "logcosh"
    function: ClassVar = staticmethod(losses.log_cosh)


@recordclass
class Poisson(_OfNumbers):
    """The mean of y_pred - y_true log(y_pred)."""

    name: str = "poisson"
    function: ClassVar = staticmethod(losses.poisson)


@recordclass
class KLDivergence(_OfNumbers):
    """The mean of the Kullback-Leibler divergence of probabilities along the last axis."""

    name: str = "kl_divergence"
    function: ClassVar = staticmethod(losses.kl_divergence)
    labels: ClassVar[str] = "one-hot"


@recordclass
class Hinge(_OfNumbers):
    """The mean of max(1 - y_true y_pred, 0), y_true being -1 or 1, or 0 or 1."""

    name: str = "hinge"
    function: ClassVar = staticmethod(losses.hinge)
    labels: ClassVar[str] = "answers"


@recordclass
class SquaredHinge(_OfNumbers):
    """The mean of max(1 - y_true y_pred, 0)^2."""

    name: str = "squared_hinge"
    function: ClassVar = staticmethod(losses.squared_hinge)
    labels: ClassVar[str] = "answers"


@recordclass
class CategoricalHinge(_OfNumbers):
    """The mean of the hinge of the right class against the best of the others."""

    name: str = "categorical_hinge"
    function: ClassVar = staticmethod(losses.categorical_hinge)
    labels: ClassVar[str] = "one-hot"


class _AlongAxis(MeanMetric):
    """Base of the means of what is computed along an axis."""

    axis: int

    @property
    def takes(self) -> Takes:
        """Numbers of the same shape."""
        return Takes(f"fnlayers.metrics.{type(self).__name__}", "numbers", better="max")


@recordclass
class CosineSimilarity(_AlongAxis):
    """The mean of the cosines of the angles between the vectors along an axis.

    Arguments:
        name: what it is called in the logs.
        axis: that of the vectors.
    """

    name: str = "cosine_similarity"
    axis: int = -1

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """The cosines."""
        return -losses.cosine_similarity(y_pred, y_true, self.axis)


@recordclass
class PearsonCorrelation(_AlongAxis):
    """The mean of the correlations along an axis, which is of outputs: not of the examples.

    Arguments:
        name: what it is called in the logs.
        axis: that along which each example's numbers are correlated.
    """

    name: str = "pearson_correlation"
    axis: int = -1

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """The correlations."""
        check_pair(self, y_pred, y_true)
        pred, true = (y - jnp.mean(y, self.axis, keepdims=True) for y in (y_pred, y_true.astype(y_pred.dtype)))
        return jnp.mean(pred * true, self.axis) / (jnp.std(pred, self.axis) * jnp.std(true, self.axis))


@recordclass
class ConcordanceCorrelation(_AlongAxis):
    """The mean of the concordance correlations along an axis: how near the numbers are to being equal.

    Arguments:
        name: what it is called in the logs.
        axis: that along which each example's numbers are correlated.
    """

    name: str = "concordance_correlation"
    axis: int = -1

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """The correlations, by Keras's formula."""
        check_pair(self, y_pred, y_true)
        y_true = y_true.astype(y_pred.dtype)
        pred, true = (jnp.mean(y, self.axis, keepdims=True) for y in (y_pred, y_true))
        spread = jnp.var(y_true, self.axis, keepdims=True) + jnp.var(y_pred, self.axis, keepdims=True)
        products = (y_true - pred) * (y_pred - pred)
        return jnp.mean(2 * products / (spread + jnp.square(true - pred) + EPSILON), self.axis)


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
