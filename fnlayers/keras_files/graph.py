"""Graphs in Keras's model configs: the calls of each layer, put into an order in which they can run."""

from typing import TYPE_CHECKING, Any

from fnlayers.core.errors import ConfigError, within
from fnlayers.core.layer import Layer
from fnlayers.core.names import number
from fnlayers.core.operation import Operation
from fnlayers.keras_files import limits
from fnlayers.keras_files.attention import attention_call
from fnlayers.keras_files.masking import looks_up, refuses_mask, to_integers
from fnlayers.keras_files.nodes import (
    check_input_layer,
    check_names_differ,
    check_origin,
    is_operation,
    layers_worth,
    own_name,
    parts,
    safe_name,
)
from fnlayers.keras_files.recurrent import recurrent_call
from fnlayers.keras_files.tensors import (
    checked_call,
    constant_of,
    histories,
    history,
    is_constant,
    is_end,
    is_tensor,
    operation_of,
    tensors,
)
from fnlayers.layers.attention.multi_head import MultiHeadAttention
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.attention.single_head import SingleHead
from fnlayers.layers.basic import CopyMask
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.recurrent.cell import Cell
from fnlayers.models.functional import Functional, InputNode, Node, Ref
from fnlayers.plain_data import freeze, map_nest, nest_leaves

if TYPE_CHECKING:
    from fnlayers.keras_files.config import Reader

# What the config of a Functional may say.
OF_FUNCTIONAL = frozenset(("name", "trainable", "dtype", "layers", "input_layers", "output_layers"))


class Graph:
    """The nodes of one Functional config, put into an order in which they can run."""

    def __init__(self, config: dict, reader: "Reader") -> None:
        self.reader = reader
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
        check_names_differ(list(self.kinds))
        inputs = sum(len(histories(call)) for call in self.calls.values())
        reader.count(max(0, inputs - len(self.layers)) // limits.INPUTS_OF_A_LAYER)
        visited: dict[tuple[str, int], None] = {}
        outputs = [self._end(entry)[0] for entry in nest_leaves(config["output_layers"], is_leaf=is_end)]
        for key in [*(key for key in outputs if key not in self.position), *self.calls]:
            self._visit(key, visited)
        for key in self._in_keras_order(list(visited)):
            with within(safe_name(key[0])):
                node = self._node(key[0], self.calls[key])
            self.position[key] = len(self.nodes)
            self.nodes.append(node)
            self._copy_masks(key[0])

    def _read(self, entry: Any) -> None:
        kind, config = parts(entry)
        name = config.get("name") if entry.get("name") is None else entry["name"]
        if not isinstance(name, str) or name in self.kinds:
            raise ConfigError(f"the graph has two layers named {str(name)[:80]!r}, or one without a name")
        self.kinds[name] = kind
        if kind == "InputLayer":
            shape, dtype = check_input_layer(entry)
            self.position[name, 0] = len(self.nodes)
            self.nodes.append(InputNode(safe_name(name), shape, dtype))
            return
        calls = entry.get("inbound_nodes") or []
        if not isinstance(calls, list):
            raise ConfigError(f"{name[:80]}: its calls are {str(calls)[:80]}, expected a list")
        with within(safe_name(name)):
            self.calls |= {(name, position): checked_call(call) for position, call in enumerate(calls)}
            if is_operation(entry) and not self.reader.is_custom(entry):
                check_origin(entry, "operation")
                self.reader.count(1 + layers_worth([config, calls], "its config, or its call,"))
                self.kinds[name] = "operation"
                self.layers[name] = operation_of(kind, config, calls[0] if calls else {})
            else:
                self.layers[name] = self.reader.model(entry)

    def _visit(self, start: tuple[str, int], visited: dict[tuple[str, int], None]) -> None:
        """Add a call to those found, after all that it needs, without recursion: a file may be deep."""
        stack, opened = [start], set()
        while stack:
            key = stack[-1]
            if key in visited:
                stack.pop()
                continue
            if key not in self.calls:
                raise ConfigError(f"the graph refers to call {key[1]} of {key[0]!r}, which it does not hold")
            needed = [h for h in histories(self.calls[key]) if h not in self.position and h not in visited]
            if needed and key in opened:
                raise ConfigError(f"the graph runs in a circle through {key[0]!r}")
            opened.add(key)
            if needed:
                stack.extend(reversed(needed))
                continue
            stack.pop()
            visited[key] = None

    def _in_keras_order(self, visited: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """The calls as Keras runs them: the longer the way to the end, the earlier. Its masks depend on that order."""
        depths: dict[tuple[str, int], int] = {}
        of_layer: dict[str, int] = {}
        for key in reversed(visited):
            depths[key] = of_layer[key[0]] = max(depths.get(key, 0), of_layer.get(key[0], 0))
            for needed in histories(self.calls[key]):
                if needed not in self.position:
                    depths[needed] = max(depths.get(needed, 0), depths[key] + 1)
        ordered = sorted(depths, key=lambda key: -depths[key])
        runs = all(depths[h] > depths[key] for key in ordered for h in histories(self.calls[key]) if h in depths)
        return ordered if runs else visited  # a layer that is shared at two depths can upset the order by depth

    def _node(self, name: str, call: dict) -> Node:
        layer = self.layers[name]
        if isinstance(layer, Operation):
            return Node(safe_name(name), freeze(tuple(self.ref(t) for t in tensors(call))), mask=False)
        args, options = self._with_constants(call)
        if isinstance(layer, (SingleHead, MultiHead)):
            return self._attention_node(name, layer, args, options)
        if isinstance(layer, (Recurrent, Bidirectional, Cell)):
            return self._recurrent_node(name, layer, args, options)
        inputs = args[0] if len(args) == 1 else tuple(args)
        if self.kinds[name] == "CategoryEncoding" and is_tensor(options.get("count_weights")):
            inputs = (inputs, options.pop("count_weights"))
        mask, train, reverse = (options.pop(key, None) for key in ("mask", "training", "reverse"))
        if reverse and self.kinds[name] != "ReversibleEmbedding":
            raise ConfigError("reverse is an option of ReversibleEmbedding alone")
        if any(value is not None for value in options.values()):
            raise ConfigError(f"called with {', '.join(options)}, which is not supported here")
        refs = freeze(map_nest(self.ref, inputs, is_leaf=is_tensor))
        if looks_up(layer) and not reverse:
            refs = self._as_integers(name, refs)
        if mask is not None:
            mask = freeze(map_nest(self._mask_of, mask, is_leaf=is_tensor))
        elif refuses_mask(layer):
            mask = False
        else:
            mask = self._own_masks(refs)
        return Node(safe_name(name), refs, mask, self._mode(train))

    def _with_constants(self, call: dict) -> tuple[list, dict]:
        """The arguments of a layer's call; a node for each array of numbers among them, which they name instead."""
        first = next(tensors(call), None)

        def named(value: Any) -> Any:
            if is_constant(value) and first is not None:
                return self._constant(value, first)
            if is_tensor(value) or not isinstance(value, (list, dict)):
                return value
            return {k: named(v) for k, v in value.items()} if isinstance(value, dict) else [*map(named, value)]

        return named(call.get("args", [])), named(dict(call.get("kwargs") or {}))

    def _constant(self, value: dict, other: dict) -> dict:
        """A tensor that stands for an array of numbers, from a node that is given another tensor, as each node is."""
        self.reader.count(1 + layers_worth(value, "an array in the graph"))
        label = number("constant", {*self.layers, *self.kinds})
        self.layers[label] = Operation("Copy", (constant_of(value),))
        self.position[label, 0] = len(self.nodes)
        self.nodes.append(Node(label, self.ref(other), mask=False))
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [label, 0, 0]}}

    def _attention_node(self, name: str, layer: Any, args: list, options: dict) -> Node:
        call = attention_call(layer, args, options)
        if self.kinds[name] == "called" and call.layer != layer:
            raise ConfigError("it is called twice, with options that differ; give each call a layer of its own")
        self.layers[name], self.kinds[name] = call.layer, "called"
        refs = freeze(map_nest(self.ref, call.inputs, is_leaf=is_tensor))
        masks = map_nest(
            lambda own, mask: own if mask is None else self._mask_of(mask or None),
            map_nest(lambda ref: False if ref in self.unmasked else None, refs, is_leaf=_is_ref),
            call.masks,
            is_leaf=lambda own: own is None or own is False,
        )
        if isinstance(layer, MultiHeadAttention):  # Keras: its call takes the masks off the arrays that it is given
            self.unmasked.update(refs[key] for key in ("query", "value", "key") if key in refs)
        return Node(safe_name(name), refs, freeze(masks), self._mode(call.train))

    def _recurrent_node(self, name: str, layer: Any, args: list, options: dict) -> Node:
        call = recurrent_call(layer, args, options, is_tensor)
        refs = freeze(map_nest(self.ref, call.inputs, is_leaf=is_tensor))
        if _is_ref(refs):
            mask = self._own_masks(refs) if call.mask is None else self._mask_of(call.mask)
        elif call.mask is not None:
            mask = (self._mask_of(call.mask), *(False for _ in refs[1:]))
        else:  # Keras: a call with states looks at no mask, and yet its sequences carry that of x
            mask = False
            self.carried += [(Ref(len(self.nodes), index), refs[0]) for index in range(call.sequences)]
        return Node(safe_name(name), refs, mask, self._mode(call.train))

    def _mode(self, training: Any) -> bool | None:
        """The mode that a call fixes: with Keras 1 and 2. Keras 3 replaces what is recorded by the mode of each run."""
        if training not in (None, False, True):
            raise ConfigError(f"a layer is called with training={str(training)[:80]}, expected a boolean")
        return None if training is None or not self.reader.fixes_modes else bool(training)

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
        self.layers[label] = to_integers()
        self.nodes.append(Node(safe_name(label), ref, mask=False))
        return Ref(len(self.nodes) - 1)

    def _own_masks(self, refs: Any) -> Any:
        """None for the arrays' own masks, with False for those that have lost theirs."""
        if self.unmasked.isdisjoint(nest_leaves(refs, is_leaf=_is_ref)):
            return None
        return freeze(map_nest(lambda ref: False if ref in self.unmasked else None, refs, is_leaf=_is_ref))

    def _mask_of(self, tensor: Any) -> Ref | bool:
        return False if tensor is None else self.ref(tensor)

    def ref(self, tensor: Any) -> Ref:
        """The Ref of a tensor that an earlier call made."""
        if not is_tensor(tensor):
            raise ConfigError(f"a layer is called with {str(tensor)[:80]}, which is not an array of the graph")
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


def functional_of(config: dict, reader: "Reader") -> Functional:
    """The model of a Functional's config, whose layers the reader makes."""
    if config.keys() - OF_FUNCTIONAL or not isinstance(config.get("layers"), list):
        unknown = sorted(config.keys() - OF_FUNCTIONAL)
        raise ConfigError(f"Functional: layers must be a list, and {str(unknown)[:80]} is not supported here")
    if lacking := {"input_layers", "output_layers"} - config.keys():
        raise ConfigError(f"Functional: the config lacks {', '.join(sorted(lacking))}")
    graph = Graph(config, reader)
    ends = [freeze(map_nest(graph.end, config[key], is_leaf=is_end)) for key in ("input_layers", "output_layers")]
    layers = tuple(layer.renamed(safe_name(name)) for name, layer in graph.layers.items())
    trainable = config.get("trainable", True)
    return Functional(layers, tuple(graph.nodes), *ends, name=own_name(config), trainable=trainable)


def _is_ref(value: Any) -> bool:
    return isinstance(value, Ref)
