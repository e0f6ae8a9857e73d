"""What is inside a model: containers as graphs of calls, with the types of the arrays that flow between them."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnlayers.core.errors import MissingError, within
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.names import number
from fnlayers.core.shapes import ArrayType, canonical, shape_of, with_dtype
from fnlayers.core.spec import Param, spec_items
from fnlayers.core.trace import trace
from fnlayers.models.functional import Functional, InputNode, Node, Ref
from fnlayers.models.repeat import Repeat
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import freeze, map_nest, nest_leaves


class Call(NamedTuple):
    """One call of a layer inside a graph: the node, what it is given and what it makes, as nests of ArrayTypes."""

    position: int
    node: Node
    layer: Layer
    given: Any
    made: Any


def opened(layer: Layer, given: Any) -> Functional | None:
    """A container as a graph of the same layers with the same names, so with the same params; None for other layers.

    `given` are the ArrayTypes of its input. A Functional is its own graph, a Sequential a chain.
    """
    if isinstance(layer, Sequential):
        return chain([(str(inner.name), inner) for inner in layer.layers], given)
    return layer if isinstance(layer, Functional) else None


def chain(layers: list[tuple[str, Layer]], given: Any) -> Functional:
    """The graph of layers one after the other."""
    nodes: list[InputNode | Node] = []

    def enter(name: str, type_: ArrayType) -> Ref:
        names = [node.name for node in nodes if isinstance(node, InputNode)]
        # sizes are left open: a shared container may be called on inputs of several
        nodes.append(InputNode(number(name, names), (None,) * len(type_.shape), type_.dtype))
        return Ref(len(nodes) - 1)

    if isinstance(given, Mapping):
        inputs: Any = {key: map_nest(lambda t, key=key: enter(str(key), t), given[key]) for key in given}
    else:
        inputs = map_nest(lambda t: enter("input", t), given)
    value = inputs
    for name, layer in layers:
        nodes.append(Node(name, freeze(value)))
        with within(name):
            leaves, structure = jax.tree.flatten(_out(layer, given))
        value = jax.tree.unflatten(structure, [Ref(len(nodes) - 1, i) for i in range(len(leaves))])
        given = freeze(jax.tree.unflatten(structure, leaves))
    return Functional(
        tuple(y.renamed(name) for name, y in dict(layers).items()), tuple(nodes), freeze(inputs), freeze(value)
    )


def calls(graph: Functional, given: Any) -> Iterator[Call]:
    """The calls of a graph in the order in which they run, with types."""
    layers = graph.by_name
    types = {node: [t] for node, t in graph._bind(given, lambda t: isinstance(t, ArrayType), "input").items()}
    for position, node in enumerate(graph.nodes):
        if isinstance(node, Node):
            refs = freeze(map_nest(lambda ref: types[ref.node][ref.index], node.inputs, is_leaf=is_ref))
            with within(node.layer):
                made = _out(layers[node.layer], refs)
            types[position] = jax.tree.leaves(made)
            yield Call(position, node, layers[node.layer], refs, made)


def inner_layers(layer: Layer, given: Any) -> dict[str, tuple[Layer, Any]]:
    """The layers inside a layer that is not a container of calls: name -> (layer, the types of its input)."""
    if isinstance(layer, Repeat):
        return {"layer": (layer.layer, given)}
    children = layer.children(shape_of(given)).items()
    return {name: (c, with_dtype(canonical(shape), _inner_dtype(layer, c, given))) for name, (c, shape) in children}


def input_types(model: Layer, shape: Shape, dtype: Any, who: str) -> Any:
    """The ArrayTypes of a model's input: of that shape and dtype, or what the model itself says."""
    if shape is None:
        if model.in_shape is None:
            raise MissingError(f"{who}: {type(model).__name__} does not know its input; give its shape, as to init")
        shape = model.in_shape
    if dtype is None:
        return model.in_types(canonical(shape))
    return with_dtype(canonical(shape), freeze(map_nest(lambda d: jnp.dtype(d).name, dtype)))


def is_ref(value: Any) -> bool:
    """A leaf of a Functional's nests."""
    return isinstance(value, Ref)


def counts(specs: Any) -> tuple[int, int, int]:
    """(params, state, trainable params) of a spec tree."""
    found = [(math.prod(spec.full_shape), spec) for _, spec in spec_items(specs)]
    params = sum(n for n, spec in found if isinstance(spec, Param))
    return params, sum(n for n, _ in found) - params, sum(n for n, s in found if isinstance(s, Param) and s.trainable)


def _out(layer: Layer, types: Any) -> Any:
    return trace(layer, freeze(types))


def _inner_dtype(layer: Layer, child: Layer, given: Any) -> Any:
    """In which dtype a layer inside sees its input: as it came, if floating and passed on as it is, else its own."""
    came = {t.dtype for t in nest_leaves(given)}
    if layer.casts_inputs != "none" or len(came) != 1 or not isinstance(child.in_dtype, str):
        return child.in_dtype
    return came.pop()
