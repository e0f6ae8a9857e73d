"""Train states and batches on a mesh of devices, as `fnlayers.shardings` plans them."""

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from fnlayers.core.errors import ShapeError
from fnlayers.core.layer import Layer
from fnlayers.core.shapes import type_of
from fnlayers.plain_data import freeze, map_nest
from fnlayers.sharding import Shardings, shardings
from fnlayers.training.state import TrainState, sharded_state

Tree = Any


class Placing:
    """Where a training with `mesh=` and `rules=` puts its arrays.

    Arguments:
        model, optimizer: what is trained, and by what.
        mesh, rules: see `fnlayers.shardings`.
    """

    def __init__(self, model: Layer, optimizer: Any, mesh: Any, rules: Any) -> None:
        self.model, self.optimizer, self.mesh, self.rules = model, optimizer, mesh, rules
        self.planned: dict[Any, Shardings] = {}

    def plan(self, x: Any) -> Shardings:
        """The shardings for inputs like x, of any batch size."""
        shape = freeze(map_nest(lambda a: (None, *a.shape[1:]), type_of(x)))
        if shape not in self.planned:
            self.planned[shape] = shardings(self.model, shape, self.mesh, self.rules, self.optimizer)
        return self.planned[shape]

    def train_state(self, train_state: TrainState, x: Any) -> TrainState:
        """The train state, moved where it is not there yet."""
        return jax.tree.map(_moved, train_state, sharded_state(self.plan(x)))

    def constrained(self, train_state: TrainState, x: Any) -> TrainState:
        """Within a compiled step: the new train state stays where the old one is."""
        if jax.sharding.AxisType.Explicit in self.mesh.axis_types:
            return train_state  # the types say so
        return jax.lax.with_sharding_constraint(train_state, sharded_state(self.plan(x)))

    def batch(self, batch: Tree, x: Any) -> Tree:
        """The batch, its first axis over the devices; of several processes each gives its own examples.

        Raises:
            ShapeError: for a number of examples that does not divide over the devices.
        """
        plan = self.plan(x)
        return jax.tree.map(lambda a: _placed(a, plan.batch if np.ndim(a) else plan.whole), batch)


def _moved(a: Any, sharding: NamedSharding) -> Any:
    return a if isinstance(a, jax.Array) and a.sharding == sharding else jax.device_put(a, sharding)


def _placed(a: Any, sharding: NamedSharding) -> jax.Array:
    """An array of a batch where it belongs; one that is on the mesh stays as it is."""
    if isinstance(a, jax.Array) and isinstance(a.sharding, NamedSharding) and a.sharding.mesh == sharding.mesh:
        return a
    processes, parts = jax.process_count(), parts_of(sharding)
    if np.ndim(a) and a.shape[0] * (1 if parts < processes else processes) % parts:
        of_each = f"{processes} processes with batches" if processes > 1 else "a batch"
        axes = sharding.spec[0]
        raise ShapeError(
            f"{of_each} of {len(a)} examples does not divide over the {parts} devices of {axes!r}; give a multiple"
        )
    if processes > 1:
        return jax.make_array_from_process_local_data(sharding, np.asarray(a))
    return jax.device_put(a, sharding)


def parts_of(sharding: NamedSharding) -> int:
    """Into how many parts a sharding splits the first axis."""
    axes = sharding.spec[0] if sharding.spec else None
    names = () if axes is None else axes if isinstance(axes, tuple) else (axes,)
    return math.prod(sharding.mesh.shape[name] for name in names)
