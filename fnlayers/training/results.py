"""What a callback may return to change a training: a stop, another learning rate or train state, further numbers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.training.state import TrainState, copied
from fnlayers.trees import paths

Tree = Any
Result = Any

_TO_WRITE = (
    "return True to end the training, False or None to go on, or fnlayers.Stop('reason'), fnlayers.SetLearningRate("
    "0.001), fnlayers.Replace(train_state), fnlayers.AddLogs({'name': number}), a tuple of these"
)


@dataclass(frozen=True)
class Stop:
    """Returned by a callback: the training ends here.

    Arguments:
        reason: why; `fit` returns it as `stopped`.
    """

    reason: str

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str) or not self.reason:
            raise ConfigError(f"Stop: reason={self.reason!r}: give a text that says why")


@dataclass(frozen=True)
class SetLearningRate:
    """Returned by a callback: the steps from here on use this learning rate.

    The optimizer must keep it in its state: optax.inject_hyperparams(optax.adam)(learning_rate=0.001).

    Arguments:
        learning_rate: a number, not negative.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        value = _number(self.learning_rate)
        if value is None or not (math.isfinite(value) and value >= 0):
            got = shortened(self.learning_rate)
            raise ConfigError(f"SetLearningRate: learning_rate={got}: give a number that is finite and not negative")
        object.__setattr__(self, "learning_rate", value)


@dataclass(frozen=True, eq=False)
class Replace:
    """Returned by a callback: training goes on from this train state.

    Arguments:
        train_state: one of the same model and optimizer, such as event.train_state with other params:
            event.train_state._replace(params=...).
    """

    train_state: TrainState


@dataclass(frozen=True)
class AddLogs:
    """Returned by a callback at the end of an epoch: further numbers of this epoch.

    They are in the history, in what is shown and written, and in what the callbacks after this one see, so that
    EarlyStopping and KeepBest can monitor them. A callback that says beforehand what it will add has an attribute
    `adds`, names and which way is better: adds = {"f1": "max"}.

    Arguments:
        logs: numbers by name.
    """

    logs: Mapping[str, float]

    def __post_init__(self) -> None:
        if not isinstance(self.logs, Mapping) or not all(isinstance(name, str) for name in self.logs):
            raise ConfigError(f"AddLogs: logs={shortened(self.logs)}: give numbers by name, {{'f1': 0.9}}")
        numbers = {name: _number(value) for name, value in self.logs.items()}
        for name, value in numbers.items():
            if value is None:
                raise ConfigError(f"AddLogs: {name!r} is {shortened(self.logs[name])}: give one number")
        object.__setattr__(self, "logs", numbers)


def _number(value: Any) -> float | None:
    """A number of Python, or an array of one number, as a float; None for anything else."""
    if not isinstance(value, (int, float, np.number, np.ndarray, jax.Array)) or isinstance(value, bool):
        return None
    return float(value) if np.shape(value) == () and np.result_type(value).kind in "iufV" else None


def results_of(callback: Any, result: Any) -> tuple[Result, ...]:
    """What a callback returned, as results.

    Raises:
        ConfigError: for anything that is no result, such as a loss that was returned by accident.
    """
    if result is None or isinstance(result, (bool, np.bool_)):
        return (True,) if result else ()
    results = result if type(result) is tuple else (result,)
    if not results or not all(isinstance(each, (Stop, SetLearningRate, Replace, AddLogs)) for each in results):
        raise ConfigError(f"the callback {callback!r} returned {shortened(result)}; {_TO_WRITE}")
    return results


def with_learning_rate(train_state: TrainState, learning_rate: float) -> TrainState:
    """The train state with another learning rate in its optimizer's state.

    Raises:
        ConfigError: where the optimizer's state has none, or one that a schedule sets.
    """
    fixed = "the optimizer's learning rate is fixed"
    places = list(_injected(train_state.opt_state))
    if any("learning_rate" in (getattr(place, "hyperparams_states", None) or ()) for place in places):
        places, fixed = [], "a schedule sets the optimizer's learning rate, so one that is set has no effect"
    if not places:
        raise ConfigError(
            f"SetLearningRate({learning_rate}): {fixed}; "
            "write optimizer=optax.inject_hyperparams(optax.adam)(learning_rate=0.001)"
        )

    def changed(node: Tree) -> Tree:
        if not _is_injected(node):
            return node
        now = node.hyperparams["learning_rate"]
        value = jax.device_put(np.asarray(learning_rate, now.dtype), now.sharding if now.committed else None)
        return node._replace(hyperparams=node.hyperparams | {"learning_rate": value})

    return train_state._replace(opt_state=jax.tree.map(changed, train_state.opt_state, is_leaf=_is_injected))


def replaced(now: TrainState, other: Any) -> TrainState:
    """A train state that a callback gave to go on from, in arrays of its own.

    Raises:
        ConfigError: where it is not one of the same arrays as the train state now.
    """
    if not isinstance(other, TrainState):
        raise ConfigError(
            f"Replace takes a train state, got {type(other).__name__}; give event.train_state._replace(...)"
        )
    lines = differences(kinds(now), kinds(other), "the train state", "given")
    if jax.tree.structure(now) != jax.tree.structure(other) and not lines:
        lines = ["the containers that hold the arrays"]
    if lines:
        raise ConfigError(
            f"Replace: the train state is not one of this training; it differs in {'; '.join(lines)}. Give "
            "event.train_state._replace(params=...)"
        )

    def placed(old: Any, new: Any) -> Any:
        return jax.device_put(new, old.sharding) if old.committed else new

    return copied(jax.tree.map(placed, now, other))


def added_to(logs: dict[str, float], result: AddLogs, callback: Any) -> None:
    """Put what a callback adds into the logs.

    Raises:
        ConfigError: for a name that is there.
    """
    for name, value in result.logs.items():
        if name in logs:
            raise ConfigError(f"the callback {callback!r} adds {name!r}, which is among the logs; choose another name")
        logs[name] = value


def kinds(tree: Tree) -> dict[str, str]:
    """The dtype and shape of each leaf by path.

    >>> kinds({"kernel": jnp.ones((3, 2))})
    {'kernel': 'float32[3, 2]'}
    """
    return {path: f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}" for path, leaf in paths(tree).items()}


def differences(expected: Mapping, actual: Mapping, here: str, there: str) -> list[str]:
    """A line for each name whose value differs, or that is in one of the two alone."""
    lines = []
    for name in dict.fromkeys((*expected, *actual)):
        if name not in actual:
            lines.append(f"{name} ({expected[name]}): in {here} alone")
        elif name not in expected:
            lines.append(f"{name} ({actual[name]}): in {there} alone")
        elif expected[name] != actual[name]:
            lines.append(f"{name}: {expected[name]} in {here}, {actual[name]} in {there}")
    return lines


def _is_injected(node: Any) -> bool:
    """Whether this is the state of optax.inject_hyperparams that has a learning rate."""
    hyperparams = getattr(node, "hyperparams", None)
    return isinstance(hyperparams, Mapping) and "learning_rate" in hyperparams


def _injected(tree: Tree) -> Iterator[Any]:
    yield from filter(_is_injected, jax.tree.leaves(tree, is_leaf=_is_injected))
