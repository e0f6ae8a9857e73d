"""The average of params: an optimizer that keeps one in its state, and what reads it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fnlayers.core.errors import ConfigError, MissingError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.spec import spec_items
from fnlayers.trees import Declared, joined

Tree = Any


class AverageState(NamedTuple):
    """The state of an optimizer with `ema`: that of the optimizer, and the averaged params."""

    inner: Any
    average: Tree


class EvaluatedAverageState(NamedTuple):
    """The same within `fit(ema=...)`, where the averaged params are those that are evaluated and returned."""

    inner: Any
    average: Tree


STATES = (AverageState, EvaluatedAverageState)


def averaged(state: Any, params: Tree = None) -> Tree:
    """The averaged params of a training with `ema`, by `fit` or by the `optimizer`.

    Arguments:
        state: a train state, what `fit` returned, or the optimizer's state.
        params: where only the optimizer's state is given: the params, for those that are not trained.

    Returns:
        A tree like params, to evaluate and to save.

    Raises:
        ConfigError: where there is no average.
    """
    state = getattr(state, "train_state", state)
    params = getattr(state, "params", params)
    averages = _averages(getattr(state, "opt_state", state))
    if len(averages) != 1:
        raise ConfigError(
            "averaged: the optimizer keeps no average; give ema=0.999 to fit, or fnlayers.optimizer(..., ema=0.999)"
        )
    return averages[0] if params is None else joined(averages[0], params)


def evaluated_params(train_state: Any) -> Tree:
    """The params that are evaluated and returned: the averaged ones in `fit(ema=...)`."""
    return averaged(train_state) if isinstance(train_state.opt_state, EvaluatedAverageState) else train_state.params


def check_momentum(where: str, momentum: Any) -> None:
    """Raise ConfigError for what is no momentum of an average."""
    number = isinstance(momentum, (int, float)) and not isinstance(momentum, bool)
    if not (number and 0 <= momentum < 1):
        raise ConfigError(f"{where}: ema={momentum!r}: give a number from 0 to below 1, such as 0.999, or None")


def for_evaluation(optimizer: Any, momentum: Any, model: Layer, shape: Shape) -> optax.GradientTransformation:
    """The optimizer of `fit(ema=...)`, whose average is of params that meet the model's constraints."""
    check_momentum("fit", momentum)
    declared = Declared(model, shape)
    constrained = any(getattr(spec, "constraint", None) is not None for _, spec in spec_items(declared.specs))
    return averaging(optimizer, momentum, EvaluatedAverageState, declared.project if constrained else None)


def averaging(
    optimizer: optax.GradientTransformation,
    momentum: float,
    kind: type = AverageState,
    finish: Callable[[Tree], Tree] | None = None,
) -> optax.GradientTransformation:
    """The optimizer with an average of the params in its state, which begins at those that it is given.

    Arguments:
        made: the optimizer. Where it collects the gradients of several steps (`optax.MultiSteps`), the average
            moves with its updates.
        momentum: how much of the average stays at an update.
        kind: the class of its state.
        finish: what becomes of the params after the update, before they are averaged.
    """
    inner = optax.with_extra_args_support(optimizer)

    def init(params: Tree) -> Any:
        state = inner.init(params)
        if _averages(state):
            raise ConfigError("the optimizer keeps an average already; give ema= to fit or to fnlayers.optimizer")
        return kind(state, jax.tree.map(jnp.asarray, params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        if params is None:
            raise MissingError("optimizer: ema averages the params; write tx.update(gradients, state, params)")
        updates, inner_state = inner.update(updates, state.inner, params, **extra)
        new = optax.apply_updates(params, updates)
        new = new if finish is None else finish(new)
        average = jax.tree.map(lambda a, p: (momentum * a + (1 - momentum) * p).astype(a.dtype), state.average, new)
        for before, after in zip(_counts(state.inner), _counts(inner_state), strict=True):
            average = jax.tree.map(lambda a, b, moved=after != before: jnp.where(moved, a, b), average, state.average)
        return updates, kind(inner_state, average)

    return optax.GradientTransformationExtraArgs(init, update)


def _averages(state: Any) -> list[Tree]:
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, STATES))
    return [leaf.average for leaf in leaves if isinstance(leaf, STATES)]


def _counts(state: Any) -> list[Any]:
    """How many updates were made, where the gradients of several steps are collected for one."""
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, optax.MultiStepsState))
    return [leaf.gradient_step for leaf in leaves if isinstance(leaf, optax.MultiStepsState)]
