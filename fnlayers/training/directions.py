"""Which way is better: for a loss less; a metric says it itself, by being one that we know, or by its `better`."""

import functools
from collections.abc import Mapping
from typing import Any, get_args

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import FrozenDict, choices, did_you_mean
from fnlayers.training import metrics
from fnlayers.training.known import KNOWN
from fnlayers.training.merging import better_of_class, merging_class
from fnlayers.training.objective import Objective
from fnlayers.training.takes import Better


def direction_of(function: Any) -> str | None:
    """Which way is better: "max" if more of a metric is better, "min" if less is, None if nothing says so.

    >>> direction_of(metrics.accuracy), direction_of(metrics.mean_squared_error), direction_of(lambda p, t: p)
    ('max', 'min', None)
    """
    better = getattr(function, "better", None)
    if better is not None:
        if better not in get_args(Better):
            raise ConfigError(f"the metric {function!r}: {choices('better', better, get_args(Better))}")
        return better
    if cls := merging_class(function):
        return better_of_class(cls)
    if isinstance(function, functools.partial):
        return direction_of(function.func)
    if isinstance(function, metrics.TopKAccuracy):
        return "max"
    try:
        return KNOWN[function].better if function in KNOWN else None
    except TypeError:  # it does not hash
        return None


def directions_of(objective: Objective, held_out: bool) -> Mapping[str, str | None]:
    """For each name in the logs which way is better; the losses are minimized.

    Arguments:
        objective: losses and metrics.
        held_out: whether there are validation data.
    """
    means = [0.0] * (len(objective.losses) + 1 + len(objective.metrics))
    names = objective.logs(means, dict.fromkeys(term.name for term in objective.sums))
    directions: dict[str, str | None] = dict.fromkeys(names, "min")
    directions |= {term.name: direction_of(term.function) for term in (*objective.metrics, *objective.sums)}
    if held_out:
        directions |= {f"val_{name}": direction for name, direction in directions.items()}
        directions |= {f"val_{term.name}": direction_of(term.function) for term in objective.whole}
    return FrozenDict(directions | {"seconds": "min"})


def with_skipped(directions: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """The directions with that of the number of steps that were left out, which fit(guard="skip") logs.

    Raises:
        ConfigError: where a metric has its name.
    """
    if "skipped" in directions:
        raise ConfigError("metrics: the name 'skipped' is taken with guard='skip'; choose another")
    return FrozenDict({**directions, "skipped": "min"})


def direction(monitor: str, mode: Better | None, directions: Mapping[str, str | None]) -> str:
    """The direction of a name in the logs, "min" or "max".

    Raises:
        ConfigError: for a name that is not there, and for one of which nothing says which way is better.
    """
    if monitor not in directions:
        if monitor.startswith("val_") and not any(name.startswith("val_") for name in directions):
            hint = "give fit validation_data"
        else:
            hint = did_you_mean(monitor, directions)
        raise ConfigError(f"{monitor!r} is not among the logs ({', '.join(directions)}){hint and f'; {hint}'}")
    better = mode or directions[monitor]
    if better is None:
        raise ConfigError(
            f"nothing says whether more or less of {monitor!r} is better; write mode='max' or mode='min', or give the "
            "metric's function an attribute: better = 'max'"
        )
    return better
