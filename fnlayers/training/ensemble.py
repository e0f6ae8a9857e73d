"""ensemble: several trainings of one model at a time, in one compiled step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.types import Key, Loss, Params, StateDict
from fnlayers.host import jit
from fnlayers.training.check_state import check_optimizer
from fnlayers.training.data import true_or_false
from fnlayers.training.objective import objective_of
from fnlayers.training.state import TrainState, as_key
from fnlayers.training.step import Step, logged_step_of

Tree = Any


@dataclass(frozen=True)
class Ensemble:
    """n members of one model, with params of their own: see `fnlayers.ensemble`."""

    model: Layer
    n: int

    def create(
        self, shape: Shape, optimizer: optax.GradientTransformation, rng: Key | int = 0, *, same: bool = False
    ) -> TrainState:
        """The members' train states as one, each array with a first axis of n.

        Arguments:
            shape: of the model's input, with the batch axis; None for a model that has an Input.
            optimizer: the optimizer of all members.
            rng: a random key, or a seed. Member i is `TrainState.create` with jax.random.fold_in(rng, i).
            same: whether all members are that of the key itself, so that they differ in nothing but what you replace
                afterwards: n learning rates, for one, in the opt_state of `optax.inject_hyperparams`.
        """
        key = as_key(rng)
        if true_or_false("ensemble: same", same):
            members = self.n * [TrainState.create(self.model, shape, optimizer, key)]
        else:
            keys = [jax.random.fold_in(key, i) for i in range(self.n)]
            members = [TrainState.create(self.model, shape, optimizer, key) for key in keys]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)

    def make_step(
        self,
        loss: Loss,
        optimizer: optax.GradientTransformation,
        *,
        metrics: Mapping[str, Any] | None = None,
        own_batches: bool = False,
    ) -> Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]:
        """A compiled step that trains all members: step(train_state, batch) -> (train_state, logs).

        Each member takes the step that `make_step` of the model alone would take: its own loss, dropout, and guard
        against numbers that are not finite, so that one which diverges stops and the others go on. The train state that
        is given is donated.

        Arguments:
            loss, optimizer, metrics: as for `make_step`.
            own_batches: whether each array of the batch has a first axis of n, a batch for each member; else all
                members see the same batch.

        Returns:
            A function as make_step's; each of the logs has shape (n,).
        """
        check_optimizer(optimizer, "ensemble: make_step")
        objective = objective_of(loss, metrics, self.model)
        member = logged_step_of(self.model, objective, optimizer)
        return Step(jit(jax.vmap(member, in_axes=(0, 0 if own_batches else None)), donate_argnums=0))

    def apply(self, params: Params, x: Any, *, state: StateDict | None = None) -> Any:
        """What each member makes of x in inference: arrays with a first axis of n. Their mean is the ensemble's."""
        return jax.vmap(lambda params, state: self.model.apply(params, x, state=state))(params, state or {})

    def member(self, tree: Tree, i: int) -> Tree:
        """Member i of params, a state or a train state: what the model alone takes, and `fnlayers.save` writes."""
        if not -self.n <= i < self.n:
            raise ConfigError(f"member {i} of an ensemble of {self.n}; give 0 to {self.n - 1}")
        return jax.tree.map(lambda leaf: leaf[i], tree)


def ensemble(model: Layer, n: int) -> Ensemble:
    """N members of one model that are trained at a time, in one step that jax.vmap makes.

    On accelerators that costs far less than n trainings, until the members' products fill the device. With other seeds
    it is a deep ensemble; with one seed and n learning rates it is a sweep (examples/learning_rates.py).

    Arguments:
        model: any layer.
        n: how many members.

    Returns:
        An Ensemble: `create` makes a train state, `make_step` a compiled step, `apply` all members' outputs, `member`
        one member's params.

    Example:
        >>> import fnlayers as fl
        >>> members, optimizer = fl.ensemble(fl.Dense(1), 3), optax.sgd(0.1)
        >>> train_state = members.create((None, 2), optimizer, rng=0)
        >>> step = members.make_step(optax.squared_error, optimizer)
        >>> x, y = jnp.ones((4, 2)), jnp.zeros((4, 1))
        >>> train_state, logs = step(train_state, (x, y))
        >>> logs["loss"].shape, members.apply(train_state.params, x).shape
        ((3,), (3, 4, 1))
    """
    check_model(model, "ensemble")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f"ensemble: n={n!r}; give the number of members, 1 or more")
    return Ensemble(model, n)
