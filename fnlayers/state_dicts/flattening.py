"""Where our models flatten channels that stand last: PyTorch has them first, so weights there are in another order."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fnlayers.core.layer import Layer
from fnlayers.core.shapes import ArrayType, canonical
from fnlayers.core.types import Sizes
from fnlayers.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from fnlayers.layers.applications import LayerScale
from fnlayers.layers.basic import CopyMask, DropMask, Identity, Masking
from fnlayers.layers.dense import Dense
from fnlayers.layers.merge import Concatenate, Merge
from fnlayers.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from fnlayers.layers.preprocessing.numeric import Normalization, Rescaling
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.regularization import ActivityRegularization, Noise
from fnlayers.layers.reshaping import Flatten, Permute, Reshape
from fnlayers.models.functional import Ref
from fnlayers.models.opened import calls, is_ref, opened
from fnlayers.plain_data import nest_leaves

# By the path of a layer the arguments of its rule, flattened= and unflattened=; None where the order is not known.
Flattenings = Mapping[str, Mapping[str, tuple[int, ...]] | None]

_KEEPING = (
    Activation, ReLU, LeakyReLU, ELU, Softmax, LayerScale, Identity, CopyMask, DropMask, Masking, Merge, Concatenate,
    UnitNormalization, Normalization, Rescaling, Noise, ActivityRegularization,
)  # fmt: skip
_BY_FEATURE = (BatchNormalization, LayerNormalization, GroupNormalization, RMSNormalization, PReLU)
_SUMMING = (Dense, Recurrent, Bidirectional)  # over the features

# What is known of an array: its channels are last, or first; or its features are in an order that is not known.
LAST, FIRST, UNKNOWN = "channels last", "channels first", "an order that is not known"


class Flat(NamedTuple):
    """Of an array: its features are those of (..., channels), which PyTorch has as these sizes, (channels, ...)."""

    sizes: tuple[int, ...]


class Made(NamedTuple):
    """Of an array: which weights made its features, each a path with the argument of its rule."""

    weights: tuple[tuple[str, str], ...]


def flattenings_of(model: Layer, shape: Sizes) -> Flattenings:
    """Which layers of a model are in need of reordered weights, and how."""
    orders: dict[str, Any] = {}
    in_types = model.in_types(model.in_shape if shape is None else canonical(shape))
    _after(model, "", in_types, None, [_of_input(type_) for type_ in nest_leaves(in_types)], orders)
    return orders


def flattening_of(path: str, flattenings: Flattenings) -> Mapping[str, tuple[int, ...]] | None:
    """What is noted of the layer whose weight, or cell, has that path; {} where nothing is."""
    names = path.split("/")
    owners = ("/".join(names[:end]) for end in range(len(names), -1, -1))
    return next((flattenings[owner] for owner in owners if owner in flattenings), {})


def _of_input(type_: ArrayType) -> str | None:
    """Images: (batch, height, width, channels), and (batch, channels, height, width) in PyTorch."""
    return LAST if len(type_.shape) > 3 else None


def _after(layer: Layer, path: str, in_types: Any, out_types: Any, before: Sequence[Any], orders: dict) -> Any:
    """What is known of a layer's output, by what is known of its inputs; notes what its weights are in need of."""
    if opened(layer, in_types) is not None:
        return _after_all(layer, path, in_types, before, orders)
    known = before[0] if len(set(before)) == 1 else None
    if out_types is None or not isinstance(out_types, ArrayType) or not isinstance(in_types, ArrayType):
        return known if isinstance(layer, _KEEPING) else None
    if isinstance(layer, (Flatten, Reshape)):
        return _reshaped(layer, in_types.shape, out_types.shape, known, orders)
    if isinstance(layer, Permute):
        to_first = known == LAST and layer.dims == (len(layer.dims), *range(1, len(layer.dims)))
        return FIRST if to_first else known and UNKNOWN
    if isinstance(layer, _BY_FEATURE):
        _note(orders, path, "flattened", known)
        return Made((*known.weights, (path, "flattened"))) if isinstance(known, Made) else known
    if isinstance(layer, _SUMMING):
        _note(orders, path, "flattened", known)
        return Made(((path, "unflattened"),)) if isinstance(layer, Dense) and len(out_types.shape) == 2 else None
    if hasattr(layer, "data_format"):
        return (
            (FIRST if getattr(layer, "data_format", None) == "channels_first" else LAST)
            if len(out_types.shape) > 2
            else None
        )
    return known if isinstance(layer, _KEEPING) else None


def _after_all(layer: Layer, path: str, in_types: Any, before: Sequence[Any], orders: dict) -> Any:
    """The same of the layers in a container, one after the other."""
    graph = opened(layer, in_types)
    assert graph is not None
    inputs = graph._bind(in_types, lambda value: isinstance(value, ArrayType), "input")
    own = [*before] * len(inputs) if len(before) == 1 else [_of_input(type_) for type_ in inputs.values()]
    known: dict[Ref, Any] = dict(zip(map(Ref, inputs), own, strict=True))
    for call in calls(graph, in_types):
        refs = nest_leaves(call.node.inputs, is_leaf=is_ref)
        inner = f"{path}/{call.node.layer}".removeprefix("/")
        known[Ref(call.position)] = _after(
            call.layer, inner, call.in_types, call.out_types, [*map(known.get, refs)], orders
        )
    outputs = nest_leaves(graph.outputs, is_leaf=is_ref)
    return known.get(outputs[0]) if len(outputs) == 1 else None


def _reshaped(layer: Any, in_shape: tuple, out_shape: tuple, known: Any, orders: dict) -> Any:
    """What is known of the output of a Flatten or Reshape."""
    if isinstance(known, Made):
        sizes = (
            out_shape[1:]
            if getattr(layer, "data_format", None) == "channels_first"
            else (out_shape[-1], *out_shape[1:-1])
        )
        for path, argument in known.weights if len(out_shape) > 3 else ():
            _note(orders, path, argument, Flat(sizes))
        return LAST if len(out_shape) > 3 else None
    if isinstance(known, Flat):
        return (
            known if out_shape == in_shape else LAST if out_shape[1:] == (*known.sizes[1:], known.sizes[0]) else UNKNOWN
        )
    if known in (None, UNKNOWN) or out_shape[-1] == in_shape[-1]:
        return known
    moves = getattr(layer, "data_format", None) == "channels_first"  # as a Flatten moves the channels to the end
    if len(out_shape) > 2:
        return UNKNOWN
    if known == FIRST:
        return Flat(in_shape[1:]) if moves else None
    return UNKNOWN if moves else Flat((in_shape[-1], *in_shape[1:-1]))


def _note(orders: dict, path: str, argument: str, known: Any) -> None:
    if known == UNKNOWN:
        orders[path] = None
    elif isinstance(known, Flat) and orders.setdefault(path, {}) is not None and _is_another_order(known.sizes):
        orders[path] = orders[path] | {argument: known.sizes}


def _is_another_order(sizes: tuple[int, ...]) -> bool:
    """Whether (channels, ...) and (..., channels) are two orders: there is more than one channel, and one position."""
    return sizes[0] != 1 and any(size != 1 for size in sizes[1:])
