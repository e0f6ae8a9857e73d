"""One loss or metric of a training, and its values: the output that it reads, as floats, checked.

A loss or metric is a function (y_pred, y_true) -> values, one for each example, or for each part of one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.training.known import takes_of
from fnlayers.training.outputs import Key, select_output
from fnlayers.training.pairing import check_pair, explained, shapes_in

Function = Callable[[Any, Any], Any]


class Term(NamedTuple):
    """One loss or metric: its name in the logs, which outputs it reads (None: all of them), its function."""

    name: str
    key: Key
    function: Function

    def values(self, y_pred: Any, y_true: Any, is_loss: bool = False) -> jax.Array:
        """The function's values as floats, checked to be one for each example at least, and of a loss to be floats."""
        y_pred, y_true = select_output(y_pred, self.key, "the output"), select_output(y_true, self.key, "y")
        shapes = f"y_pred {shapes_in(y_pred)} and y {shapes_in(y_true)}"
        check_pair(self.name, self.function, y_pred, y_true)
        try:
            values = self.function(to_floats(y_pred), y_true)
        except Exception as error:
            if better := explained(self.name, error, y_pred, y_true):
                raise better from error
            error.add_note(f"in {self.name!r}, given {shapes}")
            raise
        of_examples = _as_values(self.name, values, jax.tree.leaves(y_pred)[0].shape[0], shapes)
        if is_loss and not jnp.issubdtype(values.dtype, jnp.floating):
            raise ConfigError(f"{self.name!r} returned {values.dtype} numbers, which have no gradient; return floats")
        return of_examples

    def marked(self, values: jax.Array, y_pred: Any, y_true: Any) -> jax.Array:
        """The values, NaN for a label that the loss cannot take: most losses return some number, -1 the last class's.

        So a step finds wrong labels on a device as it finds numbers that are not finite, and nothing waits for them.
        """
        takes, y_true = takes_of(self.function), select_output(y_true, self.key)
        if takes is None:
            return values
        y_pred = select_output(y_pred, self.key)
        wrong = takes.is_wrong(jnp.asarray(y_true), y_pred.shape[takes.axis])
        if wrong is None:
            return values
        if wrong.ndim > values.ndim:
            wrong = jnp.any(wrong, takes.axis)
        return jnp.where(wrong, jnp.nan, values) if wrong.shape == values.shape else values


def to_float32(a: Any) -> Any:
    """Half-precision floats as float32, in which losses are computed; anything else as it is."""
    half_precision = (jnp.bfloat16, jnp.float16)
    return a.astype("float32") if getattr(a, "dtype", None) in half_precision else a


def to_floats(nest: Any) -> Any:
    """`to_float32` of each array."""
    return jax.tree.map(to_float32, nest)


def _as_values(name: str, values: Any, rows: int, shapes: str) -> jax.Array:
    """What a loss or metric returned, as floats: a value for each of so many rows, or for each part of one."""
    if not isinstance(values, (jax.Array, np.ndarray, np.generic, int, float)):
        raise ConfigError(f"{name!r} returned {type(values).__name__}; return an array of values, given {shapes}")
    if jnp.ndim(values) == 0:
        raise ConfigError(
            f"{name!r} returned one number for the whole batch; return a value for each example (leave out "
            "the mean), so that weights and ragged batches count right"
        )
    values = jnp.asarray(values)
    if values.shape[0] != rows:
        raise ShapeError(f"{name!r} returned values of shape {values.shape} for {rows} examples, {shapes}")
    if jnp.issubdtype(values.dtype, jnp.complexfloating):
        raise ConfigError(f"{name!r} returned complex numbers, which have no order; return their abs or real part")
    return to_float32(values if jnp.issubdtype(values.dtype, jnp.floating) else values.astype("float32"))
