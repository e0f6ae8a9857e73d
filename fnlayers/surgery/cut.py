"""cut: a model that ends at one of its layers, or at several; restrict: the params that are left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax

from fnlayers.core.errors import ConfigError, MissingError, brief
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.shapes import canonical
from fnlayers.core.trace import trace
from fnlayers.core.types import Sizes
from fnlayers.freezing import held_layers
from fnlayers.models.container import Container
from fnlayers.models.functional import Functional, InputNode, Node, Ref
from fnlayers.models.opened import Call, calls, is_ref, opened
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import freeze, map_nest, nest_leaves
from fnlayers.surgery.absent import no_layer

Parts = tuple[str, ...]  # a path: ("base", "conv2d#2")
At = str | Sequence[str] | Mapping[str, str]


def cut(model: Layer, at: At, *, shape: Sizes = None) -> Layer:
    """The part of a model that makes the output of one of its layers, or of several.

    Names, options and weights stay: `params` and `state` of the whole model are taken by `apply` and `run` of the part
    as they are. What checks that all of them are the model's (`fit`, `evaluate`, `save`) takes what `fnlayers.restrict`
    leaves of them.

    A Sequential that is cut at one layer gives a Sequential, everything else a graph (a Functional) of the layers and
    inputs that the outputs need; of several inputs one that is left alone is no longer in a tuple.

    Arguments:
        model: a Sequential or a graph, also one with such models inside.
        at: the path of a layer, as in the params ("base/conv2d"); a list of them for a tuple of outputs, a dict for a
            dict of outputs. Calls of a shared layer are numbered: "encoder#1", "encoder#2".
        shape: of the input, for several outputs of a Sequential that has no Input.

    Returns:
        A new model; the one given stays as it is.

    Raises:
        ConfigError: for a layer that is not there; the message lists those that are. For a layer inside of one that is
            no Sequential or graph, such as a Repeat: `fnlayers.intermediates` has the outputs there.

    Example:
        >>> import jax, jax.numpy as jnp, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(8, "relu", name="hidden"), fl.Dense(2, name="head")])
        >>> params = model.init(jax.random.key(0), (None, 3))
        >>> features = fl.cut(model, at="hidden")
        >>> features.apply(params, jnp.ones((1, 3))).shape
        (1, 8)
        >>> list(fl.restrict(features, params))
        ['hidden']
    """
    check_model(model, "cut")
    shape = None if shape is None else canonical(shape)
    wanted = map_nest(_parts, at)
    requests: list[Parts] = nest_leaves(wanted, is_leaf=_is_parts)
    if not requests:
        raise ConfigError("cut: at= names no layer; give the path of one, or a list of them")
    if isinstance(wanted, tuple) and _is_parts(wanted) and (chain := _chain_to(model, wanted)) is not None:
        return chain
    graph = _graph(model, shape)
    part, refs = _ending_at(graph, requests, graph.in_types(graph.in_shape), whole=False)
    numbered = iter(refs)
    outputs = map_nest(lambda _: next(numbered), wanted, is_leaf=_is_parts)
    return _without_unused_inputs(replace(part, outputs=freeze(outputs)))


def restrict(model: Layer, tree: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a tree of params, or of state, that belongs to layers that the model has: after `cut`, say.

    Example:
        >>> import fnlayers as fl
        >>> restrict(fl.Sequential([fl.Dense(2, name="hidden")]), {"hidden": {"bias": 1}, "head": {"bias": 2}})
        {'hidden': {'bias': 1}}
    """
    check_model(model, "restrict")
    if not isinstance(tree, Mapping):
        raise ConfigError(f"restrict takes params or state, nested dicts by the names of layers, got {brief(tree)}")
    children, parts = held_layers(model), {}
    for name, branch in tree.items():
        if name in children:
            if child := restrict(children[name], branch):
                parts[name] = child
        elif not isinstance(model, Container):
            parts[name] = branch
    return parts


class _Parts(tuple):
    """A path, which is no nest of them."""


def _is_parts(value: Any) -> bool:
    return isinstance(value, _Parts)


def _parts(path: Any) -> _Parts:
    if not isinstance(path, str):
        raise ConfigError(f"cut: at={path!r} is no path; give a string such as 'base/conv2d', or a list of them")
    return _Parts(path.split("/"))


def _graph(model: Layer, shape: Sizes) -> Functional:
    """The model as a graph whose inputs are declared."""
    if isinstance(model, Functional):
        return model
    if not isinstance(model, Sequential):
        raise _not_opened(model, ())
    shape = model.in_shape if shape is None else shape
    if shape is None:
        raise MissingError(
            "cut: this Sequential does not know its input, which a graph declares; begin it with "
            "fnlayers.Input(shape), or give cut(..., shape=x.shape)"
        )
    types = model.in_types(shape)
    graph: Any = opened(model, types)
    declared = {ref.node: t for ref, t in zip(*(nest_leaves(n, is_ref) for n in (graph.inputs, types)), strict=True)}
    nodes = [
        InputNode(node.name, declared[i].shape, declared[i].dtype) if i in declared else node
        for i, node in enumerate(graph.nodes)
    ]
    return replace(graph, nodes=tuple(nodes), name=model.name, trainable=model.trainable, dtype=model.dtype)


def _chain_to(model: Layer, path: Parts) -> Sequential | None:
    """The layers of a Sequential up to one, as a Sequential; None where that takes a graph."""
    if not isinstance(model, Sequential):
        return None
    order = [str(layer.name) for layer in model.layers]
    end = _position(path[0], order, list(range(len(order))), model)
    last = model.layers[end]
    if path[1:]:
        inner = _chain_to(last, path[1:])
        if inner is None or order[end] in order[:end]:
            return None
        last = inner
    return replace(model, layers=(*model.layers[:end], last))


def _position(part: str, names: list[str], positions: list[int], model: Layer) -> int:
    """Where the call stands that a part of a path means, among calls of layers with those names."""
    matching = [position for name, position in zip(names, positions, strict=True) if name == part]
    name, _, number = part.rpartition("#")
    if not matching and number.isdigit():
        numbered = [position for other, position in zip(names, positions, strict=True) if other == name]
        matching = numbered[int(number) - 1 : int(number)] if int(number) else []
    if len(matching) > 1:
        numbered = " or ".join(f"{part}#{n}" for n in range(1, len(matching) + 1))
        raise ConfigError(f"cut: {part!r} is called {len(matching)} times; write {numbered}")
    if not matching:
        raise no_layer("cut", part, model, names)
    return matching[0]


class _Opened(NamedTuple):
    """A layer that also returns outputs of layers inside it: for each of them a nest of numbers of its outputs."""

    layer: Layer
    slots: list[Any]


def _ending_at(graph: Functional, requests: list[Parts], in_types: Any, whole: bool) -> tuple[Functional, list[Any]]:
    """The graph with what the requests need, and for each a nest of the Refs of its output.

    Arguments:
        graph: with the `in_types` of its inputs.
        requests: paths in it.
        whole: whether the graph's own outputs are needed, too.
    """
    typed = {call.position: call for call in calls(graph, in_types)}
    names = {at: call.node.layer for at, call in typed.items()}
    targets = [_position(path[0], [*names.values()], [*names], graph) for path in requests]
    pairs = list(zip(targets, requests, strict=True))
    own = [ref.node for ref in _refs(graph.outputs)] if whole else []
    needed = _needed(graph, targets + own)
    read = {ref.node for at in needed for ref in _inputs_of(graph.nodes[at])} | {*own}
    read |= {at for at, path in pairs if not path[1:]}
    changed: dict[str, _Opened] = {}
    for name in {names[at] for at, path in pairs if path[1:]}:
        called = [at for at in needed if names.get(at) == name]
        inside = [path[1:] for at, path in pairs if names[at] == name and path[1:]]
        changed[name] = _opened(typed[called[0]], inside, len(called) > 1 or bool(read & {*called}))
    slots_by_name = {name: iter(change.slots) for name, change in changed.items()}
    refs = []
    for at, path in pairs:
        slots = next(slots_by_name[names[at]]) if path[1:] else _numbered(typed[at].out_types)
        refs.append(map_nest(lambda slot, at=at: Ref(at, slot), slots))
    layers = {name: change.layer.renamed(name) for name, change in changed.items()}
    return _with_nodes(graph, needed, layers), [map_nest(_moved(needed), nest, is_leaf=is_ref) for nest in refs]


def _opened(call: Call, paths: list[Parts], whole: bool) -> _Opened:
    """A container that returns what its layers at those paths make; and before it, if `whole`, its own output."""
    if not whole and len(paths) == 1 and (chain := _chain_to(call.layer, paths[0])) is not None:
        return _Opened(chain, [_numbered(trace(chain, call.in_types))])
    graph = opened(call.layer, call.in_types)
    if graph is None:
        raise _not_opened(call.layer, paths[0])
    graph = replace(graph, name=call.layer.name, trainable=call.layer.trainable, dtype=call.layer.dtype)
    part, refs = _ending_at(graph, paths, call.in_types, whole)
    own = [ref for ref in _refs(part.outputs)] if whole else []
    flat, slots = list(own), []
    for nest in refs:
        leaves = _refs(nest)
        slots.append(_unflattened_like(nest, range(len(flat), len(flat) + len(leaves))))
        flat += leaves
    return _Opened(replace(part, outputs=flat[0] if len(flat) == 1 else tuple(flat)), slots)


def _numbered(types: Any) -> Any:
    """A nest of arrays with the number of each, as jax.tree counts them."""
    leaves, structure = jax.tree.flatten(map_nest(lambda t: t, types))
    return jax.tree.unflatten(structure, range(len(leaves)))


def _unflattened_like(nest: Any, leaves: Any) -> Any:
    structure = jax.tree.structure(map_nest(lambda ref: 0, nest, is_leaf=is_ref))
    return jax.tree.unflatten(structure, leaves)


def _refs(nest: Any) -> list[Ref]:
    """The Refs of a nest, as jax.tree counts the arrays that they stand for."""
    return jax.tree.leaves(map_nest(lambda ref: ref, nest, is_leaf=is_ref), is_leaf=is_ref)


def _inputs_of(node: Any) -> list[Ref]:
    """The Refs of all arrays that go into a node, masks too."""
    if isinstance(node, InputNode):
        return []
    return [ref for ref in nest_leaves((node.inputs, node.mask), is_ref) if is_ref(ref)]


def _needed(graph: Functional, ends: list[int]) -> list[int]:
    """The numbers of the nodes that those depend on, themselves too, in order; and of all inputs."""
    needed, open_ends = {i for i, node in enumerate(graph.nodes) if isinstance(node, InputNode)}, list(ends)
    while open_ends:
        at = open_ends.pop()
        if at not in needed:
            needed.add(at)
            open_ends += [ref.node for ref in _inputs_of(graph.nodes[at])]
    return sorted(needed)


def _moved(needed: list[int]) -> Callable[[Any], Any]:
    """What moves a Ref to where its node is when those nodes alone are left."""
    places = {old: new for new, old in enumerate(needed)}
    return lambda ref: Ref(places[ref.node], ref.index) if is_ref(ref) and ref.node in places else ref


def _with_nodes(graph: Functional, needed: list[int], changed: Mapping[str, Layer]) -> Functional:
    """The graph of those nodes alone, with some layers replaced. Outputs that are gone become the inputs."""
    move = _moved(needed)

    def moved(nest: Any) -> Any:
        return freeze(map_nest(move, nest, is_leaf=is_ref))

    nodes = [
        node._replace(inputs=moved(node.inputs), mask=moved(node.mask)) if isinstance(node, Node) else node
        for node in (graph.nodes[at] for at in needed)
    ]
    used = {node.layer for node in nodes if isinstance(node, Node)}
    layers = tuple(changed.get(str(y.name), y) for y in graph.layers if y.name in used)
    there = all(ref.node in needed for ref in _refs(graph.outputs))
    inputs = moved(graph.inputs)
    return replace(
        graph, layers=layers, nodes=tuple(nodes), inputs=inputs, outputs=moved(graph.outputs) if there else inputs
    )


def _without_unused_inputs(graph: Functional) -> Functional:
    """The graph without the inputs that nothing reads; of a tuple that has one input left, that one."""
    used = {ref.node for node in graph.nodes for ref in _inputs_of(node)} | {r.node for r in _refs(graph.outputs)}
    needed = [at for at, node in enumerate(graph.nodes) if at in used or isinstance(node, Node)]
    if len(needed) == len(graph.nodes):
        return graph
    inputs = graph.inputs
    if isinstance(inputs, Mapping):
        inputs = {key: ref for key, ref in inputs.items() if ref.node in used}
    elif not is_ref(inputs):
        inputs = tuple(ref for ref in inputs if ref.node in used)
        inputs = inputs[0] if len(inputs) == 1 else inputs
    return _with_nodes(replace(graph, inputs=freeze(inputs)), needed, {})


def _not_opened(layer: Layer, path: Parts) -> ConfigError:
    inside = f" has no {'/'.join(path)!r} to cut at:" if path else ":"
    return ConfigError(
        f"cut: {brief(layer)}{inside} only Sequentials and graphs are cut; fnlayers.intermediates(model, params, x) "
        "has the outputs inside other layers"
    )
