"""Layers in Keras's form as Keras's configs: {"module", "class_name", "config", "registered_name"}."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from fnlayers.core.errors import ConfigError, within
from fnlayers.core.layer import Layer
from fnlayers.functions.activations import ACTIVATIONS
from fnlayers.keras_files.calls import CALL_OPTIONS
from fnlayers.keras_files.config import TABLES
from fnlayers.keras_files.lookups import policy_name
from fnlayers.keras_files.refusals import cannot, finite, refuse_absent
from fnlayers.layers.reshaping import Cropping1D, UpSampling1D
from fnlayers.models.functional import Functional
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import FrozenDict

# Where Keras has the layers that are not in keras.layers, under the name that they are registered by.
MODULES = {
    "LayerScale": "keras.src.applications.convnext",
    "StochasticDepth": "keras.src.applications.convnext",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
    "ConvLSTMCell": "keras.src.layers.rnn.conv_lstm",
}
# Fields of ours that Keras does not have, with the values under which they mean nothing.
OURS: dict[str, tuple] = {
    "rotary_wavelength": (None,),
    "cache": (None,),
    "keras_masks": (False, True),
    "time_major": (False,),
}
ABSENT = {Cropping1D: "data_format", UpSampling1D: "data_format"}  # in Keras always the last axis
# Our names of Keras's activations; and those of one name that compute other numbers there.
RENAMED = {None: "linear", "legacy_sparsemax": "sparsemax"}
OTHER = {"sparsemax": "computes too small numbers in Keras; write activation='legacy_sparsemax' for Keras's"}
# Layers whose constructors take no `trainable` in Keras.
UNTRAINED = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Discretization", "HashedCrossing", "Pipeline")
UNTYPED = ("Pipeline",)  # and those whose layers alone have a dtype


def layer_config(layer: Layer, name: str | None = None) -> dict:
    """The config of a layer that is no model."""
    kind = type(layer).__name__
    refuse_absent(layer)
    config: dict[str, Any] = {"name": name or layer.name or layer.base_name}
    if kind not in UNTRAINED:
        config["trainable"] = layer.trainable
    if kind not in UNTYPED:
        config["dtype"] = policy_config(policy_name(layer))
    for f in fields(layer):
        if f.name not in (*config, "trainable", "dtype", *CALL_OPTIONS) and _is_keras_s(layer, f.name, f.default):
            with within(f.name):
                config[f.name] = _value(layer, f.name, getattr(layer, f.name))
    module = MODULES.get(kind, "keras.layers")
    return _object(module, kind, config, kind if kind in MODULES else None)


def policy_config(name: str | None) -> dict:
    """The config of a dtype policy."""
    return _object("keras", "DTypePolicy", {"name": name or "float32"})


def _object(module: str, kind: str, config: dict, registered: str | None = None) -> dict:
    return {"module": module, "class_name": kind, "config": config, "registered_name": registered}


def _is_keras_s(layer: Layer, name: str, default: Any) -> bool:
    """Whether Keras has the field; ConfigError where only we have it and it is set."""
    value = getattr(layer, name)
    if name in OURS:
        if value not in OURS[name]:
            raise cannot(layer, f"has {name}={value!r}", f"leave out {name}, or save with fnlayers.save")
        return False
    if name == ABSENT.get(type(layer)):
        if value == "channels_first":
            raise cannot(layer, f"has {name}={value!r}", "put Permute((2, 1)) before and after it")
        return False
    optional = name == "seed" and type(layer).__name__ == "AdditiveAttention"
    return not optional or value != default


def _value(layer: Layer, name: str, value: Any) -> Any:
    part = name.rsplit("_", 1)[-1]
    if name == "unroll":
        return value is True  # a number of steps changes how fast it is, and no number
    if part in TABLES:
        return _from_table(part, value)
    if part == "activation":
        return _activation(value)
    if isinstance(value, Layer):
        return inner_config(value)
    if isinstance(value, tuple):
        return [_value(layer, "", item) for item in value]
    if isinstance(value, (FrozenDict, Mapping)):
        return {key: _value(layer, "", item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return finite(value)
    raise cannot(layer, f"has {name}={value!r}", "give plain values, or save with fnlayers.save")


def inner_config(layer: Layer) -> dict:
    """The config of a layer that is an option of another one, a model among them."""
    if isinstance(layer, (Sequential, Functional)):
        from fnlayers.keras_files.graph_writer import model_config

        return model_config(layer, None)
    return layer_config(layer)


def _from_table(part: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    kind = (value if isinstance(value, type) else type(value)).__name__
    if kind not in TABLES[part]:
        raise ConfigError(
            f"{part}={value!r} is a function of yours, which Keras's files do not hold; give one of Keras's"
        )
    config = {} if isinstance(value, type) or not is_dataclass(value) else _plain_fields(value)
    return _object(f"keras.{part}s", kind, config)


def _plain_fields(value: Any) -> dict:
    def plain(item: Any) -> Any:
        return [plain(part) for part in item] if type(item) is tuple else finite(item)

    return {f.name: plain(getattr(value, f.name)) for f in fields(value)}


def _activation(value: Any) -> Any:
    if isinstance(value, Layer):
        return inner_config(value)
    if callable(value):
        names = [name for name, function in ACTIVATIONS.items() if function is value]
        if not names:
            raise ConfigError(
                f"activation={value!r} is a function of yours, which Keras's files do not hold; give a name"
            )
        value = names[0]
    if value in OTHER:
        raise ConfigError(f"activation={value!r} {OTHER[value]}")
    return RENAMED.get(value, value)
