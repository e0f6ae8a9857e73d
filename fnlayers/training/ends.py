"""What a model ends in, read from its last layer."""

from collections.abc import Mapping
from typing import Any

import jax

from fnlayers.core.layer import Layer
from fnlayers.core.operation import Operation
from fnlayers.functions import activations
from fnlayers.layers.activation import Activation, Softmax
from fnlayers.layers.basic import DropMask, Identity
from fnlayers.layers.conv import Conv, ConvTranspose
from fnlayers.layers.dense import Dense, EinsumDense
from fnlayers.layers.depthwise import DepthwiseConv, SeparableConv
from fnlayers.layers.regularization import ActivityRegularization, Dropout
from fnlayers.layers.reshaping import Flatten, Permute, Reshape
from fnlayers.layers.wrappers import SpectralNormalization, TimeDistributed
from fnlayers.models.functional import Functional, Node, Ref
from fnlayers.models.lora import LoRA
from fnlayers.models.repeat import Repeat
from fnlayers.models.sequential import Sequential

PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "legacy_hard_sigmoid", "sparsemax", "legacy_sparsemax")
OTHERS = ("linear", "log_softmax", "log_sigmoid", "tanh")  # of what is not a probability
_LIKE = {
    jax.nn.softmax: "softmax",
    jax.nn.sigmoid: "sigmoid",
    jax.nn.log_softmax: "log_softmax",
    jax.numpy.tanh: "tanh",
}

_KEEPING = (Identity, DropMask, Dropout, Flatten, Reshape, Permute, ActivityRegularization)  # in inference, the values
_AROUND = (TimeDistributed, SpectralNormalization, Repeat)
_ACTIVATED = (Activation, Dense, EinsumDense, Conv, ConvTranspose, DepthwiseConv, SeparableConv)


def ending(model: Layer, key: str | int | None = None) -> tuple[str | None, Layer | None]:
    """The name of the function that makes a model's output, and the layer that holds it; None where it is not known.

    Arguments:
        model: any layer.
        key: which of several outputs.

    Example:
        >>> ending(Sequential([Dense(8, activation="relu"), TimeDistributed(Dense(3, activation="softmax"))]))
        ('softmax', Dense(units=3, activation='softmax'))
    """
    if isinstance(model, Sequential):
        for layer in reversed(model.layers):
            if not _keeps(layer):
                return ending(layer, key)
        return None, None
    if isinstance(model, Functional):
        return _ending_of(model, _chosen(model.outputs, key))
    if isinstance(model, _AROUND):
        return ending(model.layer, key)
    if isinstance(model, LoRA):
        return ending(model.model, key)
    if key is not None:
        return None, None
    if isinstance(model, Softmax):
        return "softmax", model
    if isinstance(model, Operation):
        return model.function.lower(), model
    return (_name(model.activation), model) if isinstance(model, _ACTIVATED) else (None, None)


def _ending_of(model: Functional, ref: Any) -> tuple[str | None, Layer | None]:
    """That of one array of a graph."""
    layers = model.by_name
    while isinstance(ref, Ref) and isinstance(node := model.nodes[ref.node], Node):
        layer = layers[node.layer]
        if not _keeps(layer):
            return ending(layer) if ref.index == 0 else (None, None)
        ref = node.inputs
    return None, None


def _chosen(outputs: Any, key: str | int | None) -> Any:
    """The Ref of one output of a graph."""
    if isinstance(outputs, Ref) or key is None:
        return outputs
    there = key in outputs if isinstance(outputs, Mapping) else isinstance(key, int) and key < len(outputs)
    return outputs[key] if there else None


def _keeps(layer: Layer) -> bool:
    """Whether the values go through in inference as they are."""
    return isinstance(layer, _KEEPING) or (isinstance(layer, Activation) and _name(layer.activation) == "linear")


def _name(activation: Any) -> str | None:
    """An activation's name, however it was given."""
    if isinstance(activation, Layer):
        return ending(activation)[0]
    if activation is None or isinstance(activation, str):
        return activation or "linear"
    try:
        return _LIKE.get(activation) or {f: name for name, f in activations.ACTIVATIONS.items()}.get(activation)
    except TypeError:  # an object that does not hash
        return None
