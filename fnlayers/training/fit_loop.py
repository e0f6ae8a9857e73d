"""A fit under way, and one pass of evaluation: what `fit` and `evaluate` set going."""

import contextlib
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnlayers.core.layer import Layer
from fnlayers.training.batch import Batch
from fnlayers.training.callbacks import Event, ReadOnly, is_true
from fnlayers.training.check_targets import check_labels
from fnlayers.training.data import Source
from fnlayers.training.diagnose import NonFiniteError, explain
from fnlayers.training.epoch_means import EpochMeans
from fnlayers.training.interrupts import Interrupts
from fnlayers.training.objective import Objective
from fnlayers.training.programs import program
from fnlayers.training.progress import Progress
from fnlayers.training.state import TrainState, key_words
from fnlayers.training.step import evaluation_of, step_of
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
        """The trained params."""
        return self.train_state.params

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
    ) -> None:
        self.model, self.objective, self.source, self.out = model, objective, source, out
        self.optimizer, self.held_out, self.callbacks, self.directions = optimizer, held_out, callbacks, directions
        self.train_step = program(step_of, model, objective, optimizer)
        self.evaluation = program(evaluation_of, model, objective)
        self.train_state, self.all_finite = train_state, jnp.array(True)
        self.steps_done = int(train_state.step)
        self.means = EpochMeans(objective, objective.gathered(out, source.first))
        self.history: History = {}
        self.kept: TrainState | None = None
        self.progress = Progress(verbose, "compiling", source.length)
        self.words = key_words(train_state.rng)

    def train(self, epochs: int, shuffle: bool) -> Fitted:
        """All epochs, or as many as there is reason for."""
        stopped = None
        try:
            with Interrupts() as interrupts:
                for epoch in range(1, epochs + 1):
                    stopped = self.run_epoch(epoch, epochs, shuffle, interrupts)
                    if stopped:
                        break
        except KeyboardInterrupt:
            stopped = f"interrupted after step {self.steps_done}"
            self.progress.line(stopped)
        except BaseException as error:
            self.attach_result(error)
            raise
        finally:
            self.progress.close()
        return Fitted(self.train_state if self.kept is None else self.kept, self.history, stopped)

    def attach_result(self, error: BaseException) -> None:
        """Give an error that ends the training what was reached, so that it is not lost."""
        if isinstance(error, NonFiniteError):
            return
        lost = any(leaf.is_deleted() for leaf in jax.tree.leaves(self.train_state))  # a step failed after it had begun
        reached = self.kept if lost else self.train_state
        with contextlib.suppress(AttributeError, TypeError):  # an exception that takes no attributes
            error.train_state, error.history = reached, self.history  # type: ignore[attr-defined]
            steps = 0 if reached is None else int(reached.step)
            error.add_note(
                f"fit: nothing is lost of the {steps} steps before: in except {type(error).__name__} as error: there "
                "are error.train_state and error.history; fit(..., train_state=error.train_state) goes on from there"
            )

    def run_epoch(self, epoch: int, epochs: int, shuffle: bool, interrupts: Interrupts) -> str | None:
        """One epoch; the reason to stop after it, if there is one."""
        start = time.perf_counter()
        self.means.clear()
        seed = [*self.words, self.steps_done] if shuffle else None
        number = 0
        check = functools.partial(check_labels, self.objective, out=self.out)
        for number, batch in enumerate(self.source.batches(seed, check), 1):
            interrupts.hold()
            self.start_step(batch, (epoch, number))
            interrupts.release()
            if number == 1:
                self.progress.say(f"epoch {epoch}/{epochs}")
        self.collect_ready_steps(ahead=0)
        self.means.check_weight(f"epoch {epoch}")
        self.progress.steps_in_all(number)
        logs = self.means.logs(end=True) | self.validate()
        logs["seconds"] = time.perf_counter() - start
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        self.progress.epoch(epoch, epochs, logs)
        return self.run_callbacks(epoch, epochs, logs)

    def validate(self) -> dict[str, float]:
        """The numbers of the validation data, if there are any."""
        if self.held_out is None:
            return {}
        now, quiet = self.train_state, Progress(False, "", None)
        found = run_evaluation(self.evaluation, self.objective, now.params, now.state, self.held_out, self.out, quiet)
        return {f"val_{name}": value for name, value in found.items()}

    def start_step(self, batch: Batch, position: tuple[int, int]) -> None:
        """Start one step; look at those that are done."""
        self.train_state, self.all_finite, packed = self.train_step(
            self.train_state, self.all_finite, batch.x, batch.y, batch.weight
        )
        self.steps_done += 1
        self.means.push(packed, (self.steps_done, position, batch))
        self.collect_ready_steps()
        self.progress.step(self.means.logs)

    def collect_ready_steps(self, **ahead: int) -> None:
        """Take the numbers of steps that are done; stop at one that is not finite."""
        bad = self.means.collect(**ahead)
        if bad is not None:
            raise self.failure(*bad)

    def failure(self, step: int, position: tuple[int, int], batch: Batch) -> NonFiniteError:
        """The error that says what was not finite. Since that step nothing changed: the state in hand is its input."""
        reason = explain(self.model, self.objective, self.optimizer, self.train_state, batch, self.source.dataset)
        return NonFiniteError(
            f"step {step} (epoch {position[0]}, batch {position[1]}) is not finite, and was not taken: {reason}. The "
            "train state before it is kept: except fnlayers.NonFiniteError as error: error.train_state, error.history",
            step,
            self.train_state,
            self.history,
            tuple(batch[:3]),
        )

    def run_callbacks(self, epoch: int, epochs: int, logs: Mapping[str, float]) -> str | None:
        """Call the callbacks; the reason to stop, if one of them gives it."""
        history = ReadOnly({name: tuple(values) for name, values in self.history.items()})
        event = Event(epoch, epochs, self.steps_done, ReadOnly(logs), history, self.train_state, self.directions)
        keepers = (getattr(callback, "keeps", None) for callback in self.callbacks)
        if any([is_true(keeps, event) for keeps in keepers if keeps]):
            self.kept = event.train_state
        stopping = [callback for callback in self.callbacks if is_true(callback, event)]
        return f"{stopping[0]!r} after epoch {epoch}" if stopping else None


def run_evaluation(
    evaluation: Callable, objective: Objective, params: Tree, state: Tree, source: Source, out: Any, progress: Progress
) -> dict[str, Any]:
    """The averages over a source. `out`: the shapes of what the model returns."""
    means, whole = EpochMeans(objective, objective.gathered(out, source.first)), WholeSet(objective.whole)
    for batch in source.batches(None, functools.partial(check_labels, objective, out=out, fetch=True)):
        packed, predictions = evaluation(params, state, batch.x, batch.y, batch.weight)
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
