"""Masks of a graph as Keras hands them on: with the arrays, unseen; and as tensors of the graph where they are given.

Ours are written as tensors of the graph where they begin in it, as Keras itself writes them; a mask that comes with an
input of the graph is Keras's OWN affair, and goes where ours goes.
"""

from collections.abc import Callable
from typing import Any

from fnlayers.core.layer import Layer
from fnlayers.core.operation import Operation, Slot
from fnlayers.keras_files.calls import is_ref
from fnlayers.keras_files.masking import refuses_mask
from fnlayers.keras_files.refusals import cannot
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.attention.single_head import SingleHead
from fnlayers.layers.basic import Masking
from fnlayers.layers.merge import Concatenate, Merge
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.recurrent.cell import Cell
from fnlayers.layers.wrappers import TimeDistributed
from fnlayers.models.functional import Functional, Node, Ref
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import nest_leaves

OWN = "own"
# Layers whose numbers depend on masks, besides recurrent ones, attention and models.
USERS = ("BatchNormalization", "GlobalAveragePooling1D", "Softmax", "TimeDistributed")
SKIPPING = ("Multiply", "Maximum", "Minimum")  # which read the masks that Keras has on the arrays themselves


def drops_mask(layer: Layer) -> bool:
    """Whether Keras's layer ends a mask without a word."""
    return isinstance(layer, Operation) or refuses_mask(layer)


def uses_mask(layer: Layer) -> bool:
    """Whether a mask changes what the layer computes in Keras, or goes into layers inside."""
    kinds = (SingleHead, MultiHead, Recurrent, Bidirectional, Sequential, Functional)
    return isinstance(layer, kinds) or type(layer).__name__ in (*USERS, *SKIPPING)


class Masks:
    """The masks of the arrays of Keras's graph: `ours`, and which arrays Keras has a mask on (`carried`)."""

    def __init__(self) -> None:
        self.ours: dict[Ref, Any] = {}
        self.carried: set[Ref] = set()
        self.views: dict[Ref, Ref] = {}  # a name for an array that has another mask of ours -> the array

    def array(self, ref: Ref) -> Ref:
        """The array itself."""
        return self.views.get(ref, ref)

    def seen_as(self, ref: Ref, mask: Any) -> Ref:
        """A name for the same array with another mask."""
        view = Ref(-1 - len(self.views), 0)
        self.views[view] = self.array(ref)
        if mask is not None:
            self.ours[view] = mask
        return view

    def carry(self, layer: Layer, call: Node, outs: list[Ref], masked: list[int]) -> None:
        """What masks Keras has on the outputs of a call.

        A MultiHeadAttention of Keras takes the masks off its inputs, for whatever runs later; since that depends on the
        order in which Keras runs the graph, nothing here relies on it.
        """
        inputs = [ref for ref in nest_leaves(call.inputs, is_leaf=is_ref)]
        if drops_mask(layer) or isinstance(layer, Cell):
            return
        if isinstance(layer, (Recurrent, Bidirectional)) and len(inputs) > 1:  # given states: it carries that of x
            self.carried.update(out for out in outs[: _sequences(layer)] if inputs[0] in self.carried)
            return
        handed_on = layer.passes_mask and any(ref in self.carried for ref in inputs)
        self.carried.update(out for out, axes in zip(outs, masked, strict=True) if axes or handed_on)
        if isinstance(layer, Merge):
            if not all(ref in self.carried for ref in inputs):
                self.carried.difference_update(outs)


def _sequences(layer: Any) -> int:
    if isinstance(layer, Bidirectional):
        return _sequences(layer.layer) * (1 if layer.merge_mode else 2)
    return int(layer.return_sequences)


def mask_outputs(
    operation: Callable, layer: Layer, call: Node, masked: list[int], masks: list, types: Any
) -> list[Any]:
    """For each output of a call its mask in our graph: a Ref of the new graph, OWN or None.

    Arguments:
        operation: (function, arguments, inputs, options) -> the Ref of what an operation of Keras's makes.
        layer, call: what is called, and the call in the new graph.
        masked: how many axes the mask of each output has, 0 where it has none.
        masks: those of the inputs.
        types: of the inputs.
    """
    if not any(masked):
        return [None] * len(masked)
    inputs = nest_leaves(call.inputs, is_leaf=is_ref)
    if isinstance(layer, Masking):
        compared = operation("NotEqual", (Slot(0), layer.mask_value), (inputs[0],))
        return [operation("Any", (Slot(0),), (compared,), {"axis": -1, "keepdims": False})]
    if getattr(layer, "mask_zero", False) and not any(masks):
        return [operation("NotEqual", (Slot(0), 0), (inputs[0],))]
    if isinstance(layer, (Sequential, Functional)):
        return [OWN if axes else None for axes in masked]
    _check_unrolled(layer)
    if any(mask is OWN for mask in masks):
        _check_like_keras(layer, masks)
        return [OWN if axes else None for axes in masked]
    if isinstance(layer, (Merge, Concatenate)):
        return [_merged(operation, layer, masks, nest_leaves(types))]
    if isinstance(layer, TimeDistributed) and masked != [2]:
        raise cannot(layer, "makes a mask of more axes than (batch, time)", "put DropMask() after it")
    return [masks[0] if axes else None for axes in masked]


def _check_unrolled(layer: Layer) -> None:
    if getattr(layer, "unroll", False) is True and not getattr(layer, "keras_masks", False):
        raise cannot(layer, "is unrolled with a mask, and treats masked steps as if it were not", "set unroll=False")


def _check_like_keras(layer: Layer, masks: list) -> None:
    if any(is_ref(mask) for mask in masks):
        raise cannot(layer, "joins the mask of an input of the graph with another", "put DropMask() before it")
    if isinstance(layer, Merge) and None in masks and not getattr(layer, "keras_masks", False):
        raise cannot(layer, "keeps the mask of one input where another has none", "put DropMask() before it")


def _merged(operation: Callable, layer: Any, masks: list, types: list) -> Any:
    """The mask of a merge of masks that are tensors of the graph, as an operation on those."""
    present = [mask for mask in masks if mask is not None]
    if len({len(t.shape) for t in types}) > 1:
        raise cannot(layer, "joins masks of several numbers of axes", "put DropMask() before it")
    if isinstance(layer, Concatenate) and layer.axis not in (-1, len(types[0].shape) - 1):
        if len(present) < len(masks) or any(t.masked <= layer.axis % len(t.shape) for t in types):
            raise cannot(layer, "joins arrays with masks and without", "put DropMask() before it")
        axis = layer.axis % len(types[0].shape)
        return operation("Concatenate", (tuple(map(Slot, range(len(masks)))),), tuple(masks), {"axis": axis})
    if isinstance(layer, Concatenate) and len(present) < len(masks):
        return None  # features of an array without a mask: all steps are valid
    joined = present[0]
    for mask in present[1:]:
        joined = operation("LogicalOr", (Slot(0), Slot(1)), (joined, mask))
    return joined
