"""The form of metrics that are no means of values: three pure functions of arrays.

    sums = metric.init()                                  # of no example
    sums = metric.update(sums, y_pred, y_true, weight)    # and of those of a batch
    number = metric.result(sums)

The sums are arrays, so `jit`, `scan` and `vmap` take them. Those of two parts of a data set, batches or devices, are
added.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, LayerError, ShapeError
from fnlayers.core.values import check_values
from fnlayers.functions.options import Options
from fnlayers.training.takes import Takes

Array = Any  # of JAX or NumPy
Sums = dict[str, Any]
EPSILON = 1e-7  # Keras's


class Metric(Options):
    """Base of the metrics of this package: plain data, compared by their options.

    A subclass writes `sizes`, `counts` and `result`, and says by `better` which way is better ("max", "min", None where
    nothing says so, as of several numbers), and by `takes` what it is given.
    """

    name: str
    better: ClassVar[str | None] = "max"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        named = {field.name for field, _ in zip(dataclasses.fields(self), args, strict=False)} | set(kwargs)
        needed = [f.name for f in dataclasses.fields(self) if f.default is dataclasses.MISSING and f.name not in named]
        if needed:
            raise ConfigError(f"{type(self).__name__} needs {', '.join(needed)}; write {_call(self, needed)}")
        try:
            super().__init__(*args, **kwargs)
            self.check()
        except LayerError:
            raise
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def check(self) -> None:
        """Raise ConfigError for options that do not go together."""

    @property
    def takes(self) -> Takes | None:
        """What y_pred and y are to be; None: it says so itself."""
        return None

    def sizes(self, shape: tuple | None) -> Mapping[str, tuple]:
        """The shape of each sum for y_pred of that shape."""
        raise NotImplementedError

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """The sums of one batch alone."""
        raise NotImplementedError

    def init(self, shape: tuple | None = None) -> Sums:
        """The sums of no example.

        Arguments:
            shape: y_pred's, for metrics that have a sum for each class or output; without it they are numbers until
                the first update, which a `scan` does not take.
        """
        return {name: jnp.zeros(size, "float32") for name, size in self.sizes(shape).items()}

    def update(self, sums: Sums, y_pred: Array, y_true: Array, weight: Any = None) -> Sums:
        """The sums with those of a batch added.

        Arguments:
            sums: of what was before.
            y_pred: what the model returned.
            y_true: what it should have been.
            weight: a number for each example, or for each step of one; 0: it does not count at all. None: 1.

        Raises:
            ShapeError: for y_pred, y_true and weight that do not fit each other.
            ConfigError: for 64-bit integers on the host that 32 bits cannot hold.
        """
        for array, name in ((y_pred, "y_pred"), (y_true, "y")):
            check_values(array, name)
        y_pred, y_true = jnp.asarray(y_pred), jnp.asarray(y_true)
        if jnp.issubdtype(y_pred.dtype, jnp.floating):
            y_pred = y_pred.astype(jnp.promote_types(y_pred.dtype, "float32"))
        counted = self.counts(y_pred, y_true, None if weight is None else jnp.asarray(weight, "float32"))
        return {name: sums[name] + count for name, count in counted.items()}

    def merge(self, sums: Sums, others: Sums) -> Sums:
        """The sums of two parts of a data set as those of both."""
        return jax.tree.map(lambda a, b: a + b, sums, others)

    def result(self, sums: Sums) -> Array:
        """The number that they give; of NumPy arrays in NumPy, in their precision."""
        raise NotImplementedError


class MeanMetric(Metric):
    """Base of the metrics that are weighted means; a subclass writes `values`."""

    def values(self, y_pred: Array, y_true: Array) -> Array:
        """A value for each example, or for each part of one."""
        raise NotImplementedError

    def sizes(self, shape: tuple | None) -> Mapping[str, tuple]:
        """One total."""
        return {"total": (), "weight": ()}

    def counts(self, y_pred: Array, y_true: Array, weight: Any) -> Sums:
        """The sum of the values, and of their weights."""
        values = self.values(y_pred, y_true)
        weight = weights_of(self, weight, values.shape)
        return {"total": weighted_sum(values, weight), "weight": jnp.sum(weight)}

    def result(self, sums: Sums) -> Array:
        """Their mean; 0 where nothing had weight."""
        return divide(sums["total"], sums["weight"])


def namespace(*arrays: Any) -> Any:
    """Numpy where all of these are its arrays, else jax.numpy."""
    return np if all(isinstance(a, (np.ndarray, np.generic, int, float)) for a in arrays) else jnp


def divide(a: Any, b: Any) -> Any:
    """A / b, and 0 where b is 0."""
    xp = namespace(a, b)
    return xp.where(b == 0, 0, a / xp.where(b == 0, 1, b))


def weights_of(metric: Metric, weight: Any, shape: tuple) -> Array:
    """The weights of values of that shape, from those of their first axes."""
    if weight is None:
        return jnp.ones(shape, "float32")
    if weight.ndim > len(shape) or weight.shape != tuple(shape[: weight.ndim]):
        raise ShapeError(
            f"{type(metric).__name__}: the weight of shape {weight.shape} does not fit values of shape {tuple(shape)}; "
            "give one for each example, or for each step of one"
        )
    return jnp.broadcast_to(weight.reshape(*weight.shape, *[1] * (len(shape) - weight.ndim)), shape)


def weighted_sum(values: Array, weight: Array, axis: Any = None) -> Array:
    """The sum of the products; what has no weight is left out, also where it is not finite."""
    return jnp.sum(jnp.where(weight == 0, 0, values * weight), axis)


def check_pair(metric: Metric, y_pred: Array, y_true: Array) -> None:
    """Raise ShapeError unless both have one shape."""
    if y_pred.shape != y_true.shape:
        raise ShapeError(
            f"{type(metric).__name__} takes two arrays of one shape, got y_pred {y_pred.shape} and y {y_true.shape}; "
            "reshape one of them"
        )


def in_unit(metric: Metric, name: str, value: Any) -> None:
    """Raise ConfigError unless an option is a number from 0 to 1."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{type(metric).__name__}: {name}={value!r} is wrong; {name} must be from 0 to 1")


def _call(metric: Metric, needed: list[str]) -> str:
    return f"{type(metric).__name__}({', '.join(f'{name}=...' for name in needed)})"
