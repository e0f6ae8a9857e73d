"""Train states and batches on a mesh of devices, as `fnlayers.shardings` plans them."""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.explicit import automatic, enter, explicit_mesh
from fnlayers.core.layer import Layer
from fnlayers.core.shapes import type_of
from fnlayers.plain_data import freeze, map_nest
from fnlayers.sharding import Shardings, batch_sharding, shardings
from fnlayers.training.state import TrainState, sharded_state

Tree = Any


class Placing:
    """Where what runs with `mesh=` and `rules=` puts its arrays.

    Arguments:
        model, optimizer: what is trained, and by what; None where nothing is trained.
        mesh, rules: see `fnlayers.shardings`.
    """

    def __init__(self, model: Layer, optimizer: Any, mesh: Any, rules: Any) -> None:
        self.model, self.optimizer, self.mesh, self.rules = model, optimizer, mesh, rules
        self.rows = batch_sharding(mesh, rules)
        self.parts, self.whole = parts_of(self.rows), NamedSharding(mesh, PartitionSpec())
        self.is_explicit = AxisType.Explicit in mesh.axis_types
        self.planned: dict[Any, Shardings] = {}

    @functools.cached_property
    def processes(self) -> int:
        """Among how many processes the examples of a batch are shared out."""
        split = self.rows.devices_indices_map((self.parts,))
        here = {str(index) for device, index in split.items() if device.process_index == jax.process_index()}
        return self.parts // len(here)

    def processes_of(self, data: Any) -> int:
        """Among how many processes these data are shared out: arrays on the mesh are the same for all."""
        return 1 if any(map(is_spread, jax.tree.leaves(data))) else self.processes

    def plan(self, x: Any) -> Shardings:
        """The shardings for inputs like x, of any batch size."""
        shape = freeze(map_nest(lambda a: (None, *a.shape[1:]), type_of(x)))
        if shape not in self.planned:
            self.planned[shape] = shardings(self.model, shape, self.mesh, self.rules, self.optimizer)
        return self.planned[shape]

    def train_state(self, train_state: TrainState, x: Any) -> TrainState:
        """The train state, moved where it is not there yet."""
        return jax.tree.map(_moved, train_state, sharded_state(self.plan(x)))

    def weights(self, params: Tree, state: Tree, x: Any) -> tuple[Tree, Tree]:
        """Params and state, moved where they are not there yet."""
        plan = self.plan(x)
        return jax.tree.map(_moved, (params, state), (plan.params, plan.state))

    def constrained(self, train_state: TrainState, x: Any) -> TrainState:
        """Within a compiled step: the new train state stays where the old one is."""
        if self.is_explicit:
            return train_state  # the types say so
        return jax.lax.with_sharding_constraint(train_state, sharded_state(self.plan(x)))

    def on_all(self, tree: Tree) -> Tree:
        """Within a compiled function: arrays that are whole on each device, so that each process reads them."""
        return tree if self.is_explicit else jax.lax.with_sharding_constraint(tree, self.whole)

    def by_rows(self, tree: Tree) -> Tree:
        """Within a compiled function: what is returned for each example, where the example is."""

        def one(a: jax.Array) -> jax.Array:
            divides = a.ndim > 0 and a.shape[0] % self.parts == 0
            return jax.lax.with_sharding_constraint(a, self.rows if divides else self.whole)

        return tree if self.is_explicit else jax.tree.map(one, tree)

    def check_batch_size(self, count: int, processes: int) -> None:
        """Raise ShapeError for so many examples of each process if together they do not divide over the devices."""
        whole = count * processes
        if whole % self.parts:
            shared = f" of {processes} processes together" if processes > 1 else ""
            raise ShapeError(
                f"a batch of {whole} examples{shared} does not divide over the {self.parts} devices of "
                f"{self.rows.spec[0]!r}; give a multiple"
            )

    def check_shares(self, *sources: Any) -> None:
        """Raise ConfigError where processes have different numbers of examples: some would wait for others forever."""
        for source in filter(None, sources):
            if source.dataset is None or self.processes_of(source.dataset) == 1:
                continue
            from jax.experimental import multihost_utils

            counts = np.ravel(multihost_utils.process_allgather(np.int32(source.dataset.count))).tolist()
            if len(set(counts)) > 1:
                raise ConfigError(f"the processes have {counts} examples; give each as many")

    def batch(self, batch: Tree, stacked: bool = False) -> Tree:
        """A batch, its examples over the devices; of several processes each gives its own.

        One that does not divide is whole on each device, which changes no number; of several processes it is an error.

        Arguments:
            batch: any tree of arrays with as many examples.
            stacked: whether the arrays are of several batches, with a first axis for them.
        """
        return jax.tree.map(lambda a: self._placed(a, int(stacked)), batch)

    def _placed(self, a: Any, axis: int) -> jax.Array:
        if isinstance(a, jax.Array) and isinstance(a.sharding, NamedSharding) and a.sharding.mesh == self.mesh:
            return a
        count = np.shape(a)[axis]
        if self.processes > 1:
            self.check_batch_size(count, self.processes)
        divides = count * self.processes % self.parts == 0
        where = NamedSharding(self.mesh, PartitionSpec(*[None] * axis, *self.rows.spec)) if divides else self.whole
        if jax.process_count() > 1:
            return jax.make_array_from_process_local_data(where, np.asarray(a))
        return jax.device_put(a, where)


def placing_for(
    model: Layer, optimizer: Any, mesh: Any, rules: Any, x: Any = None, tree: Tree = None
) -> Placing | None:
    """What `mesh=` and `rules=` say; without a mesh, what the inputs do that are on several devices already.

    Arguments:
        model, optimizer: what is trained, and by what.
        mesh, rules: as they were given.
        x: a batch of inputs.
        tree: params or a train state that were given; where those are on several devices, they stay as they are.
    """
    if mesh is not None:
        return Placing(model, optimizer, mesh, rules)
    spread = [a for a in jax.tree.leaves(x) if is_spread(a)]
    if not spread or any(map(is_spread, jax.tree.leaves(tree))):
        return None
    sharding = spread[0].sharding
    axes = sharding.spec[0] if sharding.spec else None
    return Placing(model, optimizer, sharding.mesh, {} if axes is None else {"batch": axes})


def is_spread(a: Any) -> bool:
    """Whether this is an array on a mesh of several devices."""
    return isinstance(a, jax.Array) and isinstance(a.sharding, NamedSharding) and len(a.sharding.device_set) > 1


def rows_of(a: Any, rows: Any) -> Any:
    """Rows of an array, by a slice or their numbers; of one on a mesh, without leaving it, split as it is."""
    if not is_spread(a):
        return a[rows]
    rows = np.arange(a.shape[0], dtype="int32")[rows]
    axes = tuple(a.sharding.spec)
    if axes and len(rows) % parts_of(a.sharding):
        axes = (None, *axes[1:])
    return _taker(NamedSharding(a.sharding.mesh, PartitionSpec(*axes)))(a, rows)


@functools.lru_cache(maxsize=64)
def _taker(sharding: NamedSharding) -> Any:
    def take(a: jax.Array, rows: jax.Array) -> jax.Array:
        mesh = explicit_mesh(a)
        if mesh is None:
            return a[rows]
        with automatic(mesh):
            taken = enter(mesh, a)[rows]
        return jax.sharding.reshard(taken, sharding)

    return jax.jit(take, out_shardings=sharding)


def rows_here(a: Any) -> np.ndarray:
    """An array on the host; of one that several processes share, the rows of this one."""
    if not isinstance(a, jax.Array) or a.is_fully_addressable or a.is_fully_replicated:
        return np.asarray(a)
    shards = {shard.index[0].start or 0: shard.data for shard in a.addressable_shards}
    return np.concatenate([np.asarray(shards[start]) for start in sorted(shards)])


def share_of(placing: Placing | None, batch_size: int, data: Any) -> int:
    """How many examples of each batch come from this process.

    Raises:
        ShapeError: where they do not divide over processes and devices.
    """
    if placing is None or not isinstance(data, (tuple, Mapping)):
        return batch_size
    processes = placing.processes_of(data)
    if processes > 1 and batch_size % processes:
        raise ShapeError(f"batch_size={batch_size} does not divide over {processes} processes; give a multiple")
    return batch_size // processes


def parts_of(sharding: NamedSharding) -> int:
    """Into how many parts a sharding splits the first axis."""
    axes = sharding.spec[0] if sharding.spec else None
    names = () if axes is None else axes if isinstance(axes, tuple) else (axes,)
    return math.prod(sharding.mesh.shape[name] for name in names)


def _moved(a: Any, sharding: NamedSharding) -> Any:
    return a if isinstance(a, jax.Array) and a.sharding == sharding else jax.device_put(a, sharding)
