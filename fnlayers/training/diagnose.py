"""Why a step was not finite: it is run again, layer by layer, from the params that it was given."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import LayerError
from fnlayers.core.layer import Layer
from fnlayers.core.observer import Observer, labels, observed
from fnlayers.training.batch import Batch
from fnlayers.training.check_targets import check_labels
from fnlayers.training.gradients import value_and_gradients
from fnlayers.training.objective import Objective
from fnlayers.training.state import TrainState, typed_key
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
    if problem := _in_data(batch, "batch"):
        return (dataset and _in_data(dataset, "data set")) or problem
    for find in (_in_params, _in_labels, _in_layers, _in_losses, _in_gradients):
        problem = find(model, objective, train_state, batch)
        if problem:
            return problem
    if problem := _in_update(model, objective, optimizer, train_state, batch):
        return problem
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
    key = jax.random.fold_in(typed_key(train_state.rng), train_state.step)
    return bad_output(observed(model, train_state.params, batch.x, state=train_state.state, rng=key, train=True))


def bad_output(observer: Observer) -> str | None:
    """The first output that is not finite among those of a run's layers, in a sentence."""
    bad = [(path, layer, leaf) for path, (layer, y) in observer.seen.items() for leaf in _not_finite(y)]
    if not bad:
        return None
    first = bad[0]
    if first[0] in observer.scanned:  # a later layer of an earlier step comes before it
        same = [each for each in bad if each[0] in observer.scanned and each[0][0] == first[0][0]]
        first = min(same, key=lambda each: _first_index(each[2])[:1])
    path, layer, leaf = first
    name = labels(observer)[path]
    where = f"layer {name}, {_brief(layer)}" if name else f"the model, {_brief(layer)}"
    return f"the output of {where}, is the first that is not finite: it holds {_count(leaf)}"


def _not_finite(y: Any) -> list:
    return [leaf for leaf in jax.tree.leaves(y) if not _finite(leaf)]


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
    (loss, (_, state)), gradients = value_and_gradients(model, loss_at, _trained(model, train_state, batch))
    if (bad := bad_array(state)) is not None:
        return f"every output, loss and gradient is finite, but the model's new state {bad}"
    update = update_of(_declared(model, batch), optimizer, loss_at, loss, gradients)
    _, params, opt_state = update((train_state.step, train_state.params, train_state.opt_state))
    for what, tree in (("params", params), ("the optimizer's state", opt_state)):
        if (bad := bad_array(tree)) is not None:
            return (
                f"every output, loss and gradient is finite, but the update is not: in {what}, {bad}. Look at the "
                f"learning rate (a schedule is asked for step {int(train_state.step)}), and in half precision at the "
                "optimizer's epsilon, which may be 0 there"
            )
    return None


def _declared(model: Layer, batch: Batch) -> Declared:
    return Declared(model, shapes(batch.x))


def _trained(model: Layer, train_state: TrainState, batch: Batch) -> Any:
    return split(train_state.params, _declared(model, batch).trainable)[0]


def bad_array(tree: Any) -> str | None:
    """The first array of a tree that is not finite: its path and what it holds."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not _finite(jnp.asarray(leaf)):
            return f"{jax.tree_util.keystr(path)} holds {_count(leaf)}".strip()
    return None


def _finite(leaf: Any) -> bool:
    return not jnp.issubdtype(leaf.dtype, jnp.inexact) or bool(jnp.all(jnp.isfinite(leaf)))


def _count(leaf: Any) -> str:
    """How many numbers are not finite, and where the first one is."""
    values, at = np.asarray(leaf, "float32"), _first_index(leaf)
    bad = np.count_nonzero(~np.isfinite(values))
    position = f", the first at {list(at)}" if at else ""
    return f"{values[at]} ({bad} of {values.size} numbers{position})"


def _first_index(leaf: Any) -> tuple[int, ...]:
    """Where the first number is that is not finite."""
    return tuple(int(i) for i in np.argwhere(~np.isfinite(np.asarray(leaf, "float32")))[0])


def _brief(layer: Layer) -> str:
    text = re.sub(r"\s+", " ", repr(layer))
    return text if len(text) <= 80 else f"{type(layer).__name__}(...)"
