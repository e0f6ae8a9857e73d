"""Models in Keras's form as Keras's configs: Sequential, and graphs whose nodes say what each call is given."""

from collections.abc import Mapping
from typing import Any

import jax

from fnlayers.core.dtypes import policy
from fnlayers.core.errors import within
from fnlayers.core.layer import Layer
from fnlayers.core.names import number
from fnlayers.core.operation import Constant, Cut, Operation, held_constant
from fnlayers.core.shapes import ArrayType
from fnlayers.core.trace import trace
from fnlayers.keras_files.calls import as_lists, call_of, is_ref
from fnlayers.keras_files.config_writer import layer_config, policy_config
from fnlayers.keras_files.keras_form import is_silent
from fnlayers.keras_files.operation_table import ARRAYS, INIT_OPTIONS, MODULES
from fnlayers.keras_files.refusals import cannot, finite
from fnlayers.layers.merge import Add, Average, Concatenate, Dot, Maximum, Merge, Minimum, Multiply
from fnlayers.models.functional import Functional, InputNode, Ref, types_of
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import nest_leaves

COMMUTATIVE = (Add, Average, Maximum, Minimum, Multiply)


def model_config(model: Layer, types: Any, name: str | None = None) -> dict:
    """The config of a Sequential or Functional in Keras's form.

    Arguments:
        model: the model.
        types: of its inputs; None inside another layer, where those are written that a Sequential declares.
        name: what it is called in the model around it; None: its own name, or its class's.
    """
    name = name or model.name or model.base_name
    if isinstance(model, Functional):
        return _keras("Functional", _graph(model, name, types))
    assert isinstance(model, Sequential)
    if types is None and model.input is not None:
        types = ArrayType(model.input.shape, model.input.dtype)
    layers = [] if types is None else [input_config(_input_name(model), types)]
    for layer in model.layers:
        if not is_silent(layer):
            with within(str(layer.name)):
                layers.append(any_config(layer))
    config = {"name": name, "trainable": model.trainable, "dtype": policy_config(model.dtype), "layers": layers}
    return _keras("Sequential", config if types is None else config | {"build_input_shape": list(types.shape)})


def _input_name(model: Sequential) -> str:
    """The name of a Sequential's InputLayer, which no layer has."""
    name = "input_layer" if model.input is None else model.input.name
    return number(name, model.by_name)


def any_config(layer: Layer, types: Any = None, name: str | None = None) -> dict:
    """The config of a layer or model inside a model."""
    if isinstance(layer, (Sequential, Functional)):
        return model_config(layer, types, name)
    return layer_config(layer, name)


def input_config(name: str, types: ArrayType) -> dict:
    """The config of an InputLayer."""
    config = {"batch_shape": list(types.shape), "dtype": types.dtype, "sparse": False, "ragged": False, "name": name}
    return {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}


def _keras(kind: str, config: dict) -> dict:
    module = "keras" if kind == "Sequential" else "keras.src.models.functional"
    return {
        "module": module,
        "class_name": kind,
        "config": config,
        "registered_name": kind if kind != "Sequential" else None,
    }


def _graph(model: Functional, name: str, types: Any) -> dict:
    written = _Nodes(model)
    entries = []
    for label in written.order:
        if label in written.inputs:
            entry = input_config(label, written.types[written.inputs[label]][0]) | {"inbound_nodes": []}
        else:
            with within(label):
                entry = written.entry(model.by_name[label], label)
        entries.append(entry | {"name": label})
    ends = {f"{what}_layers": written.ends(getattr(model, f"{what}s")) for what in ("input", "output")}
    return {"name": name, "trainable": model.trainable, "layers": entries, **ends}


class _Nodes:
    """The nodes of a graph with the types of their arrays, and which call of its layer each is."""

    def __init__(self, model: Functional) -> None:
        self.model = model
        self.types: dict[int, list] = {}
        self.calls: dict[str, list[int]] = {}
        self.inputs = {node.name: i for i, node in enumerate(model.nodes) if isinstance(node, InputNode)}
        for position, node in enumerate(model.nodes):
            if isinstance(node, InputNode):
                self.types[position] = [ArrayType(node.shape, node.dtype)]
                continue
            self.calls.setdefault(node.layer, []).append(position)
            with within(node.layer):
                node_types = types_of(node, self.types)
                self.types[position] = jax.tree.leaves(trace(model.by_name[node.layer], node_types))
        by_name = {str(layer.name): held_constant(layer) for layer in model.layers}
        self.constants = {name: constant for name, constant in by_name.items() if constant is not None}
        self.order = [*self.inputs, *(name for name in by_name if name not in self.constants)]

    def entry(self, layer: Layer, name: str) -> dict:
        """A layer with its calls."""
        nodes = []
        for position in self.calls[name]:
            node: Any = self.model.nodes[position]
            node_types = nest_leaves(types_of(node, self.types))
            floats = node_types[0].dtype.startswith(("float", "bfloat"))
            if node.train:
                raise cannot(
                    layer, "is in training mode in each run", "Keras 3 follows the mode of the run; so leave it out"
                )
            call = call_of(layer, node, floats)
            if isinstance(layer, (Merge, Concatenate, Dot)):
                call = self._constants_last(layer, call)
            if isinstance(layer, Operation):
                _check_policy(layer, node_types)
                call, config = _split(layer, call)
            nodes.append({"args": self.written(call.args), "kwargs": self.written(call.kwargs)})
        if isinstance(layer, Operation):
            if len(nodes) > 1:
                raise cannot(layer, "is called more than once", "make an operation for each call")
            entry = {"module": f"keras.src.ops.{MODULES[layer.function]}", "class_name": layer.function,
                     "config": {"name": name, **self.written(config)}, "registered_name": layer.function}  # fmt: skip
        else:
            entry = any_config(layer, self._types_inside(layer, name), name)
        return entry | {"inbound_nodes": nodes}

    def _constants_last(self, layer: Layer, call: Any) -> Any:
        """The call of a merge, whose first array Keras takes for one of the graph."""
        refs = call.args[0]
        constants = [ref for ref in refs if self._held(ref) is not None]
        if not constants or self._held(refs[0]) is None:
            return call
        if not isinstance(layer, COMMUTATIVE):
            raise cannot(layer, "is called with an array of numbers first", "call it with an array of the graph first")
        return call._replace(args=[[ref for ref in refs if ref not in constants] + constants])

    def _held(self, ref: Ref) -> Any:
        """The constant that an array of the graph is; None for all others."""
        node: Any = self.model.nodes[ref.node]
        return None if isinstance(node, InputNode) else self.constants.get(node.layer)

    def _types_inside(self, layer: Layer, name: str) -> Any:
        """What a Sequential inside is given, so that its file says it."""
        node: Any = self.model.nodes[self.calls[name][0]]
        types = types_of(node, self.types)
        return types if isinstance(layer, Sequential) and isinstance(types, ArrayType) else None

    def written(self, value: Any) -> Any:
        """A value of a call as JSON."""
        if is_ref(value):
            return self.tensor(value)
        if isinstance(value, Cut):
            return {"class_name": "__slice__", "config": value._asdict()}
        if isinstance(value, Constant):
            numbers = self.written(value.array.tolist())
            return {"class_name": "__numpy__", "config": {"value": numbers, "dtype": value.dtype}}
        if isinstance(value, Mapping):
            return {key: self.written(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.written(item) for item in value]
        return {"class_name": "__ellipsis__", "config": {}} if value == "..." else finite(value)

    def tensor(self, ref: Ref) -> dict:
        """An array of the graph; one that the graph holds is written where it is used."""
        if (constant := self._held(ref)) is not None:
            return self.written(constant)
        type_ = self.types[ref.node][ref.index]
        config = {"shape": list(type_.shape), "dtype": type_.dtype, "keras_history": self.history(ref)}
        return {"class_name": "__keras_tensor__", "config": config}

    def history(self, ref: Ref) -> list:
        """[layer, number of its call, output]."""
        node: Any = self.model.nodes[ref.node]
        if isinstance(node, InputNode):
            return [node.name, 0, 0]
        return [node.layer, self.calls[node.layer].index(ref.node), ref.index]

    def ends(self, refs: Any) -> Any:
        """The inputs or outputs of the graph."""
        if is_ref(refs):
            name, call, index = self.history(refs)
            if name in self.constants:
                raise cannot(self.model.by_name[name], "holds an output of the graph", "leave that output out")
            inner = isinstance(self.model.by_name.get(name), Functional)
            return [name, call + inner, index]  # Keras: here, and nowhere else, its calls count from 1
        if isinstance(refs, Mapping):
            return {key: self.ends(value) for key, value in refs.items()}
        return (
            [self.ends(value) for value in as_lists(refs)] if not isinstance(refs, tuple) else [*map(self.ends, refs)]
        )


def _check_policy(layer: Operation, node_types: list) -> None:
    """Keras's operations know no policy: ours may have one where it changes nothing."""
    if layer.dtype is not None:
        compute = policy(layer.dtype).compute.name
        if any(t.dtype.startswith(("float", "bfloat")) and t.dtype != compute for t in node_types):
            raise cannot(layer, f"casts to {compute}", "cast its inputs by fnlayers.Operation('Cast', ...)")


def _split(layer: Operation, call: Any) -> tuple[Any, dict]:
    """The call of an operation, and the options that Keras holds in its config."""
    names = INIT_OPTIONS.get(layer.function, ())
    args, config = list(call.args), {key: value for key, value in call.kwargs.items() if key in names}
    kwargs = {key: value for key, value in call.kwargs.items() if key not in names}
    if names and layer.function != "Einsum":  # whose arguments are all arrays
        count = ARRAYS.get(layer.function, 1)
        config |= dict(zip(names, args[count:], strict=False))
        args = args[:count]
    return call._replace(args=args, kwargs=kwargs), config
