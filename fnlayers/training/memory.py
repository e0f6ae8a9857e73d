"""What a training step needs of each device's memory, known before anything is compiled or allocated."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.rows import mesh_axes
from fnlayers.core.shapes import shape_of
from fnlayers.core.types import Sizes
from fnlayers.core.units import readable
from fnlayers.sharding import shardings
from fnlayers.training.check_state import check_optimizer
from fnlayers.training.gradients import value_and_gradients
from fnlayers.training.live_arrays import Program
from fnlayers.training.split_axes import Axes
from fnlayers.training.state import TrainState, typed_key
from fnlayers.trees import Declared, joined, split

Tree = Any
_PARTS = ("params", "gradients", "state", "optimizer", "activations", "batch")
_SHOWN = 5  # arrays
_PACKING = 1.08  # XLA's schedule holds some arrays longer, and gaps are left between them: on the tests' networks


@dataclass(frozen=True, repr=False)
class Memory:
    """What a training step needs of one device's memory, in bytes; see `memory`. Prints as a table.

    Arguments:
        params, gradients, state, optimizer: of the params, their gradients, the model's state and the optimizer's.
        activations: of all else that is alive where most is: what the backward pass reads again, and what it computes.
        batch: of the inputs, and of targets as large as the outputs.
        devices: how many there are.
        largest: the largest activations and gradients that are alive there, on one device: "float32[64, 512] (2.0 MiB,
            dot_general)".
        notes: what rules name and could not split, as of `fnlayers.shardings`.
    """

    params: int
    gradients: int
    state: int
    optimizer: int
    activations: int
    batch: int
    devices: int
    largest: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, name) for name in _PARTS)

    def __str__(self) -> str:
        sizes = {name: readable(getattr(self, name)) for name in (*_PARTS, "total")}
        width = max(map(len, sizes.values()))
        title = "memory of one device" + (f" of {self.devices}" if self.devices > 1 else "")
        lines = [f"  {name:<11}  {size:>{width}}" for name, size in sizes.items()]
        largest = [f"  {each}" for each in self.largest]
        notes = [f"whole on each device: {note}" for note in self.notes]
        return "\n".join([title, *lines, *(["largest arrays of the step:"] if largest else []), *largest, *notes])

    __repr__ = __str__


def memory(
    model: Layer,
    shape: Sizes,
    optimizer: optax.GradientTransformation,
    mesh: Any = None,
    rules: Any = "data",
) -> Memory:
    """The bytes that a training step of `make_step` or `fit` needs on each device, counted in its trace.

    Nothing is compiled and no array is made, so it takes about a second for a model of any size, and the mesh may be of
    devices that are not here (jax.sharding.AbstractMesh). The loss is a mean squared error, which holds no more than
    the outputs and their gradients.

    Arguments:
        model: the model.
        shape: its input's shape, with the number of examples in a batch of all devices together; for several inputs a
            nest of shapes.
        optimizer: an optax optimizer.
        mesh, rules: the devices, and what is split over them: see `fnlayers.shardings`. None: one device.

    Returns:
        A Memory. Its total is that of XLA's program within 15 %, as its `memory_analysis()` says for CPUs (arguments,
        results that are not in the arguments' memory, and temporaries). Compilers for GPUs and TPUs fuse more, and keep
        their own working memory besides. Two things do not count: what an optimizer computes in more than arithmetic by
        element (the products of muon, a line search), and that XLA splits a product otherwise than by examples where
        that moves less (under "fsdp", with batches smaller than the weights).

    Raises:
        ConfigError: for an open batch size, a model without floating outputs, and as `fnlayers.shardings`.
        ShapeError: for inputs that the model cannot take, and for a batch that does not divide over the devices.

    Example:
        >>> import fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(512, "relu"), fl.Dense(10)])
        >>> needed = memory(model, (128, 256), optax.adam(1e-3))
        >>> needed.params == needed.gradients == 4 * (256 * 512 + 512 + 512 * 10 + 10)
        True
        >>> needed.optimizer == 2 * needed.params + 4, needed.total < 4_000_000
        (True, True)
    """
    check_model(model, "memory")
    check_optimizer(optimizer, "memory")
    types = model.in_types(shape)
    sizes = {leaf[:1] for leaf in _shapes(shape_of(types))}
    if len(sizes) != 1 or not all(isinstance(size, int) for (size,) in sizes):
        raise ConfigError(
            f"memory: the shape {shape} says no number of examples; write memory(model, (64, ...), optimizer), with "
            "that of a batch of all devices"
        )
    x = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), types)
    train_state = jax.eval_shape(lambda: TrainState.create(model, shape, optimizer))
    y = jax.eval_shape(lambda s, x: model.run(s.params, x, state=s.state).y, train_state, x)
    if not any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(y)):
        raise ConfigError(f"memory: the model returns {y}, none of it floating, so there is nothing to train")
    ((examples,),) = sizes
    return _Counted(model, shape_of(types), optimizer, mesh, rules, examples).of(train_state, x, y)


class _Counted:
    """A step's arrays on a mesh, or on one device."""

    def __init__(self, model: Layer, shape: Any, optimizer: Any, mesh: Any, rules: Any, examples: int) -> None:
        self.model, self.shape, self.platform = model, shape, jax.default_backend()
        self.plan, self.rows, self.sizes = None, (examples, ()), {}
        if mesh is None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the notes say it
            self.plan = shardings(model, shape, mesh, rules, optimizer)
        self.sizes = dict(zip(mesh.axis_names, mesh.axis_sizes, strict=True))
        if isinstance(mesh, jax.sharding.Mesh):
            self.platform = mesh.devices.flat[0].platform
        rows = _axes(self.plan.batch, 1)[0]
        parts = self._parts(rows)
        if examples % parts:
            raise ShapeError(
                f"memory: a batch of {examples} examples does not divide over the {parts} devices of {rows}; give a "
                "multiple"
            )
        self.rows = (examples, rows)

    def of(self, train_state: TrainState, x: Tree, y: Tree) -> Memory:
        """The bytes of each part."""
        model, shape = self.model, self.shape
        declared = Declared(model, shape)
        trained, _ = split(train_state.params, declared.trainable)
        axes = self._planned("params", train_state.params)
        of_trained, _ = split(axes, declared.trainable) if self.plan else (trained, None)

        def gradients(train_state: TrainState, x: Tree, y: Tree) -> tuple:
            trained, fixed = split(train_state.params, declared.trainable)

            def loss_at(trained: Tree) -> tuple[jax.Array, Tree]:
                params, key = joined(trained, fixed), jax.random.fold_in(typed_key(train_state.rng), train_state.step)
                out = model.run(params, x, state=train_state.state, rng=key, train=True)
                loss = sum(map(_squared_error, jax.tree.leaves(out.y), jax.tree.leaves(y)), jnp.float32(0))
                return loss + sum(out.losses, declared.penalty(params)), out.state

            (loss, state), out = value_and_gradients(model, loss_at, trained)
            return out, state, loss

        traced = jax.make_jaxpr(gradients)(train_state, x, y)
        inputs = [
            (),
            *self._leaves(axes, train_state.params),
            *[None] * len(jax.tree.leaves((train_state.state, train_state.opt_state, train_state.rng))),
            *(_rows(a, self.rows[1]) for a in jax.tree.leaves((x, y))),
        ]
        program = Program(traced.jaxpr, inputs, self.sizes, self.rows, self.platform)
        unsplit = program.split_results(self._leaves(of_trained, trained))
        live = program.live()
        params, of_state, of_optimizer = (
            self._bytes(getattr(train_state, name), name) for name in ("params", "state", "opt_state")
        )
        of_gradients = self._of(trained, self._leaves(of_trained, trained))
        # A sum over devices is not written where its terms are, and XLA joins all such sums in one
        summed = 2 * unsplit if self.rows[1] else 0
        # The guard looks at an update before it is taken: on one CPU at numbers that are computed again for it
        written = self.plan is not None or self.platform != "cpu"
        updated = of_gradients // 2 + of_gradients + of_optimizer if written else of_gradients // 4 * 5
        most = max(int(live.bytes * _PACKING), summed, updated)
        batch = self._of((x, y), [_rows(a, self.rows[1]) for a in jax.tree.leaves((x, y))])
        largest = tuple(
            f"{dtype}[{', '.join(map(str, shape))}] ({readable(size)}, {name})"
            for shape, dtype, size, name in live.arrays[:_SHOWN]
        )
        return Memory(
            params, of_gradients, of_state, of_optimizer, max(most - of_gradients, 0), batch,
            self._parts(tuple(self.sizes)), largest, self.plan.notes if self.plan else (),
        )  # fmt: skip

    def _parts(self, names: Sequence[str]) -> int:
        return math.prod(self.sizes[name] for name in names)

    def _planned(self, name: str, tree: Tree) -> Tree:
        """The axes of each array of a part of the train state."""
        if self.plan is None:
            return tree
        return jax.tree.map(lambda a, sharding: _Split(_axes(sharding, a.ndim)), tree, getattr(self.plan, name))

    def _leaves(self, axes: Tree, tree: Tree) -> list[Axes]:
        if self.plan is None:
            return [((),) * leaf.ndim for leaf in jax.tree.leaves(tree)]
        return [leaf.axes for leaf in jax.tree.leaves(axes)]

    def _bytes(self, tree: Tree, name: str) -> int:
        return self._of(tree, self._leaves(self._planned(name, tree), tree))

    def _of(self, tree: Tree, axes: list[Axes]) -> int:
        """The bytes of arrays on one device."""
        total = 0
        for a, names in zip(jax.tree.leaves(tree), axes, strict=True):
            size = a.dtype.itemsize
            for length, each in zip(a.shape, names, strict=True):
                size *= -(-length // self._parts(each))
            total += size
        return total


class _Split:
    """Axes as one leaf of a tree."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes


def _axes(sharding: Any, ndim: int) -> Axes:
    """The axes of the mesh that each axis of an array is split over."""
    out = [mesh_axes(entry) for entry in sharding.spec]
    return (*out, *[()] * (ndim - len(out)))


def _rows(a: Any, names: tuple[str, ...]) -> Axes:
    return (names, *[()] * (a.ndim - 1)) if a.ndim else ()


def _squared_error(y_pred: Any, y_true: Any) -> jax.Array:
    if not jnp.issubdtype(y_pred.dtype, jnp.floating):
        return jnp.float32(0)
    return jnp.mean(jnp.square(y_pred - y_true), dtype="float32")


def _shapes(shapes: Any) -> list[tuple]:
    def is_shape(value: Any) -> bool:
        return isinstance(value, tuple) and all(size is None or isinstance(size, int) for size in value)

    return jax.tree.leaves(shapes, is_leaf=is_shape)
