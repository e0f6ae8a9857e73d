"""Params and state that were given, compared with what the model declares, before anything is compiled."""

from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, LayerError, MissingError, ShapeError
from fnlayers.core.frozen import map_nest
from fnlayers.core.layer import Layer, Shape, brief
from fnlayers.core.shapes import is_shape
from fnlayers.core.spec import Param, State, only
from fnlayers.trees import trainable_mask

Tree = Any


def check_start(model: Layer, shape: Shape, params: Tree, state: Tree) -> None:
    """Raise for params or state to start from, of which one is None where both are needed, or that are not whole."""
    declared = _declared(model, shape)
    wanted = {kind: _sizes(only(declared, kind)) for kind in (Param, State)}
    if params is not None and state is None and wanted[State]:
        raise MissingError(
            f"params= was given without state=, but {brief(model)} keeps state ({_listed(wanted[State])}): give the "
            "state that belongs to these params, or state=model.init_state(shape) to start it anew"
        )
    if state is not None and params is None and wanted[Param]:
        raise ConfigError(
            f"state= was given without params=: {brief(model)} would draw params to which that state does not belong; "
            "give both, params=model.init(rng, shape) for new ones"
        )
    _check(model, "params", wanted[Param], params)
    _check(model, "state", wanted[State], state)


def check_whole(model: Layer, shape: Shape, params: Tree, state: Tree) -> None:
    """Raise where params or state are not those that the model declares, path by path."""
    declared = _declared(model, shape)
    _check(model, "params", _sizes(only(declared, Param)), params)
    _check(model, "state", _sizes(only(declared, State)), state)


def _check(model: Layer, word: str, wanted: dict, given: Tree) -> None:
    if given is None:
        return
    found = _sizes(given)
    missing = [path for path in wanted if path not in found]
    surplus = [path for path in found if path not in wanted]
    other = [
        f"{path} is {found[path]}, declared {shape}"
        for path, shape in wanted.items()
        if path in found and not _fits(found[path], shape)
    ]
    wrong = (("missing", missing), ("unexpected", surplus), ("of another shape", other))
    lines = [f"{what}: {_listed(paths)}" for what, paths in wrong if paths]
    if lines:
        made = "init(rng, shape)" if word == "params" else "init_state(shape)"
        kind = ShapeError if not (missing or surplus) else MissingError if missing else ConfigError
        raise kind(
            f"{word}= is not what {brief(model)} declares; {'; '.join(lines)}. Give what model.{made} makes, or what a "
            "training of the same model and sizes returned"
        )


def _declared(model: Layer, shape: Shape) -> Tree:
    """The model's specs, free of the batch size where it can be."""
    try:
        return model.specs(map_nest(lambda s: (None, *s[1:]), shape, is_leaf=is_shape))
    except LayerError:
        return model.specs(shape)


def _sizes(tree: Tree) -> dict[str, tuple | None]:
    """The shape of each leaf by path; None for what has none."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda n: isinstance(n, (Param, State)))
    named = ((jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves)
    return {
        path: leaf.full_shape if isinstance(leaf, (Param, State)) else getattr(leaf, "shape", None)
        for path, leaf in named
    }


def _fits(found: tuple | None, declared: tuple) -> bool:
    """Whether sizes agree where they are declared."""
    if found is None:
        return declared == ()
    return len(found) == len(declared) and all(w is None or n == w for n, w in zip(found, declared, strict=True))


def _listed(paths: Any, most: int = 8) -> str:
    """The first paths, and how many there are beside them."""
    paths = list(paths)
    return ", ".join(paths[:most]) + (f" and {len(paths) - most} more" if len(paths) > most else "")


def check_going_on(model: Layer, shape: Shape, optimizer: Any, train_state: Any, name: str) -> None:
    """Raise for a train state to go on from that is none, or belongs to another model or optimizer.

    Shapes and dtypes alone are read, so it holds while a step is traced as well. `name`: the function that was called.
    """
    if hasattr(train_state, "train_state"):
        raise ConfigError(f"{name} takes a train state, got what fit returns; give result.train_state")
    if not all(hasattr(train_state, field) for field in ("step", "params", "state", "opt_state", "rng")):
        raise ConfigError(
            f"{name} takes a train state, got {type(train_state).__name__}; write "
            "fnlayers.TrainState.create(model, shape, optimizer), or give result.train_state of an earlier fit"
        )
    check_whole(model, shape, train_state.params, train_state.state)
    trained = jax.tree.map(lambda keep, p: p if keep else None, trainable_mask(model, shape), train_state.params)
    wanted, given = jax.eval_shape(optimizer.init, trained), train_state.opt_state
    lines = _optimizer_lines(wanted, given)
    if lines:
        raise ConfigError(
            f"{name}: the train state's opt_state is not this optimizer's for this model; {'; '.join(lines)}. Go on "
            "with the optimizer (and the frozen layers) that it was trained with, or begin its state anew: "
            "fnlayers.TrainState.create(model, shape, optimizer, params=train_state.params, state=train_state.state)"
        )


def _optimizer_lines(wanted: Any, given: Any) -> list[str]:
    """What differs between two optimizer states: structure, else shapes and dtypes."""
    shaped, held = _types(wanted), _types(given)
    if jax.tree.structure(wanted) != jax.tree.structure(given):
        surplus, missing = [p for p in held if p not in shaped], [p for p in shaped if p not in held]
        parts = (("missing", missing), ("unexpected", surplus))
        lines = [f"{what}: {_listed(paths, 4)}" for what, paths in parts if paths]
        return [f"it is {_kinds(given)}, wanted {_kinds(wanted)}", *lines]
    other = [f"{path} is {held[path]}, wanted {kind}" for path, kind in shaped.items() if held[path] != kind]
    return [_listed(other, 4)] if other else []


def _types(tree: Any) -> dict[str, str]:
    """Dtype and shape of each leaf by path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
        for path, leaf in leaves
    }


def _kinds(tree: Any) -> str:
    """The classes of an optimizer's state: "(ScaleByAdamState, EmptyState)"."""
    if type(tree) in (tuple, list):
        return f"({', '.join(map(_kinds, tree))})"
    return type(tree).__name__
