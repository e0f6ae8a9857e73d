"""Which way is better: for a loss less; a metric says it itself, by being one that we know, or by its `better`."""

import functools
from collections.abc import Mapping
from typing import Any

import optax

from fnlayers.core.errors import ConfigError
from fnlayers.core.frozen import FrozenDict
from fnlayers.training import losses, metrics
from fnlayers.training.objective import Objective

_MAX = frozenset(
    {
        metrics.accuracy,
        metrics.categorical_accuracy,
        metrics.binary_accuracy,
        metrics.cosine_similarity,
        optax.cosine_similarity,
    }
)
_MIN = frozenset(
    {
        metrics.mean_absolute_error,
        metrics.mean_squared_error,
        metrics.mean_absolute_percentage_error,
        losses.categorical_crossentropy,
        losses.sparse_categorical_crossentropy,
        losses.binary_crossentropy,
        optax.squared_error,
        optax.l2_loss,
        optax.huber_loss,
        optax.log_cosh,
        optax.hinge_loss,
        optax.cosine_distance,
        optax.softmax_cross_entropy,
        optax.softmax_cross_entropy_with_integer_labels,
        optax.sigmoid_binary_cross_entropy,
        optax.sigmoid_focal_loss,
    }
)


def direction_of(function: Any) -> str | None:
    """Which way is better: "max" if more of a metric is better, "min" if less is, None if nothing says so.

    >>> direction_of(metrics.accuracy), direction_of(metrics.mean_squared_error), direction_of(lambda p, t: p)
    ('max', 'min', None)
    """
    said = getattr(function, "better", None)
    if said is not None:
        if said not in ("min", "max"):
            raise ConfigError(f"the metric {function!r} has better={said!r}; choose from 'min', 'max'")
        return said
    if isinstance(function, functools.partial):
        return direction_of(function.func)
    if isinstance(function, metrics.TopKAccuracy):
        return "max"
    try:
        return "max" if function in _MAX else "min" if function in _MIN else None
    except TypeError:  # it does not hash
        return None


def directions_of(objective: Objective, held_out: bool) -> Mapping[str, str | None]:
    """For each name in the logs which way is better; the losses are minimized.

    Arguments:
        objective: losses and metrics.
        held_out: whether there are validation data.
    """
    names = objective.logs([0.0] * (len(objective.losses) + 1 + len(objective.metrics)))
    said: dict[str, str | None] = dict.fromkeys(names, "min")
    said |= {term.name: direction_of(term.function) for term in objective.metrics}
    if held_out:
        said |= {f"val_{name}": direction for name, direction in said.items()}
    return FrozenDict(said | {"seconds": "min"})


def direction(monitor: str, mode: str | None, directions: Mapping[str, str | None]) -> str:
    """The direction of a name in the logs, "min" or "max".

    Raises:
        ConfigError: for a name that is not there, and for one of which nothing says which way is better.
    """
    if monitor not in directions:
        hint = "; give fit validation_data" if monitor.startswith("val_") else ""
        raise ConfigError(f"{monitor!r} is not among the logs ({', '.join(directions)}){hint}")
    found = mode or directions[monitor]
    if found is None:
        raise ConfigError(
            f"nothing says whether more or less of {monitor!r} is better; write mode='max' or mode='min', or give the "
            "metric's function an attribute: better = 'max'"
        )
    return found
