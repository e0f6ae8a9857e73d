"""per_example_grad: the gradient of each example of a batch."""

from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, MissingError, ShapeError, brief
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.types import Key, Loss, Params, StateDict
from fnlayers.training.batch import batch_of
from fnlayers.training.data import true_or_false
from fnlayers.training.gradients import value_and_gradients
from fnlayers.training.objective import objective_of
from fnlayers.training.state import as_key
from fnlayers.training.step import shapes
from fnlayers.trees import Declared, joined, split


def per_example_grad(
    model: Layer,
    params: Params,
    batch: Any,
    loss: Loss,
    *,
    state: StateDict | None = None,
    rng: Key | int | None = None,
    train: bool = False,
) -> Any:
    """The gradient of each example's loss, in one vmapped backward pass: a pure function, which jit takes.

    Each example is a batch of its own, with its own key, so that layers which look across a batch see one example;
    BatchNormalization in training is refused. Regularizers are left out, since they are no example's; activity losses
    count. For differential privacy, influence, noise scales. Memory: n times that of the params.

    Arguments:
        model: any layer.
        params: what init drew, or a training returned.
        batch: (x, y) or (x, y, weight); each example's weight, a number, multiplies its gradient.
        loss: as for `fit`.
        state: what init_state made or a run returned.
        rng: a random key or a seed, for dropout in training.
        train: as for `run`.

    Returns:
        A tree like params, each array with a first axis of n; None where a param is not trained. Where no mask takes
        steps away its mean over that axis is the gradient of the batch's mean loss.

    Raises:
        ConfigError: for a model that makes a new state of its batch, in training.
        ShapeError: for weights that are not one number for each example.
        MissingError: for a model without trainable params.

    Example:
        >>> import optax, fnlayers as fl
        >>> model = fl.Dense(1, use_bias=False, kernel_initializer="ones")
        >>> x, y = jnp.array([[1.0], [2.0]]), jnp.zeros((2, 1))
        >>> fl.per_example_grad(model, model.init(jax.random.key(0), (None, 1)), (x, y), optax.squared_error)["kernel"]
        Array([[[2.]],
        <BLANKLINE>
               [[8.]]], dtype=float32)
    """
    check_model(model, "per_example_grad")
    train = true_or_false("per_example_grad: train", train)
    x, y, weight, count = batch_of(batch, "the batch", fetch=False)
    if train and jax.tree.leaves(state):
        raise ConfigError(
            f"per_example_grad: {brief(model)} makes a new state of its batch in training, and an example alone has no "
            "statistics; give train=False, or freeze those layers by fnlayers.freeze"
        )
    if weight is not None and weight.ndim != 1:
        raise ShapeError(f"per_example_grad: weight has shape {weight.shape}; give a number for each example")
    declared, objective = Declared(model, shapes(x)), objective_of(loss, None, model)
    trained, fixed = split(params, declared.trainable)
    if not jax.tree.leaves(trained):
        raise MissingError(f"per_example_grad: {brief(model)} has no trainable params, so there is no gradient")
    key = None if rng is None else as_key(rng)

    def gradient(i: Any, x: Any, y: Any, weight: Any) -> Any:
        one_x, one_y = jax.tree.map(lambda a: a[None], (x, y))

        def loss_at(trained: Any) -> tuple[Any, None]:
            example_key = None if key is None else jax.random.fold_in(key, i)
            out = model.run(joined(trained, fixed), one_x, state=state, rng=example_key, train=train)
            return weight * objective.measure(out, one_y, None, sum(out.losses, jnp.float32(0)))[0], None

        return value_and_gradients(model, loss_at, trained)[1]

    weights = jnp.ones(count) if weight is None else jnp.asarray(weight)
    return jax.vmap(gradient)(jnp.arange(count), x, y, weights)
