"""Containers as graphs of calls, with the types of the arrays between them: the same layers, names and params."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax

from fnlayers.core.errors import within
from fnlayers.core.layer import Layer
from fnlayers.core.names import number
from fnlayers.core.shapes import ArrayType
from fnlayers.core.trace import trace
from fnlayers.models.functional import Functional, InputNode, Node, Ref
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import freeze, map_nest


class Call(NamedTuple):
    """One call of a layer inside a graph: the node, its inputs and outputs as nests of ArrayTypes."""

    position: int
    node: Node
    layer: Layer
    in_types: Any
    out_types: Any


def opened(layer: Layer, in_types: Any) -> Functional | None:
    """A container as a graph of the same layers with the same names, so with the same params; None for other layers.

    `in_types` are the ArrayTypes of its inputs. A Functional is its own graph, a Sequential a chain.
    """
    if isinstance(layer, Sequential):
        return chain([(str(inner.name), inner) for inner in layer.layers], in_types)
    return layer if isinstance(layer, Functional) else None


def chain(layers: list[tuple[str, Layer]], in_types: Any) -> Functional:
    """The graph of layers one after the other."""
    nodes: list[InputNode | Node] = []

    def enter(name: str, type_: ArrayType) -> Ref:
        names = [node.name for node in nodes if isinstance(node, InputNode)]
        # sizes are left open: a shared container may be called on inputs of several
        nodes.append(InputNode(number(name, names), (None,) * len(type_.shape), type_.dtype))
        return Ref(len(nodes) - 1)

    if isinstance(in_types, Mapping):
        inputs: Any = {key: map_nest(lambda t, key=key: enter(str(key), t), in_types[key]) for key in in_types}
    else:
        inputs = map_nest(lambda t: enter("input", t), in_types)
    value = inputs
    for name, layer in layers:
        nodes.append(Node(name, freeze(value)))
        with within(name):
            leaves, structure = jax.tree.flatten(_out(layer, in_types))
        value = jax.tree.unflatten(structure, [Ref(len(nodes) - 1, i) for i in range(len(leaves))])
        in_types = freeze(jax.tree.unflatten(structure, leaves))
    return Functional(
        tuple(y.renamed(name) for name, y in dict(layers).items()), tuple(nodes), freeze(inputs), freeze(value)
    )


def calls(graph: Functional, in_types: Any) -> Iterator[Call]:
    """The calls of a graph in the order in which they run, with types."""
    layers = graph.by_name
    types = {node: [t] for node, t in graph._bind(in_types, lambda t: isinstance(t, ArrayType), "input").items()}
    for position, node in enumerate(graph.nodes):
        if isinstance(node, Node):
            refs = freeze(map_nest(lambda ref: types[ref.node][ref.index], node.inputs, is_leaf=is_ref))
            with within(node.layer):
                out_types = _out(layers[node.layer], refs)
            types[position] = jax.tree.leaves(out_types)
            yield Call(position, node, layers[node.layer], refs, out_types)


def is_ref(value: Any) -> bool:
    """A leaf of a Functional's nests."""
    return isinstance(value, Ref)


def _out(layer: Layer, types: Any) -> Any:
    return trace(layer, freeze(types))
