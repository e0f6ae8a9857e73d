"""What a training remembers besides its train state, as plain data for a checkpoint, and going on from there."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fnlayers.core.errors import ConfigError, brief, located
from fnlayers.training.checkpoint import check_same
from fnlayers.training.checkpoint_folder import Reader
from fnlayers.training.results import differences, kinds
from fnlayers.training.state import TrainState


@dataclass
class Position:
    """Where a training is.

    Arguments:
        epoch: the epoch under way, from 1.
        batch: its steps so far.
        taken: its batches so far, those that were left out included.
        started: all steps of the training.
        seed: what its examples are shuffled by; None: they are not.
        seconds: what the epoch took so far.
    """

    epoch: int = 1
    batch: int = 0
    taken: int = 0
    started: int = 0
    seed: list[int] | None = None
    seconds: float = 0.0


def memory_of(loop: Any) -> dict[str, Any]:
    """All that `resume` needs besides the train states, as plain data.

    Arguments:
        loop: the `FitLoop`; no step of it may be pending.
    """
    memory = {
        "arrays": kinds(loop.train_state),
        "facts": _facts(loop),
        "position": asdict(loop.position),
        "means": loop.means.memory(),
        "history": loop.history,
        "stopped": loop.stopped,
        "waiting": list(loop.events.waiting),
        "iterators": [_plain_state(loop.iterator_state), _plain_state(_between_epochs(loop.held_out))],
        "callbacks": [_callback_memory(callback) for callback in loop.callbacks],
        "selected": loop.selected is not None,
    }
    return json.loads(json.dumps(memory))  # a copy: it is written while the lists in it go on growing


def resume(loop: Any, folder: str | Path, may_begin: bool) -> None:
    """Bring a loop that has not begun to where the newest checkpoint in a folder was made.

    Arguments:
        loop: the `FitLoop`, with a train state of the same kind.
        folder: that of the checkpoints.
        may_begin: whether it may be empty, in which case the training begins.

    Raises:
        MissingError: where there is no checkpoint.
        ConfigError: where it is of another training; all that differs is listed.
        CheckpointError: where it cannot be read.
    """
    with Reader(folder) as reader:
        if may_begin and not reader.steps():
            return
        step = reader.step(None)
        memory = reader.memory(step)
        _check(loop, folder, memory)
        like: TrainState = loop.train_state
        loop.train_state = reader.train_state(step, like)
        loop.selected = reader.train_state(step, like, "selected") if memory["selected"] else None
    loop.resumed, loop.steps_done = True, int(loop.train_state.step)
    loop.position = at = Position(**memory["position"])
    loop.history = {name: list(values) for name, values in memory["history"].items()}
    loop.stopped = memory["stopped"]
    loop.means.set_memory(memory["means"])
    loop.events.waiting.extend(tuple(row) for row in memory["waiting"])
    training, validation = map(_state_again, memory["iterators"])
    if loop.stopped is None:
        loop.source.go_to(at.epoch - 1, at.taken, training)
        if loop.held_out is not None:
            loop.held_out.go_to(at.epoch - 1, 0, validation)
    remembered = iter([each["memory"] for each in memory["callbacks"] if each["memory"]])
    for callback in loop.callbacks:
        if _remembers(callback):
            with located(f"the callback {brief(callback)}.set_memory"):
                callback.set_memory(next(remembered)["value"])


def _between_epochs(source: Any) -> Any:
    return None if source is None else source.iterator_state(between_epochs=True)


def _facts(loop: Any) -> dict[str, Any]:
    """What a position in the data is relative to."""
    source, held_out = loop.source, loop.held_out
    processes = 1 if loop.placing is None else loop.placing.processes_of(source.first)
    return {
        "batch size": source.first.count * processes,
        "batches an epoch": source.length,
        "examples": None if source.dataset is None else source.dataset.count * processes,
        "shuffle": loop.shuffle,
        "validation data": held_out is not None,
    }


def _check(loop: Any, folder: str | Path, memory: Mapping) -> None:
    """Raise ConfigError with all that differs between a checkpoint and what is to go on from it."""

    def remembering(callbacks: list[dict]) -> dict[str, str]:
        named = (each["type"] for each in callbacks if each["memory"])
        return {f"callback {number} with a memory": name for number, name in enumerate(named, 1)}

    lines = []
    for then, now in (
        (memory["arrays"], kinds(loop.train_state)),
        (memory["facts"], _facts(loop)),
        (remembering(memory["callbacks"]), remembering([_callback_memory(each) for each in loop.callbacks])),
    ):
        lines += differences(then, now, "the checkpoint", "what was given")
    check_same(folder, lines)


def _remembers(callback: Any) -> bool:
    """Whether a callback has a memory for checkpoints."""
    has = [hasattr(callback, name) for name in ("memory", "set_memory")]
    if any(has) and not all(has):
        raise ConfigError(f"the callback {callback!r} has one of memory() and set_memory(memory); write both, or none")
    return all(has)


def _callback_memory(callback: Any) -> dict[str, Any]:
    """The type of a callback, and what it remembers, if it says so."""
    with located(f"the callback {brief(callback)}.memory"):
        memory = {"value": callback.memory()} if _remembers(callback) else None
    try:
        json.dumps(memory)
    except (TypeError, ValueError):
        raise ConfigError(
            f"the callback {callback!r}: memory() returned what JSON does not have; return numbers, texts, lists and "
            "dicts of them"
        ) from None
    return {"type": type(callback).__name__, "memory": memory}


def _plain_state(state: Any) -> Any:
    """The state of an iterator over data as plain data; bytes as text."""
    plain = {"bytes": base64.b64encode(state).decode()} if isinstance(state, bytes) else {"plain": state}
    try:
        json.dumps(plain)
    except (TypeError, ValueError):
        raise ConfigError(
            f"the data's iterator: get_state() returned {type(state).__name__} of what JSON does not have; return "
            "bytes, or numbers, texts, lists and dicts of them"
        ) from None
    return plain


def _state_again(stored: Mapping) -> Any:
    return base64.b64decode(stored["bytes"]) if "bytes" in stored else stored["plain"]
