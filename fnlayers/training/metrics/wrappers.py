"""Metrics of what the model returned after an activation, and functions of a whole set of examples."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import jax
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.plain_data import recordclass
from fnlayers.training.metrics.metric import Array, Metric, Sums
from fnlayers.training.takes import Takes


@recordclass
class FromLogits(Metric):
    """A metric of probabilities, for a model that returns logits.

    Arguments:
        metric: the metric.
        activation: what makes probabilities of them: "sigmoid" for each number, "softmax" over the classes.
        axis: that of the classes.

    Example:
        >>> from fnlayers.training.metrics import Precision
        >>> FromLogits(Precision(), "sigmoid").name
        'precision'
    """

    metric: Metric
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    axis: int = -1

    @property
    def name(self) -> str:  # type: ignore[override]
        """The metric's."""
        return self.metric.name

    @property
    def better(self) -> str | None:  # type: ignore[override]
        """The metric's."""
        return self.metric.better

    @property
    def takes(self) -> Takes | None:
        """Logits, and what the metric takes."""
        takes = self.metric.takes
        return takes and replace(takes, form="logits", other_form=f"{self.metric!r} itself")

    def sizes(self, shape: tuple | None) -> Mapping[str, tuple]:
        """The metric's."""
        return self.metric.sizes(shape)

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """The metric's, of probabilities."""
        activated = jax.nn.sigmoid(y_pred) if self.activation == "sigmoid" else jax.nn.softmax(y_pred, self.axis)
        return self.metric.counts(activated, y_true, weight)

    def result(self, sums: Sums) -> Array:
        """The metric's."""
        return self.metric.result(sums)


@recordclass
class OnWholeSet(Metric):
    """Any function of all predictions of a set at once, such as a rank correlation: it is no mean, and has no sums.

    `evaluate` computes it from NumPy arrays on the host, and `fit` so for validation_data, after each epoch. It does
    not exist for the training data, whose predictions are made by params that change.

    Arguments:
        function: (y_pred, y_true) -> a number, or (y_pred, y_true, weight) -> a number. What has no weight, and what is
            masked, is left out of what it is given; one without `weight` takes no other weights than 0 and 1.
        direction: which way is better, "max" or "min"; None where nothing says so.
        name: what it is called in the logs.

    Example:
        >>> OnWholeSet(lambda y_pred, y_true: np.corrcoef(y_pred[:, 0], y_true[:, 0])[0, 1], "max", name="corr").name
        'corr'
    """

    function: Callable[..., Any]
    direction: Literal["max", "min"] | None = None
    name: str = "on_whole_set"

    @property
    def better(self) -> str | None:  # type: ignore[override]
        """As it was said."""
        return self.direction

    def of(self, name: str, y_pred: Any, y_true: Any, weight: np.ndarray | None) -> Any:
        """What the function makes of them.

        Raises:
            ConfigError: for weights other than 0 and 1 and a function that takes none.
        """
        if weight is not None:
            y_pred, y_true = (jax.tree.map(lambda a, w=weight: _rows(name, a, w), y) for y in (y_pred, y_true))
            weight = weight[weight != 0]
        if takes_weight(self.function):
            return self.function(y_pred, y_true, weight)
        if weight is not None and not (weight == 1).all():
            raise ConfigError(
                f"{name!r}: the function takes no weights, and some are neither 0 nor 1; give one of (y_pred, y_true, "
                "weight), or a metric of fnlayers.metrics"
            )
        return self.function(y_pred, y_true)


def takes_weight(function: Callable) -> bool:
    """Whether a function has a third argument."""
    try:
        inspect.signature(function).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def _rows(name: str, a: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What has weight."""
    if a.shape[: weight.ndim] != weight.shape:
        raise ShapeError(f"{name!r}: weights or a mask of shape {weight.shape} do not fit an array of shape {a.shape}")
    return a[weight != 0]
