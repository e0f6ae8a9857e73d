"""Calls of layers in a graph as Keras writes them: positional arguments, and options by name."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.core.operation import Operation, Slot, is_part
from fnlayers.keras_files.refusals import cannot
from fnlayers.layers.attention.inputs import by_name
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.attention.single_head import SingleHead
from fnlayers.layers.preprocessing.tabular import CategoryEncoding
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.recurrent.cell import Cell
from fnlayers.layers.recurrent.cells import LSTMCell, StackedRNNCells
from fnlayers.layers.recurrent.conv_lstm import ConvLSTMCell
from fnlayers.models.functional import Node, Ref
from fnlayers.plain_data import map_nest, nest_leaves

# Fields of ours that are options of a call in Keras.
CALL_OPTIONS = ("use_causal_mask", "return_attention_scores")


class Call(NamedTuple):
    """A call of a layer: Refs stand for arrays."""

    args: list
    kwargs: dict[str, Any]


def call_of(layer: Layer, node: Node, floats: bool = False) -> Call:
    """What Keras writes for a node; `floats`: its input is floating, so that a ReversibleEmbedding is reversed."""
    if isinstance(layer, Operation):
        return _operation_call(layer, node)
    if isinstance(layer, SingleHead):
        call = _single_head_call(layer, node)
    elif isinstance(layer, MultiHead):
        call = _multi_head_call(layer, node)
    elif isinstance(layer, (Recurrent, Bidirectional, Cell)):
        call = _recurrent_call(layer, node)
    elif isinstance(layer, CategoryEncoding) and not is_ref(node.inputs):
        call = Call([node.inputs[0]], {"count_weights": node.inputs[1]})
    else:
        call = Call([as_lists(node.inputs)], {})
        if has_refs(node.mask):
            call.kwargs["mask"] = as_lists(map_nest(_or_none, node.mask, is_leaf=is_ref))
    options = {name: True for name in CALL_OPTIONS if getattr(layer, name, False)}
    if type(layer).__name__ == "ReversibleEmbedding" and floats:
        options["reverse"] = True
    if node.train is not None:
        options["training"] = node.train
    return Call(call.args, call.kwargs | options)


def call_inputs(call: Call) -> list[Ref]:
    """The arrays of a call in the order in which Keras goes through them: names are sorted."""
    return [leaf for leaf in _leaves([call.args, call.kwargs]) if is_ref(leaf)]


def as_lists(nest: Any) -> Any:
    """Tuples as lists, which Keras takes for several inputs."""
    if isinstance(nest, Mapping):
        return {key: as_lists(value) for key, value in nest.items()}
    return [as_lists(value) for value in nest] if isinstance(nest, tuple) and not is_ref(nest) else nest


def is_ref(value: Any) -> bool:
    """Whether a value stands for an array of the graph."""
    return isinstance(value, Ref)


def has_refs(nest: Any) -> bool:
    """Whether an array is in a nest."""
    return any(map(is_ref, nest_leaves(nest, is_leaf=is_ref)))


def _is_whole(value: Any) -> bool:
    """Whether a tuple stands for one thing, and is no nest."""
    return is_ref(value) or is_part(value)


def _leaves(nest: Any) -> list:
    if isinstance(nest, Mapping):
        return [leaf for key in sorted(nest) for leaf in _leaves(nest[key])]
    if isinstance(nest, (list, tuple)) and not _is_whole(nest):
        return [leaf for value in nest for leaf in _leaves(value)]
    return [nest]


def _or_none(mask: Any) -> Any:
    return mask if is_ref(mask) else None


def _operation_call(layer: Operation, node: Node) -> Call:
    arrays = node.inputs if isinstance(node.inputs, tuple) and not is_ref(node.inputs) else (node.inputs,)

    def fill(value: Any) -> Any:
        return arrays[value.index] if isinstance(value, Slot) else value

    args, kwargs = (map_nest(fill, nest, is_leaf=_is_whole) for nest in (layer.arguments, dict(layer.options)))
    return Call(list(args), dict(kwargs))


def _single_head_call(layer: SingleHead, node: Node) -> Call:
    inputs = by_name(node.inputs) if not is_ref(node.inputs) else {"query": node.inputs, "value": node.inputs}
    masks = node.mask if isinstance(node.mask, tuple) and not is_ref(node.mask) else (node.mask,) * len(inputs)
    kwargs = {"mask": [_or_none(mask) for mask in masks]} if has_refs(tuple(masks)) else {}
    return Call([list(inputs.values())], kwargs)


def _multi_head_call(layer: MultiHead, node: Node) -> Call:
    inputs = by_name(node.inputs) if not is_ref(node.inputs) else {"query": node.inputs, "value": node.inputs}
    masks = dict.fromkeys(inputs, node.mask) if node.mask is None or node.mask is False else by_name(node.mask)
    kwargs: dict[str, Any] = {name: inputs[name] for name in ("key", "attention_mask") if name in inputs}
    kwargs |= {f"{name}_mask": mask for name, mask in masks.items() if is_ref(mask) and name != "attention_mask"}
    return Call([inputs["query"], inputs["value"]], kwargs)


def _recurrent_call(layer: Any, node: Node) -> Call:
    if is_ref(node.inputs):
        if isinstance(layer, Cell):
            raise cannot(layer, "is given no states", "call it with (x, *states), or write fnlayers.RNN(cell)")
        return Call([node.inputs], {"mask": node.mask} if is_ref(node.mask) else {})
    x, *states = nest_leaves(node.inputs, is_leaf=is_ref)
    if isinstance(layer, Cell):
        return Call([x, _nested(layer, states)], {})
    cell = getattr(layer, "cell", None)
    kwargs: dict[str, Any] = {"initial_state": _nested(cell, states) if isinstance(cell, Cell) else list(states)}
    mask = node.mask[0] if isinstance(node.mask, tuple) and not is_ref(node.mask) else node.mask
    return Call([x], kwargs | ({"mask": mask} if is_ref(mask) else {}))


def _nested(cell: Cell, states: list) -> list:
    """The states of stacked cells, those of each in a list of its own."""
    if not isinstance(cell, StackedRNNCells):
        return list(states)
    counts = [2 if isinstance(inner, (LSTMCell, ConvLSTMCell)) else 1 for inner in cell.cells]
    if sum(counts) != len(states):
        raise ConfigError(f"{cell!r} is called with {len(states)} states; Keras has {sum(counts)} for these cells")
    rest = iter(states)
    return [[next(rest) for _ in range(count)] for count in counts]
