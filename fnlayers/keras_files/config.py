"""Keras's model configs read as data: class names are looked up in a closed table; nothing is imported or called."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from fnlayers.catalog import LAYERS
from fnlayers.core.errors import ConfigError, within
from fnlayers.core.inherited import with_policy
from fnlayers.core.layer import Layer
from fnlayers.core.names import number
from fnlayers.core.operation import Operation, Slot
from fnlayers.functions.activations import ACTIVATIONS
from fnlayers.functions.constraints import CONSTRAINTS
from fnlayers.functions.initializers import INITIALIZERS
from fnlayers.functions.regularizers import REGULARIZERS
from fnlayers.keras_files.attention import attention_call
from fnlayers.keras_files.recurrent import recurrent_call
from fnlayers.keras_files.tensors import histories, history, is_end, is_tensor, operation_of, tensors
from fnlayers.layers.attention.multi_head import MultiHeadAttention
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.attention.single_head import SingleHead
from fnlayers.layers.basic import CopyMask, DropMask
from fnlayers.layers.embedding import ReversibleEmbedding
from fnlayers.layers.merge import Merge
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.recurrent.cell import Cell
from fnlayers.layers.regularization import ActivityRegularization
from fnlayers.layers.wrappers import TimeDistributed
from fnlayers.models.functional import Functional, InputNode, Node, Ref
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import freeze, map_nest, nest_leaves

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
}
# Activations that Keras computes in another way than ours of that name (docs/deviations.md).
RENAMED = {"linear": None, "sparsemax": "legacy_sparsemax"}
# Layers of ours that take part in masks where Keras's do not: imported, they see none.
MASK_BLIND = ("RMSNormalization",)
# Layers that a config has in another form, or that Keras itself does not have; and fields of ours in layers it has.
UNNAMED = frozenset(
    ("Lambda", "Pair", "Functional", "Sequential", "Repeat", "Operation", "DropMask", "PositionEmbedding")
    + ("SinePositionEncoding", "RotaryEmbedding", "TokenAndPositionEmbedding", "TransformerEncoder")
    + ("TransformerDecoder",)
)
OURS = frozenset(("rotary_wavelength", "cache", "keras_masks"))
TABLES: dict[str, Mapping[str, Callable]] = {
    "initializer": INITIALIZERS,
    "regularizer": REGULARIZERS,
    "constraint": CONSTRAINTS,
}


def model_of(node: Any) -> Layer:
    """The model that a config describes: {"class_name": ..., "config": {...}}."""
    kind, config = _parts(node)
    if kind == "Functional":
        return _functional(config)
    if kind == "Sequential":
        return _sequential(config)
    return _layer(kind, config)


def input_shape_of(node: Any) -> Any:
    """The input shape of a Sequential's config: of its InputLayer, or what it was built with."""
    _, config = _parts(node)
    for inner in config.get("layers", []):
        kind, options = _parts(inner)
        found = options.get("batch_shape") or options.get("batch_input_shape")
        if found is not None:
            return freeze(found)
        if kind in ("Sequential", "Functional"):
            return input_shape_of(inner)
        break
    found = config.get("build_input_shape") or (node.get("build_config") or {}).get("input_shape")
    if found is None:
        raise ConfigError("the file does not say what shape the model's input has; it was saved before it was built")
    return freeze(found)


def _parts(node: Any) -> tuple[str, dict]:
    kind, config = (node.get("class_name"), node.get("config")) if isinstance(node, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise ConfigError(f"a config has the form {{class_name, config}}, got {str(node)[:80]}")
    return kind, config


def _layer(kind: str, config: dict) -> Layer:
    """A layer of the catalog, from its config."""
    if kind not in LAYERS or kind in UNNAMED:
        raise ConfigError(f"{kind!r} is not a layer that a file may name")
    known, options = {f.name for f in fields(LAYERS[kind])} - OURS, {}
    for key, value in config.items():
        if key in known:
            options[key] = _value(key, value)
        elif key not in NEUTRAL or NEUTRAL[key] not in (..., value):
            raise ConfigError(f"{kind}: {key}={str(value)[:80]} is not supported here")
    if issubclass(LAYERS[kind], Merge) or (issubclass(LAYERS[kind], Recurrent) and options.get("unroll")):
        options["keras_masks"] = True
    if kind == "TimeDistributed":
        options["layer"] = _without_activity_loss(options.get("layer"))
    if kind in ("TimeDistributed", "SpectralNormalization") and options.get("dtype"):
        options["layer"] = with_policy(options.get("layer"), "float32", {})  # Keras: a wrapper's policy is its own
    return LAYERS[kind](**options)


def _without_activity_loss(layer: Any) -> Any:
    """The layer without the loss on its own output, which Keras overlooks where TimeDistributed calls it."""
    if isinstance(layer, ActivityRegularization):
        return replace(layer, l1=0.0, l2=0.0)
    listed = isinstance(layer, Layer) and "activity_regularizer" in {f.name for f in fields(layer)}
    return replace(layer, activity_regularizer=None) if listed else layer


def _value(key: str, value: Any) -> Any:
    """A field's value: names, numbers, tuples, and the objects of the closed tables."""
    part = key.rsplit("_", 1)[-1]
    if key == "dtype":
        return _policy(value)
    if key == "name":
        return safe_name(value)
    if part in TABLES:
        return _from_table(part, value)
    if part == "activation":
        return _activation(value)
    if isinstance(value, dict) and "class_name" in value:
        return model_of(value)
    if isinstance(value, list):
        return tuple(_value("", item) for item in value)
    return freeze(value)


def safe_name(name: Any) -> str:
    """A layer's name without the slash, which separates the names of a path."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"a layer's name is a string, got {name!r}")
    return name.replace("/", "_")


def _policy(value: Any) -> str | None:
    if isinstance(value, dict):
        kind, config = _parts(value)
        if kind != "DTypePolicy":
            raise ConfigError(f"the dtype policy {kind!r} is not supported; choose a float policy and save again")
        value = config.get("name")
    return None if value in (None, "float32") else value


def _from_table(part: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        if value is not None and value not in TABLES[part]:
            raise ConfigError(f"{value!r} is no {part} of Keras")
        return value
    kind, config = _parts(value)
    if kind not in TABLES[part]:
        raise ConfigError(f"{kind!r} is no {part} of Keras")
    try:
        return TABLES[part][kind](**{key: freeze(item) for key, item in config.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{kind}: {error}") from None


def _activation(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "function":
            value = value.get("config")
        else:
            return model_of(value)
    if value is not None and (not isinstance(value, str) or value not in ACTIVATIONS):
        raise ConfigError(f"activation={str(value)[:80]!r} is not an activation of Keras")
    return value if value is None else RENAMED.get(value, value)


def _sequential(config: dict) -> Sequential:
    """Layers in order; where a mask may come, one that does not take it drops it, as Keras does."""
    built = [model_of(inner) for inner in config.get("layers", []) if inner.get("class_name") != "InputLayer"]
    layers: list[Layer] = []
    for layer in built:
        if _refuses_mask(layer):
            layers.append(DropMask(name=f"drop_mask_before_{layer.name}"))
        if _looks_up(layer):
            layers.append(_to_integers(name=f"cast_before_{layer.name}"))
        layers.append(layer)
    return Sequential(layers, name=_own_name(config), trainable=config.get("trainable", True))


def _own_name(config: dict) -> str | None:
    return safe_name(config["name"]) if config.get("name") else None


def _looks_up(layer: Layer) -> bool:
    """Whether a call that is not reversed looks rows up: ours goes back to logits where it is given floats."""
    return isinstance(layer.layer if isinstance(layer, TimeDistributed) else layer, ReversibleEmbedding)


def _to_integers(name: str | None = None) -> Operation:
    return Operation("Cast", (Slot(0), "int32"), name=name)


def _refuses_mask(layer: Layer) -> bool:
    plain = type(layer).forward is Layer.forward and not layer.passes_mask
    return plain or type(layer).__name__ in MASK_BLIND


class _Graph:
    """The nodes of one Functional config, put into an order in which they can run."""

    def __init__(self, config: dict) -> None:
        self.nodes: list[InputNode | Node] = []
        self.layers: dict[str, Layer] = {}
        self.position: dict[tuple[str, int], int] = {}  # (Keras's layer name, number of its call) -> our node
        self.calls: dict[tuple[str, int], dict] = {}
        self.kinds: dict[str, str] = {}
        self.unmasked: set[Ref] = set()  # arrays whose masks Keras has taken away
        self.carried: list[tuple[Ref, Ref]] = []  # an array that carries the mask of another, unseen by its own call
        self.masked: dict[Ref, Ref] = {}  # such an array -> the same with that mask
        for entry in config["layers"]:
            self._read(entry)
        found: dict[tuple[str, int], None] = {}
        outputs = [self._end(entry)[0] for entry in nest_leaves(config["output_layers"], is_leaf=is_end)]
        for key in [*(key for key in outputs if key not in self.position), *self.calls]:
            self._visit(key, found)
        for key in self._in_keras_order(list(found)):
            node = self._node(key[0], self.calls[key])
            self.position[key] = len(self.nodes)
            self.nodes.append(node)
            self._copy_masks(key[0])

    def _read(self, entry: dict) -> None:
        kind, config = _parts(entry)
        name = entry.get("name") or config.get("name")
        if not isinstance(name, str) or name in self.kinds:
            raise ConfigError(f"the graph has two layers named {name!r}, or one without a name")
        self.kinds[name] = kind
        if kind == "InputLayer":
            shape = config.get("batch_shape") or config.get("batch_input_shape")
            dtype = config.get("dtype") or "float32"
            self.position[name, 0] = len(self.nodes)
            self.nodes.append(InputNode(safe_name(name), freeze(shape), _policy(dtype) or "float32"))
            return
        calls = entry.get("inbound_nodes") or []
        self.calls |= {(name, position): call for position, call in enumerate(calls)}
        if ".ops" in str(entry.get("module")):
            self.kinds[name] = "operation"
            self.layers[name] = operation_of(kind, config, calls[0])
        else:
            with within(name):
                self.layers[name] = model_of(entry)

    def _visit(self, start: tuple[str, int], found: dict[tuple[str, int], None]) -> None:
        """Add a call to those found, after all that it needs, without recursion: a file may be deep."""
        stack, opened = [start], set()
        while stack:
            key = stack[-1]
            if key in found:
                stack.pop()
                continue
            if key not in self.calls:
                raise ConfigError(f"the graph refers to call {key[1]} of {key[0]!r}, which it does not hold")
            needed = [h for h in histories(self.calls[key]) if h not in self.position and h not in found]
            if needed and key in opened:
                raise ConfigError(f"the graph runs in a circle through {key[0]!r}")
            opened.add(key)
            if needed:
                stack.extend(reversed(needed))
                continue
            stack.pop()
            found[key] = None

    def _in_keras_order(self, found: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """The calls as Keras runs them: the longer the way to the end, the earlier. Its masks depend on that order."""
        depths: dict[tuple[str, int], int] = {}
        of_layer: dict[str, int] = {}
        for key in reversed(found):
            depths[key] = of_layer[key[0]] = max(depths.get(key, 0), of_layer.get(key[0], 0))
            for needed in histories(self.calls[key]):
                if needed not in self.position:
                    depths[needed] = max(depths.get(needed, 0), depths[key] + 1)
        ordered = sorted(depths, key=lambda key: -depths[key])
        runs = all(depths[h] > depths[key] for key in ordered for h in histories(self.calls[key]) if h in depths)
        return ordered if runs else found  # a layer that is shared at two depths can upset the order by depth

    def _node(self, name: str, call: dict) -> Node:
        layer = self.layers[name]
        if isinstance(layer, Operation):
            return Node(safe_name(name), freeze(tuple(self.ref(t) for t in tensors(call))), mask=False)
        args, options = call.get("args", []), dict(call.get("kwargs") or {})
        if isinstance(layer, (SingleHead, MultiHead)):
            return self._attention_node(name, layer, args, options)
        if isinstance(layer, (Recurrent, Bidirectional, Cell)):
            return self._recurrent_node(name, layer, args, options)
        inputs = args[0] if len(args) == 1 else tuple(args)
        mask, train, reverse = (options.pop(key, None) for key in ("mask", "training", "reverse"))
        if reverse and self.kinds[name] != "ReversibleEmbedding":
            raise ConfigError(f"{name}: reverse is an option of ReversibleEmbedding alone")
        if any(value is not None for value in options.values()):
            raise ConfigError(f"{name}: called with {', '.join(options)}, which is not supported here")
        refs = freeze(map_nest(self.ref, inputs, is_leaf=is_tensor))
        if _looks_up(layer) and not reverse:
            refs = self._as_integers(name, refs)
        if mask is not None:
            mask = freeze(map_nest(self._given_mask, mask, is_leaf=is_tensor))
        elif _refuses_mask(layer):
            mask = False
        else:
            mask = self._own_masks(refs)
        return Node(safe_name(name), refs, mask, train)

    def _attention_node(self, name: str, layer: Any, args: list, options: dict) -> Node:
        call = attention_call(layer, args, options)
        if self.kinds[name] == "called" and call.layer != layer:
            raise ConfigError(
                f"{name}: it is called twice, with options that differ; give each call a layer of its own"
            )
        self.layers[name], self.kinds[name] = call.layer, "called"
        refs = freeze(map_nest(self.ref, call.inputs, is_leaf=is_tensor))
        masks = map_nest(
            lambda own, given: own if given is None else self._given_mask(given or None),
            map_nest(lambda ref: False if ref in self.unmasked else None, refs, is_leaf=_is_ref),
            call.masks,
            is_leaf=lambda own: own is None or own is False,
        )
        if isinstance(layer, MultiHeadAttention):  # Keras: its call takes the masks off the arrays that it is given
            self.unmasked.update(refs[key] for key in ("query", "value", "key") if key in refs)
        return Node(safe_name(name), refs, freeze(masks), call.train)

    def _recurrent_node(self, name: str, layer: Any, args: list, options: dict) -> Node:
        call = recurrent_call(layer, args, options, is_tensor)
        refs = freeze(map_nest(self.ref, call.inputs, is_leaf=is_tensor))
        if _is_ref(refs):
            mask = self._own_masks(refs) if call.mask is None else self._given_mask(call.mask)
        elif call.mask is not None:
            mask = (self._given_mask(call.mask), *(False for _ in refs[1:]))
        else:  # Keras: a call with states looks at no mask, and yet its sequences carry that of x
            mask = False
            self.carried += [(Ref(len(self.nodes), index), refs[0]) for index in range(call.sequences)]
        return Node(safe_name(name), refs, mask, call.train)

    def _copy_masks(self, name: str) -> None:
        """A node for each array of that call that carries a mask which the call has not seen."""
        while self.carried:
            pair = self.carried.pop()
            self.masked[pair[0]], label = Ref(len(self.nodes)), number(f"copy_mask_to_{name}", self.layers)
            self.layers[label] = CopyMask()
            self.nodes.append(Node(safe_name(label), pair, self._own_masks(pair)))

    def _as_integers(self, name: str, ref: Ref) -> Ref:
        """The array as integers, which Keras casts where it looks up; by floats our layer would go back to logits."""
        source = self.nodes[ref.node]
        if isinstance(source, InputNode) and source.dtype.startswith(("int", "uint")):
            return ref
        label = number(f"cast_before_{name}", self.layers)
        self.layers[label] = _to_integers()
        self.nodes.append(Node(safe_name(label), ref, mask=False))
        return Ref(len(self.nodes) - 1)

    def _own_masks(self, refs: Any) -> Any:
        """None for the arrays' own masks, with False for those that have lost theirs."""
        if self.unmasked.isdisjoint(nest_leaves(refs, is_leaf=_is_ref)):
            return None
        return freeze(map_nest(lambda ref: False if ref in self.unmasked else None, refs, is_leaf=_is_ref))

    def _given_mask(self, tensor: Any) -> Ref | bool:
        return False if tensor is None else self.ref(tensor)

    def ref(self, tensor: Any) -> Ref:
        """The Ref of a tensor that an earlier call made."""
        name, call, index = history(tensor)
        ref = Ref(self.position[name, call], index)
        return self.masked.get(ref, ref)

    def _end(self, entry: Any) -> tuple[tuple[str, int], int]:
        """The call that an end of the graph names, and which of its outputs."""
        if not is_end(entry):
            raise ConfigError(f"an end of the graph is {str(entry)[:80]}, expected [layer, call, output]")
        name, number, index = entry
        number -= self.kinds.get(name) == "Functional"  # Keras: here, and nowhere else, its calls count from 1
        return (name, number), index

    def end(self, entry: Any) -> Ref:
        """The Ref of an end of the graph."""
        key, index = self._end(entry)
        if key not in self.position:
            raise ConfigError(f"the graph's inputs name {key[0]!r}, which it does not hold")
        ref = Ref(self.position[key], index)
        return self.masked.get(ref, ref)


def _functional(config: dict) -> Functional:
    graph = _Graph(config)
    ends = [freeze(map_nest(graph.end, config[key], is_leaf=is_end)) for key in ("input_layers", "output_layers")]
    layers = tuple(layer.renamed(safe_name(name)) for name, layer in graph.layers.items())
    trainable = config.get("trainable", True)
    return Functional(layers, tuple(graph.nodes), *ends, name=_own_name(config), trainable=trainable)


def _is_ref(value: Any) -> bool:
    return isinstance(value, Ref)
