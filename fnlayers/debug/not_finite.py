"""nan, nan_step: the first number that is not finite, in one pass or in a training."""

from collections.abc import Iterable
from typing import Any

import optax

from fnlayers.core.context import Mask
from fnlayers.core.errors import ConfigError, brief
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.observer import observed
from fnlayers.core.types import Key, Loss, Params, StateDict
from fnlayers.debug.numbers import check_known
from fnlayers.training.batch import batch_of
from fnlayers.training.diagnose import bad_array, bad_output, explain
from fnlayers.training.objective import objective_of
from fnlayers.training.state import TrainState, copied
from fnlayers.training.step import make_step


def nan(
    model: Layer,
    params: Params,
    x: Any,
    *,
    state: StateDict | None = None,
    rng: Key | None = None,
    mask: Mask = None,
    train: bool = False,
) -> str | None:
    """The first number that is not finite in one pass: in the params, the input, or the output of a layer.

    In a Repeat or another scan the first index says in which of its steps.

    Arguments:
        model: any layer.
        params, x, state, rng, mask, train: as for `run`.

    Returns:
        A sentence that names the layer by its path, with the first index; None: everything is finite.

    Raises:
        ConfigError: under jit, where numbers are unknown.

    Example:
        >>> import jax, jax.numpy as jnp, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(2, kernel_initializer="ones"), fl.Lambda(jnp.log, name="log")])
        >>> params = model.init(jax.random.key(0), (None, 1))
        >>> print(fl.debug.nan(model, params, jnp.array([[1.0], [-1.0]])))  # doctest: +ELLIPSIS
        the output of layer log, ..., is the first that is not finite: it holds nan (2 of 4 numbers, ... [1, 0])
    """
    check_model(model, "debug.nan")
    check_known((params, state, x), "nan")
    for what, tree in (("params", params), ("state", state), ("x", x)):
        if description := bad_array(tree):
            return f"{what} {description}"
    return bad_output(observed(model, params, x, state=state, rng=rng, mask=mask, train=train))


def nan_step(
    model: Layer,
    train_state: TrainState,
    batches: Iterable[Any],
    loss: Loss,
    optimizer: optax.GradientTransformation,
) -> tuple[int, str] | None:
    """Train on batches until a step is not finite, and say which step it is and where its first such number lies.

    `fit` says the same when it stops by NonFiniteError; this is for loops of your own. Nothing that is given changes.

    Arguments:
        model: the model.
        train_state: where to start from.
        batches: (x, y) or (x, y, weight) each.
        loss, optimizer: as for `make_step`.

    Returns:
        (the number of the step, the first is 1, and a sentence): a layer's output, the loss, a gradient or the update;
        None: all steps were finite.

    Example:
        >>> import jax.numpy as jnp, fnlayers as fl
        >>> model, optimizer = fl.Dense(1), optax.sgd(1e30)
        >>> start = fl.TrainState.create(model, (None, 2), optimizer)
        >>> batches = 5 * [(jnp.ones((4, 2)), jnp.ones((4, 1)))]
        >>> step, why = fl.debug.nan_step(model, start, batches, optax.l2_loss, optimizer)
        >>> step
        2
    """
    check_model(model, "debug.nan_step")
    if not isinstance(batches, Iterable):
        raise ConfigError(f"debug.nan_step: batches={brief(batches)} is no iterable; give a list of (x, y)")
    step, objective = make_step(model, loss, optimizer), objective_of(loss, None, model)
    train_state = copied(train_state)  # the step donates what it is given
    for batch in batches:
        train_state, logs = step(train_state, batch)
        if not logs["finite"]:
            why = explain(model, objective, optimizer, train_state, batch_of(batch, "a batch"))
            return int(train_state.step) + 1, why
    return None
