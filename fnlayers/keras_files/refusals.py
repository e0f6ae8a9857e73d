"""What Keras's files cannot say, and what to do instead."""

import math
from typing import Any

from fnlayers.catalog import LAYERS
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.keras_files.config import UNNAMED
from fnlayers.layers.attention.multi_head import MultiHeadAttention
from fnlayers.layers.common import normal_axes
from fnlayers.layers.normalization import BatchNormalization, RMSNormalization

# Layers that are not written: why, and what to do; "" stands for all others.
WHY = {
    "": "is not a layer of Keras",
    "Equalization": "is in Keras an error wherever it is called in a model",
    "FeatureSpace": "keeps what it learned as options of its layers, which Keras's file has elsewhere",
    "Lambda": "holds a function of yours",
    "SpectralNormalization": "divides its kernel in inference too",
}
INSTEAD = {
    "": "write it with layers that Keras has, or save with fnlayers.save",
    "Equalization": "save the model without it, and equalize images before it; or save with fnlayers.save",
    "FeatureSpace": "save the layers behind it, and it by itself with fnlayers.save (load_keras reads Keras's own)",
    "Lambda": "write it with layers and operations of a graph, or save with fnlayers.save",
    "Pair": "write it with layers of the catalog, or save with fnlayers.save",
    "Repeat": "list the layers, each by itself",
    "LoRA": "save the model inside it, adapted.model, with the params adapted.merge(params)",
    "SpectralNormalization": "save the layer inside by itself, its kernel divided by the singular value",
}
BROKEN = ("Equalization", "SpectralNormalization")  # that Keras has, and does not run, or not as we do
IN_GRAPHS = ("Operation", "DropMask", "CopyMask", "Sequential", "Functional")  # which graphs and their nodes say


def cannot(layer: Layer, what: str, instead: str) -> ConfigError:
    """The error for what Keras's files cannot say."""
    return ConfigError(f"{type(layer).__name__} {what}, which Keras cannot express; {instead}")


def finite(value: Any) -> Any:
    """The value; ConfigError for a number that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{value} is not a number in JSON, in which Keras writes; take a finite one, such as -1e9")
    return value


def refuse_absent(layer: Layer) -> None:
    """Raise ConfigError for a layer that Keras does not have."""
    kind = type(layer).__name__
    if kind in IN_GRAPHS and LAYERS[kind] is type(layer):
        return
    if LAYERS.get(kind) is not type(layer) or kind in UNNAMED or kind in BROKEN:
        raise cannot(layer, WHY.get(kind, WHY[""]), INSTEAD.get(kind, INSTEAD[""]))


def refuse_different(layer: Any, types: Any) -> None:
    """Raise ConfigError for options under which Keras computes something else, or nothing, on inputs of those types."""
    if isinstance(layer, BatchNormalization) and layer.synchronized:
        raise cannot(layer, f"has synchronized={layer.synchronized!r} on JAX", "write synchronized=False")
    if isinstance(layer, RMSNormalization):
        rank, axes = len(types.shape), normal_axes(layer, len(types.shape))
        if axes != tuple(range(rank - len(axes), rank)):
            raise cannot(
                layer, f"normalizes over axis={layer.axis!r}, not the last", "bring those axes to the end first"
            )
    if isinstance(layer, MultiHeadAttention) and layer.value_dim not in (None, layer.key_dim):
        if not layer.dropout and not layer.return_attention_scores:
            raise cannot(
                layer, f"has value_dim={layer.value_dim} and key_dim={layer.key_dim} without dropout",
                "make them equal, or return_attention_scores=True",
            )  # fmt: skip
