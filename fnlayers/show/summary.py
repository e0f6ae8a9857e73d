"""The table of a model's layers, read from their declarations: nothing is computed and no array is made."""

import html
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax

from fnlayers import ops
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.names import snake_case
from fnlayers.core.shapes import shape_of
from fnlayers.core.spec import is_spec, spec_items
from fnlayers.core.units import readable
from fnlayers.ops.record import PLATFORMS, Platform
from fnlayers.plain_data import map_nest
from fnlayers.show.devices import OnDevice, on_device
from fnlayers.show.inside import bytes_of, counts, input_types
from fnlayers.show.rows import COLUMNS, Row, row_of, rows_of
from fnlayers.show.table import LEAST, Column, Table, fold, terminal

_NUMBERS = ("params", "state", "a device")
_MOST = dict(zip(COLUMNS, (40, 24, 36, 18, None, None, None, None, 32, 36, None, 40, 40, 40), strict=True))


@dataclass(frozen=True, repr=False)
class Summary:
    """A model's layers and totals. Prints as a table; a notebook shows it as HTML, and `rich.print` in color.

    Where the table would be wider than it may, dtypes other than float32 stand before the shapes, and what is out of
    the ordinary (frozen, shared, connected to, rules) in a line under its row.

    Arguments:
        title: the model's name and the shape of its input.
        rows: a Row for each layer, in the order in which they run, those inside another one after it.
        params, trainable, frozen, state: how many numbers there are of each.
        bytes: what params and state take in memory.
        device_bytes: what one device holds of them; None without `mesh=`.
        notes: what rules name and could not split, as of `fnlayers.shardings`.
        width: how many columns of text the table may take; None: those of the terminal, 80 where there is none.
    """

    title: str
    rows: tuple[Row, ...]
    params: int
    trainable: int
    frozen: int
    state: int
    bytes: int
    width: int | None = None
    device_bytes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def totals(self) -> str:
        """The line below the table."""
        of_device = "" if self.device_bytes is None else f"   on each device: {readable(self.device_bytes)}"
        return (
            f"params: {self.params:,} (trainable: {self.trainable:,}, frozen: {self.frozen:,})   "
            f"state: {self.state:,}   memory: {readable(self.bytes)}{of_device}"
        )

    def __str__(self) -> str:
        return "\n".join(self._lines(self.width or terminal()))

    __repr__ = __str__

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.text import Text

        title, *lines = self._lines(min(self.width or options.max_width, options.max_width))
        yield Text(title, "bold")
        yield Text("\n".join(lines), no_wrap=True, overflow="ignore")

    def _lines(self, width: int) -> list[str]:
        narrower = (self._full, self._narrow, lambda: self._merged(True), lambda: self._merged(False))
        table = next((candidate for make in narrower if (candidate := make()).width <= width), self._merged(False))
        totals, line = [], ""
        for part in self.totals.split("   "):
            if line and len(line) + 3 + len(part) > width:
                totals, line = [*totals, line], ""
            line = f"{line}   {part}" if line else part
        below = [folded for line in (*totals, line) for folded in fold(line, width)]
        below += [folded for note in self.notes for folded in fold(f"whole on each device: {note}", width)]
        return [*fold(self.title, width), *table.lines(width), *below]

    def _full(self) -> Table:
        """All there is to say, each in a column of its own."""
        cells = zip(*(row.cells for row in self.rows), strict=True)
        texts = dict(zip(COLUMNS, cells, strict=True)) if self.rows else dict.fromkeys(COLUMNS, ())
        return Table(tuple(Column(name, texts[name], name in _NUMBERS, _MOST.get(name)) for name in self._columns))

    def _narrow(self) -> Table:
        """What most rows have in columns, the rest in notes under the rows that it is about."""
        return self._of("path", [row.cells[0] for row in self.rows], "layer", [row.layer for row in self.rows])

    def _merged(self, paths: bool) -> Table:
        """The same with a layer's class only where its name does not say it; with paths, or own names alone."""
        inner = [(row.path if paths else row.path.rpartition("/")[2]) or "." for row in self.rows]
        names = ["  " * min(row.path.count("/"), 6) + name for name, row in zip(inner, self.rows, strict=True)]
        named = [snake_case(row.layer) in row.path.rpartition("/")[2] for row in self.rows]
        both = [n if t else f"{n} ({row.layer})" for n, t, row in zip(names, named, self.rows, strict=True)]
        return self._of("layer", both)

    def _of(self, *named: Any) -> Table:
        columns = [Column(name, tuple(texts)) for name, texts in zip(named[::2], named[1::2], strict=True)]
        outputs = Column("output", tuple(_typed(row.output) for row in self.rows), most=_MOST["output shape"])
        numbers = [Column(n, tuple(r.cells[COLUMNS.index(n)] for r in self.rows), True) for n in self._numbers]
        above: dict[str, str] = {}  # of each container's path: the layer that came last
        notes = []
        for row in self.rows:
            container, _, name = row.path.rpartition("/")
            notes.append(row.note(above.get(container, "")))
            above[container] = name
        return Table((*columns, outputs, *numbers), tuple(notes), framed=False)

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
            + "".join(f"<p>whole on each device: {html.escape(note)}</p>" for note in self.notes)
        )

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns in which there is something to say: no `shared` where nothing is."""
        shown = {
            "state": self.state,
            "function": any(row.function for row in self.rows),
            "connected to": any(row.connected for row in self.rows),
            "shared": any(row.calls > 1 for row in self.rows),
            "rules": any(row.rules for row in self.rows),
            "algorithms": any(row.algorithms for row in self.rows),
            "a device": self.device_bytes is not None,
            "split": any(row.split for row in self.rows),
        }
        return tuple(name for name in COLUMNS if shown.get(name, True))

    @property
    def _numbers(self) -> list[str]:
        return [name for name in self._columns if name in _NUMBERS]


def summary(
    model: Layer,
    shape: Shape = None,
    *,
    dtype: Any = None,
    depth: int | None = None,
    width: int | None = None,
    explain: bool | Platform = False,
    mesh: Any = None,
    rules: Any = "data",
) -> Summary:
    """The table of a model's layers: output shapes and dtypes, params, state, what is frozen, shared, regularized.

    Nothing is computed: the layers are traced. A layer inside another has a line of its own, indented, and its numbers
    in parentheses, since the other counts them too. A layer that is called several times has one line, and its weights
    count once.

    Arguments:
        model: any layer.
        shape: its input's, as given to init; None: a Functional's own.
        dtype: its input's, or a nest of them; None: what the model takes.
        depth: how many levels of layers inside layers to show; None: all.
        width: how many columns of text the table may take, at least 40; None: those of the terminal, 80 without one.
        explain: whether to say which algorithms run for each layer, forward and backward, as `fl.ops.explain` does: on
            "cpu" (as `fl.jit` compiles), "cuda" or "tpu"; True: where jax runs. The shape needs all sizes then.
        mesh, rules: devices, and how weights are split over them, as for `fnlayers.shardings`: the table says what each
            device holds, and what is whole on each because it does not divide.

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
    check_model(model, "summary")
    if width is not None and not (isinstance(width, int) and width >= LEAST):
        raise ConfigError(f"summary(width={width!r}): give a whole number of at least {LEAST}, or None")
    platform = _platform(explain)
    in_types = input_types(model, shape, dtype, "summary")
    specs = model.specs(shape_of(in_types))
    rows = rows_of(model, in_types, specs, depth)
    brief = ops.explain(model, shape_of(in_types), platform).brief(platform) if platform else {}
    if not rows or any(map(is_spec, specs.values())) or "" in brief:
        rows = (row_of(model, in_types, specs, (), 1), *(replace(row, inside=True) for row in rows))
    if brief:
        rows = tuple(replace(row, algorithms=brief.get(row.path, "")) for row in rows)
    params, state, trainable = counts(specs)
    size = sum(bytes_of(spec) for _, spec in spec_items(specs))
    title = f"{model.name or type(model).__name__}, input {_shown(in_types)}"
    table = Summary(title, rows, params, trainable, params - trainable, state, size, width)
    return table if mesh is None else _on_devices(table, on_device(model, shape_of(in_types), mesh, rules))


def _on_devices(table: Summary, of_device: OnDevice) -> Summary:
    """The table with what each device holds."""
    rows = (replace(row, device=of_device.numbers(row.path), split=of_device.split(row.path)) for row in table.rows)
    return replace(table, rows=tuple(rows), device_bytes=of_device.bytes, notes=of_device.notes)


def _platform(explain: bool | Platform) -> Platform | None:
    """The platform whose algorithms are asked for, None for none."""
    if explain is True:
        backend = jax.default_backend()
        return {"gpu": "cuda"}.get(backend, backend)  # type: ignore[return-value]  # jax has other platforms, too
    if explain is not False and explain not in PLATFORMS:
        wanted = ", ".join(map(repr, PLATFORMS))
        raise ConfigError(f"summary(explain={explain!r}): give True, False or a platform: {wanted}")
    return explain or None


def _shown(types: Any) -> str:
    return str(map_nest(str, types)).replace("'", "")


def _typed(types: Any) -> str:
    """Shapes, with the dtypes that are not float32."""
    return str(map_nest(lambda t: str(t.shape) if t.dtype == "float32" else str(t), types)).replace("'", "")
