"""The colors of our SVG: plain attributes for every renderer, and a dark scheme on top for those that know one.

CairoSVG, LaTeX, office programs and older editors know neither CSS variables nor media queries: they draw what the
attributes say. A style sheet wins over attributes, so ours holds the dark scheme alone.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Color(NamedTuple):
    """A color on a light ground, and the one that stands for it on a dark one."""

    light: str
    dark: str


# Blue and vermilion of Okabe and Ito's palette, lighter on dark.
PAPER, INK, SOFT = Color("#ffffff", "#0d1117"), Color("#1b1f24", "#e6edf3"), Color("#57606a", "#a3adb8")
BLUE, VERMILION, LINE = Color("#0072b2", "#56b4e9"), Color("#b34a00", "#f0a04b"), Color("#6e7781", "#8b949e")

Look = Mapping[str, "Color | str"]  # of one kind of element: SVG attribute -> its value


def attributes(kind: str, look: Look) -> str:
    """An element's class and plain attributes.

    >>> attributes("paper", {"fill": PAPER})
    'class="paper" fill="#ffffff"'
    """
    attributes = {name: value.light if isinstance(value, Color) else value for name, value in look.items()}
    return " ".join(f'{name}="{value}"' for name, value in {"class": kind, **attributes}.items())


def dark_scheme(scope: str, looks: Mapping[str, Look]) -> str:
    """The style sheet of the dark scheme, for elements inside the class `scope`.

    >>> dark_scheme("fl-graph", {"paper": {"fill": PAPER}})
    '@media (prefers-color-scheme: dark) { :is(.fl-graph) .paper { fill: #0d1117 } }'
    """
    rules = []
    for kind, look in looks.items():
        colors = "; ".join(f"{name}: {value.dark}" for name, value in look.items() if isinstance(value, Color))
        # `:is` keeps out LibreOffice, which takes rules in a media query as if they stood alone
        rules.append(f":is(.{scope}) .{kind} {{ {colors} }}" if colors else "")
    return f"@media (prefers-color-scheme: dark) {{ {' '.join(filter(None, rules))} }}"
