"""From a model's output to numbers: losses and metrics as weighted means.

A loss or metric is a function (y_pred, y_true) -> values, one for each example, or for each part of one. It averages
nothing: the average is taken here, over what has weight, so that padded rows and masked steps count in no number.
Metrics that are no means give sums of a batch, which are merged elsewhere (`Gathered`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.training.accumulated import Accumulated, Gathered, is_accumulated
from fnlayers.training.known import takes_of
from fnlayers.training.metrics import OnWholeSet
from fnlayers.training.names import loss_named, metric_named
from fnlayers.training.outputs import Key, Name, is_sequence, names_in, outputs_in, prefix, select_output
from fnlayers.training.pairing import check_pair, explained, function_of, shapes_in
from fnlayers.training.terms import Function, Term, to_floats
from fnlayers.training.weighting import weight_of, weighted_mean


class Numbers(NamedTuple):
    """What a batch gives: the mean of each column, the weight behind it, and the sums of metrics that are no means."""

    means: list
    totals: list
    sums: list


@dataclass(frozen=True)
class Objective:
    """The losses and metrics of a training run, in the order of their columns in the logs.

    Arguments:
        losses: functions, whose weighted sum is minimized.
        metrics: functions that are averaged.
        outputs: the outputs that a structured loss speaks of, those without one included; None: the loss is one
            function.
        weights: the losses' weights; None: 1 each.
        sums: metrics that are no means, by sums of batches.
        whole: functions of all of a set at once (`fnlayers.metrics.OnWholeSet`).
        order: the metrics' names as they were given.
    """

    losses: tuple[Term, ...]
    metrics: tuple[Term, ...]
    outputs: tuple[Name, ...] | None = None
    weights: tuple[float, ...] | None = None
    sums: tuple[Term, ...] = ()
    whole: tuple[Term, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def terms(self) -> tuple[Term, ...]:
        """Losses and metrics of all kinds."""
        return (*self.losses, *self.metrics, *self.sums, *self.whole)

    def measure(self, out: Any, y_true: Any, weight: Any, extra: Any) -> tuple[jax.Array, Numbers]:
        """(the loss, the numbers of the batch): columns are losses, then `extra`, then metrics.

        `extra` is what is added to the objective besides the losses: penalties and activity losses, by the batch.
        """
        check_outputs(self, out.y)
        means, totals = [], []
        for term in self.losses:
            values = term.marked(term.values(out.y, y_true, is_loss=True), out.y, y_true)
            mean, total = weighted_mean(term, values, out, y_true, weight)
            means.append(mean)
            totals.append(total)
        loss = self._weighted(means) + extra
        means.append(extra)
        totals.append(jnp.float32(jax.tree.leaves(out.y)[0].shape[0]))
        for term in self.metrics:
            mean, total = weighted_mean(term, term.values(out.y, y_true), out, y_true, weight)
            means.append(mean)
            totals.append(total)
        return loss, Numbers(means, totals, self.gather(out, y_true, weight))

    def gather(self, out: Any, y_true: Any, weight: Any) -> list:
        """The sums of a batch, for each metric that is no mean."""
        sums = []
        for term in self.sums:
            y_pred = jax.tree.map(jax.lax.stop_gradient, select_output(out.y, term.key, "the output"))
            y = select_output(y_true, term.key, "y")
            check_pair(term.name, term.function, y_pred, y)
            weights = weight_of(term, out, weight)
            try:
                sums.append(Accumulated(term.name, term.function).of_batch(to_floats(y_pred), y, weights))
            except Exception as error:
                if better := explained(term.name, error, y_pred, y):
                    raise better from error
                error.add_note(f"in {term.name!r}, given y_pred {shapes_in(y_pred)} and y {shapes_in(y)}")
                raise
        return sums

    def gathered(self, out: Any, batch: Any) -> Gathered:
        """How the sums of batches like this one are merged, `out` being the model's Out with the shapes of its output.

        Raises:
            LayerError: for a metric that does not fit its output.
        """
        kinds = jax.eval_shape(self.gather, out, batch.y, batch.weight)
        metrics = [Accumulated(term.name, term.function) for term in self.sums]
        for term, metric, sums in zip(self.sums, metrics, kinds, strict=True):
            metric.check_sums(select_output(out.y, term.key), select_output(batch.y, term.key), sums)
        return Gathered(tuple(metrics), tuple(kinds))

    def for_whole_set(self, out: Any, weight: Any) -> list:
        """For each function of a whole set: (its output, the weight of each example or step, None for 1)."""
        return [(to_floats(select_output(out.y, term.key)), weight_of(term, out, weight)) for term in self.whole]

    def logs(self, means: Any, results: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The columns by name: "loss" is the weighted sum of all losses, and of what is added to them.

        Arguments:
            means: the mean of each column.
            results: of the metrics that are no means, those that are known.
        """
        count = len(self.losses)
        logs = {"loss": self._weighted(means[:count]) + means[count]}
        if count > 1:
            logs |= {term.name: mean for term, mean in zip(self.losses, means, strict=False)}
        of_metrics = {term.name: mean for term, mean in zip(self.metrics, means[count + 1 :], strict=True)}
        return self.in_order(logs | of_metrics | dict(results or {}))

    def in_order(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """The logs with the metrics behind the losses, as they were given."""
        first = {name: value for name, value in logs.items() if name not in self.order}
        return first | {name: logs[name] for name in self.order if name in logs}

    def _weighted(self, means: Any) -> Any:
        """The sum of the losses."""
        if self.weights is None:
            return sum(means)
        return sum(weight * mean for weight, mean in zip(self.weights, means, strict=True))


def objective_of(loss: Any, metrics: Any = None, model: Any = None, loss_weights: Any = None) -> Objective:
    """Losses and metrics as given by a user, as terms.

    Arguments:
        loss: a function (y_pred, y_true) -> values, or Keras's name of one; for a model with several outputs also a
            dict or tuple of them, structured like the output, None where an output has no loss; in a dict also one for
            several outputs together, by the tuple of their names.
        metrics: functions, metrics or names, by name, or a list of metrics and names; for several outputs also a dict
            {output: such}.
        model: the model, whose end says whether a loss given by name is of logits or of probabilities.
        loss_weights: for several losses a number for each, structured like them.

    Raises:
        ConfigError: for a name that there is not, or anything else that is no loss or metric.
    """
    if isinstance(loss, Mapping) or (isinstance(loss, (tuple, list)) and not callable(loss)):
        items = dict(loss if isinstance(loss, Mapping) else enumerate(loss))
        outputs: tuple | None = outputs_in(items)
        losses = [Term(f"{prefix(key)}loss", key, _loss(f, model, key)) for key, f in items.items() if f is not None]
    else:
        outputs, losses = None, [Term("loss", None, _loss(loss, model, None))]
    if not losses:
        raise ConfigError("no output has a loss; give loss= a function of (y_pred, y_true)")
    terms = [_metric(*item, model, losses) for item in _named(metrics)]
    _check_names(losses, terms)
    whole = tuple(term for term in terms if isinstance(term.function, OnWholeSet))
    sums = tuple(term for term in terms if is_accumulated(term.function) and term not in whole)
    means = tuple(term for term in terms if term not in whole and term not in sums)
    weights = _loss_weights(losses, loss_weights)
    return Objective(tuple(losses), means, outputs, weights, sums, whole, tuple(term.name for term in terms))


def _check_names(losses: list[Term], metrics: list[Term]) -> None:
    """Each number of the logs needs a name of its own."""
    taken = {"seconds", "finite"} if [term.key for term in losses] == [None] else {"loss", "seconds", "finite"}
    for what, terms in (("loss", losses), ("metrics", metrics)):
        for term in terms:
            if term.name in taken:
                raise ConfigError(f"{what}: the name {term.name!r} is taken; choose another")
            taken.add(term.name)


def _loss(loss: Any, model: Any, key: Key) -> Function:
    if isinstance(key, tuple) and (isinstance(loss, str) or (callable(loss) and takes_of(loss) is not None)):
        raise ConfigError(
            f"loss: {loss!r} takes one output, and {key!r} are several; give a function (y_pred, y_true) -> a value "
            "for each example, of which both are tuples in this order"
        )
    return function_of("loss", loss_named(loss, model, key) if isinstance(loss, str) else loss)


def _metric(name: str, key: Any, metric: Any, model: Any, losses: list[Term]) -> Term:
    """One metric, by whatever it was given."""
    if isinstance(metric, str):
        loss = next((term.function for term in losses if term.key == key), losses[0].function)
        metric = metric_named(metric, model, key, loss)
    accepted = isinstance(metric, OnWholeSet) or is_accumulated(metric)
    function: Any = metric if accepted else function_of("metric", metric)
    return Term(name, key, function)


def _named(metrics: Any, key: Any = None) -> list[tuple[str, Any, Any]]:
    """(name, output, metric) of each of a user's metrics."""
    if metrics is None:
        return []
    before = prefix(key)
    if isinstance(metrics, Mapping):
        items = []
        for name, metric in metrics.items():
            if isinstance(metric, (Mapping, list)) and key is None:
                items += _named(metric, name)
            else:
                items.append((f"{before}{name}", key, metric))
        return items
    if not isinstance(metrics, (list, tuple)):
        raise ConfigError(
            f"metrics={metrics!r}: give a list, as in metrics=['accuracy'], or name them, as in "
            "metrics={'accuracy': fnlayers.metrics.accuracy}"
        )
    names = [g if isinstance(g, str) else getattr(g, "name", getattr(g, "__name__", "")) for g in metrics]
    for name, metric in zip(names, metrics, strict=True):
        if not isinstance(name, str) or not name or name == "<lambda>":
            raise ConfigError(f"metrics: {metric!r} has no name; give a dict, as in metrics={{'name': function}}")
    return [(f"{before}{name}", key, metric) for name, metric in zip(names, metrics, strict=True)]


def _loss_weights(losses: list[Term], loss_weights: Any) -> tuple[float, ...] | None:
    """A number for each loss."""
    if loss_weights is None:
        return None
    items: Any = dict(enumerate(loss_weights)) if is_sequence(loss_weights) else loss_weights
    keys = [term.key for term in losses]
    if not isinstance(items, Mapping) or keys == [None]:
        raise ConfigError(
            f"loss_weights={loss_weights!r}: give a number for each output's loss, structured like loss; one loss "
            "needs none"
        )
    if surplus := [key for key in items if key not in keys]:
        raise ConfigError(f"loss_weights speak of {surplus[0]!r}, which has no loss; those with one are {keys}")
    for key, value in items.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
            raise ConfigError(f"loss_weights: that of {key!r} is {value!r}; give a finite number")
    return tuple(float(items.get(key, 1.0)) for key in keys)


def check_outputs(objective: Objective, y_pred: Any) -> None:
    """Raise ConfigError unless a structured loss speaks of each output of the model, and of nothing else."""
    there = set(y_pred) if isinstance(y_pred, Mapping) else set(range(len(y_pred))) if is_sequence(y_pred) else set()
    for term in (*objective.metrics, *objective.sums, *objective.whole):
        if absent := [name for name in names_in(term.key) if name not in there]:
            raise ConfigError(
                f"metrics speak of the output {absent[0]!r}, but the model's are {_listed(there) or 'one array'}; for "
                "one output write metrics={name: function}"
            )
    named = set(objective.outputs or there)
    if named != there:
        raise ConfigError(
            f"loss speaks of the outputs {_listed(named)}, but the model's are {_listed(there) or 'one array'}; give a "
            "function for each, None where an output has no loss"
        )


def _listed(keys: set) -> str:
    return ", ".join(sorted(map(repr, keys)))
