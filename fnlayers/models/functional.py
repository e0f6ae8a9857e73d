"""Functional: a graph of layers as plain data."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import jax

from fnlayers.core.context import Context, Mask, Out, mask_leaves
from fnlayers.core.errors import ConfigError, ShapeError, brief, within
from fnlayers.core.inherited import inherit_dtype
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.names import number
from fnlayers.core.naming import refuse_shared, same_weights, with_names
from fnlayers.core.shapes import ArrayType, canonical, is_shape, shape_of
from fnlayers.core.symbol import Call, Symbol
from fnlayers.core.trace import trace
from fnlayers.models.container import Container, InputNode, as_declared, check_input, completed, type_as_declared
from fnlayers.plain_data import FrozenDict, freeze, map_nest, nest_leaves


class Ref(NamedTuple):
    """One array of the graph: the `index`-th output of node `node`."""

    node: int
    index: int = 0


class Node(NamedTuple):
    """One call: which layer, given which arrays (a Ref, or a nest of them) of earlier nodes.

    `mask` is None where the inputs' own masks go along, False where they are dropped, the Ref of a mask, or a nest like
    the inputs of these three; `train` is None where the call follows the run, or fixes its mode.
    """

    layer: str
    inputs: Any
    mask: Any = None
    train: bool | None = None


def _is_ref(value: Any) -> bool:
    return isinstance(value, Ref)


@layerclass
class Functional(Container):
    """A graph of layers: several inputs and outputs, branches, shared layers. Build one with `functional`.

    It is plain data (it prints, compares, hashes, saves): `nodes` are in an order in which they can run, and refer to
    `layers` by name, so two nodes with one name share weights.

    Arguments:
        layers: the layers, each once, with the names by which the nodes call them.
        nodes: an InputNode for each input, a Node for each call.
        inputs, outputs: a Ref, or a tuple or dict of Refs: how x and y are structured.
        dtype: the policy of the layers that have none of their own; likewise of layers in these.

    Shapes: inputs as `inputs` nests them -> outputs as `outputs` nests them. A dict of inputs is bound by its keys, a
        tuple by position, and a dict given where a tuple was declared by the Inputs' names; keys must match exactly.
    Weights: those of its layers, by name. State: likewise.
    Mask: one for each input, nested like them; they go where their arrays go.

    Example:
        >>> import jax, jax.numpy as jnp, fnlayers as fl
        >>> x = fl.Input((4,))
        >>> hidden = fl.Dense(3, "relu")(x)
        >>> model = fl.functional(x, fl.Dense(2)(fl.Concatenate()(x, hidden)))
        >>> type(model).__name__, model.out_shape((None, 4))
        ('Functional', (None, 2))
        >>> params = model.init(jax.random.key(0))
        >>> model.apply(params, jnp.ones((5, 4))).shape
        (5, 2)
    """

    nodes: tuple[InputNode | Node, ...]
    inputs: Any
    outputs: Any

    written_as: ClassVar[str] = "fnlayers.functional(inputs, outputs), to make a graph of Symbols"
    casts_inputs: ClassVar[str] = "none"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """Layers with names; files of fnlayers 0.1 hold (name, layer) pairs."""
        pairs = [pair if isinstance(pair, tuple) else (getattr(pair, "name", None), pair) for pair in self.layers]
        for name, layer in pairs:
            if not isinstance(layer, Layer) or not isinstance(name, str):
                raise ConfigError(
                    f"Functional: {layer!r} is not a layer with a name; to make a graph of Symbols write "
                    "fnlayers.functional(inputs, outputs)"
                )
        object.__setattr__(self, "layers", tuple(y if y.name == name else y.renamed(name) for name, y in pairs))
        inherit_dtype(self)
        refuse_shared(self, self.layers)

    @property
    def in_dtype(self) -> Any:
        """The declared dtype of each input."""
        return freeze(map_nest(lambda ref: self.nodes[ref.node].dtype, self.inputs, is_leaf=_is_ref))

    @property
    def in_shape(self) -> Shape:
        """The declared shape of each input: `model.init(rng, model.in_shape)`."""
        return freeze(map_nest(lambda ref: self.nodes[ref.node].shape, self.inputs, is_leaf=_is_ref))

    @property
    def takes_strings(self) -> bool:
        """Whether one of the inputs goes into a layer that does."""
        starts = {i for i, node in enumerate(self.nodes) if isinstance(node, InputNode)}
        calls = [node for node in self.nodes if isinstance(node, Node)]
        first = {
            call.layer for call in calls if any(r.node in starts for r in nest_leaves(call.inputs, is_leaf=_is_ref))
        }
        return any(layer.takes_strings for layer in self.layers if layer.name in first)

    def children(self, shape: Shape) -> Mapping[str, tuple[Layer, Shape]]:
        """Each layer with the shape of its first call."""
        starts = self._start(self._bind(shape, is_shape, "shape"), check=True)
        dtypes = {i: node.dtype for i, node in enumerate(self.nodes) if isinstance(node, InputNode)}
        return self._trace_nodes({i: [ArrayType(shape, dtypes[i])] for i, (shape,) in starts.items()})[0]

    def _compose(self, types: Any) -> Any:
        self.children(shape_of(types))  # for its checks
        bound = self._bind(types, lambda t: isinstance(t, ArrayType), "shape")
        declared: Any = self.nodes
        node_types = self._trace_nodes({i: [type_as_declared(declared[i], t)] for i, t in bound.items()})[1]
        return map_nest(lambda ref: node_types[ref.node][ref.index], self.outputs, is_leaf=_is_ref)

    def _trace_nodes(self, types: dict[int, list]) -> tuple[dict[str, tuple[Layer, Shape]], dict[int, list]]:
        """Each layer with the shape of its first call, and the types by node, from those of the inputs."""
        layers, children = self.by_name, {}
        for position, node in enumerate(self.nodes):
            if isinstance(node, Node):
                node_types = types_of(node, types)
                with within(node.layer):
                    layer, sizes = layers[node.layer], shape_of(node_types)
                    same_weights(layer, children.setdefault(node.layer, (layer, sizes))[1], sizes)
                    types[position] = jax.tree.leaves(trace(layer, node_types))
        return children, types

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Run the nodes in order, each with the masks of its inputs."""
        layers = self.by_name
        values = self._start(self._bind(x, _is_array, "input"), cast_to=True)
        masks: dict[int, list] = dict.fromkeys(values, [None])
        if ctx.mask is not None:
            masks = self._start(self._bind(ctx.mask, lambda m: m is None or _is_array(m), "mask"))
        for position, node in enumerate(self.nodes):
            if isinstance(node, Node):
                arrays = map_nest(lambda ref: values[ref.node][ref.index], node.inputs, is_leaf=_is_ref)
                mask = _masks_of(node, masks, values)
                out = ctx.run(node.layer, layers[node.layer], params, arrays, mask, train=node.train)
                values[position] = jax.tree.leaves(out.y)
                masks[position] = mask_leaves(out.mask, len(values[position]))
        y = map_nest(lambda ref: values[ref.node][ref.index], self.outputs, is_leaf=_is_ref)
        mask = map_nest(lambda ref: masks[ref.node][ref.index], self.outputs, is_leaf=_is_ref)
        return Out(y, mask=mask)

    def _bind(self, nest: Any, is_leaf: Any, what: str) -> dict[int, Any]:
        """What was given for each input node, bound by key or by position, never by sorted order."""
        template, names = (
            self.inputs,
            {node.name: i for i, node in enumerate(self.nodes) if isinstance(node, InputNode)},
        )
        if isinstance(nest, Mapping) and isinstance(template, tuple) and not _is_ref(template):
            template = FrozenDict({name: Ref(node) for name, node in names.items()})
        bound: dict[int, Any] = {}

        def bind(ref: Ref, value: Any) -> None:
            if not is_leaf(value):
                raise _mismatch(self, nest, what)
            bound[ref.node] = value

        try:
            if isinstance(template, Mapping) and nest.keys() != template.keys():
                raise _mismatch(self, nest, what)
            map_nest(bind, template, nest, is_leaf=_is_ref)
        except (KeyError, TypeError, AttributeError) as error:
            raise _mismatch(self, nest, what) from error
        except ValueError as error:
            raise (error if isinstance(error, ShapeError) else _mismatch(self, nest, what)) from None
        return bound

    def _start(self, bound: dict[int, Any], check: bool = False, cast_to: bool = False) -> dict[int, list]:
        """The table of values by node, with the inputs filled in: checked against their declared shapes."""
        for node, value in bound.items():
            declared: Any = self.nodes[node]
            if check or cast_to:
                check_input(declared, value if check else value.shape)
            if check:
                bound[node] = completed(declared, value)
            if cast_to:
                bound[node] = as_declared(declared, value)
        return {node: [value] for node, value in bound.items()}

    def __repr__(self) -> str:
        lines = []
        for i, node in enumerate(self.nodes):
            if isinstance(node, InputNode):
                lines.append(f"  {i}: {node.name} {ArrayType(node.shape, node.dtype)}")
            else:
                lines.append(f"  {i}: {node.layer}({_shown(node.inputs)})")
        layers = [f"  {layer.name}: {layer.renamed(None)!r}" for layer in self.layers]
        return "\n".join(["Functional(", *layers, *lines, f"  returns {_shown(self.outputs)}", ")"])


def functional(inputs: Any, outputs: Any, *, name: str | None = None, trainable: bool = True) -> Functional:
    """The graph from inputs to outputs, each a Symbol or a tuple or dict of Symbols.

    An input may be any Symbol of a graph: what lies before it is cut away.

    Example:
        >>> from fnlayers.core.symbol import Input
        >>> from fnlayers.layers.dense import Dense
        >>> a = Input((4,), name="a")
        >>> functional(a, Dense(1)(a)).out_shape((None, 4))
        (None, 1)
    """
    _only_symbols(inputs, "inputs")
    _only_symbols(outputs, "outputs")
    starts = nest_leaves(inputs)
    if len({id(s) for s in starts}) < len(starts):
        raise ConfigError("functional: one Symbol occurs twice among the inputs")
    calls = _sorted_calls(starts, nest_leaves(outputs))
    layers = with_names([call.layer for call in calls])
    nodes: list[InputNode | Node] = []
    position: dict[int, int] = {}
    names: list[str] = [s.name for s in starts if s.name]
    if len(set(names)) < len(names):
        raise ConfigError(f"functional: two inputs have one name, among {', '.join(names)}; rename one")
    for symbol in starts:
        label = symbol.name or number("input_layer", names)
        names.append(label)
        position[id(symbol)] = len(nodes)
        nodes.append(InputNode(label, symbol.shape, symbol.dtype))

    def ref(symbol: Symbol) -> Ref:
        if id(symbol) in position:
            return Ref(position[id(symbol)])
        return Ref(position[id(symbol.call)], symbol.index)

    for call, layer in zip(calls, layers, strict=True):
        position[id(call)] = len(nodes)
        nodes.append(Node(str(layer.name), freeze(map_nest(ref, call.inputs))))
    unique = tuple({layer.name: layer for layer in layers}.values())
    refs = [freeze(map_nest(ref, nest)) for nest in (inputs, outputs)]
    return Functional(unique, tuple(nodes), refs[0], refs[1], name=name, trainable=trainable)


def _sorted_calls(starts: list[Symbol], ends: list[Symbol]) -> list[Call]:
    """The calls between starts and ends, each after those it needs."""
    known, done, order = {id(s) for s in starts}, set(), []
    stack: list[tuple[Symbol, bool]] = [(s, False) for s in reversed(ends)]
    while stack:
        symbol, ready = stack.pop()
        if id(symbol) in known or id(symbol.call) in done:
            continue
        if symbol.call is None:
            raise ConfigError(
                f"functional: an output depends on {symbol!r}, which is not among the inputs; add it to them"
            )
        if ready:
            done.add(id(symbol.call))
            order.append(symbol.call)
        else:
            stack.append((symbol, True))
            stack.extend((s, False) for s in reversed(nest_leaves(symbol.call.inputs)))
    return order


def _only_symbols(nest: Any, what: str) -> None:
    for leaf in nest_leaves(nest) or [None]:
        if not isinstance(leaf, Symbol):
            raise ConfigError(
                f"functional: {what} are Symbols, made by fnlayers.Input and by calling layers; got {brief(leaf)}"
            )


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _masks_of(node: Node, masks: dict[int, list], values: dict[int, Any]) -> Mask:
    """The masks that go into a call, nested like its inputs."""

    def choose(ref: Ref, mask: Any) -> Any:
        if mask is None:
            return masks[ref.node][ref.index]
        return None if mask is False else values[mask.node][mask.index]

    if node.mask is None or node.mask is False or _is_ref(node.mask):
        return map_nest(lambda ref: choose(ref, node.mask), node.inputs, is_leaf=_is_ref)
    return map_nest(choose, node.inputs, node.mask, is_leaf=_is_ref)


def types_of(node: Node, types: dict[int, list]) -> Any:
    """The types of what goes into a call, nested like its inputs, with the masks that go along."""
    used = {ref.node for ref in nest_leaves((node.inputs, node.mask), is_leaf=_is_ref) if _is_ref(ref)}
    masks = {position: [t.masked or None for t in types[position]] for position in used}
    axes = {position: [len(t.shape) for t in types[position]] for position in used}
    used_types = map_nest(lambda ref: types[ref.node][ref.index], node.inputs, is_leaf=_is_ref)
    return freeze(map_nest(lambda t, n: replace(t, masked=n or 0), used_types, _masks_of(node, masks, axes)))


def _mismatch(model: Functional, nest: Any, what: str) -> ShapeError:
    expected = map_nest(lambda ref: model.nodes[ref.node].name, model.inputs, is_leaf=_is_ref)
    got = canonical(nest) if what == "shape" else map_nest(lambda a: "array" if _is_array(a) else a, nest)
    extra = ""
    if isinstance(nest, Mapping):
        names = set(expected if isinstance(expected, Mapping) else nest_leaves(expected))
        lacking, surplus = sorted(names - set(nest)), sorted(set(nest) - names)
        extra = f" (missing: {', '.join(lacking) or 'none'}; unexpected: {', '.join(map(str, surplus)) or 'none'})"
    return ShapeError(
        f"the model's {what} is structured as {expected!r}, got {got!r}{extra}; bind by name or by position"
    )


def _shown(refs: Any) -> str:
    text = map_nest(lambda ref: f"%{ref.node}" + (f".{ref.index}" if ref.index else ""), refs, is_leaf=_is_ref)
    return str(text).replace("'", "")
