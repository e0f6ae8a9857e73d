"""From a model's output to numbers: losses and metrics as weighted means.

A loss or metric is a function (y_pred, y_true) -> values, one for each example, or for each part of one. It averages
nothing: the average is taken here, over what has weight, so that padded rows and masked steps count in no number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.training.pairing import check_pair, explained, function_of, shapes_in
from fnlayers.training.takes import takes_of

Function = Callable[[Any, Any], Any]


class Term(NamedTuple):
    """One loss or metric: its name in the logs, which output it reads (None: all of them), its function."""

    name: str
    key: str | int | None
    function: Function

    def values(self, y_pred: Any, y_true: Any) -> jax.Array:
        """The function's values as floats, checked to be one for each example at least."""
        y_pred, y_true = select_output(y_pred, self.key, "the output"), select_output(y_true, self.key, "y")
        shapes = f"y_pred {shapes_in(y_pred)} and y {shapes_in(y_true)}"
        check_pair(self.name, self.function, y_pred, y_true)
        try:
            values = self.function(jax.tree.map(to_float32, y_pred), y_true)
        except Exception as error:
            if better := explained(self.name, error, y_pred, y_true):
                raise better from error
            error.add_note(f"in {self.name!r}, given {shapes}")
            raise
        return _as_values(self.name, values, jax.tree.leaves(y_pred)[0].shape[0], shapes)

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


@dataclass(frozen=True)
class Objective:
    """The losses and metrics of a training run, in the order of their columns in the logs.

    `outputs`: the outputs that a structured loss speaks of, those without one included; None: the loss is one function.
    """

    losses: tuple[Term, ...]
    metrics: tuple[Term, ...]
    outputs: tuple[str | int, ...] | None = None

    def measure(self, out: Any, y_true: Any, weight: Any, extra: Any) -> tuple[jax.Array, list, list]:
        """(the loss, the mean of each column, the weight behind each): losses, then `extra`, then metrics.

        `extra` is what is added to the objective besides the losses: penalties and activity losses, by the batch.
        """
        check_outputs(self, out.y)
        means, totals = [], []
        for term in self.losses:
            values = term.marked(term.values(out.y, y_true), out.y, y_true)
            mean, total = _mean(term, values, out, weight)
            means.append(mean)
            totals.append(total)
        loss = sum(means) + extra
        means.append(extra)
        totals.append(jnp.float32(jax.tree.leaves(out.y)[0].shape[0]))
        for term in self.metrics:
            mean, total = _mean(term, term.values(out.y, y_true), out, weight)
            means.append(mean)
            totals.append(total)
        return loss, means, totals

    def logs(self, means: Any) -> dict[str, Any]:
        """The columns by name: "loss" is the sum of all losses and of what is added to them."""
        count = len(self.losses)
        logs = {"loss": sum(means[: count + 1])}
        if count > 1:
            logs |= {term.name: mean for term, mean in zip(self.losses, means, strict=False)}
        return logs | {term.name: mean for term, mean in zip(self.metrics, means[count + 1 :], strict=True)}


def objective_of(loss: Any, metrics: Mapping[str, Any] | None = None) -> Objective:
    """Losses and metrics as given by a user, as terms.

    Arguments:
        loss: a function (y_pred, y_true) -> values; for a model with several outputs also a dict or tuple of them,
            structured like the output, None where an output has no loss.
        metrics: functions by name; or, for several outputs, a dict {output: {name: function}}.

    Raises:
        ConfigError: for a name, or anything else that is not a function.
    """
    if isinstance(loss, Mapping) or (isinstance(loss, (tuple, list)) and not callable(loss)):
        items = dict(loss if isinstance(loss, Mapping) else enumerate(loss))
        outputs = tuple(items)
        losses = [Term(f"{key}_loss", key, function_of("loss", f)) for key, f in items.items() if f is not None]
    else:
        outputs, losses = None, [Term("loss", None, function_of("loss", loss))]
    if not losses:
        raise ConfigError("no output has a loss; give loss= a function of (y_pred, y_true)")
    found = []
    if not isinstance(metrics, (Mapping, type(None))):
        raise ConfigError(f"metrics={metrics!r}: name them, as in metrics={{'accuracy': fnlayers.metrics.accuracy}}")
    for name, given in (metrics or {}).items():
        if isinstance(given, Mapping):
            found += [Term(f"{name}_{inner}", name, function_of("metric", f)) for inner, f in given.items()]
        else:
            found.append(Term(name, None, function_of("metric", given)))
    taken = {"loss", "seconds", "finite", *(term.name for term in losses)}
    for term in found:
        if term.name in taken:
            raise ConfigError(f"metrics: the name {term.name!r} is taken; choose another")
    return Objective(tuple(losses), tuple(found), outputs)


def check_outputs(objective: Objective, y_pred: Any) -> None:
    """Raise ConfigError unless a structured loss speaks of each output of the model, and of nothing else."""
    there = set(y_pred) if isinstance(y_pred, Mapping) else set(range(len(y_pred))) if _is_row(y_pred) else set()
    for term in objective.metrics:
        if term.key is not None and term.key not in there:
            raise ConfigError(
                f"metrics speak of the output {term.key!r}, but the model's are {_listed(there) or 'one array'}; for "
                "one output write metrics={name: function}"
            )
    named = set(objective.outputs or there)
    if named != there:
        raise ConfigError(
            f"loss speaks of the outputs {_listed(named)}, but the model's are {_listed(there) or 'one array'}; give a "
            "function for each, None where an output has no loss"
        )


def select_output(nest: Any, key: str | int | None, what: str = "it") -> Any:
    """One entry of a dict or tuple; all of it for None."""
    if key is None or nest is None:
        return nest
    try:
        if not (isinstance(nest, Mapping) or _is_row(nest)):
            raise TypeError
        return nest[key]
    except (KeyError, IndexError, TypeError):
        raise ConfigError(
            f"{what} has no {key!r}: it is {shapes_in(nest)}; structure y and the losses like the output"
        ) from None


def to_float32(a: Any) -> Any:
    """Half-precision floats as float32, in which losses are computed; anything else as it is."""
    half_precision = (jnp.bfloat16, jnp.float16)
    return a.astype("float32") if getattr(a, "dtype", None) in half_precision else a


def expand_weight(weight: Any, values: Any, name: str, what: str) -> Any:
    """A weight or mask over the first axes of `values`, brought to as many axes."""
    if weight.ndim > values.ndim or weight.shape != values.shape[: weight.ndim]:
        raise ShapeError(
            f"{name!r} returned values of shape {values.shape}, which the {what} of shape {weight.shape} does not fit: "
            + (
                "return a value for each step, or end the mask with fnlayers.DropMask()"
                if what == "mask"
                else "a weight is given for each example, or for each step of one"
            )
        )
    return weight.reshape(*weight.shape, *[1] * (values.ndim - weight.ndim))


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


def _mean(term: Term, values: jax.Array, out: Any, weight: Any) -> tuple[jax.Array, jax.Array]:
    """The mean of a term's values over what has weight, and that weight."""
    mask = _mask_of(term, out)
    if weight is None and mask is None:
        return jnp.mean(values), jnp.asarray(values.size, values.dtype)
    weights = jnp.ones((), values.dtype)
    if weight is not None:
        weights = weights * expand_weight(weight, values, term.name, "sample weight").astype(values.dtype)
    if mask is not None:
        weights = weights * expand_weight(mask, values, term.name, "mask").astype(values.dtype)
    weights = jnp.broadcast_to(weights, values.shape)
    total = jnp.sum(weights)
    # What has no weight is cleared before the product: 0 * NaN is NaN
    summed = jnp.sum(jnp.where(weights == 0, 0, values) * weights)
    return summed / jnp.where(total == 0, 1, total), total


def _mask_of(term: Term, out: Any) -> Any:
    """The mask of the output that a term reads."""
    if out.mask is None or not jax.tree.leaves(out.mask):
        return None
    mask = select_output(out.mask, term.key)
    if mask is not None and not hasattr(mask, "ndim"):
        raise ConfigError(
            f"{term.name!r} reads several outputs, and some have masks; give a function for each output, or end the "
            "masks with fnlayers.DropMask()"
        )
    return mask


def _listed(keys: set) -> str:
    return ", ".join(sorted(map(repr, keys)))


def _is_row(nest: Any) -> bool:
    return isinstance(nest, (tuple, list))
