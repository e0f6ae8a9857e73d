"""One step of training, and one of evaluation, as compiled functions."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from fnlayers.core.errors import ConfigError
from fnlayers.core.explicit import partitioned
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.rows import rows_on
from fnlayers.core.shapes import shape_of, type_of
from fnlayers.core.types import Loss, Metrics
from fnlayers.host import jit
from fnlayers.ops.cpu.conv_layouts import channels_last
from fnlayers.training.accumulated import Accumulated
from fnlayers.training.batch import check_batch, unpack_batch
from fnlayers.training.check_state import check_optimizer, check_train_state
from fnlayers.training.endings import warn_of_endings
from fnlayers.training.gradients import value_and_gradients
from fnlayers.training.guard import Guard, checked_guard, finite, guarded
from fnlayers.training.objective import Numbers, Objective, objective_of
from fnlayers.training.placing import Placing, placing_for
from fnlayers.training.remat import Remat, checked_remat, run_for_training
from fnlayers.training.state import TrainState, typed_key
from fnlayers.trees import Declared, joined, penalty, split

Tree = Any


def make_step(
    model: Layer,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    metrics: Metrics = None,
    loss_weights: Any = None,
    guard: Literal[True, "skip", False] = True,
    remat: Remat = False,
    mesh: Any = None,
    rules: Any = "data",
) -> Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]:
    """A compiled training step: step(train_state, batch) -> (train_state, logs).

    It adds the regularizers' penalty and the activity losses, leaves frozen params alone, applies the constraints
    after the update, and draws from a key folded from the step's number. Where the loss, a gradient, or a number that
    it would keep is not finite it changes nothing, so the train state is always the last good one. It donates the train
    state it is given. Where layers compute in float16 it scales the loss, as Keras's LossScaleOptimizer does: the scale
    follows the loss, and a backward pass that overflows is repeated with a smaller one.

    Arguments:
        model: the model.
        loss: a function (y_pred, y_true) -> values, one or more for each example, as optax's losses are, or Keras's
            name of one; for several outputs also a dict or tuple of such, as for `fit`.
        optimizer: an optax optimizer.
        metrics: further such functions, metrics of `fnlayers.metrics` and names of Keras's, as for `fit`; here they are
            those of the batch.
        loss_weights: a number for each of several losses, structured like them.
        guard: whether to look at the gradients and at what the update makes of params, state and the optimizer's state,
            and to leave out updates that are not finite. It reads each of these once more, which costs time where a
            step has few examples for its params; with False, a step costs what it does when written by hand. With True
            a step that is left out changes nothing at all; with "skip" it counts in train_state.step, so that the next
            one draws from another key, as in fit(guard="skip").
        remat: what the backward pass keeps, as for `fit`: memory for time.
        mesh, rules: over which devices to train, and how: see `fnlayers.shardings`. The step puts the train state and
            each batch where they say (make the state with `TrainState.create(..., mesh=, rules=)`, and no device ever
            holds all of it); of several processes each gives its own examples. The numbers are those of one device:
            metrics, batch statistics and dropout are of the whole batch.

    Returns:
        A compiled function of a TrainState and a batch, (x, y) or (x, y, weight). logs["loss"] and each metric are
        scalars on the device; logs["finite"] says whether the loss was finite, and with guard whether the update was
        taken: whether each gradient, and each number of the new train state, was finite too.

    Raises:
        ConfigError: for a loss or metric that is not a function, or returns one number for a batch; by the step, for a
            train state of another model or optimizer, for an empty batch, and for arrays of NumPy that jax would
            change: 64-bit integers that 32 bits cannot hold, objects, negative sample weights.
        ShapeError: for values that do not fit the weights or the mask.

    Example:
        >>> import fnlayers as fl
        >>> model, optimizer = fl.Dense(1), optax.sgd(0.1)
        >>> step = make_step(model, optax.squared_error, optimizer)
        >>> train_state = TrainState.create(model, (None, 3), optimizer)
        >>> train_state, logs = step(train_state, (jnp.ones((4, 3)), jnp.ones((4, 1))))
        >>> int(train_state.step), sorted(logs)
        (1, ['finite', 'loss'])
    """
    check_model(model, "make_step")
    check_optimizer(optimizer, "make_step")
    guard, remat = checked_guard("make_step", guard, (True, "skip", False)), checked_remat("make_step", remat)
    objective = objective_of(loss, metrics, model, loss_weights)
    warn_of_endings(model, objective)
    placing = placing_for(model, optimizer, mesh, rules)
    step = logged_step_of(model, objective, optimizer, guard, placing, remat)
    return Step(jit(step, donate_argnums=0), placing)


class Step:
    """A compiled step that looks at the numbers of a batch on the host before they are cast for the device.

    It is called as the compiled function is, and has its methods, such as `lower`.
    """

    def __init__(self, compiled: Callable, placing: Placing | None = None) -> None:
        self.compiled, self.placing = compiled, placing

    def __call__(self, train_state: TrainState, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        """Run it: the train state after the step, and its logs."""
        check_batch(batch)
        if self.placing is not None:
            x = unpack_batch(batch)[0]
            self.placing.check_batch_size(len(jax.tree.leaves(x)[0]), self.placing.processes_of(x))
            train_state, batch = self.placing.train_state(train_state, x), self.placing.batch(batch)
        return self.compiled(train_state, batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)


def shapes(x: Any) -> Shape:
    """The shape of each array in a nest."""
    return shape_of(type_of(x))


def loss_of(
    model: Layer,
    declared: Declared,
    objective: Objective,
    train_state: TrainState,
    x: Any,
    y: Any,
    weight: Any,
    remat: Remat = False,
) -> Callable:
    """The objective of one batch as a function of the trainable params -> (loss, (numbers, new state))."""
    _, fixed = split(train_state.params, declared.trainable)
    key = jax.random.fold_in(typed_key(train_state.rng), train_state.step)

    def loss_at(trained: Tree) -> tuple[jax.Array, tuple]:
        params = joined(trained, fixed)
        out = run_for_training(model, params, x, train_state.state, key, remat)
        loss, numbers = objective.measure(out, y, weight, sum(out.losses, declared.penalty(params)))
        return loss, (numbers, out.state)

    return loss_at


def update_of(declared: Declared, optimizer: Any, loss_at: Callable, loss: Any, gradients: Any) -> Callable:
    """The function (step, params, opt_state) -> the same after one update."""
    optimizer = optax.with_extra_args_support(optimizer)

    def update(changing: tuple) -> tuple:
        step, params, opt_state = changing
        trained, fixed = split(params, declared.trainable)
        updates, opt_state = optimizer.update(
            gradients, opt_state, trained, value=loss, grad=gradients, value_fn=lambda t: loss_at(t)[0]
        )
        params = declared.project(joined(optax.apply_updates(trained, updates), fixed))
        # No constraint moves a frozen param
        return step + 1, joined(split(params, declared.trainable)[0], fixed), opt_state

    return update


def train_step_of(
    model: Layer,
    objective: Objective,
    optimizer: Any,
    guard: Guard = "raise",
    placing: Placing | None = None,
    remat: Remat = False,
) -> Callable:
    """The function (train_state, all_finite, x, y, weight) -> (train_state, all_finite, numbers), not compiled.

    With the guard "raise" `all_finite` becomes False at the first step whose loss, gradients, or what it would keep are
    not finite, and while it is False nothing changes: so the train state stays the one before that step, however late
    that is noticed. With "skip" it speaks of one step alone, which is counted.
    """

    def train_step(train_state: TrainState, all_finite: Any, x: Any, y: Any, weight: Any) -> tuple:
        declared = Declared(model, shapes(x))
        # While it is traced: it costs nothing once compiled
        check_train_state(model, declared, optimizer, train_state, "the step of make_step")
        step, params, state, opt_state, rng = train_state
        loss_at = loss_of(model, declared, objective, train_state, x, y, weight, remat)
        trained, _ = split(params, declared.trainable)
        with rows_on(placing and placing.rows):
            (loss, (numbers, new_state)), gradients = value_and_gradients(model, loss_at, trained)
            update = update_of(declared, optimizer, loss_at, loss, gradients)
            before = (step, params, opt_state)
            if guard:
                so_far = guard == "skip" or all_finite
                on_mesh = placing is not None or not jax.sharding.get_abstract_mesh().empty
                after, new_state, all_finite = guarded(
                    update, before, so_far, gradients, loss, state, new_state, on_mesh
                )
            else:
                after, all_finite = update(before), finite(loss)
        step, params, opt_state = (step + 1, *after[1:]) if guard == "skip" else after
        train_state = TrainState(step, params, new_state, opt_state, rng)
        return train_state if placing is None else placing.constrained(train_state, x), all_finite, numbers

    return train_step


def logged_step_of(
    model: Layer,
    objective: Objective,
    optimizer: Any,
    guard: Literal[True, "skip", False] = True,
    placing: Placing | None = None,
    remat: Remat = False,
) -> Callable:
    """The function (train_state, batch) -> (train_state, logs), not compiled."""
    if objective.whole:
        raise ConfigError(f"metrics: {objective.whole[0].name!r} is of a whole set; give it to evaluate")
    train_step = train_step_of(model, objective, optimizer, "raise" if guard is True else guard, placing, remat)

    def step(train_state: TrainState, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        train_state, all_finite, numbers = train_step(train_state, True, *unpack_batch(batch))
        sums = zip(objective.sums, numbers.sums, strict=True)
        results = {term.name: Accumulated(term.name, term.function).result(each) for term, each in sums}
        return train_state, objective.logs(numbers.means, results) | {"finite": all_finite}

    return partitioned(step, like=(0, None))


def step_of(
    model: Layer,
    objective: Objective,
    optimizer: Any,
    guard: Guard = "raise",
    placing: Placing | None = None,
    remat: Remat = False,
) -> Callable:
    """`train_step_of`, compiled for the loop: the logs in one array, so that one transfer brings them all."""
    train_step = train_step_of(model, objective, optimizer, guard, placing, remat)

    @functools.partial(jit, donate_argnums=(0, 1))
    @functools.partial(partitioned, like=(0, None, None))
    def step(train_state: TrainState, all_finite: Any, x: Any, y: Any, weight: Any) -> tuple:
        train_state, all_finite, numbers = train_step(train_state, all_finite, x, y, weight)
        return train_state, all_finite, packed(numbers, all_finite, placing)

    return step


def steps_of(
    model: Layer,
    objective: Objective,
    optimizer: Any,
    guard: Guard = "raise",
    placing: Placing | None = None,
    remat: Remat = False,
) -> Callable:
    """`step_of` for several batches, stacked along a first axis, one after the other: their logs in as many rows.

    The same numbers as of single steps, bit for bit: XLA's code for CPUs is that of the body, but for convolutions.
    """
    train_step = train_step_of(model, objective, optimizer, guard, placing, remat)
    in_loop = channels_last if jax.default_backend() == "cpu" else lambda function: function

    @functools.partial(jit, donate_argnums=(0, 1))
    @functools.partial(partitioned, like=(0, None, None))
    def steps(train_state: TrainState, all_finite: Any, x: Any, y: Any, weight: Any) -> tuple:
        def one(carry: tuple, batch: tuple) -> tuple:
            train_state, all_finite, numbers = train_step(*carry, *batch)
            return (train_state, all_finite), packed(numbers, all_finite, placing)

        (train_state, all_finite), rows = jax.lax.scan(in_loop(one), (train_state, all_finite), (x, y, weight))
        return train_state, all_finite, rows

    return steps


def evaluation_of(model: Layer, objective: Objective, placing: Placing | None = None) -> Callable:
    """(params, state, x, y, weight) -> (the numbers of one batch in inference, packed; what is for the whole set)."""

    @jit
    @functools.partial(partitioned, like=(None, 2))
    def evaluation(params: Tree, state: Tree, x: Any, y: Any, weight: Any) -> tuple[jax.Array, list]:
        with rows_on(placing and placing.rows):
            out = model.run(params, x, state=state)
        extra = sum(out.losses, penalty(model, shapes(x))(params))
        _, numbers = objective.measure(out, y, weight, extra)
        return packed(numbers, True, placing), _by_rows(objective.for_whole_set(out, weight), placing)

    return evaluation


def prediction_of(model: Layer, placing: Placing | None = None) -> Callable:
    """(params, state, x, None, None) -> y in inference: called as an evaluation is."""

    @jit
    def prediction(params: Tree, state: Tree, x: Any, y: None, weight: None) -> Any:
        with rows_on(placing and placing.rows):
            out = model.run(params, x, state=state)
        return _by_rows(out.y, placing)

    return prediction


def _by_rows(outputs: Tree, placing: Placing | None) -> Tree:
    return outputs if placing is None else placing.by_rows(outputs)


def packed(numbers: Numbers, all_finite: Any, placing: Placing | None = None) -> jax.Array:
    """Means, weights, sums and the flag in one array."""
    columns = jnp.stack([*numbers.means, *numbers.totals])
    sums = [jnp.ravel(leaf).astype("float32") for leaf in jax.tree.leaves(numbers.sums)]
    row = jnp.concatenate([columns, *sums, jnp.asarray(all_finite, "float32")[None]])
    return row if placing is None else placing.on_all(row)
