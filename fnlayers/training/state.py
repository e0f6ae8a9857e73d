"""TrainState: all that training changes, as one pytree of arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fnlayers.core.checks import not_a_key
from fnlayers.core.errors import ConfigError, brief, shortened
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.names import fold
from fnlayers.core.types import Key, Params, StateDict
from fnlayers.functions.draws import is_key
from fnlayers.models.sequential import Sequential
from fnlayers.sharding import Shardings, shardings
from fnlayers.training.check_state import check_initial, check_optimizer
from fnlayers.trees import Declared, split

Tree = Any


class TrainState(NamedTuple):
    """All that a training step replaces. A pytree of arrays and nothing else, so it is saved and sharded as it is.

    Arguments:
        step: how many updates were made, an int32 scalar.
        params: the model's params.
        state: the model's state (running statistics), {} for most models.
        opt_state: the optimizer's, for the params that are trainable.
        rng: the root key of training; step n draws from jax.random.fold_in(rng, n). Kept as plain uint32 data
            (jax.random.key_data) where it is of jax's default kind, which files hold and steps are called with faster.

    Example:
        >>> import fnlayers as fl
        >>> train_state = TrainState.create(fl.Dense(2), (None, 3), optax.sgd(0.1), jax.random.key(0))
        >>> int(train_state.step), jax.tree.map(jnp.shape, train_state.params)
        (0, {'bias': (2,), 'kernel': (3, 2)})
    """

    step: Any
    params: Tree
    state: Tree
    opt_state: Any
    rng: Any

    @classmethod
    def create(
        cls,
        model: Layer,
        shape: Shape,
        optimizer: optax.GradientTransformation,
        rng: Key | int = 0,
        *,
        params: Params | None = None,
        state: StateDict | None = None,
        mesh: Any = None,
        rules: Any = "data",
    ) -> "TrainState":
        """The state before the first step.

        Arguments:
            model: the model.
            shape: its input's shape with the batch axis, None where unknown; a nest of shapes for several inputs. A
                model with an Input knows its own: None.
            optimizer: the optimizer that the steps will use.
            rng: a random key, or a seed. Params are those of model.init(rng, shape).
            params: what to start from instead; copied, so that a step which donates takes nothing away.
            state: the state that belongs to them; needed with params where the model keeps any.
            mesh, rules: over which devices the arrays lie, and how: see `fnlayers.shardings`. Each device draws its own
                part of the params, so that no memory holds all of them.

        Returns:
            A TrainState that shares no array with what was given.

        Raises:
            MissingError, ConfigError, ShapeError: for params without the state that belongs to them, state without
                params, for params or state that are not complete, or those of another model, and for a Sequential
                without layers.
        """
        check_model(model, "TrainState.create")
        check_optimizer(optimizer, "TrainState.create")
        key = as_key(rng)
        shape = model.in_shape if shape is None else shape
        declared = Declared(model, shape)
        check_initial(model, declared, params, state)
        if isinstance(model, Sequential) and not model.layers:
            raise ConfigError(f"{brief(model)} has no layers, and so nothing to train; give it some")

        def create(key: Any, params: Any, state: Any) -> TrainState:
            params = model.init(key, shape) if params is None else params
            state = model.init_state(shape) if state is None else state
            trained, _ = split(params, declared.trainable)
            return cls(jnp.zeros((), "int32"), params, state, optimizer.init(trained), plain_key(fold(key, "training")))

        if mesh is None:
            return copied(create(key, params, state))
        plan = shardings(model, shape, mesh, rules, optimizer)
        params, state = jax.device_put(params, plan.params if params else None), jax.device_put(state, plan.whole)
        return jax.jit(lambda *args: copied(create(*args)), out_shardings=sharded_state(plan))(key, params, state)


def sharded_state(plan: Shardings) -> Any:
    """The shardings of a train state, as one."""
    return TrainState(plan.whole, plan.params, plan.state, plan.opt_state, plan.whole)


def as_key(rng: Any) -> Key:
    """A random key; a whole number, NumPy's too, is a seed."""
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        if not -(2**63) <= rng < 2**63:
            raise ConfigError(f"rng={rng}: a seed is an integer of 64 bits; give a smaller one, or a random key")
        return jax.random.key(int(rng))
    if not is_key(rng):
        raise ConfigError(f"rng={shortened(rng)}: give a random key or a whole number, {not_a_key(rng)}")
    return rng  # type: ignore[return-value]  # raw keys may be NumPy's


def plain_key(key: Any) -> Any:
    """A key of the default kind as uint32 data; any other as it is."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    return jax.random.key_data(key) if key.dtype == jax.random.key(0).dtype else key


def typed_key(key: Any) -> Any:
    """What `plain_key` was given."""
    return key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)


def key_words(key: Any) -> list[int]:
    """A key as numbers, for generators outside jax."""
    return jax.random.key_data(typed_key(key)).ravel().tolist()


def copied(tree: Tree) -> Tree:
    """The tree in arrays of its own, none of them twice: what may be donated."""
    return _copied(tree)


@jax.jit
def _copied(tree: Tree) -> Tree:
    # A dtype that is named makes a weakly typed scalar a plain one, which a second step would be compiled for
    return jax.tree.map(lambda a: jnp.copy(jnp.asarray(a, dtype=a.dtype)), tree)
