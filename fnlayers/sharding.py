"""Where the arrays of a model lie on a mesh of devices, read from the logical axes that its weights declare."""

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import optax
from jax.sharding import NamedSharding, PartitionSpec

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.rows import mesh_axes
from fnlayers.core.spec import Param, State, map_specs, only, spec_items, structs
from fnlayers.core.types import Sizes
from fnlayers.layers.dense import Dense
from fnlayers.models.functional import Functional, Node
from fnlayers.models.opened import is_ref
from fnlayers.models.repeat import Repeat
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import nest_leaves
from fnlayers.trees import paths, split

__all__ = ["Shardings", "shardings"]

Tree = Any
Rules = Mapping[str, str | tuple[str, ...]]

_TENSOR = {"heads": "model", "hidden": "model", "vocab": "model"}
PRESETS: Mapping[str, Rules] = {
    "data": {"batch": "data"},
    "fsdp": {"batch": "data", "largest": "data"},
    "tensor": _TENSOR,
    "data+tensor": {"batch": "data", **_TENSOR},
}


class Shardings(NamedTuple):
    """A jax.sharding.NamedSharding for each array; see `shardings`.

    Arguments:
        params, state: like the model's.
        opt_state: like the optimizer's state; None without an optimizer.
        batch: of each array of a batch: its first axis.
        whole: of an array that is whole on each device.
        notes: what a rule names and could not split: "dense/kernel: hidden 6 does not divide by 4 (model)".
    """

    params: Tree
    state: Tree
    opt_state: Any
    batch: NamedSharding
    whole: NamedSharding
    notes: tuple[str, ...] = ()


def shardings(
    model: Layer,
    shape: Sizes = None,
    mesh: Any = None,
    rules: str | Rules = "data",
    optimizer: optax.GradientTransformation | None = None,
) -> Shardings:
    """How params, state and the optimizer's state are split over a mesh of devices.

    Arguments:
        model: the model.
        shape: its input's shape with the batch axis, None where unknown. A model with an Input knows its own: None.
        mesh: a jax.sharding.Mesh, as jax.make_mesh makes it, with automatic or explicit axes.
        rules: a table {logical axis: axis of the mesh, or a tuple of them}. Logical axes of weights are "in" and "out"
            (of a kernel), "heads" (of attention), "hidden" (between two Dense layers of which the second alone reads
            what the first returns), "vocab" (the rows of an embedding), "gates" (of a recurrent layer), "space" (of
            a convolution's window), "layers" (of a Repeat); "largest" is the largest axis of any weight that can be
            split; "batch" is the first axis of x and y. Or a preset:
            "data": the batch over the mesh axis "data", weights whole on each device;
            "fsdp": weights, and so gradients and the optimizer's state, are split over "data", too;
            "tensor": heads, hidden features and vocabulary over "model", so that each attention and each pair of
                Dense layers has one sum over devices;
            "data+tensor": both.
        optimizer: whose state is split as the params that it belongs to.

    Returns:
        Shardings. What does not divide is whole on each device: in `notes`, and for a named axis in a warning.

    Raises:
        ConfigError: for a mesh without an axis that a rule names, and for a rule that no weight has an axis for.

    Example:
        >>> from fnlayers.layers.dense import Dense
        >>> mesh = jax.make_mesh((1, 1), ("data", "model"))
        >>> plan = shardings(Dense(8), (None, 4), mesh, {"batch": "data", "out": "model"})
        >>> tuple(plan.params["kernel"].spec), tuple(plan.batch.spec)
        ((None, 'model'), ('data',))
    """
    check_model(model, "shardings")
    plan = _Plan(mesh, rules)
    declared = model.specs(shape)
    hidden = dict(_hidden(model, model.in_shape if shape is None else shape))
    planned = [plan.sharding(path, spec, hidden) for path, spec in spec_items(only(declared, Param))]
    plan.check_used()
    plan.warn()
    in_order = iter(planned)
    params = map_specs(lambda spec: next(in_order), only(declared, Param))
    state = map_specs(lambda spec: plan.named(), only(declared, State))
    opt_state = None if optimizer is None else _of_optimizer(optimizer, declared, params, plan)
    return Shardings(params, state, opt_state, plan.batch, plan.named(), tuple(plan.notes))


def batch_sharding(mesh: Any, rules: str | Rules) -> NamedSharding:
    """The sharding of each array of a batch; see `shardings`."""
    return _Plan(mesh, rules).batch


class _Plan:
    """Rules on a mesh, and what became of them so far."""

    def __init__(self, mesh: Any, rules: str | Rules) -> None:
        if not hasattr(mesh, "axis_names"):
            raise ConfigError(f"mesh={mesh!r} is not a mesh; write mesh = jax.make_mesh((8,), ('data',))")
        self.mesh, self.preset = mesh, isinstance(rules, str)
        self.rules = _table(rules)
        self.sizes = dict(zip(mesh.axis_names, mesh.axis_sizes, strict=True))
        self.names: set[str] = set()  # logical axes of the model
        self.notes: list[str] = []
        self.refused: list[str] = []
        for name, axes in self.rules.items():
            self._check_rule(name, axes)

    def _check_rule(self, name: Any, axes: Any) -> None:
        """Raise ConfigError for what is no rule, or of another mesh."""
        several = mesh_axes(axes) if isinstance(axes, (str, tuple)) else ()
        if not several or not all(isinstance(each, str) for each in (name, *several)):
            raise ConfigError(f"rules: {name!r}: {axes!r} is no rule; give an axis of the mesh, or a tuple of them")
        for axis in several:
            if axis not in self.sizes:
                raise ConfigError(
                    f"rules: {name!r} goes to {axis!r}, which is not an axis of the mesh {self.sizes}; write "
                    f"jax.make_mesh((...), ('{axis}', ...)), or another rule"
                )
        if len(set(several)) < len(several):
            raise ConfigError(f"rules: {name!r} goes to {axes}, where an axis stands twice; name each once")

    @property
    def batch(self) -> NamedSharding:
        """That of each array of a batch."""
        return self.named(self.rules["batch"]) if "batch" in self.rules else self.named()

    def named(self, *axes: Any) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def sharding(self, path: str, spec: Any, hidden: Mapping[str, tuple]) -> NamedSharding:
        """That of one weight: the axes that rules name, from the first on, and then its largest."""
        sizes, declared = spec.full_shape, hidden.get(path, spec.axes)
        names = (*("layers",) * len(spec.stack), *(declared or (None,) * len(spec.shape)))
        self.names.update(name for name in names if name)
        assigned: list[Any] = [None] * len(sizes)
        used: set[str] = set()
        for i, name in enumerate(names):
            axes = self.rules.get(name or "")
            if axes and used.isdisjoint(mesh_axes(axes)) and self._divides(path, name, sizes[i], axes, self.refused):
                assigned[i] = axes
                used.update(mesh_axes(axes))
        axes = self.rules.get("largest")
        if axes and sizes and used.isdisjoint(mesh_axes(axes)):
            free = [i for i, axis in enumerate(assigned) if axis is None and sizes[i] % self._count(axes) == 0]
            largest = max(free or range(len(sizes)), key=lambda i: sizes[i])
            if assigned[largest] is None and self._divides(path, "largest", sizes[largest], axes, self.notes):
                assigned[largest] = axes
        while assigned and assigned[-1] is None:
            assigned.pop()
        return self.named(*assigned)

    def check_used(self) -> None:
        """Raise ConfigError for a rule that names no axis of the model's."""
        unused = [name for name in self.rules if name not in {"batch", "largest", *self.names}]
        wanted = [name for name in self.rules if name not in ("batch", "largest")]
        if unused and (not self.preset or len(unused) == len(wanted)):
            there = ", ".join(sorted(self.names)) or "none"
            raise ConfigError(
                f"rules: no weight of the model has an axis {', '.join(unused)}; its logical axes are {there} (and "
                "'largest', of any weight)"
            )

    def warn(self) -> None:
        """Say what a named axis could not be split into."""
        self.notes = self.refused + self.notes
        if self.refused:
            more = f", and {len(self.refused) - 3} more" if len(self.refused) > 3 else ""
            warnings.warn(f"whole on each device: {'; '.join(self.refused[:3])}{more}", stacklevel=3)

    def _divides(self, path: str, name: str | None, size: int, axes: Any, notes: list[str]) -> bool:
        count = self._count(axes)
        if size % count == 0 and size:
            return True
        notes.append(f"{path}: {name} {size} does not divide by {count} ({', '.join(mesh_axes(axes))})")
        return False

    def _count(self, axes: Any) -> int:
        return math.prod(self.sizes[axis] for axis in mesh_axes(axes))


def _table(rules: str | Rules) -> Rules:
    """The rules, those of a preset by its name."""
    if isinstance(rules, Mapping):
        return dict(rules)
    if not isinstance(rules, str) or rules not in PRESETS:
        raise ConfigError(
            f"rules={rules!r} is not a preset; choose from {', '.join(PRESETS)}, or give a table: {{'out': 'model'}}"
        )
    return PRESETS[rules]


def _of_optimizer(optimizer: Any, declared: Tree, params: Tree, plan: _Plan) -> Any:
    """A sharding for each array of an optimizer's state: that of the param like it whose path ends the array's own."""
    types, _ = structs(declared)
    trained = split(types, map_specs(lambda spec: spec.trainable, only(declared, Param)))[0]
    state = jax.eval_shape(optimizer.init, trained)
    shapes, by_path = {path: a.shape for path, a in paths(trained).items()}, paths(params)

    def sharding(path: str, shape: tuple[int, ...]) -> NamedSharding:
        names = path.split("/")
        ends = ("/".join(names[start:]) for start in range(len(names)))
        param = next((end for end in ends if end in shapes), None)  # the longest one
        if param is None or shape[len(shape) - len(shapes[param]) :] != shapes[param]:
            return plan.named()
        more = len(shape) - len(shapes[param])  # axes in front of the param's, of the memory of lbfgs
        return plan.named(*[None] * more, *by_path[param].spec)

    leaves = [sharding(path, a.shape) for path, a in paths(state).items()]
    return jax.tree.unflatten(jax.tree.structure(state), leaves)


def _hidden(layer: Layer, shape: Shape, path: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """The logical axes of the weights of Dense layers in pairs, by path."""
    children = {"layer": (layer.layer, shape)} if isinstance(layer, Repeat) else layer.children(shape)
    for first, second in (*layer.dense_pairs, *_in_container(layer)):
        yield f"{path}{first}/kernel", ("in", "hidden")
        yield f"{path}{first}/bias", ("hidden",)
        yield f"{path}{second}/kernel", ("hidden", "out")
    for name, (child, child_shape) in children.items():
        yield from _hidden(child, child_shape, f"{path}{name}/")


def _in_container(layer: Layer) -> Iterator[tuple[str, str]]:
    """(first, second): a Dense layer, and the only one that reads what it returns, weightless layers between them."""
    if isinstance(layer, Sequential):
        names = [str(inner.name) for inner in layer.layers]
        calls = {i: (name, [i - 1]) for i, name in enumerate(names)}
        outputs = [len(names) - 1]
    elif isinstance(layer, Functional):
        calls = {i: (n.layer, [ref.node for ref in nest_leaves(n.inputs, is_ref)]) for i, n in enumerate(layer.nodes)
                 if isinstance(n, Node)}  # fmt: skip
        outputs = [ref.node for ref in nest_leaves(layer.outputs, is_ref)]
    else:
        return
    by_name, second = {inner.name: inner for inner in layer.layers}, set()
    once = [name for name, _ in calls.values()]
    for i, (name, _) in calls.items():
        if type(by_name[name]) is not Dense or name in second or once.count(name) > 1:
            continue
        other = _only_reader(i, calls, outputs, by_name)
        if other is not None and once.count(other) == 1:
            second.add(other)
            yield name, other


def _only_reader(i: int, calls: Mapping, outputs: list[int], layers: Mapping[str | None, Layer]) -> str | None:
    """The Dense layer that alone reads what call `i` returns."""
    while i not in outputs:
        readers = [(j, name, read) for j, (name, read) in calls.items() if i in read]
        if len(readers) != 1 or len(readers[0][2]) != 1:
            return None
        i, name, _ = readers[0]
        if type(layers[name]) is Dense:
            return name
        if layers[name].has_weights or layers[name].has_children:
            return None
    return None
