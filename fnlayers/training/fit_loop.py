"""A fit under way, and one pass of evaluation: what `fit` and `evaluate` set going."""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, LayerError, brief, located
from fnlayers.core.layer import Layer
from fnlayers.training.averaging import evaluated_params
from fnlayers.training.batch import Batch
from fnlayers.training.callbacks import Event, ReadOnly, called, is_kept
from fnlayers.training.check_targets import check_labels
from fnlayers.training.checkpoint import Checkpoints
from fnlayers.training.chunks import Taken, chunks, stacked, taken
from fnlayers.training.data import Source, position
from fnlayers.training.diagnose import NonFiniteError, explain
from fnlayers.training.epoch_means import EpochMeans
from fnlayers.training.guard import Guard
from fnlayers.training.interrupts import Interrupts
from fnlayers.training.objective import Objective
from fnlayers.training.placing import Placing
from fnlayers.training.prefetching import prefetched
from fnlayers.training.programs import program, unchecked
from fnlayers.training.progress import Progress
from fnlayers.training.remat import Remat
from fnlayers.training.results import (
    AddLogs,
    Replace,
    Result,
    SetLearningRate,
    Stop,
    added_to,
    replaced,
    with_learning_rate,
)
from fnlayers.training.resuming import Position, memory_of
from fnlayers.training.retracing import BatchTypes
from fnlayers.training.state import TrainState, copied, key_words
from fnlayers.training.step import evaluation_of, step_of, steps_of
from fnlayers.training.step_events import StepEvents
from fnlayers.training.whole_set import WholeSet

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
        """The trained params; with fit(ema=...) their average, those of the last step being train_state.params."""
        return evaluated_params(self.train_state)

    @property
    def state(self) -> Tree:
        """The model's state, {} for most models."""
        return self.train_state.state


class FitLoop:
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
        held_out: Source | None,
        callbacks: tuple,
        directions: Mapping[str, str | None],
        epochs: int = 1,
        shuffle: bool = True,
        guard: Guard = "raise",
        scan_steps: int = 1,
        placing: Placing | None = None,
        prefetch: int = 0,
        remat: Remat = False,
    ) -> None:
        self.prefetch = prefetch
        self.model, self.objective, self.source, self.out = model, objective, source, out
        self.optimizer, self.held_out, self.callbacks, self.directions = optimizer, held_out, callbacks, directions
        self.epochs, self.shuffle, self.placing = epochs, shuffle, placing
        parts = (model, objective, optimizer, guard, placing, remat)
        # The source has looked at the batches
        self.train_step = unchecked(program(step_of, *parts))
        self.scan_steps = scan_steps
        scan = program(steps_of, *parts) if scan_steps > 1 else None
        self.scan = None if scan is None else unchecked(scan)
        self.evaluation = program(evaluation_of, model, objective, placing)
        self.train_state, self.all_finite = train_state, jnp.array(True)
        if placing is not None:
            self.all_finite = jax.device_put(np.array(True), placing.whole)
        self.steps_done = int(train_state.step)
        self.position = Position(started=self.steps_done)
        self.events = StepEvents(callbacks, epochs, lambda: self.train_state)
        arrived = self.events.arrived if self.events.callbacks else None
        self.means = EpochMeans(objective, objective.gathered(out, source.first), arrived, guard)
        # Arrays are cut into batches of one size, and a last one; an iterable may yield what it likes
        self.batch_types = BatchTypes() if source.dataset is None else None
        self.history: History = {}
        self.selected: TrainState | None = None
        self.stopped: str | None = None
        self.checkpoints: Checkpoints | None = None
        self.resumed = False
        self.is_due, self.iterator_state = False, None
        self.progress = Progress(verbose, "compiling", source.length)

    def train(self, checkpoints: Checkpoints | None = None) -> Fitted:
        """All epochs that are left, or as many as there is reason for."""
        self.checkpoints = checkpoints
        try:
            with contextlib.ExitStack() as endings, Interrupts() as interrupts:
                self.begin(endings)
                while self.position.epoch <= self.epochs and self.stopped is None:
                    self.run_epoch(interrupts)
            if checkpoints is not None:
                checkpoints.writer.wait()
        except KeyboardInterrupt:
            self.stopped = f"interrupted after step {self.steps_done}"
            self.progress.line(self.stopped)
        except BaseException as error:
            self.attach_result(error)
            raise
        finally:
            self.progress.close()
            if checkpoints is not None:
                checkpoints.writer.close()
        return Fitted(self.train_state if self.selected is None else self.selected, self.history, self.stopped)

    def begin(self, endings: contextlib.ExitStack) -> None:
        """Tell the callbacks that it begins, and have them told when it ends."""
        for callback in self.callbacks:
            if hasattr(callback, "on_begin"):
                with located(f"the callback {brief(callback)}.on_begin"):
                    callback.on_begin(self.steps_done if self.resumed else None)
            if hasattr(callback, "on_end"):
                endings.callback(callback.on_end)

    def attach_result(self, error: BaseException) -> None:
        """Give an error that ends the training what was reached, so that it is not lost."""
        if isinstance(error, NonFiniteError):
            return
        lost = any(leaf.is_deleted() for leaf in jax.tree.leaves(self.train_state))  # a step failed after it had begun
        reached = self.selected if lost else self.train_state
        with contextlib.suppress(AttributeError, TypeError):  # an exception that takes no attributes
            error.train_state, error.history = reached, self.history  # type: ignore[attr-defined]
            steps = 0 if reached is None else int(reached.step)
            error.add_note(
                f"fit: nothing is lost of the {steps} steps before: in except {type(error).__name__} as error: there "
                "are error.train_state and error.history; fit(..., train_state=error.train_state) goes on from there"
            )

    def run_epoch(self, interrupts: Interrupts) -> None:
        """The epoch under way, from its beginning or from where a checkpoint was made."""
        at, resumed = self.position, self.position.batch > 0
        start = time.perf_counter() - at.seconds
        if not resumed:
            self.means.clear()
            at.seed = [*key_words(self.train_state.rng), self.steps_done] if self.shuffle else None
        check = functools.partial(check_labels, self.objective, out=self.out)
        is_due = (lambda _: False) if self.checkpoints is None else self.checkpoints.is_due
        waits = self.prefetch > 0 or self.scan_steps > 1
        items = taken(self.source, self.source.batches(at.seed, check), at.started, is_due, ahead=self.saves_ahead)
        parts = chunks(items, self.scan_steps, copies=waits and self.source.dataset is None)
        with contextlib.closing(prefetched(map(self.ready, parts), self.prefetch)) as ready:
            for number, (chunk, batch) in enumerate(ready):
                if self.is_due:
                    self.save()
                interrupts.hold()
                self.start(chunk, batch)
                interrupts.release()
                if number == 0:
                    self.progress.say(f"epoch {at.epoch}/{self.epochs}")
                at.seconds = time.perf_counter() - start
                self.give_events()
                if self.stopped is not None:
                    break
        self.end_epoch()

    @property
    def saves_ahead(self) -> bool:
        """Whether checkpoints are written while batches are taken ahead of their steps."""
        return self.prefetch > 0 and self.checkpoints is not None

    def ready(self, chunk: list[Taken]) -> tuple[list[Taken], Any]:
        """The chunk, and its batches as the program takes them; those that are made ahead are on the device."""
        batch = chunk[0].batch[:3] if len(chunk) == 1 else stacked(chunk)
        if self.placing is not None:
            batch = self.placing.batch(batch, stacked=len(chunk) > 1)
        elif self.prefetch:
            batch = jax.device_put(batch)
        return chunk, batch

    def end_epoch(self) -> None:
        """The numbers of an epoch, the validation, the callbacks, a checkpoint."""
        at, start = self.position, time.perf_counter()
        self.collect_ready_steps(ahead=0)
        self.give_events(ahead=0)
        if self.means.last_skipped is not None and self.means.skipped == at.batch:
            raise self.failure(*self.means.last_skipped, all_steps=True)
        self.means.check_weight(f"epoch {at.epoch}")
        self.progress.steps_in_all(at.batch)
        logs = self.means.logs(end=True) | self.validate()
        logs["seconds"] = at.seconds + time.perf_counter() - start
        self.record(dict.fromkeys(self.history, math.nan) | logs)
        try:
            self.run_callbacks(logs)
        finally:
            self.progress.epoch(at.epoch, self.epochs, logs)
        self.position = Position(at.epoch + 1, started=at.started)
        self.save_after_epoch(logs)

    def validate(self) -> dict[str, float]:
        """The numbers of the validation data, if there are any."""
        if self.held_out is None:
            return {}
        now, quiet = self.train_state, Progress(False, "", None)
        means = EpochMeans(self.objective, self.means.gathered)
        weights = evaluated_params(now), now.state
        with located("validation_data"):
            values = run_evaluation(self.evaluation, means, *weights, self.held_out, self.out, quiet, self.placing)
        return {f"val_{name}": value for name, value in values.items()}

    def start(self, chunk: list[Taken], batch: Any) -> None:
        """Start the steps of one program; look at those that are done."""
        run = self.train_step if len(chunk) == 1 else self.scan
        assert run is not None
        at, last = self.position, chunk[-1]
        where = f"batch {at.batch + 1} of epoch {at.epoch}"
        with contextlib.nullcontext() if self.batch_types is None else self.batch_types.compared(last.batch, where):
            self.train_state, self.all_finite, packed = run(self.train_state, self.all_finite, *batch)
        if self.batch_types is not None:
            self.batch_types.look(last.batch, where)
        at.started, at.taken = at.started + len(chunk), last.taken
        steps = []
        for each in chunk:
            self.steps_done, at.batch = self.steps_done + 1, at.batch + 1
            steps.append((self.steps_done, (at.epoch, at.batch, at.started), each.batch))
        self.means.push(packed, *steps)
        self.collect_ready_steps()
        self.progress.step(self.means.logs, len(chunk))
        if self.saves_ahead:
            self.iterator_state = last.iterator_state
        if last.is_due:  # written when the next batch is there, or else at the end of the epoch, which this may be
            self.is_due, self.iterator_state = True, last.iterator_state

    def collect_ready_steps(self, **ahead: int) -> None:
        """Take the numbers of steps that are done; stop at one that is not finite."""
        bad = self.means.collect(**ahead)
        if bad is not None:
            raise self.failure(*bad)
        if self.means.newly_skipped:
            self.name_wrong_labels()

    def name_wrong_labels(self) -> None:
        """Raise for labels on a device for which steps were skipped: those on the host are looked at before a step."""
        steps, self.means.newly_skipped = self.means.newly_skipped, []
        for step, (epoch, number, _), batch in steps:
            if not all(getattr(leaf, "is_fully_addressable", True) for leaf in jax.tree.leaves(batch.y)):
                continue  # of several processes none has all of them
            try:
                check_labels(self.objective, batch, self.out, fetch=True)
            except LayerError as error:
                where = f"step {step} (epoch {epoch}, batch {number}) was skipped"
                raise ConfigError(f"{where}: {error}") from None

    def failure(
        self, step: int, position: tuple[int, int, int], batch: Batch, all_steps: bool = False
    ) -> NonFiniteError:
        """The error that says what was not finite.

        Since that step params and state did not change: but for its number the state in hand is the step's input.
        """
        epoch, number, _ = position
        before = self.train_state._replace(step=jnp.asarray(step - 1, "int32"))
        reason = explain(self.model, self.objective, self.optimizer, before, batch, self.source.dataset)
        were = f"none of the {number} steps of epoch {epoch} is finite, and none was taken; the last:"
        was = f"step {step} (epoch {epoch}, batch {number}) is not finite, and was not taken:"
        return NonFiniteError(
            f"{were if all_steps else was} {reason}. The "
            "train state before it is kept: except fnlayers.NonFiniteError as error: error.train_state, error.history",
            step,
            self.train_state,
            self.history,
            tuple(batch[:3]),
        )

    def give_events(self, **ahead: int) -> None:
        """Give the callbacks the events of steps, and do what they return."""
        if self.events.waiting:
            for callback, result, when in self.events.give(self.position.started, **ahead):
                if isinstance(result, AddLogs):
                    raise ConfigError(
                        f"the callback {callback!r} returned AddLogs {when}; numbers are added at the end of an epoch, "
                        "when the callback itself is called"
                    )
                self.apply(callback, result, when)

    def run_callbacks(self, logs: dict[str, float]) -> None:
        """Call the callbacks, one after the other, that an epoch has ended, and do what they return.

        `logs` gains what they add.
        """
        at = self.position
        for callback in self.callbacks:
            history = ReadOnly({name: tuple(values) for name, values in self.history.items()})
            directions = dict.fromkeys(history) | dict(self.directions)
            event = Event(at.epoch, self.epochs, self.steps_done, ReadOnly(logs), history, self.train_state, directions)
            if is_kept(callback, event):
                self.selected = copied(self.train_state)
            for result in called(callback, callback, event):
                if isinstance(result, AddLogs):
                    added_to(logs, result, callback)
                    self.record(logs)
                else:
                    self.apply(callback, result, f"after epoch {at.epoch}")

    def apply(self, callback: Any, result: Result, when: str) -> None:
        """Do what a callback returned. Of several that stop the training, the first one's reason stands."""
        if isinstance(result, (SetLearningRate, Replace)):
            self.collect_ready_steps(ahead=0)  # a step that was not finite is explained by the state that it was given
        if isinstance(result, SetLearningRate):
            self.train_state = with_learning_rate(self.train_state, result.learning_rate)
        elif isinstance(result, Replace):
            self.train_state = replaced(self.train_state, result.train_state)
            self.steps_done = int(self.train_state.step)
        elif self.stopped is None:
            self.stopped = f"{result.reason} ({when})" if isinstance(result, Stop) else f"{callback!r} {when}"

    def record(self, logs: Mapping[str, float]) -> None:
        """Numbers of this epoch into the history, NaN for epochs that a name was not there in."""
        epoch = self.position.epoch
        for name, value in logs.items():
            values = self.history.setdefault(name, [])
            values[epoch - 1 :] = [*[math.nan] * (epoch - 1 - len(values)), value]

    def save_after_epoch(self, logs: Mapping[str, float]) -> None:
        """A checkpoint at the end of an epoch, where there is to be one."""
        if self.checkpoints is None:
            return
        ends = self.position.epoch > self.epochs or self.stopped is not None
        if self.is_due or ends or self.checkpoints.each_epoch:
            now = self.source.iterator_state(between_epochs=True)
            # Where batches were taken ahead and the epoch was left, the iterator is further than the training
            self.iterator_state = self.iterator_state if self.saves_ahead and now is not None else now
            self.save(self.checkpoints.options.score(logs, self.directions))

    def save(self, score: float | None = None) -> None:
        """Begin to write a checkpoint; all its steps are done by then, and were finite."""
        assert self.checkpoints is not None
        self.collect_ready_steps(ahead=0)
        self.checkpoints.writer.write(self.position.started, self.train_state, self.selected, memory_of(self), score)
        self.is_due = False


def run_evaluation(
    evaluation: Callable,
    means: EpochMeans,
    params: Tree,
    state: Tree,
    source: Source,
    out: Any,
    progress: Progress,
    placing: Placing | None = None,
) -> dict[str, Any]:
    """The averages over a source, in `means`. `out`: the shapes of what the model returns."""
    objective = means.objective
    whole, batch_types = WholeSet(objective.whole, 1 if placing is None else placing.processes), BatchTypes()
    for batch in source.batches(None, functools.partial(check_labels, objective, out=out, fetch=True)):
        arrays = tuple(batch[:3])
        with batch_types.compared(batch, position(source.taken)):
            packed, predictions = evaluation(params, state, *(arrays if placing is None else placing.batch(arrays)))
        batch_types.add(batch)
        means.push(packed, None)
        whole.push(predictions, batch)
        means.collect()
        progress.step(means.logs)
    means.collect(ahead=0)
    means.check_weight("the data")
    logs = objective.in_order(means.logs(end=True) | whole.results())
    progress.show(logs)
    progress.close()
    return logs
