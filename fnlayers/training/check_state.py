"""What a caller gives to start from, params, state or a train state, compared with what the model declares."""

from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, MissingError, ShapeError, brief, shortened
from fnlayers.core.layer import Layer
from fnlayers.core.spec import spec_items
from fnlayers.training.optimizer_names import near, optimizers, takes_rate
from fnlayers.trees import Declared, paths, split

Tree = Any


def check_optimizer(optimizer: Any, verb: str) -> None:
    """Raise ConfigError for what is not an optimizer of optax, such as the function that makes one."""
    if isinstance(optimizer, type) or not all(callable(getattr(optimizer, name, None)) for name in ("init", "update")):
        raise ConfigError(f"{verb}: optimizer={shortened(optimizer)} is {_no_optimizer(optimizer)}")


def _no_optimizer(optimizer: Any) -> str:
    """What it is instead, and what to write."""
    if isinstance(optimizer, str):
        there = next((name for name in optimizers() if name == optimizer.lower()), None)
        if there is None:
            hint = near(optimizer)
            return f"a name, and no optimizer; {hint}{' Write' if hint[-1] == '?' else '; write'} optax.adam(1e-3)"
        return f"a name, and has no learning rate; write optax.{there}(1e-3), or fnlayers.optimizer({there!r}, 1e-3)"
    name = getattr(optimizer, "__name__", "adam") if takes_rate(optimizer) else "adam"
    return f"not an optax optimizer; write optax.{name}(1e-3)"


def check_initial(model: Layer, declared: Declared, params: Tree, state: Tree) -> None:
    """Raise for params or state to start from, of which one is None where both are needed, or that are not complete."""
    if params is not None and state is None and declared.state:
        raise MissingError(
            f"params= was given without state=, but {brief(model)} keeps state ({_listed(_sizes(declared.state))}): "
            "give the state that belongs to these params, or state=model.init_state(shape) for initial values"
        )
    if state is not None and params is None and declared.specs:
        raise ConfigError(
            f"state= was given without params=: {brief(model)} would draw params to which that state does not belong; "
            "give both, params=model.init(rng, shape) for new ones"
        )
    check_declared(model, declared, params, state)


def check_declared(model: Layer, declared: Declared, params: Tree, state: Tree) -> None:
    """Raise where params or state are not those that the model declares, path by path."""
    _check(model, "params", _sizes(declared.specs), params)
    _check(model, "state", _sizes(declared.state), state)


def _check(model: Layer, word: str, expected: dict, tree: Tree) -> None:
    if tree is None:
        return
    if hasattr(tree, "params"):
        raise ConfigError(f"{word}= is a {type(tree).__name__}, which holds more; give result.{word}")
    shapes = {path: getattr(leaf, "shape", None) for path, leaf in paths(tree).items()}
    missing = [path for path in expected if path not in shapes]
    surplus = [path for path in shapes if path not in expected]
    other = [
        f"{path} is {shapes[path]}, declared {shape}"
        for path, shape in expected.items()
        if path in shapes and (shapes[path] or ()) != shape
    ]
    wrong = (("missing", missing), ("unexpected", surplus), ("of another shape", other))
    lines = [f"{what}: {_listed(names)}" for what, names in wrong if names]
    if lines:
        method = "init(rng, shape)" if word == "params" else "init_state(shape)"
        kind = ShapeError if not (missing or surplus) else MissingError if missing else ConfigError
        raise kind(
            f"{word}= is not what {brief(model)} declares; {'; '.join(lines)}. Give what model.{method} makes, or what "
            "a training of the same model and sizes returned"
        )


def _sizes(specs: Tree) -> dict[str, tuple]:
    """The shape of each declared array by path."""
    return {path: spec.full_shape for path, spec in spec_items(specs)}


def _listed(names: Any, most: int = 8) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def check_train_state(model: Layer, declared: Declared, optimizer: Any, train_state: Any, name: str) -> None:
    """Raise for what is not a train state to go on from, or belongs to another model or optimizer.

    Shapes and dtypes alone are read, so it holds while a step is traced as well. `name`: the function that was called.
    """
    if hasattr(train_state, "train_state"):
        raise ConfigError(f"{name} takes a train state, got what fit returns; give result.train_state")
    if not all(hasattr(train_state, field) for field in ("step", "params", "state", "opt_state", "rng")):
        raise ConfigError(
            f"{name} takes a train state, got {type(train_state).__name__}; write "
            "fnlayers.TrainState.create(model, shape, optimizer), or give result.train_state of an earlier fit"
        )
    check_declared(model, declared, train_state.params, train_state.state)
    trained, _ = split(train_state.params, declared.trainable)
    expected, actual = jax.eval_shape(optimizer.init, trained), train_state.opt_state
    lines = _optimizer_lines(expected, actual)
    if lines:
        raise ConfigError(
            f"{name}: the train state's opt_state is not this optimizer's for this model; {'; '.join(lines)}. Go on "
            "with the optimizer (and the frozen layers) that it was trained with, or begin with a new state: "
            "fnlayers.TrainState.create(model, shape, optimizer, params=train_state.params, state=train_state.state)"
        )


def _optimizer_lines(expected: Any, actual: Any) -> list[str]:
    """What differs between two optimizer states: structure, else shapes and dtypes."""
    expected_types, actual_types = _types(expected), _types(actual)
    if jax.tree.structure(expected) != jax.tree.structure(actual):
        surplus = [path for path in actual_types if path not in expected_types]
        missing = [path for path in expected_types if path not in actual_types]
        parts = (("missing", missing), ("unexpected", surplus))
        lines = [f"{what}: {_listed(names, 4)}" for what, names in parts if names]
        return [f"it is {_kinds(actual)}, expected {_kinds(expected)}", *lines]
    other = [
        f"{path} is {actual_types[path]}, expected {kind}"
        for path, kind in expected_types.items()
        if actual_types[path] != kind
    ]
    return [_listed(other, 4)] if other else []


def _types(tree: Any) -> dict[str, str]:
    """Dtype and shape of each leaf by path."""
    return {path: f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}" for path, leaf in paths(tree).items()}


def _kinds(tree: Any) -> str:
    """The classes of an optimizer's state: "(ScaleByAdamState, EmptyState)"."""
    if type(tree) in (tuple, list):
        return f"({', '.join(map(_kinds, tree))})"
    return type(tree).__name__
