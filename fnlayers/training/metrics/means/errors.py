"""The means of losses of numbers, by Keras's names of classes."""

from typing import ClassVar

from fnlayers.plain_data import recordclass
from fnlayers.training import losses
from fnlayers.training.metrics.metric import Array, MeanMetric
from fnlayers.training.takes import Takes


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
