"""The gallery of activations as one HTML page: charts in SVG, no scripts, nothing to fetch."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from fnlayers.plain_data import FrozenDict
from fnlayers.show.curves import FLAT, Curve
from fnlayers.show.paint import BLUE, INK, LINE, PAPER, SOFT, Color, Look, attributes, dark_scheme
from fnlayers.show.picture import page

WIDTH, HEIGHT = 320.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 30.0, 8.0, 8.0, 22.0

LOOKS: Mapping[str, Look] = FrozenDict(
    grid={"stroke": Color("#d0d7de", "#30363d"), "stroke-width": "0.6"},
    axis={"stroke": LINE, "stroke-width": "1"},
    number={"fill": SOFT, "font-size": "10", "font-family": "Helvetica, Arial, sans-serif"},
    flat={"fill": LINE, "fill-opacity": "0.16"},
    far={
        "fill": "none",
        "stroke": LINE,
        "stroke-width": "1.5",
        "stroke-dasharray": "1.5 3.5",
        "stroke-linecap": "round",
    },
    curve={"fill": "none", "stroke": BLUE, "stroke-width": "2.2", "stroke-linejoin": "round"},
    slope={
        "fill": "none",
        "stroke": Color("#d55e00", "#f0a04b"),
        "stroke-width": "1.6",
        "stroke-dasharray": "6 3.5",
        "stroke-linejoin": "round",
    },
)
AS = FrozenDict({kind: attributes(kind, look) for kind, look in LOOKS.items()})

STYLE = f"""
:root {{ color-scheme: light dark }}
* {{ box-sizing: border-box }}
body {{ margin: 0 auto; max-width: 1500px; padding: 1.2rem; background: {PAPER.light}; color: {INK.light};
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif }}
h1 {{ font-size: 1.5rem; margin: 0 0 .4rem }}
.legend {{ display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin-bottom: 1rem }}
.legend svg {{ width: 34px; height: 12px; vertical-align: middle; margin-right: .4rem }}
.legend, .facts {{ color: {SOFT.light} }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 1rem }}
article {{ background: #f6f8fa; border: 1px solid #d0d7de; border-radius: 8px; padding: .8rem; min-width: 0 }}
h2 {{ font: 600 1rem ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: 0 0 .4rem;
  overflow-wrap: anywhere }}
article svg {{ display: block; width: 100%; height: auto }}
p {{ margin: .5rem 0 0; font-size: .87rem; overflow-wrap: anywhere }}
@media (prefers-color-scheme: dark) {{ body {{ background: {PAPER.dark}; color: {INK.dark} }}
  .legend, .facts {{ color: {SOFT.dark} }} article {{ background: #161b22; border-color: #30363d }} }}
{dark_scheme("fl-chart", LOOKS)}
"""


def gallery_page(curves: Sequence[Curve]) -> str:
    """The whole page."""
    charts = "".join(map(_article, curves))
    return page("Activations", f"<h1>Activations</h1>\n{legend()}\n<main>\n{charts}</main>", STYLE)


def legend() -> str:
    """What the lines of a chart are, in the class legend."""
    shapes = {
        "activation": f'<path {AS["curve"]} d="M0 6H34"/>',
        "derivative": f'<path {AS["slope"]} d="M0 6H34"/>',
        "asymptote": f'<path {AS["far"]} d="M1 6H34"/>',
        f"flat: |slope| &lt; {FLAT}": f'<rect {AS["flat"]} width="34" height="12"/>',
    }
    shown = "\n".join(f'<span><svg class="fl-chart">{shape}</svg>{text}</span>' for text, shape in shapes.items())
    return f'<div class="legend">{shown}</div>'


def _article(curve: Curve) -> str:
    drawn = f"<p>Drawn: {escape(curve.description)}</p>\n" if curve.description else ""
    formula = f"<p>{escape(curve.formula)}</p>\n" if curve.formula else ""
    facts = "; ".join(curve.facts)
    return (
        f"<article>\n<h2>{escape(curve.name)}</h2>\n{chart(curve)}\n{formula}{drawn}"
        f'<p class="facts">{escape(facts[0].upper() + facts[1:])}.</p>\n</article>\n'
    )


def chart(curve: Curve) -> str:
    """One curve with its derivative, as SVG in the class fl-chart."""
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" xmlns="http://www.w3.org/2000/svg" class="fl-chart" role="img" '
        f'aria-label="{escape(curve.name)} and its derivative">'
        f"{''.join(_elements(curve))}</svg>"
    )


def _elements(curve: Curve) -> Iterator[str]:
    """From the back to the front: shading, grid, asymptotes, curves; whatever leaves the view is cut off."""
    edge, (low, high) = curve.edge, curve.view
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(x: float) -> float:
        return LEFT + (x + edge) / (2 * edge) * inner_width

    def down(y: float) -> float:
        return TOP + (high - y) / (high - low) * inner_height

    for start, end in curve.flat:
        left, width = across(start), across(end) - across(start)
        yield f'<rect {AS["flat"]} x="{left:.1f}" y="{TOP:g}" width="{width:.1f}" height="{inner_height:g}"/>'
    for x in _ticks(-edge, edge):
        kind = "axis" if x == 0 else "grid"
        yield f'<path {AS[kind]} d="M{across(x):.1f} {TOP:g}V{HEIGHT - BOTTOM:g}"/>'
        yield _number(across(x), HEIGHT - 7, x, "middle")
    for y in _ticks(low, high):
        kind = "axis" if y == 0 else "grid"
        yield f'<path {AS[kind]} d="M{LEFT:g} {down(y):.1f}H{WIDTH - RIGHT:g}"/>'
        yield _number(LEFT - 5, down(y) + 3.5, y, "end")
    view = f'<svg x="{LEFT:g}" y="{TOP:g}" width="{inner_width:g}" height="{inner_height:g}" viewBox="{LEFT:g} {TOP:g} '
    yield f'{view}{inner_width:g} {inner_height:g}">'
    for line in curve.asymptotes:
        end = line.side * edge
        yield (
            f'<path {AS["far"]} d="M{across(0):.1f} {down(line.height):.1f}'
            f'L{across(end):.1f} {down(line.slope * end + line.height):.1f}"/>'
        )
    for kind, values in (("curve", curve.y), ("slope", curve.slope)):
        points, pen = [], "M"
        for x, y in zip(curve.x, values, strict=True):
            if np.isnan(y):
                pen = "M"
            else:
                points.append(f"{pen}{across(float(x)):.1f} {down(min(max(float(y), low - 9), high + 9)):.1f}")
                pen = "L"
        yield f'<path {AS[kind]} d="{"".join(points)}"/>'
    yield "</svg>"


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, five to eight of them."""
    step = next(s * 10.0**e for e in range(-4, 9) for s in (1, 2, 5) if (high - low) / (s * 10.0**e) <= 7)
    return [n * step for n in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1)]


def _number(x: float, y: float, value: float, anchor: str) -> str:
    return f'<text {AS["number"]} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{value:g}</text>'
