"""The gallery of activations as one HTML page: charts in SVG, no scripts, nothing to fetch."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from fnlayers.show.curves import FLAT, Curve

WIDTH, HEIGHT = 320.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 30.0, 8.0, 8.0, 22.0

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --card: #f6f8fa; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de;
  --curve: #0072b2; --slope: #d55e00; --flat: #6e778126; --far: #6e7781 }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --card: #161b22; --ink: #e6edf3; --soft: #a3adb8;
  --line: #30363d; --curve: #56b4e9; --slope: #f0a04b; --flat: #8b949e33; --far: #a3adb8 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1500px; padding: 1.2rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .4rem }
.legend { color: var(--soft); display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin-bottom: 1rem }
.legend svg { width: 34px; height: 12px; vertical-align: middle; margin-right: .4rem }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 1rem }
article { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem; min-width: 0 }
h2 { font: 600 1rem ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: 0 0 .4rem;
  overflow-wrap: anywhere }
article svg { display: block; width: 100%; height: auto }
p { margin: .5rem 0 0; font-size: .87rem; overflow-wrap: anywhere }
.facts { color: var(--soft) }
.grid { stroke: var(--line); stroke-width: .6 }
.axis { stroke: var(--far); stroke-width: 1 }
.number { fill: var(--soft); font-size: 10px }
.flat { fill: var(--flat) }
.far, .curve, .slope { fill: none; stroke-linejoin: round }
.far { stroke: var(--far); stroke-width: 1.5; stroke-dasharray: 1.5 3.5; stroke-linecap: round }
.curve { stroke: var(--curve); stroke-width: 2.2 }
.slope { stroke: var(--slope); stroke-width: 1.6; stroke-dasharray: 6 3.5 }
"""

LEGEND = """
<span><svg><path class="curve" d="M0 6H34"/></svg>activation</span>
<span><svg><path class="slope" d="M0 6H34"/></svg>derivative</span>
<span><svg><path class="far" d="M1 6H34"/></svg>asymptote</span>
<span><svg><rect class="flat" width="34" height="12"/></svg>flat: |slope| &lt; {flat}</span>
"""


def gallery_page(curves: Sequence[Curve]) -> str:
    """The whole page."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Activations</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Activations</h1>
<div class="legend">{LEGEND.format(flat=FLAT)}</div>
<main>
{"".join(map(_article, curves))}</main>
</body>
</html>
"""


def _article(curve: Curve) -> str:
    drawn = f"<p>Drawn: {escape(curve.told)}</p>\n" if curve.told else ""
    formula = f"<p>{escape(curve.formula)}</p>\n" if curve.formula else ""
    facts = "; ".join(curve.facts)
    return (
        f"<article>\n<h2>{escape(curve.name)}</h2>\n{_chart(curve)}\n{formula}{drawn}"
        f'<p class="facts">{escape(facts[0].upper() + facts[1:])}.</p>\n</article>\n'
    )


def _chart(curve: Curve) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(curve.name)} and its derivative">'
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
        yield f'<rect class="flat" x="{left:.1f}" y="{TOP:g}" width="{width:.1f}" height="{inner_height:g}"/>'
    for x in _ticks(-edge, edge):
        kind = "axis" if x == 0 else "grid"
        yield f'<path class="{kind}" d="M{across(x):.1f} {TOP:g}V{HEIGHT - BOTTOM:g}"/>'
        yield _number(across(x), HEIGHT - 7, x, "middle")
    for y in _ticks(low, high):
        kind = "axis" if y == 0 else "grid"
        yield f'<path class="{kind}" d="M{LEFT:g} {down(y):.1f}H{WIDTH - RIGHT:g}"/>'
        yield _number(LEFT - 5, down(y) + 3.5, y, "end")
    view = f'<svg x="{LEFT:g}" y="{TOP:g}" width="{inner_width:g}" height="{inner_height:g}" viewBox="{LEFT:g} {TOP:g} '
    yield f'{view}{inner_width:g} {inner_height:g}">'
    for line in curve.asymptotes:
        end = line.side * edge
        yield (
            f'<path class="far" d="M{across(0):.1f} {down(line.height):.1f}'
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
        yield f'<path class="{kind}" d="{"".join(points)}"/>'
    yield "</svg>"


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, five to eight of them."""
    step = next(s * 10.0**e for e in range(-4, 9) for s in (1, 2, 5) if (high - low) / (s * 10.0**e) <= 7)
    return [n * step for n in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1)]


def _number(x: float, y: float, value: float, anchor: str) -> str:
    return f'<text class="number" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{value:g}</text>'
