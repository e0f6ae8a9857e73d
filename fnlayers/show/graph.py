"""A model as a picture: boxes and arrows in SVG, or as Mermaid text. Nothing but Python draws it."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fnlayers.core.errors import MissingError
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.shapes import shape_of
from fnlayers.show.inside import input_types
from fnlayers.show.picture import Picture, page
from fnlayers.show.plan import Plan, plan_of
from fnlayers.show.svg import picture


@dataclass(frozen=True)
class Graph(Picture):
    """A model's picture. A notebook shows it, `save(path)` writes it; `plan` is what it shows, as plain data.

    `save` takes names that end in .svg, .html, .mmd (Mermaid), .md (a block of Mermaid), .png and .pdf; the last two
    are drawn by CairoSVG, the extra `graph`.
    """

    title: str
    plan: Plan

    @property
    def svg(self) -> str:
        """The picture as an SVG document, which follows the reader's light or dark scheme."""
        return picture(self.title, self.plan)

    @property
    def mermaid(self) -> str:
        """The same as a Mermaid flowchart, which GitHub and many editors draw."""
        return "\n".join(["flowchart TD", *_boxes(self.plan, "n", "  "), *_arrows(self.plan, "n")]) + "\n"

    def _writers(self) -> Mapping[str, Callable[[], bytes]]:
        texts = {
            ".svg": lambda: self.svg,
            ".html": lambda: page(self.title, self.svg),
            ".mmd": lambda: self.mermaid,
            ".md": lambda: f"```mermaid\n{self.mermaid}```\n",
        }
        drawn = {f".{name}": functools.partial(_converted, self.svg, name) for name in ("png", "pdf")}
        return {**{ending: lambda text=text: text().encode("utf8") for ending, text in texts.items()}, **drawn}

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Graph of {self.title}, {_layers(self.plan)} layers>"


def graph(model: Layer, shape: Shape = None, *, dtype: Any = None, depth: int | None = None) -> Graph:
    """The picture of a model: its layers as boxes, what flows between them as arrows with shapes.

    A model inside another is a box with its layers in it. A layer that is called several times is drawn once, and its
    arrows say which call they belong to. A tall picture is broken into columns, which are read from left to right.

    Arguments:
        model: any layer.
        shape: its input's, as given to init; None: a Functional's own.
        dtype: its input's, or a nest of them; None: what the model takes.
        depth: how many levels of models inside models to open; None: all.

    Returns:
        A Graph, with `svg`, `mermaid` and `save(path)`.

    Example:
        >>> from fnlayers.layers.dense import Dense
        >>> from fnlayers.models.sequential import Sequential
        >>> print(graph(Sequential([Dense(3, "relu"), Dense(1)]), (None, 4)).mermaid)
        flowchart TD
          n0(["input"])
          n1["Dense 3, relu<br/>dense, 15 params"]
          n2["Dense 1<br/>dense_1, 4 params"]
          n3(["output"])
          n0 -- "(None, 4)" --> n1
          n1 -- "(None, 3)" --> n2
          n2 -- "(None, 1)" --> n3
        <BLANKLINE>
    """
    check_model(model, "show.graph")
    in_types = input_types(model, shape, dtype, "show.graph")
    levels = math.inf if depth is None else depth + 1  # the model itself is open
    specs = model.specs(shape_of(in_types))
    return Graph(model.name or type(model).__name__, plan_of(model, in_types, specs, levels))


def _converted(svg: str, name: str) -> bytes:
    """An SVG document as PNG, at twice its size, or as PDF."""
    try:
        import cairosvg
    except (ImportError, OSError) as error:  # OSError: the package is there, the cairo library is not
        raise MissingError(
            f"show.graph: .{name} is drawn by CairoSVG; install it: pip install 'fnlayers[graph]' (and the system's "
            f"cairo library, such as apt install libcairo2), or save an .svg, which needs nothing"
        ) from error
    convert: Any = cairosvg.svg2png if name == "png" else cairosvg.svg2pdf
    return convert(bytestring=svg.encode("utf8"), scale=2 if name == "png" else 1)


def _boxes(plan: Plan, prefix: str, indent: str) -> Iterator[str]:
    """The nodes of a flowchart; a model inside is a subgraph, with points for its inputs and outputs."""
    for i, box in enumerate(plan.boxes):
        label = _quoted(f"{box.title} {box.brief}".strip())
        if box.kind != "layer":
            shape = f'(["{label}"])' if len(prefix) == 1 else f'(("{label}"))'
            yield f"{indent}{prefix}{i}{shape}"
        elif box.inside is None:
            yield f'{indent}{prefix}{i}["{label}<br/>{_quoted(box.facts)}"]'
        else:
            yield f'{indent}subgraph {prefix}{i}["{label}: {_quoted(box.facts)}"]'
            yield from _boxes(box.inside, f"{prefix}{i}_", indent + "  ")
            yield f"{indent}end"


def _arrows(plan: Plan, prefix: str) -> Iterator[str]:
    """The edges of a flowchart: those of a level, then those inside its boxes."""
    for arrow in plan.arrows:
        source = _port(plan, prefix, arrow.source, "output", arrow.output)
        target = _port(plan, prefix, arrow.target, "input", arrow.input)
        yield f'  {source} -- "{_quoted(arrow.label)}" --> {target}'
    for i, box in enumerate(plan.boxes):
        if box.inside is not None:
            yield from _arrows(box.inside, f"{prefix}{i}_")


def _port(plan: Plan, prefix: str, i: int, kind: str, number: int) -> str:
    """The node where an arrow begins or ends: a box, or the input or output of the model that stands there."""
    inside = plan.boxes[i].inside
    if inside is None:
        return f"{prefix}{i}"
    positions = [position for position, box in enumerate(inside.boxes) if box.kind == kind]
    return f"{prefix}{i}_{positions[number]}"


def _quoted(text: str) -> str:
    """Text inside the quotes of a flowchart, where # begins an entity."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _layers(plan: Plan) -> int:
    return sum((box.kind == "layer") + (_layers(box.inside) if box.inside else 0) for box in plan.boxes)
