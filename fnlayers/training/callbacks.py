"""Callbacks: functions of an `Event`, called at the end of each epoch. One that returns True ends the training.

A callback sees all that happened in `event.history`, so those here keep nothing themselves: they are plain data, and
serve any number of runs. One that has a method `keeps(event)` also says whether the train state of that epoch is to be
selected; `fit` then returns the one selected last. One that has a method `check_monitor(directions)` gets the names
that will be in the logs before the first step.
"""

import csv
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import choices
from fnlayers.training.data import whole_number
from fnlayers.training.directions import direction
from fnlayers.training.state import TrainState, copied
from fnlayers.training.takes import Better


class ReadOnly(dict):
    """A dict that refuses what would be lost: it is a copy of what `fit` holds."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise ConfigError(
            "the numbers of an Event are a copy, and what is written there is lost; keep a dict of your own, "
            "dict(event.logs), or give fit a metric"
        )

    __setitem__ = __delitem__ = __ior__ = pop = popitem = clear = _refuse
    update = setdefault = _refuse  # type: ignore[assignment]


@dataclass(frozen=True)
class Event:
    """The end of an epoch. It is a copy of what `fit` holds, and does not change: a callback ends the training by True.

    Arguments:
        epoch: which one, from 1.
        epochs: how many were asked for.
        step: how many updates were made in all.
        logs: this epoch's numbers, by name; read-only.
        history: every epoch's numbers as tuples, this one's included; read-only.
        directions: for each name "max" or "min", which is better; None where nothing says so. Empty: less is better for
            "loss" and "val_loss", and of the others nothing is known.
    """

    epoch: int
    epochs: int
    step: int
    logs: Mapping[str, float]
    history: Mapping[str, Sequence[float]]
    _train_state: TrainState | None = field(default=None, repr=False)
    directions: Mapping[str, str | None] = field(default_factory=dict, repr=False)

    @property
    def train_state(self) -> TrainState:
        """The train state, copied: the next step gives the arrays in use to the compiler."""
        return copied(self._train_state)

    def since_best(self, monitor: str, mode: Better | None = None, min_delta: float = 0.0) -> int:
        """How many epochs ago `monitor` was at its best; 0: now. NaN and infinity are never the best.

        Arguments:
            monitor: a name in the logs.
            mode: "min", "max", or None: what the metric says (see `EarlyStopping`).
            min_delta: a better number must be better by more than this.
        """
        known = dict.fromkeys(self.history) | {"loss": "min", "val_loss": "min"} | dict(self.directions)
        values = self.history.get(monitor, ())
        sign = -1 if direction(monitor, mode, {name: known[name] for name in self.history}) == "max" else 1
        best, at = math.inf, -1
        for position, value in enumerate(values):
            if math.isfinite(value) and sign * value < best - (min_delta if at >= 0 else 0):
                best, at = sign * value, position
        return len(values) - 1 - at


@dataclass(frozen=True)
class EarlyStopping:
    """Ends the training when `monitor` has not got better for `patience` epochs.

    Arguments:
        monitor: a name in the logs.
        patience: epochs to wait.
        min_delta: a better number must be better by more than this.
        mode: "min", "max", or None: what the metric's function says. Losses are minimized; those of `fnlayers.metrics`
            are known; a function of your own says it by an attribute (f1.better = "max"), or mode has to be given.
        restore_best: whether fit returns the train state of the best epoch instead of the last.

    Example:
        >>> stop = EarlyStopping("val_loss", patience=2)
        >>> history = {"val_loss": [1.0, 0.5, 0.6, 0.7]}
        >>> stop(Event(4, 10, 40, {"val_loss": 0.7}, history, None))
        True
    """

    monitor: str = "val_loss"
    patience: int = 3
    min_delta: float = 0.0
    mode: Better | None = None
    restore_best: bool = False

    def __post_init__(self) -> None:
        _check_mode(self)
        whole_number("EarlyStopping: patience", self.patience)

    def check_monitor(self, directions: Mapping[str, str | None]) -> None:
        """Raise ConfigError for a monitor that is not in the logs, or of which nothing says which way is better."""
        direction(self.monitor, self.mode, directions)

    def __call__(self, event: Event) -> bool:
        """Whether to stop."""
        return event.since_best(self.monitor, self.mode, self.min_delta) >= self.patience

    def keeps(self, event: Event) -> bool:
        """Whether this epoch is the best so far."""
        return self.restore_best and event.since_best(self.monitor, self.mode, self.min_delta) == 0


@dataclass(frozen=True)
class KeepBest:
    """Has fit return the train state of the epoch where `monitor` was at its best.

    Arguments:
        monitor: a name in the logs.
        mode: "min", "max", or None: what the metric's function says (see `EarlyStopping`).
    """

    monitor: str = "val_loss"
    mode: Better | None = None

    def __post_init__(self) -> None:
        _check_mode(self)

    def check_monitor(self, directions: Mapping[str, str | None]) -> None:
        """Raise ConfigError for a monitor that is not in the logs, or of which nothing says which way is better."""
        direction(self.monitor, self.mode, directions)

    def __call__(self, event: Event) -> bool:
        """Never a reason to stop."""
        return False

    def keeps(self, event: Event) -> bool:
        """Whether this epoch is the best so far."""
        return event.since_best(self.monitor, self.mode) == 0


@dataclass(frozen=True)
class JSONLog:
    """Writes each epoch's numbers as one line of JSON: {"epoch": 1, "step": 100, "loss": ...}.

    Arguments:
        path: the file.
        append: whether to go on in a file that exists instead of starting it again.
    """

    path: str | Path
    append: bool = False

    def __call__(self, event: Event) -> None:
        """One line more."""
        with _opened(self, event) as file:
            json.dump(_row(event), file)
            file.write("\n")


@dataclass(frozen=True)
class CSVLog:
    """Writes each epoch's numbers as one row of a CSV file, with a header.

    Arguments:
        path: the file.
        append: whether to go on in a file that exists instead of starting it again.
    """

    path: str | Path
    append: bool = False

    def __call__(self, event: Event) -> None:
        """One row more."""
        row = _row(event)
        with _opened(self, event) as file:
            writer = csv.DictWriter(file, list(row))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)


def _row(event: Event) -> dict[str, Any]:
    return {"epoch": event.epoch, "step": event.step, **event.logs}


def _opened(log: JSONLog | CSVLog, event: Event) -> Any:
    fresh = event.epoch == 1 and not log.append
    return open(log.path, "w" if fresh else "a", encoding="utf-8", newline="")


def checked_callbacks(callbacks: Any, directions: Mapping[str, str | None]) -> tuple[Callable, ...]:
    """The callbacks as a tuple.

    Raises:
        ConfigError: for what cannot be called with an event, and for a monitor that will not be there.
    """
    if callable(callbacks) or isinstance(callbacks, (str, bytes, Mapping)) or not hasattr(callbacks, "__iter__"):
        raise ConfigError(f"callbacks={callbacks!r}: give a list of them")
    callbacks = tuple(callbacks)
    for callback in callbacks:
        _check_callback(callback)
        check = getattr(callback, "check_monitor", None)
        if check is not None:
            check(directions)
    return callbacks


def _check_callback(callback: Any) -> None:
    if isinstance(callback, type):
        raise ConfigError(f"the callback {callback.__name__} is a class; give an object: {callback.__name__}(...)")
    keeps = getattr(callback, "keeps", None)
    for what, function in (("", callback), (".keeps", keeps)):
        if what and function is None:
            continue
        if not callable(function):
            raise ConfigError(
                f"the callback {callback!r}{what} is not callable; a callback is a function of an "
                "fnlayers.training.Event, called after each epoch"
            )
        if inspect.iscoroutinefunction(function) or not _takes_one(function):
            raise ConfigError(f"the callback {callback!r}{what} must take one argument, the Event, and be no coroutine")


def _takes_one(function: Callable) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built in, without one
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True


def is_true(callback: Callable, event: Event) -> bool:
    """What a callback, or its `keeps`, answers to an event.

    Raises:
        ConfigError: where it returns anything but True, False or None, as a loss that was returned by accident.
    """
    result = callback(event)
    if isinstance(result, (bool, np.bool_, type(None))):
        return bool(result)
    keeps = getattr(callback, "__name__", "") == "keeps"
    yes, no = ("keep the train state", "let it go") if keeps else ("end the training", "go on")
    raise ConfigError(f"the callback {callback!r} returned {result!r}; return True to {yes}, False or None to {no}")


def _check_mode(callback: Any) -> None:
    if callback.mode not in (modes := (*get_args(Better), None)):
        raise ConfigError(f"{type(callback).__name__}: {choices('mode', callback.mode, modes)}")
