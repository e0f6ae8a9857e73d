"""A fit under way, and one pass of evaluation: what `fit` and `evaluate` set going."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnlayers.core.layer import Layer
from fnlayers.training.callbacks import Event
from fnlayers.training.data import Batch, Source, filled
from fnlayers.training.diagnose import NonFiniteError, explain
from fnlayers.training.interrupts import Interrupts
from fnlayers.training.labels import check_labels
from fnlayers.training.meter import Meter
from fnlayers.training.objective import Objective
from fnlayers.training.progress import Progress
from fnlayers.training.state import TrainState, key_words
from fnlayers.training.step import compiled_evaluation, compiled_step

Tree = Any
History = dict[str, list[float]]


class Fitted(NamedTuple):
    """What fit returns.

    Arguments:
        train_state: the train state reached (or kept, see the callbacks): params, state, and what going on needs.
        history: each epoch's numbers by name: "loss", the metrics, "val_loss", ..., "seconds". Plain lists.
        stopped: why it ended before the last epoch; None if it did not.
    """

    train_state: TrainState
    history: History
    stopped: str | None = None

    @property
    def params(self) -> Tree:
        """The trained params."""
        return self.train_state.params

    @property
    def state(self) -> Tree:
        """The model's state, {} for most models."""
        return self.train_state.state


class Run:
    """A fit under way: the train state in hand, and the numbers of the steps that are running."""

    def __init__(
        self,
        model: Layer,
        objective: Objective,
        optimizer: Any,
        source: Source,
        train_state: TrainState,
        out: Any,
        verbose: bool,
        epochs: int,
    ) -> None:
        self.model, self.objective, self.source, self.out = model, objective, source, out
        self.optimizer = optimizer
        self.advance = compiled_step(model, objective, optimizer)
        self.train_state, self.going = train_state, jnp.array(True)
        self.done = int(train_state.step)
        self.meter = Meter(objective)
        self.history: History = {}
        self.kept: TrainState | None = None
        self.progress = Progress(verbose, "compiling", source.steps and source.steps * epochs)
        # Rows without weight change neither loss nor gradient, but they do change a batch's own statistics
        self.fills = not out.losses and not jax.tree.leaves(train_state.state)
        self.words = key_words(train_state.rng)

    def train(self, epochs: int, shuffle: bool, held_out: Source | None, callbacks: tuple) -> Fitted:
        """All epochs, or as many as there is reason for."""
        stopped = None
        try:
            with Interrupts() as interrupts:
                for epoch in range(1, epochs + 1):
                    stopped = self.epoch(epoch, epochs, shuffle, held_out, callbacks, interrupts)
                    if stopped:
                        break
        except KeyboardInterrupt:
            stopped = f"interrupted after step {self.done}"
            self.progress.line(stopped)
        finally:
            self.progress.close()
        return Fitted(self.train_state if self.kept is None else self.kept, self.history, stopped)

    def epoch(
        self, epoch: int, epochs: int, shuffle: bool, held_out: Source | None, callbacks: tuple, interrupts: Interrupts
    ) -> str | None:
        """One epoch; the reason to stop after it, if there is one."""
        start = time.perf_counter()
        self.meter.clear()
        seed = [*self.words, self.done] if shuffle else None
        weighted = self.fills and not self.source.even
        number = 0
        for number, batch in enumerate(self.source.epoch(seed), 1):
            if self.source.whole is None:
                check_labels(self.objective, batch, self.out)
            if self.fills:
                batch = filled(batch, self.source.first.count, weighted)
            interrupts.hold()
            self.step(batch, (epoch, number))
            interrupts.release()
            if number == 1:
                self.progress.say(f"epoch {epoch}/{epochs}")
        self.settle(ahead=0)
        self.progress.steps_in_all(number * epochs)
        logs = self.meter.logs()
        if held_out is not None:
            now, quiet = self.train_state, Progress(False, "", None)
            found = evaluated(self.model, self.objective, now.params, now.state, held_out, self.out, quiet)
            logs |= {f"val_{name}": value for name, value in found.items()}
        logs["seconds"] = time.perf_counter() - start
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        self.progress.epoch(epoch, epochs, logs)
        return self.call(callbacks, epoch, epochs, logs)

    def step(self, batch: Batch, place: tuple[int, int]) -> None:
        """Start one step; look at those that are done."""
        self.train_state, self.going, packed = self.advance(
            self.train_state, self.going, batch.x, batch.y, batch.weight
        )
        self.done += 1
        self.meter.push(packed, (self.done, place, batch))
        self.settle()
        self.progress.step(self.meter.logs)

    def settle(self, **ahead: int) -> None:
        """Take the numbers of steps that are done; stop at one that is not finite."""
        bad = self.meter.collect(**ahead)
        if bad is not None:
            raise self.failure(*bad)

    def failure(self, step: int, place: tuple[int, int], batch: Batch) -> NonFiniteError:
        """The error that says what was not finite. Since that step nothing changed: the state in hand is its input."""
        reason = explain(self.model, self.objective, self.optimizer, self.train_state, batch, self.source.whole)
        return NonFiniteError(
            f"step {step} (epoch {place[0]}, batch {place[1]}) is not finite, and was not taken: {reason}. The train "
            "state before it is kept: except fnlayers.NonFiniteError as error: error.train_state, error.history",
            step,
            self.train_state,
            self.history,
            tuple(batch[:3]),
        )

    def call(self, callbacks: tuple, epoch: int, epochs: int, logs: Mapping[str, float]) -> str | None:
        """Tell the callbacks; the reason to stop, if one of them gives it."""
        history = {name: list(values) for name, values in self.history.items()}
        event = Event(epoch, epochs, self.done, dict(logs), history, self.train_state)
        if any([keeps(event) for keeps in (getattr(callback, "keeps", None) for callback in callbacks) if keeps]):
            self.kept = event.train_state
        wish = [callback for callback in callbacks if callback(event)]
        return f"{wish[0]!r} after epoch {epoch}" if wish else None


def evaluated(
    model: Layer, objective: Objective, params: Tree, state: Tree, source: Source, out: Any, progress: Progress
) -> dict[str, float]:
    """The averages over a source. `out`: the shapes of what the model returns."""
    run, meter = compiled_evaluation(model, objective), Meter(objective)
    for batch in source.epoch(None):
        if source.whole is None:
            check_labels(objective, batch, out)
        if not out.losses:  # which other rows would change
            batch = filled(batch, source.first.count, weighted=not source.even)
        meter.push(run(params, state, batch.x, batch.y, batch.weight), None)
        meter.collect()
        progress.step(meter.logs)
    meter.collect(ahead=0)
    progress.show(meter.logs())
    progress.close()
    return meter.logs()
