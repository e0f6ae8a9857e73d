"""Why a step was not finite: it is run again, layer by layer, from the params that it was given."""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnlayers.core.errors import LayerError
from fnlayers.core.layer import Layer
from fnlayers.plain_data import FrozenDict
from fnlayers.training.batch import Batch
from fnlayers.training.check_targets import check_labels
from fnlayers.training.gradients import value_and_gradients
from fnlayers.training.objective import Objective
from fnlayers.training.state import TrainState
from fnlayers.training.step import loss_of, shapes, update_of
from fnlayers.trees import Declared, paths, split, weight_paths


class NonFiniteError(LayerError):
    """A step whose loss, gradients or update are not finite. Training stopped before it did harm.

    Arguments:
        message: what was found.
        step: the number of the update that was not made; the first is 1.
        train_state: the train state before it: the last good one.
        history: the numbers of the epochs before.
        batch: (x, y, weight) of the step.
    """

    def __init__(self, message: str, step: int, train_state: TrainState, history: Mapping, batch: tuple) -> None:
        super().__init__(message)
        self.step, self.train_state, self.history, self.batch = step, train_state, history, batch


def explain(
    model: Layer,
    objective: Objective,
    optimizer: Any,
    train_state: TrainState,
    batch: Batch,
    dataset: Batch | None = None,
) -> str:
    """The first thing not finite in a step, in a sentence: input, param, layer's output, loss, gradient or update.

    Arguments:
        model: what was trained.
        objective: for what.
        optimizer: by what.
        train_state: the state that the step was given.
        batch: the batch that it was given.
        dataset: the data set, where it is in memory, so that a bad number is found where it lies.
    """
    if found := _in_data(batch, "batch"):
        return (dataset and _in_data(dataset, "data set")) or found
    for find in (_in_params, _in_labels, _in_layers, _in_losses, _in_gradients):
        found = find(model, objective, train_state, batch)
        if found:
            return found
    if found := _in_update(model, objective, optimizer, train_state, batch):
        return found
    return (
        "run again outside jit, everything is finite: the compiled step rounds in another order, so some number lies "
        "at the edge of its dtype's range; lower the learning rate, scale the inputs, or clip the gradients"
    )


def _in_data(batch: Batch, what: str) -> str | None:
    for name in ("x", "y", "weight"):
        for path, leaf in paths(getattr(batch, name)).items():
            if not _finite(leaf):
                return f"the {what} itself is not finite: {'/'.join(filter(None, (name, path)))} holds {_count(leaf)}"
    return None


def _in_params(model: Layer, objective: Objective, train_state: TrainState, batch: Batch) -> str | None:
    for what in ("params", "state"):
        for path, leaf in paths(getattr(train_state, what)).items():
            if not _finite(leaf):
                return (
                    f"{what} {path} was not finite before the step: it holds {_count(leaf)}; the update before "
                    "overflowed (lower the learning rate), or training began with it"
                )
    return None


def _in_labels(model: Layer, objective: Objective, train_state: TrainState, batch: Batch) -> str | None:
    """A label that the loss cannot take, whose loss is NaN: on a device it was not looked at before."""
    key = jax.random.key(0)
    out = jax.eval_shape(
        lambda params, state, x: model.run(params, x, state=state, rng=key, train=True),
        train_state.params,
        train_state.state,
        batch.x,
    )
    try:
        check_labels(objective, batch, out, fetch=True)
    except LayerError as error:
        return str(error)
    return None


def _in_layers(model: Layer, objective: Objective, train_state: TrainState, batch: Batch) -> str | None:
    found: list[str] = []

    def see(path: tuple, layer: Layer, y: Any) -> None:
        leaves = jax.tree.leaves(y)
        if found or any(isinstance(leaf, Tracer) for leaf in leaves):
            return
        for leaf in leaves:
            if not _finite(leaf):
                name = "/".join(map(str, path))
                where = f"layer {name}, {_brief(layer)}" if name else f"the model, {_brief(layer)}"
                found.append(f"the output of {where}, is the first that is not finite: it holds {_count(leaf)}")
                return

    loss_of(probed(model, see), _declared(model, batch), objective, train_state, *batch[:3])(
        _trained(model, train_state, batch)
    )
    return found[0] if found else None


def _in_losses(model: Layer, objective: Objective, train_state: TrainState, batch: Batch) -> str | None:
    loss, (numbers, _) = loss_of(model, _declared(model, batch), objective, train_state, *batch[:3])(
        _trained(model, train_state, batch)
    )
    if _finite(loss):
        return None
    for term, mean in zip(objective.losses, numbers.means, strict=False):
        if not _finite(mean):
            return (
                f"every layer's output is finite, but {term.name!r} of it is {float(mean)}; a loss that takes logits "
                "and takes the logarithm itself (optax's) does not overflow"
            )
    return "every layer's output is finite, but a regularizer's penalty or an activity loss is not"


def _in_gradients(model: Layer, objective: Objective, train_state: TrainState, batch: Batch) -> str | None:
    loss_at = loss_of(model, _declared(model, batch), objective, train_state, *batch[:3])
    gradients = paths(value_and_gradients(model, loss_at, _trained(model, train_state, batch))[1])
    bad = [path for path, leaf in gradients.items() if not _finite(leaf)]
    if not bad:
        return None
    order = {path: position for position, path in enumerate(weight_paths(model, shapes(batch.x)))}
    # The backward pass comes from the end, so what it meets first is declared last
    first = max(bad, key=lambda path: order.get(path, -1))
    return (
        f"every layer's output and the loss are finite, but the gradient of {first} is the first, from the end, that "
        f"is not: it holds {_count(gradients[first])} ({len(bad)} of {len(gradients)} gradients are not finite)"
    )


def _in_update(model: Layer, objective: Objective, optimizer: Any, train_state: TrainState, batch: Batch) -> str | None:
    loss_at = loss_of(model, _declared(model, batch), objective, train_state, *batch[:3])
    (loss, (_, _, state)), gradients = value_and_gradients(model, loss_at, _trained(model, train_state, batch))
    if (bad := _first_not_finite(state)) is not None:
        return f"every output, loss and gradient is finite, but the model's new state {bad}"
    update = update_of(_declared(model, batch), optimizer, loss_at, loss, gradients)
    _, params, opt_state = update((train_state.step, train_state.params, train_state.opt_state))
    for what, tree in (("params", params), ("the optimizer's state", opt_state)):
        if (bad := _first_not_finite(tree)) is not None:
            return (
                f"every output, loss and gradient is finite, but the update is not: in {what}, {bad}. Look at the "
                f"learning rate (a schedule is asked for step {int(train_state.step)}), and in half precision at the "
                "optimizer's epsilon, which may be 0 there"
            )
    return None


def _first_not_finite(tree: Any) -> str | None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not _finite(leaf):
            return f"{jax.tree_util.keystr(path)} holds {_count(leaf)}"
    return None


def probed(layer: Layer, see: Callable[[tuple, Layer, Any], None]) -> Layer:
    """A copy of a layer in which every layer, at any depth, calls see(path, layer, y) when it has run.

    What runs inside a compiled loop (a scan) is seen as a tracer.
    """
    copies: dict[int, Layer] = {}

    def inside(value: Any) -> Any:
        if isinstance(value, Layer):
            return probe(value)
        if isinstance(value, FrozenDict):
            return FrozenDict({key: inside(item) for key, item in value.items()})
        if type(value) is tuple:
            return tuple(map(inside, value))
        return value

    def probe(layer: Layer) -> Layer:
        if id(layer) in copies:  # one object stays one: that is how weights are shared
            return copies[id(layer)]
        made = copies[id(layer)] = copy.copy(layer)
        for field in fields(layer):
            object.__setattr__(made, field.name, inside(getattr(layer, field.name)))

        def run(params: Any, x: Any, ctx: Any) -> Any:
            out = type(layer)._run(made, params, x, ctx)
            see(ctx.path, layer, out.y)
            return out

        object.__setattr__(made, "_run", run)
        return made

    return probe(layer)


def _declared(model: Layer, batch: Batch) -> Declared:
    return Declared(model, shapes(batch.x))


def _trained(model: Layer, train_state: TrainState, batch: Batch) -> Any:
    return split(train_state.params, _declared(model, batch).trainable)[0]


def _finite(leaf: Any) -> bool:
    return not jnp.issubdtype(leaf.dtype, jnp.inexact) or bool(jnp.all(jnp.isfinite(leaf)))


def _count(leaf: Any) -> str:
    """How many numbers are not finite, and where the first one is."""
    values = np.asarray(jnp.asarray(leaf).astype("float32"))
    bad = np.argwhere(~np.isfinite(values))
    at = tuple(int(i) for i in bad[0])
    position = f", the first at {list(at)}" if at else ""
    return f"{values[at]} ({len(bad)} of {values.size} numbers{position})"


def _brief(layer: Layer) -> str:
    text = re.sub(r"\s+", " ", repr(layer))
    return text if len(text) <= 80 else f"{type(layer).__name__}(...)"
