"""Plans of models as SVG documents, which any renderer draws; a browser follows the reader's light or dark scheme too.

No markers, no text of several styles around a middle: renderers differ in those.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from fnlayers.plain_data import FrozenDict
from fnlayers.show.layout import Layout, Link, Point, layout
from fnlayers.show.paint import BLUE, INK, LINE as STROKE, PAPER, SOFT, VERMILION, Color, Look, attributes, dark_scheme
from fnlayers.show.plan import Arrow, Box, Plan

# Widths are reckoned, not measured: of a letter in the title's bold and in the fixed pitch of all else. Generous, since
# fonts differ.
BOLD, FIXED = 8.2, 6.35
LINE = 15.0  # the height of a label
BOX, PILL, HEADER = 40.0, 24.0, 40.0  # the heights of a layer, of an input or output, of the title of a model inside
PAD = 12.0
MARGIN = 16.0
HEAD = 7.0  # the length of an arrow's head

SANS = {"font-family": "Helvetica, Arial, 'Liberation Sans', sans-serif", "font-size": "12.5"}
MONO = {"font-family": "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace", "font-size": "10.5"}
LOOKS: Mapping[str, Look] = FrozenDict(
    paper={"fill": PAPER},
    box={"fill": Color("#f3f5f8", "#1b222b"), "stroke": STROKE},
    model={"fill": "none", "stroke": STROKE, "stroke-dasharray": "5 3"},
    train={"fill": BLUE},
    frozen={"fill": Color("#8c959f", "#6e7681")},
    way={"fill": "none", "stroke": STROKE, "stroke-width": "1.2"},
    head={"fill": STROKE},
    port={"fill": STROKE},
    title={**SANS, "font-weight": "bold", "fill": INK},
    brief={"font-weight": "normal", "fill": SOFT},
    facts={**MONO, "fill": SOFT},
    shared={"font-weight": "bold", "fill": VERMILION},
)
AS = FrozenDict({kind: attributes(kind, look) for kind, look in LOOKS.items()})


NARROW, BROAD = frozenset(" !'(),-./:;I[]fijlt|"), frozenset("%@GMOQWmw")  # letters of Helvetica

Words = list[tuple[str, str]]  # parts of a text, each with its kind


@dataclass
class _Sheet:
    """A plan laid out: where boxes stand, what stands in them, and where their arrays come out."""

    plan: Plan
    inner: dict[int, "_Sheet"]
    sizes: list[Point]
    outlets: list[dict[tuple[int, str], float]]  # of each box: (output, label) -> how far from its middle
    layout: Layout
    title: float = 0.0  # for a model inside another: where its title begins
    width: float = field(default=0.0)
    height: float = field(default=0.0)

    def port(self, kind: str, i: int) -> float:
        """Where a model's i-th input or output is, from the middle of its box."""
        ports = [
            position for position, box in zip(self.layout.positions, self.plan.boxes, strict=True) if box.kind == kind
        ]
        return PAD + ports[i][0] - self.width / 2


def picture(title: str, plan: Plan, *, style: bool = True, on_top: Iterable[str] = ()) -> str:
    """The SVG document of a plan.

    Arguments:
        title, plan: what it shows.
        style: whether the dark scheme is in it; a page whose policy forbids that has it in a style sheet of its own.
        on_top: elements that are drawn over all others.
    """
    sheet = _sheet(plan, nested=False)
    width, height = sheet.layout.width + 2 * MARGIN, sheet.layout.height + 2 * MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="fl-graph" role="img" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<title>{escape(title)}</title>",
            *([f"<style>{dark_scheme('fl-graph', LOOKS)}</style>"] if style else []),
            f'<rect {AS["paper"]} width="{width:.0f}" height="{height:.0f}"/>',
            *_drawn(sheet, MARGIN, MARGIN, nested=False),
            *on_top,
            "</svg>",
        ]
    )


def areas(plan: Plan) -> list[tuple[str, float, float, float, float]]:
    """(path, left, top, right, bottom) of every box of the picture, labels included; those inside others too."""
    return list(_areas(_sheet(plan, nested=False), 0.0, 0.0))


def _areas(sheet: _Sheet, x: float, y: float) -> Iterator[tuple[str, float, float, float, float]]:
    for i, box in enumerate(sheet.plan.boxes):
        (middle, center), (width, height) = sheet.layout.positions[i], sheet.sizes[i]
        left, top = x + middle - width / 2, y + center - height / 2
        yield box.path, left, top, left + width, top + height
        if i in sheet.inner:
            yield from _areas(sheet.inner[i], x + middle - sheet.inner[i].width / 2 + PAD, top + HEADER)


def _sheet(plan: Plan, nested: bool) -> _Sheet:
    """Lay out what is inside first, then the boxes by the sizes found."""
    inner = {i: _sheet(box.inside, nested=True) for i, box in enumerate(plan.boxes) if box.inside is not None}
    for i, sheet in inner.items():
        _frame(sheet, plan.boxes[i])
    outlets = [_outlets(i, box, plan.arrows, inner.get(i), nested) for i, box in enumerate(plan.boxes)]
    sizes = [_size(box, inner.get(i), outlets[i], nested, _names(plan)) for i, box in enumerate(plan.boxes)]
    links = _links(plan, inner, outlets)
    last = [i for i, box in enumerate(plan.boxes) if box.kind == "output"]
    return _Sheet(plan, inner, sizes, outlets, layout(sizes, links, last))


def _frame(sheet: _Sheet, box: Box) -> None:
    """The size of a model's box, and the position of its title next to the arrows that come in from above."""
    title = _title_width(box)
    ports = [i for i, b in enumerate(sheet.plan.boxes) if b.kind == "input"]
    sides = [(PAD + sheet.layout.positions[i][0], sheet.sizes[i][0] / 2) for i in ports]
    fits = PAD + title < min(x - half for x, half in sides)
    sheet.title = PAD if fits else max(x + half for x, half in sides) + 6
    sheet.width = max(sheet.layout.width + 2 * PAD, sheet.title + title + PAD)
    sheet.height = sheet.layout.height + HEADER + PAD


def _size(box: Box, inner: _Sheet | None, outlets: dict, nested: bool, names: bool) -> Point:
    """What a box takes, with the labels under it."""
    if nested and box.kind != "layer":  # a point on the frame around it
        return (len(box.title) * FIXED + 4, LINE * (box.kind == "output")) if names else (10.0, 0.0)
    labels = sum(_label_width(label) for _, label in outlets) + 8 * max(len(outlets) - 1, 0)
    strip = LINE if outlets else 0.0
    if inner is not None:
        spread = 2 * max((abs(x) + _label_width(label) / 2 for (_, label), x in outlets.items()), default=0.0)
        return max(inner.width, spread), inner.height + strip + 4 * bool(outlets)  # its outputs are points on the frame
    if box.kind != "layer":
        return max(len(box.title) * BOLD + 2 * PAD, labels), PILL + strip
    return max(_box_width(box), labels), BOX + strip


def _outlets(i: int, box: Box, arrows: tuple[Arrow, ...], inner: _Sheet | None, nested: bool) -> dict:
    """Where a box's arrays come out: one position for each array, as wide as its label."""
    if nested and box.kind == "input":
        return {}
    keys = sorted({(a.output, a.label) for a in arrows if a.source == i})
    if inner is not None and len({output for output, _ in keys}) == len(keys):
        return {key: inner.port("output", key[0]) for key in keys}
    widths = [_label_width(label) for _, label in keys]
    left, offsets = -(sum(widths) + 8 * (len(keys) - 1)) / 2, {}
    left += inner.port("output", 0) if inner is not None else 0.0
    for key, width in zip(keys, widths, strict=True):
        offsets[key] = left + width / 2
        left += width + 8
    return offsets


def _links(plan: Plan, inner: dict[int, _Sheet], outlets: list[dict]) -> list[Link]:
    """The arrows with the positions where they leave, and where they enter a model that is open."""
    return [
        Link(
            a.source,
            a.target,
            outlets[a.source].get((a.output, a.label), 0.0),
            inner[a.target].port("input", a.input) if a.target in inner else None,
        )
        for a in plan.arrows
    ]


def _drawn(sheet: _Sheet, x: float, y: float, nested: bool) -> Iterator[str]:
    """The elements of a sheet whose upper left corner is there: arrows, then boxes."""
    for arrow, points in zip(sheet.plan.arrows, sheet.layout.ways, strict=True):
        way = [(x + px, y + py) for px, py in points]
        if nested and sheet.plan.boxes[arrow.source].kind == "input":  # from the frame, or from the name under it
            way[0] = (way[0][0], y - HEADER + (LINE + 3) * _names(sheet.plan))
        if nested and sheet.plan.boxes[arrow.target].kind == "output" and not _names(sheet.plan):
            way[-1] = (way[-1][0], y + sheet.layout.height + PAD - 3)
        yield from _arrow(way)
    for i, box in enumerate(sheet.plan.boxes):
        (middle, center), (_, height) = sheet.layout.positions[i], sheet.sizes[i]
        top = y + center - height / 2
        if nested and box.kind != "layer":
            yield from _port(box, x + middle, y, sheet)
            continue
        if i in sheet.inner:
            yield from _model(box, sheet.inner[i], x + middle, top)
        else:
            yield from _leaf(box, x + middle, top)
        for (_, label), shift in sheet.outlets[i].items():
            yield _words([("facts", label)], x + middle + shift, top + height - 4)


def _arrow(way: list[Point]) -> Iterator[str]:
    """A line that ends downward, and its head."""
    x, y = way[-1]
    yield f'<path {AS["way"]} d="{path([*way[:-1], (x, y - min(HEAD - 2, (y - way[-2][1]) / 2))])}"/>'
    yield f'<path {AS["head"]} d="M{x - 3:.1f} {y - HEAD:.1f} L{x + 3:.1f} {y - HEAD:.1f} L{x:.1f} {y:.1f} Z"/>'


def _leaf(box: Box, middle: float, top: float) -> Iterator[str]:
    if box.kind != "layer":
        width = len(box.title) * BOLD + 2 * PAD
        yield _rect("box", middle - width / 2, top, width, PILL, 12)
        yield _words([("title", box.title)], middle, top + 16.5)
        return
    width = _box_width(box)
    left = middle - width / 2
    yield f"<g><title>{escape(box.description)}</title>"
    yield _rect("box", left, top, width, BOX, 4)
    if box.params:
        kind = "train" if box.trainable else "frozen"
        yield _rect(kind, left, top, 4, BOX, 2)
    yield _words(_titled(box), middle, top + 16.5)
    yield _words(_facts(box), middle, top + 31.5) + "</g>"


def _model(box: Box, sheet: _Sheet, middle: float, top: float) -> Iterator[str]:
    left = middle - sheet.width / 2
    yield _rect("model", left, top, sheet.width, sheet.height, 8)
    for words, down in ((_titled(box), 17), (_facts(box), 32)):
        yield _words(words, left + sheet.title + _width(words) / 2, top + down)
    yield from _drawn(sheet, left + PAD, top + HEADER, nested=True)


def _port(box: Box, x: float, y: float, sheet: _Sheet) -> Iterator[str]:
    """An input or output of a model inside another: a point on its frame, with a name where there are several."""
    edge = y - HEADER if box.kind == "input" else y + sheet.layout.height + PAD
    yield f'<circle {AS["port"]} cx="{x:.1f}" cy="{edge:.1f}" r="3"/>'
    if _names(sheet.plan):
        yield _words([("facts", box.title)], x, edge + (LINE if box.kind == "input" else -8))


def _names(plan: Plan) -> bool:
    """Whether the inputs and outputs of a model inside another need names to be distinguished."""
    return max(Counter(box.kind for box in plan.boxes if box.kind != "layer").values()) > 1


def path(points: list[Point]) -> str:
    """The `d` of an SVG path: straight where points are in line, corners rounded, else swung from upright to upright.

    >>> path([(0, 0), (0, 10), (20, 10)])
    'M0.0 0.0 L0.0 5.0 Q0.0 10.0 5.0 10.0 L20.0 10.0'
    """
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for n, (x, y) in enumerate(points[1:], 1):
        px, py = points[n - 1]
        if x != px and y != py:
            parts.append(f"C{px:.1f} {(py + y) / 2:.1f} {x:.1f} {(py + y) / 2:.1f} {x:.1f} {y:.1f}")
            continue
        corner = n + 1 < len(points) and _turns(points[n - 1], (x, y), points[n + 1])
        if not corner:
            parts.append(f"L{x:.1f} {y:.1f}")
            continue
        nx, ny = points[n + 1]
        before, after = abs(x - px) + abs(y - py), abs(nx - x) + abs(ny - y)
        r = min(6.0, before / 2, after / 2)
        bx, by = x - (x - px) / before * r, y - (y - py) / before * r
        ax, ay = x + (nx - x) / after * r, y + (ny - y) / after * r
        parts.append(f"L{bx:.1f} {by:.1f} Q{x:.1f} {y:.1f} {ax:.1f} {ay:.1f}")
    return " ".join(parts)


def _turns(before: Point, at: Point, after: Point) -> bool:
    """Whether two straight lines meet at right angles there."""
    upright, across = before[0] == at[0] and before[1] != at[1], before[1] == at[1] and before[0] != at[0]
    return (upright and at[1] == after[1] and at[0] != after[0]) or (across and at[0] == after[0] and at[1] != after[1])


def _rect(kind: str, left: float, top: float, width: float, height: float, round: int) -> str:
    position = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {AS[kind]} {position} rx="{round}"/>'


def _titled(box: Box) -> Words:
    return [("title", box.title), *([("brief", f" {box.brief}")] if box.brief else [])]


def _facts(box: Box) -> Words:
    if box.calls == 1:
        return [("facts", box.facts)]
    plain, _, description = box.facts.rpartition(", ")
    return [("facts", f"{plain}, "), ("shared", description)]


def _words(words: Words, middle: float, y: float) -> str:
    """Text of one or several styles around a middle.

    Of several it begins at a computed position: CairoSVG and LibreOffice put the parts of a text with a middle apart.
    """
    (kind, first), *rest = words
    more = "".join(f"<tspan {AS[kind]}>{escape(text)}</tspan>" for kind, text in rest)
    x, anchor = (middle - _width(words) / 2, "start") if rest else (middle, "middle")
    keep = ' xml:space="preserve"' if rest else ""
    return f'<text {AS[kind]} text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}"{keep}>{escape(first)}{more}</text>'


def _width(words: Words) -> float:
    """How wide a text is, in Helvetica or a fixed pitch."""
    if words[0][0] == "facts":
        return sum(len(text) for _, text in words) * 6.32
    ems = ((0.3 if c in NARROW else 0.85 if c in BROAD else 0.7 if c.isupper() else 0.57) for _, t in words for c in t)
    return 12.5 * sum(ems)


def _label_width(label: str) -> float:
    return len(label) * FIXED + 4


def _box_width(box: Box) -> float:
    return max(_title_width(box), 64.0) + 2 * PAD


def _title_width(box: Box) -> float:
    return max((len(box.title) + len(box.brief)) * BOLD + 5 * bool(box.brief), len(box.facts) * FIXED)
