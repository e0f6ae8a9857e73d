"""The rows of a summary: what each layer of a model is, holds and is connected to, read from its declaration."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fnlayers.core.errors import within
from fnlayers.core.layer import Layer
from fnlayers.core.shapes import shape_of
from fnlayers.core.spec import Param
from fnlayers.models.functional import InputNode, Node
from fnlayers.models.opened import calls, is_ref, opened
from fnlayers.models.repeat import Repeat
from fnlayers.plain_data import freeze, map_nest, nest_leaves
from fnlayers.show.describe import function_of
from fnlayers.show.inside import Counts, counts, inner_layers

COLUMNS = (
    *("path", "layer", "output shape", "dtype", "params", "state", "a device", "trainable"),
    *("function", "connected to", "shared", "rules", "algorithms", "split"),
)


_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Row:
    """One layer of the table. A layer that holds others counts their numbers too.

    Arguments:
        path: the names from the model to the layer, as in params: "encoder/dense". "" is the model itself.
        layer: the name of its class.
        output: the ArrayType, or nest of them, that it returns.
        params, state: how many numbers it holds.
        trainable: how many of its params are.
        calls: how often the container calls it; its weights are counted once.
        rules: the regularizers and constraints of its own weights.
        inside: whether a row above it counts its numbers too; the table has them in parentheses then.
        function: what a Lambda, Operation, Activation or Pair computes, with its constants: "sum(axis=-1)".
        algorithms: what runs for its operations: "conv: pointwise"; with `explain=` alone.
        connected: in a graph, the layers and inputs that it is given, for each call: "conv2d, add".
        device: how many of its numbers one device holds; with `mesh=` alone.
        split: the axes of the mesh that its own weights are split over: "kernel: (None, 'model')"; with `mesh=` alone.
    """

    path: str
    layer: str
    output: Any
    params: int
    state: int
    trainable: int
    calls: int
    rules: str
    inside: bool = False
    function: str = ""
    connected: str = ""
    algorithms: str = ""
    device: int = 0
    split: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the row as text, in the order of COLUMNS."""
        types = nest_leaves(self.output)
        shapes = str(map_nest(lambda t: t.shape, self.output))
        dtypes = ", ".join(dict.fromkeys(t.dtype for t in types))
        indent = "  " * self.path.count("/")
        numbers = (f"({n:,})" if n and self.inside else f"{n:,}" for n in (self.params, self.state, self.device))
        calls = f"{self.calls} calls" if self.calls > 1 else ""
        texts = (self.trained, self.function, self.connected, calls, self.rules, self.algorithms, self.split)
        return indent + (self.path or "."), self.layer, shapes, dtypes, *numbers, *texts

    @property
    def trained(self) -> str:
        """Whether training moves its params: "yes", "no", "partly", or "-" where it has none."""
        if not self.params:
            return "-"
        return "yes" if self.trainable == self.params else "partly" if self.trainable else "no"

    def note(self, above: str) -> str:
        """What is out of the ordinary, in a line: for a table that has no room for columns that say it.

        `above` is the name of the layer one row up; to be connected to that one is what a reader takes for granted.
        """
        notes = {
            "frozen": self.trained == "no",
            "partly frozen": self.trained == "partly",
            f"{self.calls} calls": self.calls > 1,
            f"function: {self.function}": self.function,
            f"from: {self.connected}": self.connected not in ("", above),
            self.rules: self.rules,
            self.algorithms: self.algorithms,
            f"split: {self.split}": self.split,
        }
        return "; ".join(text for text, holds in notes.items() if holds)


def rows_of(model: Layer, in_types: Any, specs: Any, depth: int | None) -> tuple[Row, ...]:
    """The rows of the layers inside a model, which is given arrays of those types, down to that depth (None: all)."""
    collector = _Rows()
    collector.add(model, in_types, specs, (), math.inf if depth is None else depth)
    return tuple(collector.rows)


class _Rows:
    """The rows of a model's layers, from the outside in, in the order in which they run."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.counted: dict[int, Counts] = {}

    def add(self, layer: Layer, in_types: Any, specs: Any, path: tuple[str, ...], depth: float) -> None:
        """Add those of the layers inside `layer`, which is given arrays of those types."""
        if depth <= 0:
            return
        for name, use in _inside(layer, in_types).items():
            with within(name):
                declared = specs.get(name, _NONE) if isinstance(specs, Mapping) else _NONE
                row = row_of(use.layer, use.in_types, declared, (*path, name), use.calls, self.counted)
                self.rows.append(replace(row, connected="; ".join(use.sources)))
                self.add(use.layer, use.in_types, declared, (*path, name), depth - 1)


def row_of(
    layer: Layer, in_types: Any, specs: Any, path: tuple[str, ...], calls: int, counted: dict | None = None
) -> Row:
    """The row of one layer. `counted` remembers the numbers of the rows before it, as `counts` does."""
    params, state, trainable = counts(specs, counted)
    output = layer.out_type(shape_of(in_types), freeze(map_nest(lambda t: t.dtype, in_types)))
    kind = f"{type(layer).__name__} x {layer.n}" if isinstance(layer, Repeat) else type(layer).__name__
    texts = _rules(layer, specs), len(path) > 1, function_of(layer)
    return Row("/".join(path), kind, output, params, state, trainable, calls, *texts)


class _Use(NamedTuple):
    """A layer inside another: the types of its first input, how often it is called, and in a graph on what."""

    layer: Layer
    in_types: Any
    calls: int = 1
    sources: tuple[str, ...] = ()


def _inside(layer: Layer, in_types: Any) -> dict[str, _Use]:
    """The layers inside a layer, by name."""
    graph = opened(layer, in_types)
    if graph is None:
        return {name: _Use(child, types) for name, (child, types) in inner_layers(layer, in_types).items()}
    uses: dict[str, _Use] = {}
    sources = {i: [node.name] for i, node in enumerate(graph.nodes) if isinstance(node, InputNode)}
    often = Counter(node.layer for node in graph.nodes if isinstance(node, Node))
    for call in calls(graph, in_types):
        name = call.node.layer
        child, first, count, inputs = uses.get(name, _Use(call.layer, call.in_types, 0))
        if layer is graph:  # a chain needs no word about what is connected to what
            inputs = (*inputs, ", ".join(sources[ref.node][ref.index] for ref in nest_leaves(call.node.inputs, is_ref)))
        uses[name] = _Use(child, first, count + 1, inputs)
        arrays = len(nest_leaves(call.out_types))
        label = f"{name} (call {count + 1})" if often[name] > 1 else name
        sources[call.position] = [f"{label}[{i}]" for i in range(arrays)] if arrays > 1 else [label]
    return uses


def _rules(layer: Layer, specs: Any) -> str:
    """The regularizers and constraints of the layer's own weights, and of its output."""
    own = specs.items() if isinstance(specs, Mapping) else ()
    rules = [(name, spec.regularizer, spec.constraint) for name, spec in own if isinstance(spec, Param)]
    rules.append(("output", layer.activity_regularizer, None))
    applied = [(name, [_name(rule) for rule in both if rule is not None]) for name, *both in rules]
    return "; ".join(f"{name}: {', '.join(both)}" for name, both in applied if both)


def _name(rule: Any) -> str:
    return rule if isinstance(rule, str) else getattr(rule, "__name__", None) or repr(rule)
