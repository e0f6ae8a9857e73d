"""Metrics that are no means, whoever wrote them, as sums of batches: ours, a user's triple, those of google-metrax.

A step returns the sums of its batch alone, and they are merged on the host in double precision: so counts stay exact
however many examples there are, and nothing is carried from step to step on the device.
"""

import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.training.merging import check_merge, from_model_output, merging_class
from fnlayers.training.metrics import Metric


def is_accumulated(metric: Any) -> bool:
    """Whether something is a metric by sums: a triple, or a class that merges (see `merging_class`)."""
    return is_triple(metric) or merging_class(metric) is not None


def is_triple(metric: Any) -> bool:
    """Whether something has the three methods `init`, `update` and `result`."""
    methods = (getattr(metric, name, None) for name in ("init", "update", "result"))
    return not inspect.isclass(metric) and all(map(callable, methods))


class Accumulated:
    """A metric as the three things that an epoch needs.

    Arguments:
        name: what it is called in errors.
        metric: the metric, as it was given.
    """

    def __init__(self, name: str, metric: Any) -> None:
        self.name, self.metric = name, metric
        self.cls = None if is_triple(metric) else merging_class(metric)

    def of_batch(self, y_pred: Any, y_true: Any, weight: Any) -> Any:
        """The sums of one batch, a pytree of arrays."""
        if self.cls is not None:
            return from_model_output(self.name, self.metric, y_pred, y_true, weight)
        sums, update = self._init(y_pred), self.metric.update
        if weight is None:
            return update(sums, y_pred, y_true)
        if _most_arguments(update) < 4:
            raise ConfigError(
                f"the metric {self.name!r} has no argument for weights, and there are some, or a mask; write "
                "update(sums, y_pred, y_true, weight=None)"
            )
        return update(sums, y_pred, y_true, weight)

    def merge(self, sums: Any, others: Any) -> Any:
        """The sums of two parts as those of both; of NumPy arrays."""
        if self.cls is not None:
            return sums.merge(others)
        merge = getattr(self.metric, "merge", None)
        return merge(sums, others) if merge else jax.tree.map(lambda a, b: a + b, sums, others)

    def result(self, sums: Any, kinds: Any = None) -> Any:
        """What they give. `kinds`: the dtypes that code of others sees its arrays in again."""
        if isinstance(self.metric, Metric):
            return self.metric.result(sums)
        if kinds is not None:
            sums = jax.tree.map(lambda a, kind: jnp.asarray(a).astype(kind.dtype), sums, kinds)
        return sums.compute() if self.cls is not None else self.metric.result(sums)

    def check_sums(self, y_pred: Any, y_true: Any, sums: Any) -> None:
        """Raise ConfigError for a user's metric whose sums of two batches may not be added, and that has no merge.

        Arguments:
            y_pred, y_true, sums: anything with their shapes and dtypes.
        """
        if self.cls is not None:
            check_merge(self.name, self.metric, sums)
        if self.cls is not None or isinstance(self.metric, Metric) or hasattr(self.metric, "merge"):
            return
        y_pred = jax.tree.map(lambda a: jnp.linspace(0.1, 0.9, int(np.prod(a.shape))).reshape(a.shape), y_pred)
        y_true = jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), y_true)
        none = self._init(y_pred)
        once = self.metric.update(none, y_pred, y_true)
        twice = self.metric.update(once, y_pred, y_true)
        adds = jax.tree.map(lambda a, b, c: not np.any(a) and np.allclose(c, 2 * b, equal_nan=True), none, once, twice)
        if not all(jax.tree.leaves(adds)):
            raise ConfigError(
                f"the metric {self.name!r}: its update does not add to sums that begin at 0, so those of two batches "
                "cannot be added; give it a method merge(sums, others) that returns those of both"
            )

    def _init(self, y_pred: Any) -> Any:
        """The sums of nothing."""
        if _most_arguments(self.metric.init) == 0:
            return self.metric.init()
        return self.metric.init(jax.tree.map(lambda a: tuple(a.shape), y_pred))


class Gathered(NamedTuple):
    """The sums of several metrics as one vector of floats, and how two such vectors become one.

    Arguments:
        metrics: the metrics.
        kinds: the shapes and dtypes of each one's sums.
    """

    metrics: tuple[Accumulated, ...]
    kinds: tuple[Any, ...]

    @property
    def size(self) -> int:
        """The length of the vector."""
        return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(self.kinds))

    def merge(self, sums: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The sums of two parts as those of both."""
        if all(isinstance(metric.metric, Metric) for metric in self.metrics):
            return sums + others
        parts = zip(self.metrics, self._trees(sums), self._trees(others), strict=True)
        return self.vector([metric.merge(a, b) for metric, a, b in parts])

    def results(self, sums: np.ndarray) -> dict[str, Any]:
        """The metrics by name: floats, or nested lists of them."""
        parts = zip(self.metrics, self._trees(sums), self.kinds, strict=True)
        return {metric.name: _numbers(metric.name, metric.result(tree, kind)) for metric, tree, kind in parts}

    @staticmethod
    def vector(trees: Any) -> np.ndarray:
        """The sums in one row."""
        return np.concatenate(
            [np.ravel(np.asarray(leaf, "float64")) for leaf in jax.tree.leaves(trees)] or [np.zeros(0)]
        )

    def _trees(self, vector: np.ndarray) -> list:
        """The sums of each metric."""
        leaves, structure = jax.tree.flatten(self.kinds)
        ends = np.cumsum([int(np.prod(leaf.shape)) for leaf in leaves])
        rows = np.split(vector, ends[:-1]) if leaves else []
        shaped = [row.reshape(leaf.shape) for row, leaf in zip(rows, leaves, strict=True)]
        return list(jax.tree.unflatten(structure, shaped))


def _numbers(name: str, result: Any) -> Any:
    """What a metric gave, as a float or as nested lists of floats."""
    try:
        return np.asarray(result, "float64").tolist()
    except (TypeError, ValueError):
        raise ConfigError(
            f"the metric {name!r}: result returned {shortened(result)}; return a number, or an array of numbers"
        ) from None


def _most_arguments(function: Any) -> int:
    """How many arguments a function takes by position."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 4
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 4
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
