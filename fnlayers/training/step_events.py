"""What callbacks see of single steps: their numbers, some steps later, so that no step waits for them."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fnlayers.training.callbacks import Copies, ReadOnly, called
from fnlayers.training.epoch_means import AHEAD
from fnlayers.training.results import Result
from fnlayers.training.state import TrainState

# After how many steps of the training its program ended, epoch, batch, update, numbers
Row = tuple[int, int, int, int, dict[str, float]]


class StepEvent:
    """A step that was made, given to a callback's `on_step`. It changes nothing; what is returned does.

    It comes a fixed number of steps after the step (8, or at the end of the epoch), when its numbers have left the
    device, so that training is the same from run to run. Where `scan_steps` are made at once, it comes between two such
    chunks, when 8 steps or more were made after its own.

    Arguments:
        epoch: the epoch, from 1.
        epochs: how many were asked for.
        batch: the step within the epoch, from 1.
        step: how many updates had been made after it.
        logs: the numbers of this step alone, by name.
    """

    __slots__ = ("_copies", "_current", "batch", "epoch", "epochs", "logs", "step")

    def __init__(
        self,
        epoch: int,
        epochs: int,
        batch: int,
        step: int,
        logs: Mapping[str, float],
        current: Callable[[], Any] = lambda: None,
    ) -> None:
        self.epoch, self.epochs, self.batch, self.step, self.logs = epoch, epochs, batch, step, logs
        self._current, self._copies = current, Copies()

    @property
    def train_state(self) -> TrainState:
        """The train state as it is now, some steps after this one, copied: its own `step` says how many."""
        return self._copies.of(self._current())

    def __repr__(self) -> str:
        return f"StepEvent(epoch={self.epoch}, batch={self.batch}, step={self.step}, logs={self.logs})"


class StepEvents:
    """The steps whose numbers have not yet been given to the callbacks.

    A step's event is given once `AHEAD` more steps were started, no matter how early its numbers are there: what a
    callback changes takes effect at the same step in each run. Steps of one program count as the last of them.
    """

    def __init__(self, callbacks: tuple, epochs: int, current: Callable[[], TrainState]) -> None:
        self.callbacks = tuple((callback, callback.on_step) for callback in callbacks if hasattr(callback, "on_step"))
        self.epochs, self.current = epochs, current
        self.waiting: deque[Row] = deque()

    def arrived(self, step: tuple, logs: Mapping[str, float]) -> None:
        """The numbers of a step have left the device."""
        update, (epoch, batch, number), _ = step
        self.waiting.append((number, epoch, batch, update, dict(logs)))

    def give(self, started: int, ahead: int = AHEAD) -> Iterator[tuple[Any, Result, str]]:
        """Give the events of all steps but the `ahead` last that were started: (callback, what it returned, when)."""
        while self.waiting and self.waiting[0][0] <= started - ahead:
            _, epoch, batch, update, logs = self.waiting.popleft()
            event = StepEvent(epoch, self.epochs, batch, update, ReadOnly(logs), self.current)
            for callback, on_step in self.callbacks:
                for result in called(callback, on_step, event):
                    yield callback, result, f"after step {update}"
