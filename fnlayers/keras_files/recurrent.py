"""Calls of recurrent layers and cells in Keras's model configs, as our inputs: x, then the arrays of the carry."""

from typing import Any, NamedTuple

from fnlayers.core.errors import ConfigError
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.recurrent.cell import Cell
from fnlayers.plain_data import nest_leaves

# The arguments of a call, in Keras's order.
LAYER = ("sequences", "initial_state", "mask", "training")
CELL = ("inputs", "states", "training")


class RecurrentCall(NamedTuple):
    """The inputs: a tensor, or (x, *states); the mask of x that is given, or None; which outputs are sequences."""

    inputs: Any
    mask: Any
    train: bool | None
    sequences: int


def recurrent_call(layer: Cell | Recurrent | Bidirectional, args: list, kwargs: dict, is_tensor: Any) -> RecurrentCall:
    """What a call in a Keras config means. Tensors stay as they are in the config."""
    names = CELL if isinstance(layer, Cell) else LAYER
    if len(args) > len(names) or not set(kwargs) <= set(names[len(args) :]):
        raise ConfigError(f"{type(layer).__name__} is called with {len(args)} arguments and {', '.join(kwargs)}")
    arguments = dict(zip(names, args, strict=False)) | kwargs
    x, states = arguments.get(names[0]), arguments.get(names[1])
    states = [] if states is None else nest_leaves(states, is_leaf=is_tensor)
    if wrong := [value for value in (x, *states) if not is_tensor(value)]:
        raise ConfigError(f"{type(layer).__name__} is called on tensors of the graph, got {str(wrong[0])[:80]}")
    inputs = (x, *states) if states else x
    return RecurrentCall(inputs, arguments.get("mask"), arguments.get("training"), _sequences(layer))


def _sequences(layer: Any) -> int:
    """How many of the outputs, the first ones, are sequences."""
    if isinstance(layer, Bidirectional):
        return _sequences(layer.layer) * (1 if layer.merge_mode else 2)
    return int(isinstance(layer, Recurrent) and layer.return_sequences)
