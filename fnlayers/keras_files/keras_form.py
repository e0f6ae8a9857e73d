"""A model in the form that Keras has: layers in Keras's order, masks where Keras hands them on, nothing of ours alone.

The form is a model of ours with the same names, and so the same params; what is written is read off it.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import jax

from fnlayers.core.context import nest_like
from fnlayers.core.errors import ConfigError, within
from fnlayers.core.layer import Layer
from fnlayers.core.names import number, snake_case
from fnlayers.core.naming import holds_weights
from fnlayers.core.operation import Operation, Slot
from fnlayers.core.shapes import ArrayType, shape_of
from fnlayers.core.trace import trace
from fnlayers.keras_files.calls import call_of, has_refs, is_ref
from fnlayers.keras_files.keras_order import keras_order
from fnlayers.keras_files.mask_rules import OWN, SKIPPING, Masks, drops_mask, mask_outputs, uses_mask
from fnlayers.keras_files.masking import looks_up, to_integers
from fnlayers.keras_files.refusals import cannot, refuse_absent, refuse_different
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.attention.single_head import SingleHead
from fnlayers.layers.basic import CopyMask, DropMask
from fnlayers.layers.common import normal_axes
from fnlayers.layers.normalization import LayerNormalization
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.wrappers import TimeDistributed
from fnlayers.models.functional import Functional, InputNode, Node, Ref, types_of
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import FrozenDict, freeze, map_nest, nest_leaves


def keras_form(layer: Layer, types: Any) -> Layer:
    """The layer as Keras has it, for inputs of those types.

    Raises:
        ConfigError: for what Keras does not have, with its path.
    """
    refuse_absent(layer)
    if isinstance(layer, Sequential):
        return _sequential_form(layer, types)
    if isinstance(layer, Functional):
        return _Form(layer, types).functional()
    refuse_different(layer, types)
    if isinstance(layer, TimeDistributed) and not isinstance(trace(layer, types), ArrayType):
        raise cannot(layer, "makes several outputs", "give each a TimeDistributed of its own")
    if isinstance(layer, LayerNormalization) and isinstance(layer.axis, tuple):  # Keras would sort -1 before 1
        return replace(layer, axis=_axes_of_one_sign(layer, len(types.shape)))
    children = layer.children(shape_of(types)) if layer.has_children else {}
    changed = {}
    for f in fields(layer):
        value = getattr(layer, f.name)
        if isinstance(value, (Sequential, Functional)):
            shape = next((shape for child, shape in children.values() if child is value), None)
            with within(f.name):
                changed[f.name] = keras_form(value, value.in_types(shape))
    return replace(layer, **changed) if changed else layer


def _axes_of_one_sign(layer: Any, rank: int) -> tuple[int, ...]:
    return layer.axis if len({axis < 0 for axis in layer.axis}) == 1 else normal_axes(layer, rank)


def as_graph(model: Layer, types: Any) -> Functional:
    """A layer, or the layers of a Sequential one after the other, as a graph with the same params."""
    if isinstance(types, Mapping) and "attention_mask" in types:  # which is boolean, whatever the others are
        types = freeze({**types, "attention_mask": replace(types["attention_mask"], dtype="bool")})
    layers = model.layers if isinstance(model, Sequential) else (model,)
    named = tuple(layer if layer.name else layer.renamed(layer.base_name) for layer in layers)
    leaves = nest_leaves(types)
    declared = model.input if isinstance(model, Sequential) else None
    names = list(types) if isinstance(types, Mapping) else [_input_name(i, len(leaves)) for i in range(len(leaves))]
    if declared is not None:
        names = [declared.name]
    names = [number(name, {layer.name for layer in named}) for name in names]
    nodes: list[Any] = [InputNode(name, t.shape, t.dtype) for name, t in zip(names, leaves, strict=True)]
    positions = iter(range(len(leaves)))
    inputs = ref = freeze(map_nest(lambda _: Ref(next(positions)), types))
    for layer in named:
        outputs = len(jax.tree.leaves(trace(layer, freeze(types))))
        types = trace(layer, freeze(types))
        nodes.append(Node(str(layer.name), ref))
        indices = iter(range(outputs))
        ref = freeze(map_nest(lambda _: Ref(len(nodes) - 1, next(indices)), types))  # noqa: B023
    unique = tuple({layer.name: layer for layer in named}.values())
    options = {"name": model.name, "trainable": model.trainable} if isinstance(model, Sequential) else {}
    return Functional(unique, tuple(nodes), inputs, ref, **options)


def _input_name(position: int, count: int) -> str:
    return "input" if count == 1 else f"input_{position}"


def _sequential_form(model: Sequential, types: Any) -> Layer:
    """The same where Keras treats the masks alike by itself; a graph where a Sequential of Keras cannot say it."""
    in_types = types
    if isinstance(types, ArrayType) and model.input is not None:
        in_types = types = replace(types, dtype=model.input.dtype)
    carried = any(t.masked for t in nest_leaves(types))
    layers: list[Layer] = []
    plain = isinstance(types, ArrayType) and len(set(map(id, model.layers))) == len(model.layers)
    for layer in model.layers:
        ours = any(t.masked for t in nest_leaves(types))
        plain = plain and (ours == carried or not uses_mask(layer)) and _fits_a_sequential(layer, model)
        with within(str(layer.name)):
            form = keras_form(layer, types)
            types = freeze(trace(layer, types))
        layers.append(form)
        if not is_silent(layer):
            carried = not drops_mask(layer) and any(t.masked for t in nest_leaves(types))
    if plain:
        return replace(model, layers=tuple(layers))
    return _Form(as_graph(model, in_types), in_types).functional()


def _fits_a_sequential(layer: Layer, model: Sequential) -> bool:
    """Whether Keras calls the layer with one array and no options, or has no need of it."""
    if isinstance(layer, Operation):
        after = model.layers[model.layers.index(layer) + 1 :][:1]
        return _is_cast(layer) and any(map(looks_up, after))
    return not isinstance(layer, (MultiHead, SingleHead, CopyMask))


def is_silent(layer: Layer) -> bool:
    """Whether a Sequential of Keras is written without the layer: it drops masks, and casts to integers, by itself."""
    return isinstance(layer, DropMask) or _is_cast(layer)


def _is_cast(layer: Layer) -> bool:
    return isinstance(layer, Operation) and layer.renamed(None) == replace(to_integers(), dtype=layer.dtype)


class _Form:
    """One walk through a graph: each node becomes one of Keras's, or none."""

    def __init__(self, model: Functional, types: Any) -> None:
        self.model, self.layers = model, dict(model.by_name)
        self.nodes: list[InputNode | Node] = []
        self.types: dict[int, list] = {}  # of the arrays of the old nodes
        self.refs: dict[Ref, Ref] = {}  # of the old graph -> of the new one
        self.masks = Masks()
        self.lookups = {
            node.layer
            for i, node in enumerate(model.nodes)
            if isinstance(node, Node) and _is_cast(self.layers[node.layer]) and self._is_lookup_alone(i)
        }
        self._start(types)
        for position, node in enumerate(model.nodes):
            if isinstance(node, Node):
                with within(node.layer):
                    self._add(position, node)

    def _start(self, types: Any) -> None:
        """The inputs: masks that come with them are handed on by Keras itself."""
        bound = self.model._bind(types, lambda t: isinstance(t, ArrayType), "input")
        for position, node in enumerate(self.model.nodes):
            if isinstance(node, InputNode):
                self.types[position] = [replace(bound[position], dtype=node.dtype)]
                self.refs[Ref(position)] = ref = self._append(node)
                if bound[position].masked:
                    self.masks.ours[ref] = OWN
                    self.masks.carried.add(ref)

    def _is_lookup_alone(self, position: int) -> bool:
        users = [node for node in self.model.nodes if isinstance(node, Node) and Ref(position) in _refs(node.inputs)]
        kinds = [self.model.by_name[node.layer] for node in users]
        ended = Ref(position) in nest_leaves(self.model.outputs, is_leaf=is_ref)
        return bool(users) and not ended and all(map(looks_up, kinds))

    def _append(self, node: InputNode | Node) -> Ref:
        self.nodes.append(node)
        return Ref(len(self.nodes) - 1)

    def _add(self, position: int, node: Node) -> None:
        layer = self.layers[node.layer]
        types = types_of(node, self.types)
        self.types[position] = jax.tree.leaves(trace(layer, types))
        refs = freeze(map_nest(lambda ref: self.refs[ref], node.inputs, is_leaf=is_ref))
        if isinstance(layer, (DropMask, CopyMask)) or node.layer in self.lookups:
            source, other = refs if isinstance(layer, CopyMask) else (refs, None)
            self.refs[Ref(position)] = self.masks.seen_as(source, other and self.masks.ours.get(other))
            return
        masks = map_nest(self._mask_of, refs, _spread(node.mask, node.inputs), is_leaf=is_ref)
        call = self._call(layer, node, refs, masks)
        self.layers[node.layer] = keras_form(layer, types)
        added = self._append(call)
        outs = [Ref(added.node, index) for index in range(len(self.types[position]))]
        self.refs |= {Ref(position, index): out for index, out in enumerate(outs)}
        masked, in_masks = [t.masked for t in self.types[position]], nest_leaves(masks, is_leaf=is_ref)
        made_masks = mask_outputs(self.new_operation, layer, call, masked, in_masks, types)
        self.masks.ours |= {out: mask for out, mask in zip(outs, made_masks, strict=True) if mask is not None}
        self.masks.carry(layer, call, outs, masked)

    def _mask_of(self, ref: Ref, mask: Any) -> Any:
        """The mask of an array for a call in our graph: a Ref of the new graph, OWN or None."""
        if mask is False:
            return None
        return self.refs[mask] if is_ref(mask) else self.masks.ours.get(ref)

    def _call(self, layer: Layer, node: Node, refs: Any, masks: Any) -> Node:
        """The node with the masks that Keras has to be given, and copies of arrays whose masks it must not see."""
        arrays = freeze(map_nest(self.masks.array, refs, is_leaf=is_ref))
        if isinstance(layer, Operation):
            return Node(node.layer, arrays, False, node.train)
        if not uses_mask(layer):
            return Node(node.layer, arrays, False if drops_mask(layer) else None, node.train)
        explicit_masks = freeze(map_nest(lambda mask: mask if is_ref(mask) else None, masks, is_leaf=is_ref))
        if isinstance(layer, (Recurrent, Bidirectional)) and not is_ref(refs):
            if any(mask is OWN for mask in nest_leaves(masks, is_leaf=is_ref)):
                raise cannot(layer, "is given states and the mask of an input of the graph", "put DropMask() before it")
        else:
            arrays = freeze(map_nest(self._without_mask, arrays, masks, is_leaf=is_ref))
        if type(layer).__name__ in SKIPPING or self._sees_own_masks(layer, node, arrays):
            explicit_masks = None  # these read the masks that the arrays have
        return Node(node.layer, arrays, explicit_masks if has_refs(explicit_masks) else None, node.train)

    def _sees_own_masks(self, layer: Layer, node: Node, arrays: Any) -> bool:
        """Whether an attention layer of Keras finds the masks that ours has on the arrays themselves.

        A MultiHeadAttention takes them off, for whatever runs later: so if no other one is given the arrays.
        """
        if not isinstance(layer, (SingleHead, MultiHead)) or not all(m is None for m in _refs(node.mask)):
            return False
        others = {ref for other in self.model.nodes if isinstance(other, Node) and other is not node
                  and isinstance(self.layers[other.layer], MultiHead) for ref in _refs(other.inputs)}  # fmt: skip
        masked = [ref for ref in _refs(arrays) if self.masks.ours.get(ref) is not None]
        return self.masks.carried.issuperset(masked) and others.isdisjoint(_refs(node.inputs))

    def _without_mask(self, array: Ref, mask: Any) -> Ref:
        """The array, or a copy of it where Keras would hand on a mask that the call does not have with us."""
        if mask is not None or array not in self.masks.carried:
            return array
        return self.new_operation("Copy", (Slot(0),), (array,))

    def new_operation(
        self, function: str, arguments: tuple, inputs: tuple[Ref, ...], options: Mapping = FrozenDict()
    ) -> Ref:
        """The array that an operation of Keras's makes, in a node of its own."""
        names = {*self.layers, *(node.name for node in self.nodes if isinstance(node, InputNode))}
        label = number(snake_case(function), names)
        self.layers[label] = Operation(function, arguments, options)
        return self._append(Node(label, inputs, False))

    def functional(self) -> Functional:
        """The graph, its layers in Keras's order."""
        ends = freeze(map_nest(lambda ref: self.masks.array(self.refs[ref]), self.model.outputs, is_leaf=is_ref))
        inputs = freeze(map_nest(lambda ref: self.masks.array(self.refs[ref]), self.model.inputs, is_leaf=is_ref))
        calls = {
            i: call_of(self.layers[node.layer], node) for i, node in enumerate(self.nodes) if isinstance(node, Node)
        }
        names, used = keras_order(self.nodes, calls, _sorted_leaves(ends))
        starts = [i for i, node in enumerate(self.nodes) if isinstance(node, InputNode)]
        order = sorted({*starts, *used})
        layers = tuple(self.layers[name].renamed(name) for name in names if name in self.layers)
        if lost := [name for name, layer in self.model.by_name.items() if name not in names and holds_weights(layer)]:
            raise ConfigError(f"the layer {lost[0]!r} leads to no output of the graph, and Keras would not save it")
        place = {old: new for new, old in enumerate(order)}

        def moved(nest: Any) -> Any:
            return freeze(map_nest(lambda r: Ref(place[r.node], r.index) if is_ref(r) else r, nest, is_leaf=is_ref))

        nodes = tuple(
            node if isinstance(node, InputNode) else node._replace(inputs=moved(node.inputs), mask=moved(node.mask))
            for node in (self.nodes[i] for i in order)
        )
        options = {f.name: getattr(self.model, f.name) for f in fields(self.model) if f.kw_only}
        return Functional(layers, nodes, moved(inputs), moved(ends), **options)


def _spread(mask: Any, inputs: Any) -> Any:
    """The mask of a node nested like its inputs."""
    if mask is None or mask is False or is_ref(mask):
        return map_nest(lambda _: mask, inputs, is_leaf=is_ref)
    return nest_like(mask, inputs) if not isinstance(mask, (tuple, Mapping)) else mask


def _refs(nest: Any) -> list:
    return nest_leaves(nest, is_leaf=is_ref)


def _sorted_leaves(nest: Any) -> list:
    """Keras goes through dicts in the order of their keys."""
    if isinstance(nest, Mapping):
        return [leaf for key in sorted(nest) for leaf in _sorted_leaves(nest[key])]
    if is_ref(nest):
        return [nest]
    return [leaf for value in nest for leaf in _sorted_leaves(value)]
