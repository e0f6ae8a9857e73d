"""Metrics of numbers that are no means."""

from collections.abc import Mapping
from typing import Any, Literal

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.plain_data import recordclass
from fnlayers.training.losses import sparse_categorical_crossentropy
from fnlayers.training.metrics.metric import (
    Array,
    MeanMetric,
    Metric,
    Sums,
    check_pair,
    divide,
    namespace,
    weighted_sum,
    weights_of,
)
from fnlayers.training.takes import Takes


@recordclass
class RootMeanSquaredError(MeanMetric):
    """The root of the mean of (y_pred - y_true)^2.

    Arguments:
        name: what it is called in the logs.
    """

    name: str = "root_mean_squared_error"
    better = "min"

    @property
    def takes(self) -> Takes:
        """Numbers."""
        return Takes("fnlayers.metrics.RootMeanSquaredError", "numbers")

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """The squares."""
        check_pair(self, y_pred, y_true)
        return jnp.square(y_pred - y_true)

    def result(self, sums: Sums) -> Array:
        """The root of their mean."""
        return namespace(*sums.values()).sqrt(super().result(sums))


@recordclass
class R2Score(Metric):
    """The coefficient of determination: 1 for predictions without an error, 0 for those as good as the mean.

    Arguments:
        class_aggregation: how the outputs' scores become one: "uniform_average", "variance_weighted_average"; None:
            they stay apart.
        num_regressors: above 0, the score is adjusted for so many independent variables.
        name: what it is called in the logs.

    y_pred, y_true: (..., outputs).

    Example:
        >>> metric = R2Score()
        >>> sums = metric.update(metric.init(), jnp.array([[1.0], [2.0], [4.0]]), jnp.array([[1.0], [2.0], [3.0]]))
        >>> float(metric.result(sums))
        0.5
    """

    class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = "uniform_average"
    num_regressors: int = 0
    name: str = "r2_score"

    def check(self) -> None:
        """There are not fewer than no variables."""
        if self.num_regressors < 0:
            raise ConfigError(f"R2Score: num_regressors={self.num_regressors}: give 0 or more")

    @property
    def better(self) -> str | None:  # type: ignore[override]
        """More; of a score for each output nothing is."""
        return None if self.class_aggregation is None else "max"

    @property
    def takes(self) -> Takes:
        """Numbers."""
        return Takes("fnlayers.metrics.R2Score", "numbers", better=self.better)

    def sizes(self, shape: tuple | None) -> Mapping[str, tuple]:
        """A number for each output."""
        size = () if shape is None else (shape[-1],)
        return {"sum": size, "squares": size, "residual": size, "weight": size, "count": ()}

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """Of one batch."""
        check_pair(self, y_pred, y_true)
        if y_pred.ndim < 2:
            raise ShapeError(f"R2Score takes y_pred of shape (examples, outputs), got {y_pred.shape}")
        weight, axes = weights_of(self, weight, y_pred.shape), tuple(range(y_pred.ndim - 1))
        return {
            "sum": weighted_sum(y_true, weight, axes),
            "squares": weighted_sum(y_true * y_true, weight, axes),
            "residual": weighted_sum(jnp.square(y_true - y_pred), weight, axes),
            "weight": jnp.sum(weight, axes),
            "count": jnp.sum(weight != 0).astype("float32"),
        }

    def result(self, sums: Sums) -> Array:
        """The score, or one for each output."""
        xp = namespace(*sums.values())
        spread = sums["squares"] - sums["sum"] * divide(sums["sum"], sums["weight"])
        scores = xp.where(spread == 0, xp.where(sums["residual"] == 0, xp.nan, 0), 1 - divide(sums["residual"], spread))
        if self.class_aggregation == "uniform_average":
            scores = xp.mean(scores)
        elif self.class_aggregation is not None:
            scores = xp.sum(spread * scores) / xp.sum(spread)
        left = sums["count"] - self.num_regressors - 1
        if not self.num_regressors:
            return scores
        return xp.where(left > 0, 1 - (1 - scores) * divide(sums["count"] - 1, left), scores)


@recordclass
class Perplexity(MeanMetric):
    """e to the mean crossentropy of class numbers: between how many classes, or tokens, the model is undecided.

    Arguments:
        from_logits: whether y_pred are logits; False: probabilities.
        mask_token_id: a class number in y_true that does not count, such as that of padding.
        name: what it is called in the logs.

    y_pred: (..., classes); y_true: (...), class numbers.

    Example:
        >>> metric = Perplexity()
        >>> round(float(metric.result(metric.update(metric.init(), jnp.full((2, 4), 0.25), jnp.array([0, 3])))), 4)
        4.0
    """

    from_logits: bool = False
    mask_token_id: int | None = None
    name: str = "perplexity"
    better = "min"

    @property
    def takes(self) -> Takes:
        """Logits or probabilities, and class numbers."""
        name = "fnlayers.metrics.Perplexity"
        form, other = ("logits", f"{name}()") if self.from_logits else ("probabilities", f"{name}(from_logits=True)")
        return Takes(name, "classes", form, other, ignore=self.mask_token_id)

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """The crossentropies."""
        return sparse_categorical_crossentropy(y_pred, y_true, from_logits=self.from_logits)

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """Of one batch, without what is masked."""
        if self.mask_token_id is not None:
            weight = weights_of(self, weight, y_true.shape) * (y_true != self.mask_token_id)
        return super().counts(y_pred, y_true, weight)

    def result(self, sums: Sums) -> Array:
        """E to their mean."""
        return namespace(*sums.values()).exp(super().result(sums))
