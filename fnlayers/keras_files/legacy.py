"""Model configs of Keras 1, Keras 2 and tf.keras in Keras 3's form, as `config.py` reads it. Data in, data out.

The kinds and arguments of layers are translated in `legacy_layers.py`, calls of single functions in
`legacy_operations.py`; here it is the graph: Keras 2 writes a call as [[layer, call, output, options], ...].
"""

from typing import Any

from fnlayers.core.errors import ConfigError, within
from fnlayers.core.operations import OPERATIONS
from fnlayers.keras_files import limits
from fnlayers.keras_files.custom_objects import NO_CUSTOM_OBJECTS, CustomObjects, names_of
from fnlayers.keras_files.legacy_branches import begins_with_merge, graph_of_branches
from fnlayers.keras_files.legacy_layers import DATA_FORMATS, layer_of
from fnlayers.keras_files.legacy_nodes import declared_input, input_layer, merge_entry, parts
from fnlayers.keras_files.legacy_operations import FUNCTION_KINDS, operation_entry, plain_value

GRAPHS = ("Functional", "Model", "Network")
RECURRENT = ("RNN", "SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional")
HEADED = ("MultiHeadAttention", "GroupQueryAttention")


def keras3_config(node: Any, version: Any, custom: CustomObjects = NO_CUSTOM_OBJECTS) -> dict:
    """A model's config in Keras 3's form.

    Arguments:
        node: the config as data, {class_name, config}.
        version: the file's keras_version, such as "2.2.4-tf"; None is Keras 1, which wrote none.
        custom: what the caller has for names in the file; these stay as they are.
    """
    era = era_of(version)
    return _marked(node) if era == 3 else _Translation(era, _data_format(node), custom).model(node)


def era_of(version: Any) -> int:
    """1, 2 or 3, from a file's keras_version."""
    if version is None:
        return 1
    if not isinstance(version, str) or not version[:1].isdigit():
        raise ConfigError(f"the file's keras_version is {str(version)[:80]!r}, expected such as '2.2.4'")
    return min(3, max(1, int(version[0])))


def _marked(node: Any, depth: int = 0) -> Any:
    """A config that Keras 3 wrote into an HDF5 file: it leaves out which entries are functions, not layers."""
    if depth > limits.MAX_CONFIG_DEPTH or not isinstance(node, dict) or not isinstance(node.get("config"), dict):
        return node
    layers = node["config"].get("layers")
    if isinstance(layers, list):
        config = {**node["config"], "layers": [_marked(inner, depth + 1) for inner in layers]}
        return {**node, "config": config}
    kind = node.get("class_name")
    is_function = "trainable" not in node["config"] and isinstance(kind, str) and kind in OPERATIONS
    return {"module": "keras.src.ops.numpy", **node} if is_function and kind != "InputLayer" else node


def _data_format(node: Any) -> str | None:
    """The order of axes of the layers that say one, if it is the same for all."""
    formats, stack = set(), [node]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            stack += value.values()
            words = (value.get(key) for key in ("dim_ordering", "data_format"))
            formats |= {DATA_FORMATS.get(s, s) for s in words if isinstance(s, str)}
    return formats.pop() if len(formats) == 1 else None


class _Translation:
    """What all parts of one config share."""

    def __init__(self, era: int, data_format: str | None, custom: CustomObjects) -> None:
        self.era, self.data_format, self.custom = era, data_format, custom
        self.depth = 0

    def model(self, node: Any) -> dict:
        """A model, layer or cell."""
        kind, config = parts(node)
        self.depth += 1
        if self.depth > limits.MAX_MODEL_DEPTH:
            raise ConfigError(f"more than {limits.MAX_MODEL_DEPTH} models and wrappers stand inside each other")
        try:
            if self.is_custom(node):
                return self._node(node, kind, config)
            if kind in GRAPHS and isinstance(config, dict) and "layers" in config:
                return self._node(node, "Functional", self.graph(config))
            if kind == "Sequential":
                return self.sequential(node)
            if not isinstance(config, dict):
                raise ConfigError(f"the config of {kind} is {str(config)[:80]}")
            return self._node(node, *layer_of(kind, config, self.era, self.data_format, self.value))
        finally:
            self.depth -= 1

    def is_custom(self, node: dict) -> bool:
        """Whether the caller has the node's class, whose config is then the caller's business."""
        return any(name in self.custom.layers for name in names_of(node))

    def value(self, value: Any) -> Any:
        """A layer that is an argument of another, or the name of an activation."""
        if isinstance(value, dict):
            return self.model(value)
        return "legacy_hard_sigmoid" if value == "hard_sigmoid" and value not in self.custom.activations else value

    def _node(self, node: dict, kind: str, config: dict) -> dict:
        """The new kind and config, with what else the entry says of its class, for config.py to judge."""
        more = {key: node[key] for key in ("module", "registered_name", "build_config") if key in node}
        return {**more, "class_name": kind, "config": config}

    def sequential(self, node: dict) -> dict:
        """Layers in order. Those of Keras 1 are a bare list, which may begin with a Merge of models."""
        config = node["config"]
        config = {"layers": config} if isinstance(config, list) else dict(config)
        layers = config.get("layers")
        if not isinstance(layers, list):
            raise ConfigError(f"a Sequential's layers are {str(layers)[:80]}, expected a list")
        if begins_with_merge(config):
            return self._node(node, "Functional", {"name": config.get("name"), **graph_of_branches(layers, self.model)})
        entries = [input_layer(entry) or self.model(entry) for entry in layers]
        if layers and (start := declared_input(layers[0])) is not None:
            entries.insert(0, start)
        return self._node(node, "Sequential", {**config, "layers": entries})

    def graph(self, config: dict) -> dict:
        """A functional model."""
        entries = config["layers"]
        if not isinstance(entries, list):
            raise ConfigError(f"a model's layers are {str(entries)[:80]}, expected a list")
        graph = _Graph(self, entries, config.get("output_layers"))
        ends = {key: graph.ends(config.get(key)) for key in ("input_layers", "output_layers")}
        return {**config, "layers": graph.entries(), **ends}


class _Graph:
    """The layers of one functional model, and their calls."""

    def __init__(self, translation: _Translation, layers: list, outputs: Any) -> None:
        self.translation = translation
        self.layers: dict[str, dict] = {}
        for layer in layers:
            name = layer.get("name") if isinstance(layer, dict) else None
            name = name or parts(layer)[1].get("name")
            if not isinstance(name, str) or name in self.layers:
                raise ConfigError(f"the graph has two layers named {str(name)[:80]!r}, or one without a name")
            self.layers[name] = layer
        self.used = _ends_in([outputs, *(layer.get("inbound_nodes") for layer in layers)])
        self.first_call = {name: self._first_call(name) for name in self.layers if self._is_model(name)}

    def _is_model(self, name: str) -> bool:
        kind, config = parts(self.layers[name])
        return kind == "Sequential" or (kind in GRAPHS and isinstance(config, dict) and "layers" in config)

    def _first_call(self, name: str) -> int:
        """The number of a model's first call: 1 where its own inputs and outputs count as a call, as they mostly do."""
        calls = len(self._calls(name))
        used = {end[1] for end in self.used if end[0] == name}
        return 0 if 0 in used and calls not in used else 1

    def _calls(self, name: str) -> list:
        calls = self.layers[name].get("inbound_nodes") or []
        if not isinstance(calls, list):
            raise ConfigError(f"{name}: inbound_nodes is {str(calls)[:80]}, expected a list of calls")
        return calls

    def entries(self) -> list[dict]:
        """The layers in Keras 3's form, each with its calls."""
        entries = []
        for name, layer in self.layers.items():
            with within(name.replace("/", "_")):
                entries.append({**self._entry(name, layer), "name": name})
        return entries

    def _entry(self, name: str, layer: dict) -> dict:
        start = input_layer(layer, name)
        if start is not None:
            return {**start, "inbound_nodes": []}
        kind, config = parts(layer)
        if kind in FUNCTION_KINDS:
            calls = [self._call_of_function(call) for call in self._calls(name)]
            return operation_entry(kind, name, config, calls)
        if kind == "Merge":
            entry, kind = merge_entry(name, config), "Merge"
        else:
            entry = self.translation.model(layer)
        calls = [self._call_of_layer(entry["class_name"], config, call) for call in self._calls(name)]
        return {**entry, "inbound_nodes": calls}

    def _call_of_layer(self, kind: str, config: Any, call: Any) -> dict:
        """One call: its tensors in a list, or the one tensor; the first of them carries the options."""
        if isinstance(call, dict):
            return {"args": [{key: self._input(value) for key, value in call.items()}], "kwargs": {}}
        if not isinstance(call, list) or not call:
            raise ConfigError(f"a call is {str(call)[:80]}, expected a list of [layer, call, output, options]")
        ends = [call] if self._is_end(call) else call
        options = self._options(ends[0])
        tensors = [self._input(end) for end in ends]
        if kind in ("Attention", "AdditiveAttention") and isinstance(config, dict) and config.get("causal") is True:
            options["use_causal_mask"] = True
        if kind in RECURRENT and len(tensors) > 1:
            return {"args": [tensors[0]], "kwargs": {**options, "initial_state": tensors[1:]}}
        if kind in HEADED:
            return {"args": tensors, "kwargs": options}
        return {"args": [tensors[0] if len(tensors) == 1 else tensors], "kwargs": options}

    def _call_of_function(self, call: Any) -> tuple[Any, dict]:
        """The first argument of a function, and the others by name."""
        if self._is_end(call):
            options = self._options(call)
            return self._input(call), options
        if not isinstance(call, list) or not call:
            raise ConfigError(f"a call is {str(call)[:80]}, expected a list of [layer, call, output, options]")
        options = self._options(call[0])
        return [self._input(end) for end in call], options

    def _options(self, end: Any) -> dict:
        options = end[3] if isinstance(end, list) and len(end) == 4 else {}
        if not isinstance(options, dict):
            raise ConfigError(f"the options of a call are {str(options)[:80]}, expected an object")
        return {key: self._nested(value) for key, value in options.items() if key != "name"}

    def _nested(self, value: Any) -> Any:
        """An option: tensors are lists [layer, call, output] in it."""
        if self._is_end(value):
            return self.tensor(value)
        if isinstance(value, list):
            return [self._nested(inner) for inner in value]
        if isinstance(value, dict) and plain_value(value) is value:
            return {key: self._nested(inner) for key, inner in value.items()}
        return plain_value(value)

    def _input(self, end: Any) -> Any:
        """An input of a call: a tensor, or a constant."""
        if isinstance(end, list) and len(end) in (3, 4) and end[0] == "_CONSTANT_VALUE":
            return plain_value(end[2])
        if not self._is_end(end):
            raise ConfigError(f"a call is given {str(end)[:80]}, expected [layer, call, output, options]")
        return self.tensor(end)

    def _is_end(self, value: Any) -> bool:
        if not isinstance(value, list) or len(value) not in (3, 4) or not isinstance(value[0], str):
            return False
        return value[0] == "_CONSTANT_VALUE" or (
            value[0] in self.layers and type(value[1]) is int and type(value[2]) is int
        )

    def tensor(self, end: list) -> dict:
        """A tensor by [layer, call, output]."""
        history = [end[0], end[1] - self.first_call.get(end[0], 0), end[2]]
        return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}

    def ends(self, value: Any) -> Any:
        """The ends of the graph, one or several; there Keras 3 counts the calls of a Functional from 1."""
        if isinstance(value, dict):
            return {key: self.ends(inner) for key, inner in value.items()}
        if self._is_end(value) and value[0] in self.layers:
            kind, config = parts(self.layers[value[0]])
            counted = self._is_model(value[0]) and (kind in GRAPHS or begins_with_merge(config))
            return [value[0], value[1] - self.first_call.get(value[0], 0) + counted, value[2]]
        if not isinstance(value, list):
            raise ConfigError(f"an end of the graph is {str(value)[:80]}, expected [layer, call, output]")
        ends = [self.ends(inner) for inner in value]
        return ends[0] if len(ends) == 1 else ends


def _ends_in(value: Any) -> list:
    """All [layer, call, ...] in nested lists and objects."""
    ends, stack = [], [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and type(value[1]) is int:
                ends.append(value)
            stack += value
    return ends
