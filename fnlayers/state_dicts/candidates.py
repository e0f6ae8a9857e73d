"""What a table may join: modules of theirs, and layers of ours with the rules that may fill them."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fnlayers.core.spec import Param, State
from fnlayers.state_dicts import rules
from fnlayers.state_dicts.arrays import Arrays
from fnlayers.state_dicts.flattening import Flattenings, flattening_of
from fnlayers.state_dicts.rules import Rule

PROJECTIONS = ("query", "key", "value")
FORWARD, BACKWARD = "forward_layer/cell", "backward_layer/cell"
Factory = Callable[[str], Rule]
Specs = Mapping[str, Param | State]


class Unit(NamedTuple):
    """A module of theirs, or the modules of one position in a stack: its key in a mapping, and its arrays' shapes."""

    key: str
    shapes: Mapping[str, tuple[int, ...]]
    names: tuple[str, ...]
    stack: int | None

    @property
    def depth(self) -> int:
        """Of a recurrent module, its num_layers; else 0."""
        return sum(leaf.startswith("weight_ih_l") and leaf[-1].isdigit() for leaf in self.shapes)


@dataclass(eq=False)
class Target:
    """A layer of ours, or several that one module of theirs fills: the shapes of the weights, the rules that may do it.

    Attributes:
        path: what the names of the weights are below; "" where there are several layers.
        label: what it is called in a message, and compared with their names.
    """

    path: str
    shapes: Mapping[str, tuple[int, ...]]
    stack: tuple[int, ...]
    factories: tuple[Factory, ...]
    label: str
    filled: bool = False

    @property
    def paths(self) -> set[str]:
        """The paths of its weights in the model."""
        return {_join(self.path, name) for name in self.shapes}


# Theirs


def units_of(arrays: Arrays, declared: Specs) -> dict[str, Unit]:
    """The modules of a source by their keys; those that a Repeat of ours may stack as one, besides."""
    modules: dict[str, dict[str, str]] = {}
    attentions = {name.removesuffix("in_proj_bias").removesuffix("in_proj_weight").removesuffix(".")
                  for name in arrays.types if name.endswith(("in_proj_weight", "in_proj_bias"))}  # fmt: skip
    for name in arrays.types:
        module, _, leaf = name.rpartition(".")
        if module.endswith("out_proj") and (outer := module.removesuffix("out_proj").removesuffix(".")) in attentions:
            module, leaf = outer, f"out_proj.{leaf}"
        if module or "." in name:
            modules.setdefault(module, {})[leaf] = name
    units = {
        module: Unit(
            module, {leaf: arrays.types[name][0] for leaf, name in leaves.items()}, tuple(leaves.values()), None
        )
        for module, leaves in modules.items()
    }
    stacks = {spec.stack[0] for spec in declared.values() if len(spec.stack) == 1}
    return units | _stacked(units, stacks)


def _stacked(units: Mapping[str, Unit], sizes: set[int]) -> dict[str, Unit]:
    """The modules whose names differ in one number, 0 to n - 1, as one for a Repeat of n."""
    by_pattern: dict[str, list[tuple[int, Unit]]] = {}
    for key, unit in units.items():
        parts = key.split(".")
        for at, part in enumerate(parts):
            if part.isascii() and part.isdigit():
                pattern = ".".join([*parts[:at], "{i}", *parts[at + 1 :]])
                by_pattern.setdefault(pattern, []).append((int(part), unit))
    stacks = {}
    for pattern, members in by_pattern.items():
        alike = all(unit.shapes == members[0][1].shapes for _, unit in members)
        if alike and len(members) in sizes and sorted(number for number, _ in members) == list(range(len(members))):
            names = tuple(name for _, unit in members for name in unit.names)
            stacks[pattern] = Unit(pattern, members[0][1].shapes, names, len(members))
    return stacks


# Ours


def targets_of(declared: Specs, units: Iterable[Unit], flattenings: Flattenings) -> list[Target]:
    """The layers of a model that rules may fill, each with its rules; several as one where such units are there."""
    parents: dict[str, dict[str, Any]] = {}
    for path, spec in declared.items():
        parent, _, name = path.rpartition("/")
        parents.setdefault(parent, {})[name] = spec
    targets: list[Target] = []
    for parent, specs in parents.items():
        if specs.keys() == {"embeddings", "reverse_embeddings"}:
            reverse = {"reverse_embeddings": specs.pop("reverse_embeddings")}
            targets.append(_target(parent, reverse, (rules.reverse_embedding,), _join(parent, "reverse_embeddings")))
        targets.append(_target(parent, specs, _factories(specs, flattening_of(parent, flattenings))))
    targets.extend(_attentions(parents))
    known = {path: specs for path, specs in parents.items() if flattening_of(path, flattenings) is not None}
    targets.extend(_stacks(known, {unit.depth for unit in units}))
    return targets


def _target(path: str, specs: Mapping[str, Any], factories: tuple[Factory, ...], label: str | None = None) -> Target:
    stack = next(iter(specs.values())).stack
    shapes = {name: spec.shape for name, spec in specs.items()}
    return Target(path, shapes, stack, factories, path if label is None else label)


def _attentions(parents: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    """Attention layers, whose projections one module may fill together."""
    for outer in {parent.rpartition("/")[0] for parent in parents}:
        inner = {name: parents[_join(outer, name)] for name in (*PROJECTIONS, "attention_output")
                 if _join(outer, name) in parents}  # fmt: skip
        flat = _flat(inner)
        if len(inner) == 4:
            apart = {key: spec for key, spec in flat.items() if not key.startswith("attention_output")}
            yield _target(outer, apart, (rules.qkv, functools.partial(rules.qkv, inputs_first=True)))
            yield _target(outer, flat, (rules.attention,))


def _stacks(parents: Mapping[str, Mapping[str, Any]], depths: set[int]) -> Iterator[Target]:
    """Recurrent layers in a row, and both sides of Bidirectional ones, which are one module of PyTorch."""
    layers: list[tuple[str, ...]] = []  # the cells of each
    for path, specs in parents.items():
        both = path.removesuffix(FORWARD)
        if "recurrent_kernel" not in specs or path.endswith(BACKWARD):
            continue
        layers.append((path, both + BACKWARD) if both != path and both + BACKWARD in parents else (path,))
    for depth in depths:
        for first in range(len(layers) - depth + 1):
            cells = layers[first : first + depth]
            sides = {len(paths) for paths in cells}
            stacks = {next(iter(parents[paths[0]].values())).stack for paths in cells}
            if len(sides) == len(stacks) == 1 and sides | {depth} != {1}:
                yield _several(tuple(path for paths in cells for path in paths), sides == {2}, parents)


def _several(cells: Sequence[str], bidirectional: bool, parents: Mapping[str, Mapping[str, Any]]) -> Target:
    def filled_by(rule: Callable[..., Rule]) -> Factory:
        return lambda _: rule(*cells, bidirectional=bidirectional)

    owners = [cell.removesuffix(FORWARD).removesuffix(BACKWARD).removesuffix("cell").rstrip("/") for cell in cells]
    label = ", ".join(dict.fromkeys(owners))
    specs = _flat({cell: parents[cell] for cell in cells})
    return _target("", specs, tuple(map(filled_by, (rules.lstm, rules.gru, rules.rnn))), label)


def _factories(specs: Mapping[str, Any], flattening: Mapping[str, Any] | None) -> tuple[Factory, ...]:
    """The rules for a layer with weights of these names; none where the order of its features is not known."""
    names = set(specs)
    if flattening is None:
        return ()
    if "recurrent_kernel" in names:
        cells = (rules.lstm, rules.gru, rules.rnn)
        return (*cells, *(functools.partial(rule, cell=True) for rule in cells))
    if "kernel" in names and names <= {"kernel", "bias"}:
        heads = (rules.projection, functools.partial(rules.projection, inputs_first=True))
        kernels = (rules.conv_transpose if _is_transposed(specs) else rules.conv, rules.depthwise)
        return _of_dense(flattening) if len(specs["kernel"].shape) == 2 else (*kernels, *heads)
    if names == {"embeddings"}:
        return (rules.embedding,)
    if names == {"alpha"}:  # one slope for all is in no order
        return (functools.partial(rules.prelu, **flattening), rules.prelu) if flattening else (rules.prelu,)
    norm = rules.rms_norm if names == {"scale"} else rules.norm if names <= {"gamma", "beta"} else None
    norm = rules.batch_norm if "moving_mean" in names else norm
    return () if norm is None else (functools.partial(norm, **flattening) if flattening else norm,)


def _of_dense(flattening: Mapping[str, Any]) -> tuple[Factory, ...]:
    """The rules for a Dense; where something is flattened, matrices (in, out) do not say in which order."""
    if flattening:
        return (functools.partial(rules.dense, **flattening),)
    return rules.dense, functools.partial(rules.dense, inputs_first=True)


def _is_transposed(specs: Mapping[str, Any]) -> bool:
    """Whether a kernel is (..., out, in), as the bias says. (One rule fills both.)"""
    kernel, bias = specs["kernel"].shape, specs.get("bias")
    return bias is not None and bias.shape == kernel[-2:-1] != kernel[-1:]


def _flat(trees: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {_join(name, leaf): spec for name, specs in trees.items() for leaf, spec in specs.items()}


def _join(path: str, name: str) -> str:
    return f"{path}/{name}".removeprefix("/")
