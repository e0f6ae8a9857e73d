"""The page of all activations: each with its curve, its formula, its arguments and an example."""

import docstrings

import fnlayers as fl
from fnlayers.functions.activations import ACTIVATIONS
from fnlayers.show.curves import Curve
from fnlayers.show.page import LOOKS, chart, legend
from fnlayers.show.paint import Color

PATH = "activations/all.md"


def page() -> str:
    """The text of the page."""
    curves = fl.show.activations().curves
    lines = [
        "# All activations",
        "",
        f"{len(curves)} functions. A layer's `activation` argument takes their names, as in `fl.Dense(8, 'relu')`, or "
        "the functions, such as `fl.activations.relu`. Each curve is measured from the function. "
        "[Which activation for which task](../activations.md) has advice and measurements.",
        "",
        legend(),
        "",
    ]
    for curve in curves:
        lines += _section(curve)
    return "\n".join(lines) + "\n"


def _section(curve: Curve) -> list[str]:
    """What the page says of one: the names that mean the same stand in its heading."""
    name = curve.name.split()[0].strip(",")
    function = ACTIVATIONS[name]
    doc = docstrings.read(function)
    facts = "; ".join(curve.facts)
    lines = [f"## {docstrings.prose(curve.name)}", "", docstrings.prose(doc.summary), ""]
    lines += [f'<div class="curve" markdown="0">{chart(curve)}</div>', ""]
    drawn = f" Drawn: `{curve.description}`." if curve.description else ""
    lines += [f"*{docstrings.prose(facts[0].upper() + facts[1:])}.*{drawn}", ""]
    if doc.paragraphs:
        lines += [docstrings.prose(doc.paragraphs), ""]
    options = {n: text for n, text in docstrings.arguments(doc.sections.get("Arguments", "")).items() if n != "x"}
    if options:
        lines += [docstrings.argument_list("\n".join(f"{n}: {text}" for n, text in options.items())), ""]
    if "Example" in doc.sections:
        lines += ["```python", docstrings.program(doc.sections["Example"], function), "```", ""]
    return lines


def dark_style() -> str:
    """The colors of the curves under the site's dark scheme, which a reader may choose against the system's."""
    rules = []
    for kind, look in LOOKS.items():
        for scheme in ("default", "slate"):
            colors = [
                f"{name}: {value.dark if scheme == 'slate' else value.light}"
                for name, value in look.items()
                if isinstance(value, Color)
            ]
            if colors:
                rules.append(f'[data-md-color-scheme="{scheme}"] .fl-chart .{kind} {{ {"; ".join(colors)} }}')
    return "\n".join(rules) + "\n"
