"""Callbacks: functions of an `Event`, called at the end of each epoch; what they return changes the training.

A callback sees all that happened in `event.history`, so those here keep nothing themselves: they are plain data, and
serve any number of runs. What a callback may return stands in `results.py`. Besides being called, an object may have

- `on_step(event)`: given a `StepEvent` for each step, some steps later; it returns the same results;
- `on_begin(step)` and `on_end()`: called before the first step, and when the training has ended, by an error, too;
  `step` is None, or where a training goes on from a checkpoint the updates made before;
- `keeps(event)`: whether the train state of that epoch is to be selected; `fit` then returns the one selected last;
- `check_monitor(directions)`: given the names that will be in the logs before the first step;
- `adds`: names that it will add to the logs, with "max", "min" or None: which way is better;
- `memory()` and `set_memory(memory)`: what it remembers from epoch to epoch, as plain data for a checkpoint.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

import jax
import numpy as np

from fnlayers.core.errors import ConfigError, brief, located, say_where
from fnlayers.plain_data import FrozenDict, choices, did_you_mean
from fnlayers.training.data import whole_number
from fnlayers.training.directions import direction
from fnlayers.training.results import Replace, Result, results_of
from fnlayers.training.state import TrainState, copied
from fnlayers.training.takes import Better

_OBJECTS = ("EarlyStopping", "KeepBest", "CSVLog", "JSONLog", "TensorBoardLog")  # to name in an error


class ReadOnly(dict):
    """A dict that refuses what would be lost: it is a copy of what `fit` holds."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise ConfigError(
            "the numbers of an Event are a copy, and what is written there is lost; return "
            "fnlayers.AddLogs({'name': number}), or keep a dict of your own, dict(event.logs)"
        )

    __setitem__ = __delitem__ = __ior__ = pop = popitem = clear = _refuse
    update = setdefault = _refuse  # type: ignore[assignment]


class Copies:
    """The train states that a callback was given."""

    def __init__(self) -> None:
        self.handed: list[tuple[TrainState, list]] = []

    def of(self, train_state: Any) -> TrainState:
        """One more copy."""
        copy = copied(train_state)
        self.handed.append((copy, jax.tree.leaves(copy)))
        return copy

    def check(self, callback: Any, results: Sequence[Result]) -> None:
        """Raise ConfigError where the callback changed one of them, and returned none: that has no effect."""
        handed, self.handed = self.handed, []
        if not handed or any(isinstance(result, Replace) for result in results):
            return
        for train_state, before in handed:
            now = jax.tree.leaves(train_state)
            if len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
                raise ConfigError(
                    f"the callback {callback!r} changed event.train_state, which is a copy, so that nothing comes of "
                    "it; return fnlayers.Replace(train_state), or change a copy of your own, "
                    "jax.tree.map(lambda a: a, event.train_state)"
                )


@dataclass(frozen=True)
class Event:
    """The end of an epoch. It is a copy of what `fit` holds, and does not change; what a callback returns does.

    That is `fnlayers.Stop(reason)` or True, `SetLearningRate(x)`, `Replace(train_state)`, `AddLogs({"name": number})`,
    or a tuple of these.

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
    _copies: "Copies" = field(default_factory=lambda: Copies(), repr=False, compare=False)

    @property
    def train_state(self) -> TrainState:
        """The train state, copied: the next step gives the arrays in use to the compiler."""
        return self._copies.of(self._train_state)

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
            if not isinstance(value, (int, float)):
                raise ConfigError(f"{monitor!r} is no single number but {value!r:.60}, of which none is the best")
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
    adds: ClassVar[Mapping] = FrozenDict()

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
    adds: ClassVar[Mapping] = FrozenDict()

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


def checked_callbacks(callbacks: Any, directions: Mapping[str, str | None]) -> tuple[tuple[Callable, ...], Mapping]:
    """The callbacks as a tuple, and the directions with those of what they say that they will add.

    Raises:
        ConfigError: for what cannot be called with an event, and for a monitor that will not be there.
    """
    if isinstance(callbacks, str):
        _check_callback(callbacks)
    if callable(callbacks) or isinstance(callbacks, (bytes, Mapping)) or not hasattr(callbacks, "__iter__"):
        raise ConfigError(f"callbacks={callbacks!r}: give a list of them")
    callbacks, may_add = tuple(callbacks), False
    for callback in callbacks:
        _check_callback(callback)
        check = getattr(callback, "check_monitor", None)
        # What may be added by a callback before, without being announced, is looked for when the first epoch has ended
        if check is not None and not (may_add and getattr(callback, "monitor", None) not in directions):
            check(directions)
        directions = FrozenDict({**directions, **_added(callback, directions)})
        may_add |= not hasattr(callback, "adds")
    return callbacks, directions


def _added(callback: Any, directions: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """What a callback says that it will add to the logs."""
    adds = getattr(callback, "adds", {})
    if not isinstance(adds, Mapping) or not all(better in ("min", "max", None) for better in adds.values()):
        raise ConfigError(f"the callback {callback!r}: adds={adds!r}; give names and directions, {{'f1': 'max'}}")
    for name in adds:
        if name in directions:
            raise ConfigError(f"the callback {callback!r} adds {name!r}, which is among the logs; choose another name")
    return adds


def _check_callback(callback: Any) -> None:
    if isinstance(callback, str):
        near = did_you_mean(callback.title().replace("_", ""), _OBJECTS) or f"there are {', '.join(_OBJECTS)}."
        raise ConfigError(
            f"the callback {callback!r} is a name; {near} Give an object, such as fnlayers.EarlyStopping('val_loss')"
        )
    if isinstance(callback, type):
        raise ConfigError(f"the callback {callback.__name__} is a class; give an object: {callback.__name__}(...)")
    parts = {name: getattr(callback, name, None) for name in ("keeps", "on_step")}
    if parts["on_step"] is None or callable(callback):  # on_step alone is enough
        parts[""] = callback
    for name, function in parts.items():
        what = name and f".{name}"
        if name and function is None:
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


def called(callback: Any, function: Callable | None, event: Any) -> tuple[Result, ...]:
    """What a callback returned for an event.

    Raises:
        ConfigError: where it is no documented result, and where a copy of the train state was changed to no effect.
    """
    if function is None or not callable(function):
        return ()
    try:
        returned = function(event)
    except Exception as error:
        say_where(f"the callback {brief(callback)}, after step {event.step}", error)
        raise
    results = results_of(callback, returned)
    event._copies.check(callback, results)
    return results


def is_kept(callback: Any, event: Event) -> bool:
    """Whether a callback selects the train state of this epoch.

    Raises:
        ConfigError: where its `keeps` returns anything but True, False or None, as a loss by accident.
    """
    keeps = getattr(callback, "keeps", None)
    with located(f"the callback {brief(callback)}.keeps, after step {event.step}"):
        result = None if keeps is None else keeps(event)
    if isinstance(result, (bool, np.bool_, type(None))):
        return bool(result)
    raise ConfigError(
        f"the callback {keeps!r} returned {result!r}; return True to keep the train state, False or None to let it go"
    )


def _check_mode(callback: Any) -> None:
    if callback.mode not in (modes := (*get_args(Better), None)):
        raise ConfigError(f"{type(callback).__name__}: {choices('mode', callback.mode, modes)}")
