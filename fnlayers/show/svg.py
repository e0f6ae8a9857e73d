"""Plans of models as SVG documents that follow the reader's light or dark scheme."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from fnlayers.show.layout import Layout, Link, Point, layout
from fnlayers.show.plan import Arrow, Box, Plan

# Widths are reckoned, not measured: of a letter in the title's bold and in the fixed pitch of all else. Generous, since
# fonts differ.
BOLD, FIXED = 8.2, 6.35
LINE = 15.0  # the height of a label
BOX, PILL, HEADER = 40.0, 24.0, 40.0  # the heights of a layer, of an input or output, of the title of a model inside
PAD = 12.0
MARGIN = 16.0

# Blue and vermilion of Okabe and Ito's palette, lighter on dark; what they say is said in words too.
STYLE = """
.fl-graph { --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #6e7781; --fill: #f3f5f8; --train: #0072b2;
  --frozen: #8c959f; --shared: #b34a00; background: var(--paper) }
@media (prefers-color-scheme: dark) { .fl-graph { --paper: #0d1117; --ink: #e6edf3; --soft: #a3adb8; --line: #8b949e;
  --fill: #1b222b; --train: #56b4e9; --frozen: #6e7681; --shared: #f0a04b } }
.fl-graph text { font: 10.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: var(--soft); text-anchor: middle }
.fl-graph .title { font: bold 12.5px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: var(--ink) }
.fl-graph .brief { font-weight: normal; fill: var(--soft) }
.fl-graph .left { text-anchor: start }
.fl-graph .shared { fill: var(--shared); font-weight: bold }
.fl-graph .paper { fill: var(--paper) }
.fl-graph .box { fill: var(--fill); stroke: var(--line) }
.fl-graph .model { fill: none; stroke: var(--line); stroke-dasharray: 5 3 }
.fl-graph .train { fill: var(--train) }
.fl-graph .frozen { fill: var(--frozen) }
.fl-graph .way { fill: none; stroke: var(--line); stroke-width: 1.2; marker-end: url(#fl-head) }
.fl-graph .port { fill: var(--line); stroke: none }
"""


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
        ports = [place for place, box in zip(self.layout.places, self.plan.boxes, strict=True) if box.kind == kind]
        return PAD + ports[i][0] - self.width / 2


def picture(title: str, plan: Plan) -> str:
    """The SVG document of a plan."""
    sheet = _sheet(plan, nested=False)
    width, height = sheet.layout.width + 2 * MARGIN, sheet.layout.height + 2 * MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="fl-graph" role="img" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="fl-head" class="port" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0.8 L8 4 L0 7.2 z"/></marker></defs>',
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>',
            *_drawn(sheet, MARGIN, MARGIN, nested=False),
            "</svg>",
        ]
    )


def areas(plan: Plan) -> list[tuple[str, float, float, float, float]]:
    """(path, left, top, right, bottom) of every box of the picture, labels included; those inside others too."""
    return list(_areas(_sheet(plan, nested=False), 0.0, 0.0))


def _areas(sheet: _Sheet, x: float, y: float) -> Iterator[tuple[str, float, float, float, float]]:
    for i, box in enumerate(sheet.plan.boxes):
        (middle, center), (width, height) = sheet.layout.places[i], sheet.sizes[i]
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
    """The size of a model's box, and a place for its title beside the arrows that come in from above."""
    wide = _title_width(box)
    ports = [i for i, b in enumerate(sheet.plan.boxes) if b.kind == "input"]
    sides = [(PAD + sheet.layout.places[i][0], sheet.sizes[i][0] / 2) for i in ports]
    fits = PAD + wide < min(x - half for x, half in sides)
    sheet.title = PAD if fits else max(x + half for x, half in sides) + 6
    sheet.width = max(sheet.layout.width + 2 * PAD, sheet.title + wide + PAD)
    sheet.height = sheet.layout.height + HEADER + PAD


def _size(box: Box, inner: _Sheet | None, outlets: dict, nested: bool, names: bool) -> Point:
    """What a box takes, with the labels under it."""
    if nested and box.kind != "layer":  # a point on the frame around it
        return (len(box.title) * FIXED + 4, LINE * (box.kind == "output")) if names else (10.0, 0.0)
    labels = sum(_label_width(label) for _, label in outlets) + 8 * max(len(outlets) - 1, 0)
    strip = LINE if outlets else 0.0
    if inner is not None:
        spread = 2 * max((abs(x) + _label_width(label) / 2 for (_, label), x in outlets.items()), default=0.0)
        return max(inner.width, spread), inner.height + strip
    if box.kind != "layer":
        return max(len(box.title) * BOLD + 2 * PAD, labels), PILL + strip
    return max(_box_width(box), labels), BOX + strip


def _outlets(i: int, box: Box, arrows: tuple[Arrow, ...], inner: _Sheet | None, nested: bool) -> dict:
    """Where a box's arrays come out: one place for each array, as wide as its label."""
    if nested and box.kind == "input":
        return {}
    keys = sorted({(a.output, a.label) for a in arrows if a.source == i})
    if inner is not None and len({output for output, _ in keys}) == len(keys):
        return {key: inner.port("output", key[0]) for key in keys}
    widths = [_label_width(label) for _, label in keys]
    left, made = -(sum(widths) + 8 * (len(keys) - 1)) / 2, {}
    left += inner.port("output", 0) if inner is not None else 0.0
    for key, width in zip(keys, widths, strict=True):
        made[key] = left + width / 2
        left += width + 8
    return made


def _links(plan: Plan, inner: dict[int, _Sheet], outlets: list[dict]) -> list[Link]:
    """The arrows with the places where they leave, and where they enter a model that is open."""
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
        yield f'<path class="way" d="{path(way)}"/>'
    for i, box in enumerate(sheet.plan.boxes):
        (middle, center), (_, height) = sheet.layout.places[i], sheet.sizes[i]
        top = y + center - height / 2
        if nested and box.kind != "layer":
            yield from _port(box, x + middle, y, sheet)
            continue
        if i in sheet.inner:
            yield from _model(box, sheet.inner[i], x + middle, top)
        else:
            yield from _leaf(box, x + middle, top)
        for (_, label), shift in sheet.outlets[i].items():
            yield _text(x + middle + shift, top + height - 4, label)


def _leaf(box: Box, middle: float, top: float) -> Iterator[str]:
    if box.kind != "layer":
        width = len(box.title) * BOLD + 2 * PAD
        yield _rect("box", middle - width / 2, top, width, PILL, 12)
        yield _text(middle, top + 16.5, box.title, "title")
        return
    width = _box_width(box)
    left = middle - width / 2
    yield f"<g><title>{escape(box.told)}</title>"
    yield _rect("box", left, top, width, BOX, 4)
    if box.params:
        kind = "train" if box.trainable else "frozen"
        yield _rect(kind, left, top, 4, BOX, 2)
    yield f'<text class="title" x="{middle:.1f}" y="{top + 16.5:.1f}">{_titled(box)}</text>'
    yield f'<text x="{middle:.1f}" y="{top + 31.5:.1f}">{_facts(box)}</text></g>'


def _model(box: Box, sheet: _Sheet, middle: float, top: float) -> Iterator[str]:
    left = middle - sheet.width / 2
    yield _rect("model", left, top, sheet.width, sheet.height, 8)
    at = f'class="left" x="{left + sheet.title:.1f}"'
    yield f'<text {at} y="{top + 17:.1f}"><tspan class="title">{_titled(box)}</tspan></text>'
    yield f'<text {at} y="{top + 32:.1f}">{_facts(box)}</text>'
    yield from _drawn(sheet, left + PAD, top + HEADER, nested=True)


def _port(box: Box, x: float, y: float, sheet: _Sheet) -> Iterator[str]:
    """An input or output of a model inside another: a point on its frame, with a name where there are several."""
    edge = y - HEADER if box.kind == "input" else y + sheet.layout.height + PAD
    yield f'<circle class="port" cx="{x:.1f}" cy="{edge:.1f}" r="3"/>'
    if _names(sheet.plan):
        yield _text(x, edge + (LINE if box.kind == "input" else -8), box.title)


def _names(plan: Plan) -> bool:
    """Whether the inputs and outputs of a model inside another need names to be told apart."""
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
    place = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place} rx="{round}"/>'


def _titled(box: Box) -> str:
    return escape(box.title) + (f'<tspan class="brief" dx="5">{escape(box.brief)}</tspan>' if box.brief else "")


def _facts(box: Box) -> str:
    text = escape(box.facts)
    if box.calls > 1:
        plain, _, told = text.rpartition(", ")
        text = f'{plain}, <tspan class="shared">{told}</tspan>'
    return text


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text{kind and f" class={chr(34)}{kind}{chr(34)}"} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _label_width(label: str) -> float:
    return len(label) * FIXED + 4


def _box_width(box: Box) -> float:
    return max(_title_width(box), 64.0) + 2 * PAD


def _title_width(box: Box) -> float:
    return max((len(box.title) + len(box.brief)) * BOLD + 5 * bool(box.brief), len(box.facts) * FIXED)
