"""Means of what is computed along an axis: cosines and correlations."""

import jax.numpy as jnp

from fnlayers.plain_data import recordclass
from fnlayers.training import losses
from fnlayers.training.metrics.metric import EPSILON, Array, MeanMetric, check_pair
from fnlayers.training.takes import Takes


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
