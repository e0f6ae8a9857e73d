"""Keras's model configs read as data: class names are looked up in a closed table; nothing is imported or called."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import jax.numpy as jnp

from fnlayers.catalog import LAYERS
from fnlayers.core.errors import ConfigError, ShapeError, shortened, within
from fnlayers.core.inherited import with_policy
from fnlayers.core.layer import Layer
from fnlayers.core.operation import Operation, Slot
from fnlayers.core.strings import STRING
from fnlayers.functions.activations import ACTIVATIONS
from fnlayers.functions.constraints import CONSTRAINTS
from fnlayers.functions.initializers import INITIALIZERS
from fnlayers.functions.regularizers import REGULARIZERS
from fnlayers.keras_files import limits
from fnlayers.keras_files.custom_objects import NO_CUSTOM_OBJECTS, CustomObjects, names_of
from fnlayers.keras_files.feature_spaces import feature_space_of
from fnlayers.keras_files.graph import functional_of
from fnlayers.keras_files.lookups import FUNCTIONS, LISTS, known_options
from fnlayers.keras_files.masking import looks_up, refuses_mask, to_integers
from fnlayers.keras_files.nodes import (
    check_input_layer,
    check_names_differ,
    check_origin,
    input_shape,
    layers_worth,
    own_name,
    parts,
    policy_of,
    safe_name,
)
from fnlayers.layers.basic import DropMask, Lambda
from fnlayers.layers.merge import Merge
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.regularization import ActivityRegularization
from fnlayers.models.container import InputNode
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import freeze

# Arguments of Keras that we have no field for, with the value under which they mean nothing.
NEUTRAL = {
    "quantization_config": None,
    "lora_rank": None,
    "lora_alpha": None,
    "activity_regularizer": None,
    "gptq_unpacked_column_size": None,
    "rms_scaling": False,
    "zero_output_for_mask": False,
    "build_input_shape": ...,  # any value
    "use_cudnn": ...,
    "autocast": True,
    "vocabulary_size": ...,  # which the vocabulary tells
    "has_input_vocabulary": ...,
}
# Activations that Keras computes in another way than ours of that name (docs/deviations.md).
RENAMED = {"linear": None, "sparsemax": "legacy_sparsemax"}
# Layers that a config has in another form, or that Keras itself does not have; and fields of ours in layers it has.
UNNAMED = frozenset(
    (
        "Lambda",
        "Pair",
        "LoRA",
        "Functional",
        "Sequential",
        "Repeat",
        "Operation",
        "DropMask",
        "CopyMask",
        "PositionEmbedding",
    )
    + ("FeatureSpace", "SinePositionEncoding", "RotaryEmbedding", "TokenAndPositionEmbedding", "TransformerEncoder")
    + ("TransformerDecoder",)
)
OURS = frozenset(("rotary_wavelength", "cache", "keras_masks"))
TABLES: dict[str, Mapping[str, Callable]] = {
    "initializer": INITIALIZERS,
    "regularizer": REGULARIZERS,
    "constraint": CONSTRAINTS,
}
# Layers that Keras's FeatureSpace puts into a graph.
OF_FEATURE_SPACES = {"TFDIdentity": "Identity", "TFDConcat": "Concatenate"}
# What the config of a Sequential may say besides its layers.
OF_SEQUENTIAL = frozenset(("name", "trainable", "dtype", "layers", "build_input_shape"))


def model_of(node: Any, custom: CustomObjects = NO_CUSTOM_OBJECTS, most: int = limits.MAX_LAYERS) -> Layer:
    """The model that a config describes: {"class_name": ..., "config": {...}}, of so many layers and calls at most.

    Raises:
        ConfigError: for what neither Keras's table nor the caller's has, with the path of the layer.
    """
    return Reader(custom, most).model(node)


def input_shape_of(node: Any) -> Any:
    """The input shape of a Sequential's config: of its InputLayer, or what it was built with."""
    _, config = parts(node)
    for inner in config.get("layers", []):
        kind, options = parts(inner)
        stored = options.get("batch_shape") or options.get("batch_input_shape")
        if stored is not None:
            return input_shape(stored)
        if kind in ("Sequential", "Functional"):
            return input_shape_of(inner)
        break
    built = node.get("build_config")
    stored = config.get("build_input_shape") or (built.get("input_shape") if isinstance(built, dict) else None)
    if stored is None:
        raise ConfigError("the file does not say what shape the model's input has; it was saved before it was built")
    return input_shape(stored)


def model_and_shape(node: Any, custom: CustomObjects, most: int, era: int = 3) -> tuple[Layer, Any]:
    """The model that a config of Keras 1, 2 or 3 describes, as `model_of` makes it, and the shape of its input.

    A Sequential inside declares its input, too, unless a call inside disagrees with one of them, as Keras lets it.
    """
    model = Reader(custom, most, fixes_modes=era < 3).model(node)
    shape = input_shape_of(node) if model.in_shape is None else model.in_shape
    try:
        model.specs(shape)
        disagrees = _leaves_sizes_open(model, shape)
    except ShapeError:
        disagrees = True
    return (Reader(custom, most, strict=False, fixes_modes=era < 3).model(node) if disagrees else model), shape


def _leaves_sizes_open(layer: Layer, shape: Any) -> bool:
    """Whether a Sequential inside is given an array of unknown sizes where it declares them."""
    for child, child_shape in layer.children(shape).values() if layer.has_children else ():
        declared = child.input if isinstance(child, Sequential) else None
        if declared is not None and any(a is None is not b for a, b in zip(child_shape, declared.shape, strict=True)):
            return True
        if _leaves_sizes_open(child, child_shape):
            return True
    return False


class Reader:
    """One walk over a config: the caller's objects, how many layers there were, and how deep this one is.

    Arguments:
        custom: the caller's objects.
        most: layers and calls, at most.
        strict: whether a Sequential inside another model declares its input as it says; False: as Keras sees it there,
            which compares the rank alone and casts to the dtype.
        fixes_modes: whether a call that is recorded with `training` has that mode in each run.
    """

    def __init__(self, custom: CustomObjects, most: int, strict: bool = True, fixes_modes: bool = False) -> None:
        self.custom, self.most, self.strict, self.fixes_modes = custom, most, strict, fixes_modes
        self.layers = self.depth = 0

    def count(self, layers: int) -> None:
        """Refuse more layers, or calls of them, than the file may have."""
        self.layers += layers
        if self.layers > self.most:
            raise ConfigError(f"the config has more than {self.most} layers, which a file of its size does not have")

    def model(self, node: Any) -> Layer:
        """The layer or model of a node."""
        kind, config = parts(node)
        self.count(1)
        self.depth += 1
        if self.depth > limits.MAX_MODEL_DEPTH:
            raise ConfigError(f"the config has more than {limits.MAX_MODEL_DEPTH} layers inside each other")
        try:
            if self.is_custom(node):
                return self._custom_layer(next(name for name in names_of(node) if name in self.custom.layers), config)
            if kind == "FeatureSpace":
                return feature_space_of(node, self.model)
            check_origin(node, "layer")
            if kind == "Functional":
                return functional_of(config, self)
            if kind == "Sequential":
                return self._sequential(config)
            return self._lambda(config) if kind == "Lambda" else self._layer(kind, config)
        finally:
            self.depth -= 1

    def is_custom(self, node: dict) -> bool:
        """Whether the node's class is one of the caller's."""
        return any(name in self.custom.layers for name in names_of(node))

    def _sequential(self, config: dict) -> Sequential:
        """Layers in order; where a mask may come, one that does not take it drops it, as Keras does."""
        if unknown := sorted(config.keys() - OF_SEQUENTIAL):
            raise ConfigError(f"Sequential: {', '.join(unknown)[:80]} is not supported here")
        listed = config.get("layers", [])
        if not isinstance(listed, list):
            raise ConfigError(f"Sequential: layers={str(listed)[:80]}, expected a list")
        layers: list[Layer] = []
        declared = None
        for position, inner in enumerate(listed):
            kind, options = parts(inner)
            if kind == "InputLayer" and position == 0:
                declared, layers = self._declared(inner)
                continue
            with within(str(options.get("name", position))[:80]):
                layer = self.model(inner)
            if refuses_mask(layer):
                layers.append(DropMask(name=f"drop_mask_before_{layer.name}"))
            if looks_up(layer):
                layers.append(to_integers(name=f"cast_before_{layer.name}"))
            layers.append(layer)
        policy_of(config.get("dtype"))
        check_names_differ([str(layer.name) for layer in layers if layer.name is not None])
        return Sequential(layers, input=declared, name=own_name(config), trainable=config.get("trainable", True))

    def _declared(self, node: dict) -> tuple[InputNode | None, list[Layer]]:
        """The input that a Sequential's InputLayer declares, and the layers that make it such an input."""
        shape, dtype = check_input_layer(node)
        name = own_name(parts(node)[1]) or "input"
        if self.strict or self.depth == 1:
            return InputNode(name, shape, dtype), []
        if dtype != STRING and jnp.issubdtype(dtype, jnp.integer):
            return None, [Operation("Cast", (Slot(0), dtype), name=f"cast_{name}")]
        return InputNode(name, (None,) * len(shape), dtype), []

    def _layer(self, kind: str, config: dict) -> Layer:
        """A layer of the catalog, from its config."""
        kind = OF_FEATURE_SPACES.get(kind, kind)
        if kind not in LAYERS or kind in UNNAMED:
            raise ConfigError(f"{kind!r} is not a layer that a file may name")
        options = self._options(kind, LAYERS[kind], known_options(kind, config))
        if issubclass(LAYERS[kind], Merge) or (issubclass(LAYERS[kind], Recurrent) and options.get("unroll")):
            options["keras_masks"] = True
        if kind == "TimeDistributed":
            options["layer"] = _without_activity_loss(options.get("layer"))
        if kind in ("TimeDistributed", "SpectralNormalization") and options.get("dtype"):
            options["layer"] = with_policy(options.get("layer"), "float32", {})  # Keras: a wrapper's policy is its own
        return LAYERS[kind](**options)

    def _options(self, kind: str, cls: type[Layer], config: dict) -> dict[str, Any]:
        known, options = {f.name for f in fields(cls)} - OURS, {}
        for key, value in config.items():
            if key in known:
                options[key] = self._value(key, value)
            elif key not in NEUTRAL or NEUTRAL[key] not in (..., value):
                raise ConfigError(f"{kind}: {key}={str(value)[:80]} is not supported here")
        return options

    def _custom_layer(self, name: str, config: dict) -> Layer:
        """A layer of the caller's: a class with the config as its options, or what a function makes of it."""
        make = self.custom.layers[name]
        if isinstance(make, type) and issubclass(make, Layer):
            return make(**self._options(name, make, config))
        layer = make(config)
        if not isinstance(layer, Layer):
            raise ConfigError(f"layers[{name!r}] returned {shortened(layer)}, expected a layer")
        return layer if layer.name or not config.get("name") else layer.renamed(safe_name(config["name"]))

    def _lambda(self, config: dict) -> Layer:
        """A Lambda with the caller's function of that name; what the file has of its code is not looked at."""
        options = dict(config)
        for key in ("function", "mask"):
            if options.get(key) is not None:
                options[key] = self._function(options[key], config.get("name"))
        options.pop("output_shape", None)
        for key in ("function_type", "module", "output_shape_type", "output_shape_module"):  # of Keras 2
            options.pop(key, None)
        if unknown := sorted(options.keys() - {f.name for f in fields(Lambda)}):
            raise ConfigError(f"Lambda: {', '.join(unknown)[:80]} is not supported here")
        options |= {"name": own_name(config), "dtype": policy_of(config.get("dtype"))}
        options["arguments"] = freeze(options.get("arguments") or {})
        return Lambda(**options)

    def _function(self, value: Any, layer: Any) -> Callable:
        """The caller's function for one that a Lambda names; for one without a name, by the name of the layer."""
        named = value.get("config") if isinstance(value, dict) and value.get("class_name") == "function" else value
        names = [named, named.rpartition(">")[2]] if isinstance(named, str) else [layer, "<lambda>"]
        for name in names:
            if isinstance(name, str) and name in self.custom.functions:
                return self.custom.functions[name]
        raise ConfigError(
            f"a Lambda is not a layer that a file may name: its function is the caller's to give, as "
            f"load_keras(path, functions={{{str(names[0])[:80]!r}: function}})"
        )

    def _value(self, key: str, value: Any) -> Any:
        """A field's value: names, numbers, tuples, and the objects of the closed tables."""
        part = key.rsplit("_", 1)[-1]
        if key == "dtype":
            return policy_of(value)
        if key == "name":
            return safe_name(value)
        if part in TABLES:
            return _from_table(part, value)
        if part == "activation":
            return self._activation(value)
        if key in FUNCTIONS and isinstance(value, dict):
            return self._function(value, key)
        if isinstance(value, dict) and "class_name" in value:
            return self.model(value)
        if key in LISTS and isinstance(value, list):
            return tuple(value)
        self.count(layers_worth(value, f"{key[:80]}="))
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            return tuple(self._value("", item) for item in value)
        return freeze(value)

    def _activation(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("class_name") != "function":
                return self.model(value)
            parts({**value, "config": {}})
            if not self._is_custom_activation(value.get("config")):
                check_origin(value, "function")
            value = value.get("config")
        if self._is_custom_activation(value):
            return self.custom.activations[value]
        if value is not None and (not isinstance(value, str) or value not in ACTIVATIONS):
            raise ConfigError(
                f"activation={str(value)[:80]!r} is not an activation of Keras; a function of your own is given by "
                f"name: load_keras(path, activations={{{str(value)[:80]!r}: function}})"
            )
        return value if value is None else RENAMED.get(value, value)

    def _is_custom_activation(self, name: Any) -> bool:
        return isinstance(name, str) and name in self.custom.activations


def _without_activity_loss(layer: Any) -> Any:
    """The layer without the loss on its own output, which Keras overlooks where TimeDistributed calls it."""
    if isinstance(layer, ActivityRegularization):
        return replace(layer, l1=0.0, l2=0.0)
    listed = isinstance(layer, Layer) and "activity_regularizer" in {f.name for f in fields(layer)}
    return replace(layer, activity_regularizer=None) if listed else layer


def _from_table(part: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        if value is not None and value not in TABLES[part]:
            raise ConfigError(f"{value[:80]!r} is no {part} of Keras")
        return value
    kind, config = parts(value)
    check_origin(value, part)
    if kind not in TABLES[part]:
        raise ConfigError(f"{kind[:80]!r} is no {part} of Keras")
    try:
        return TABLES[part][kind](**{key: freeze(item) for key, item in config.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{kind}: {error}") from None
