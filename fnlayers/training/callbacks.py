"""Callbacks: functions of an `Event`, called at the end of each epoch. A true result ends the training.

A callback sees all that happened in `event.history`, so those here keep nothing themselves: they are plain data, and
serve any number of runs. One that has a method `keeps(event)` also says whether the train state of that epoch is to be
kept; `fit` then returns the one kept last.
"""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.training.state import TrainState, copied


@dataclass(frozen=True)
class Event:
    """The end of an epoch.

    Arguments:
        epoch: which one, from 1.
        epochs: how many were asked for.
        step: how many updates were made in all.
        logs: this epoch's numbers, by name.
        history: every epoch's numbers, this one's included.
    """

    epoch: int
    epochs: int
    step: int
    logs: Mapping[str, float]
    history: Mapping[str, list[float]]
    live: TrainState = field(repr=False)

    @property
    def train_state(self) -> TrainState:
        """The train state, copied: the next step gives the arrays in use to the compiler."""
        return copied(self.live)

    def since_best(self, monitor: str, mode: str | None = None, min_delta: float = 0.0) -> int:
        """How many epochs ago `monitor` was at its best; 0: now.

        Arguments:
            monitor: a name in the logs.
            mode: "min", "max", or None: "max" if the name says accuracy, similarity or score, else "min".
            min_delta: a better number must be better by more than this.
        """
        if monitor not in self.history:
            there = ", ".join(self.history)
            hint = "; give fit validation_data" if monitor.startswith("val_") else ""
            raise ConfigError(f"{monitor!r} is not among the logs ({there}){hint}")
        values = self.history[monitor]
        sign = -1 if (mode or _usual_mode(monitor)) == "max" else 1
        best, at = math.inf, -1
        for place, value in enumerate(values):
            if sign * value < best - (min_delta if at >= 0 else 0):
                best, at = sign * value, place
        return len(values) - 1 - at


@dataclass(frozen=True)
class EarlyStopping:
    """Ends the training when `monitor` has not got better for `patience` epochs.

    Arguments:
        monitor: a name in the logs.
        patience: epochs to wait.
        min_delta: a better number must be better by more than this.
        mode: "min", "max", or None: read from the name (see `Event.since_best`).
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
    mode: str | None = None
    restore_best: bool = False

    def __post_init__(self) -> None:
        _check_mode(self)
        if not isinstance(self.patience, int) or self.patience < 1:
            raise ConfigError(f"EarlyStopping(patience={self.patience!r}): give a whole number of at least 1")

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
        mode: "min", "max", or None: read from the name (see `Event.since_best`).
    """

    monitor: str = "val_loss"
    mode: str | None = None

    def __post_init__(self) -> None:
        _check_mode(self)

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
        append: whether to go on in a file that exists instead of starting it anew.
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
        append: whether to go on in a file that exists instead of starting it anew.
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


def _usual_mode(monitor: str) -> str:
    return "max" if any(word in monitor for word in ("accuracy", "similarity", "score")) else "min"


def _check_mode(callback: Any) -> None:
    if callback.mode not in (None, "min", "max"):
        raise ConfigError(f"{type(callback).__name__}(mode={callback.mode!r}) is wrong; choose from min, max, None")
