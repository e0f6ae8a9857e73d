"""What a picture of a model shows, as plain data: boxes, and arrows between them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, NamedTuple

import jax

from fnlayers.core.layer import Layer
from fnlayers.core.names import number
from fnlayers.core.operation import Operation
from fnlayers.core.shapes import ArrayType
from fnlayers.layers.basic import Lambda
from fnlayers.layers.wrappers import TimeDistributed
from fnlayers.models.functional import Functional, InputNode, Ref
from fnlayers.models.opened import calls, chain, is_ref, opened
from fnlayers.models.repeat import Repeat
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import map_nest, nest_leaves
from fnlayers.show.describe import function_of
from fnlayers.show.inside import counts, inner_layers

FEW_CALLS = 8  # the arrows of so many calls are distinguished


@dataclass(frozen=True)
class Box:
    """A layer of a model, an input or an output.

    Arguments:
        kind: "layer", "input" or "output".
        path: the names from the model to it, as in params: "encoder/dense".
        title: the name of its class, or of the input or output.
        brief: the arguments that it cannot do without, and its activation: "32, 3, relu".
        description: the layer as one would write it.
        params, trainable: how many numbers it holds, and how many of them training moves.
        calls: how often it is called.
        inside: the boxes and arrows in it, for a model inside the model.
    """

    kind: str
    path: str
    title: str
    brief: str = ""
    description: str = ""
    params: int = 0
    trainable: int = 0
    calls: int = 1
    inside: "Plan | None" = None

    @property
    def facts(self) -> str:
        """The name, the params, and what is out of the ordinary: "dense, 15 params, frozen, 2 calls"."""
        frozen = "frozen" if self.params and not self.trainable else "partly frozen"
        facts = [
            self.path.rpartition("/")[2],
            f"{self.params:,} params" if self.params else "",
            frozen if self.params > self.trainable else "",
            f"{self.calls} calls" if self.calls > 1 else "",
        ]
        return ", ".join(filter(None, facts))


class Arrow(NamedTuple):
    """An array on its way: the positions of two boxes in the plan, which of the source's outputs and of the target's
    inputs it is, and its type as text.
    """

    source: int
    target: int
    output: int
    input: int
    label: str


@dataclass(frozen=True)
class Plan:
    """What a model consists of. Inputs stand first, outputs last."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def plan_of(model: Layer, in_types: Any, specs: Any, depth: float) -> Plan:
    """The plan of a model for an input of those ArrayTypes; a layer that holds no others is a plan of one box."""
    inside = _inside(model, in_types, specs, "", depth)
    if inside is None:
        name = model.name or model.base_name
        return _plan(chain([(name, model)], in_types), in_types, {name: specs}, "", 0)
    return inside


def _inside(layer: Layer, in_types: Any, specs: Any, path: str, depth: float) -> Plan | None:
    """What to draw inside a layer's box, where that is known: a container's calls, the layer that a wrapper runs."""
    entered = enter(layer, in_types) if depth > 0 else None
    return None if entered is None else _plan(*entered, specs, path, depth - 1)


def enter(layer: Layer, in_types: Any) -> tuple[Functional, Any] | None:
    """What is drawn inside a layer's box: the graph, and the ArrayTypes of its inputs; None where nothing is."""
    graph = opened(layer, in_types)
    if graph is None and isinstance(layer, (Repeat, TimeDistributed)):
        child, in_types = inner_layers(layer, in_types)["layer"]
        graph = chain([("layer", child)], in_types)
    return None if graph is None else (graph, in_types)


def _plan(graph: Functional, in_types: Any, specs: Any, path: str, depth: float) -> Plan:
    """The inputs, each layer once, the outputs; and an arrow for each array that a call is given."""
    boxes, arrows = [], []
    position: dict[int, int] = {}  # the box of each node
    types: dict[int, list[ArrayType]] = {}
    turn: dict[int, str] = {}  # of each node: which call of a shared layer it is
    order = iter(range(len(nest_leaves(in_types))))
    leaves = graph._bind(map_nest(lambda _: next(order), in_types), lambda i: isinstance(i, int), "input")
    entries = {i: node.name for i, node in enumerate(graph.nodes) if isinstance(node, InputNode)}
    for node in sorted(leaves, key=lambda node: leaves[node]):
        name = entries[node]
        position[node], types[node] = len(boxes), [nest_leaves(in_types)[leaves[node]]]
        boxes.append(Box("input", path + name, name))

    def join(ref: Ref, target: int, i: int, to: str = "") -> None:
        label = _type(types[ref.node][ref.index])
        label = " ".join(filter(None, [turn.get(ref.node, "") and f"{turn[ref.node]}:", label, to and f"to {to}"]))
        arrows.append(Arrow(position[ref.node], target, ref.index, i, label))

    steps = list(calls(graph, in_types))
    often = Counter(call.node.layer for call in steps)
    seen: Counter = Counter()
    where: dict[str, int] = {}
    for call in steps:
        name = call.node.layer
        if name not in where:
            where[name] = len(boxes)
            boxes.append(_box(call.layer, call.in_types, _share(specs, name), path + name, often[name], depth))
        seen[name] += 1
        position[call.position], types[call.position] = where[name], jax.tree.leaves(call.out_types)
        if 1 < often[name] <= FEW_CALLS:
            turn[call.position] = f"call {seen[name]}"
        for i, ref in enumerate(nest_leaves(call.node.inputs, is_ref)):
            join(ref, where[name], i, turn.get(call.position, ""))
    # in jax.tree's order, which is that in which a model around this one counts them
    outputs = jax.tree_util.tree_leaves_with_path(map_nest(lambda r: r, graph.outputs, is_leaf=is_ref), is_leaf=is_ref)
    for keys, ref in outputs:
        name = next((str(k.key) for k in reversed(keys) if isinstance(k, jax.tree_util.DictKey)), "output")
        name = number(name, [box.title for box in boxes if box.kind == "output"])
        join(ref, len(boxes), 0)
        boxes.append(Box("output", path + name, name))
    return Plan(tuple(boxes), tuple(_merged(arrows)))


def _merged(arrows: list[Arrow]) -> Iterator[Arrow]:
    """Arrows that are the same in all, once, with how many there are: those of a layer that is called very often."""
    for arrow, count in Counter(arrows).items():
        yield arrow._replace(label=f"{arrow.label} x {count}") if count > 1 else arrow


def _box(layer: Layer, in_types: Any, specs: Any, path: str, often: int, depth: float) -> Box:
    kind = type(layer).__name__
    inside = _inside(layer, in_types, specs, f"{path}/", depth)
    params, _, trainable = counts(specs)
    brief = f"x {layer.n}" if isinstance(layer, Repeat) else "" if inside else _brief(layer)
    description = kind if inside else repr(layer)
    return Box("layer", path, kind, brief, description, params, trainable, often, inside)


def _brief(layer: Layer) -> str:
    """The values that have no default, and the activation, where they are short; of a closed container its size."""
    if isinstance(layer, (Sequential, Functional)):
        return f"{len(layer.layers)} layers"
    if isinstance(layer, (Lambda, Operation)):
        text = function_of(layer)
        return text if len(text) <= 30 else text[:29] + "…"
    shown = []
    for field in fields(layer):
        value = getattr(layer, field.name)
        if field.name == "activation" and value is not None:
            shown.append(value if isinstance(value, str) else getattr(value, "__name__", ""))
        elif field.default is MISSING and isinstance(value, (int, float, str, tuple)):
            shown.append(str(value))
        elif field.default is MISSING and isinstance(value, Layer):
            shown.append(type(value).__name__)
    text = ", ".join(filter(None, shown))
    return text if len(text) <= 24 else text[:23] + "…"


def _share(specs: Any, name: str) -> Any:
    return specs.get(name, {}) if isinstance(specs, Mapping) else {}


def _type(type_: ArrayType) -> str:
    return str(type_.shape) if type_.dtype == "float32" else str(type_)
