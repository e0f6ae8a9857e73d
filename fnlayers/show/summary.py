"""The table of a model's layers, read from their declarations: nothing is computed and no array is made."""

import html
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp

from fnlayers.core.errors import within
from fnlayers.core.frozen import freeze, map_nest, nest_leaves
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.shapes import shape_of
from fnlayers.core.spec import Param, State, is_spec, spec_items
from fnlayers.models.repeat import Repeat
from fnlayers.show.inside import calls, counts, inner_layers, input_types, opened

COLUMNS = ("path", "layer", "output shape", "dtype", "params", "state", "trainable", "shared", "rules")
_NUMBERS = ("params", "state")
_WIDEST = {"path": 40, "layer": 24, "output shape": 36, "dtype": 18, "rules": 40}  # longer text is folded


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

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of COLUMNS."""
        types = nest_leaves(self.output)
        shapes = str(map_nest(lambda t: t.shape, self.output))
        dtypes = ", ".join(dict.fromkeys(t.dtype for t in types))
        trained = "-" if not self.params else "yes" if self.trainable == self.params else "partly"
        trained = "no" if self.params and not self.trainable else trained
        indent = "  " * self.path.count("/")
        numbers = (f"({n:,})" if n and self.inside else f"{n:,}" for n in (self.params, self.state))
        calls = f"{self.calls} calls" if self.calls > 1 else ""
        return indent + (self.path or "."), self.layer, shapes, dtypes, *numbers, trained, calls, self.rules


@dataclass(frozen=True, repr=False)
class Summary:
    """A model's layers and totals. Prints as a table; a notebook shows it as HTML, and `rich.print` in color.

    Arguments:
        title: the model's name and the shape of its input.
        rows: a Row for each layer, in the order in which they run, those inside another one after it.
        params, trainable, frozen, state: how many numbers there are of each.
        bytes: what params and state take in memory.
    """

    title: str
    rows: tuple[Row, ...]
    params: int
    trainable: int
    frozen: int
    state: int
    bytes: int

    @property
    def totals(self) -> str:
        """The line below the table."""
        return (
            f"params: {self.params:,} (trainable: {self.trainable:,}, frozen: {self.frozen:,})   "
            f"state: {self.state:,}   memory: {readable(self.bytes)}"
        )

    def __str__(self) -> str:
        from rich import box
        from rich.console import Console

        # a width of our own, so that a log, a pipe and any terminal get the same table
        console = Console(
            width=1000, color_system=None, force_terminal=False, force_jupyter=False, legacy_windows=False
        )
        with console.capture() as capture:
            console.print(self._table(box.ASCII2))
        lines = (line.rstrip() for line in capture.get().splitlines())
        return "\n".join([self.title, *lines, self.totals])

    __repr__ = __str__

    def __rich__(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.text import Text

        return Group(Text(self.title, "bold"), self._table(box.ROUNDED), Text(self.totals))

    def _table(self, border: Any) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=border, header_style="bold")
        for name in self._columns:
            right = "right" if name in _NUMBERS else "left"
            widest = _WIDEST.get(name)
            table.add_column(name, justify=right, overflow="fold", max_width=widest, no_wrap=widest is None)
        for row in self.rows:
            # Text, not str: brackets in a name or a shape are no markup
            cells = zip(COLUMNS, row.cells, strict=True)
            table.add_row(*(Text(cell) for name, cell in cells if name in self._columns))
        return table

    def _repr_html_(self) -> str:
        def cell(name: str, text: str, tag: str = "td") -> str:
            side = "right" if name in _NUMBERS else "left"
            return f'<{tag} style="text-align: {side}; white-space: pre-wrap">{html.escape(text)}</{tag}>'

        head = "".join(cell(name, name, "th") for name in self._columns)
        lines = [
            "".join(cell(n, text) for n, text in zip(COLUMNS, row.cells, strict=True) if n in self._columns)
            for row in self.rows
        ]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return (
            f"<p><b>{html.escape(self.title)}</b></p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>{html.escape(self.totals)}</p>"
        )

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns in which there is something to say: no `shared` where nothing is."""
        shared, rules = any(row.calls > 1 for row in self.rows), any(row.rules for row in self.rows)
        told = {"state": self.state, "shared": shared, "rules": rules}
        return tuple(name for name in COLUMNS if told.get(name, True))


def summary(model: Layer, shape: Shape = None, *, dtype: Any = None, depth: int | None = None) -> Summary:
    """The table of a model's layers: output shapes and dtypes, params, state, what is frozen, shared, regularized.

    Nothing is computed: the layers are traced. A layer inside another has a line of its own, indented, and its numbers
    in parentheses, since the other counts them too. A layer that is called several times has one line, and its weights
    count once.

    Arguments:
        model: any layer.
        shape: its input's, as given to init; None: a Functional's own.
        dtype: its input's, or a nest of them; None: what the model takes.
        depth: how many levels of layers inside layers to show; None: all.

    Returns:
        A Summary: print it, or let a notebook show it. Its rows and totals are plain data.

    Example:
        >>> from fnlayers.layers.dense import Dense
        >>> from fnlayers.models.sequential import Sequential
        >>> print(summary(Sequential([Dense(3, "relu"), Dense(1)]), (None, 4)))
        Sequential, input float32(None, 4)
        +---------+-------+--------------+---------+--------+-----------+
        | path    | layer | output shape | dtype   | params | trainable |
        +---------+-------+--------------+---------+--------+-----------+
        | dense   | Dense | (None, 3)    | float32 |     15 | yes       |
        | dense_1 | Dense | (None, 1)    | float32 |      4 | yes       |
        +---------+-------+--------------+---------+--------+-----------+
        params: 19 (trainable: 19, frozen: 0)   state: 0   memory: 76 B
    """
    given = input_types(model, shape, dtype, "summary")
    specs = model.specs(shape_of(given))
    rows = tuple(_rows(model, given, specs, (), math.inf if depth is None else depth))
    if not rows or any(map(is_spec, specs.values())):
        rows = (_row(model, given, specs, (), 1), *(replace(row, inside=True) for row in rows))
    params, state, trainable = counts(specs)
    size = sum(_bytes(spec) for _, spec in spec_items(specs))
    title = f"{model.name or type(model).__name__}, input {_shown(given)}"
    return Summary(title, rows, params, trainable, params - trainable, state, size)


def readable(size: int) -> str:
    """A number of bytes as people say it.

    >>> readable(76), readable(102_400_000)
    ('76 B', '97.7 MiB')
    """
    scaled, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if scaled < 1024:
            break
        scaled, unit = scaled / 1024, larger
    return f"{size} B" if unit == "B" else f"{scaled:.1f} {unit}"


def _rows(layer: Layer, given: Any, specs: Any, path: tuple[str, ...], depth: float) -> Iterator[Row]:
    """The rows of the layers inside `layer`, which is given arrays of those types."""
    if depth <= 0:
        return
    for name, (child, types, count) in _inside(layer, given).items():
        with within(name):
            declared = specs.get(name, {}) if isinstance(specs, Mapping) else {}
            yield _row(child, types, declared, (*path, name), count)
            yield from _rows(child, types, declared, (*path, name), depth - 1)


def _row(layer: Layer, given: Any, specs: Any, path: tuple[str, ...], calls: int) -> Row:
    params, state, trainable = counts(specs)
    output = layer.out_type(shape_of(given), freeze(map_nest(lambda t: t.dtype, given)))
    kind = f"{type(layer).__name__} x {layer.n}" if isinstance(layer, Repeat) else type(layer).__name__
    return Row("/".join(path), kind, output, params, state, trainable, calls, _rules(layer, specs), len(path) > 1)


def _inside(layer: Layer, given: Any) -> dict[str, tuple[Layer, Any, int]]:
    """The layers inside a layer: name -> (layer, the types of its first input, how often it is called)."""
    graph = opened(layer, given)
    if graph is None:
        return {name: (child, types, 1) for name, (child, types) in inner_layers(layer, given).items()}
    found: dict[str, tuple[Layer, Any, int]] = {}
    for call in calls(graph, given):
        child, first, count = found.get(call.node.layer, (call.layer, call.given, 0))
        found[call.node.layer] = (child, first, count + 1)
    return found


def _bytes(spec: Param | State) -> int:
    name = str(spec.dtype or "float32")
    return math.prod(spec.full_shape) * (8 if name.startswith("key<") else jnp.dtype(name).itemsize)


def _rules(layer: Layer, specs: Any) -> str:
    """The regularizers and constraints of the layer's own weights, and of its output."""
    own = specs.items() if isinstance(specs, Mapping) else ()
    rules = [(name, spec.regularizer, spec.constraint) for name, spec in own if isinstance(spec, Param)]
    rules.append(("output", layer.activity_regularizer, None))
    told = [(name, [_name(rule) for rule in both if rule is not None]) for name, *both in rules]
    return "; ".join(f"{name}: {', '.join(both)}" for name, both in told if both)


def _name(rule: Any) -> str:
    return rule if isinstance(rule, str) else getattr(rule, "__name__", None) or repr(rule)


def _shown(types: Any) -> str:
    return str(map_nest(str, types)).replace("'", "")
