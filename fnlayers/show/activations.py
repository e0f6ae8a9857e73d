"""The gallery of activations: each curve with its derivative, as a figure or as a page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.functions.activations import ACTIVATIONS, Activation
from fnlayers.show.curves import FLAT, Curve, curves
from fnlayers.show.figure import BLUE, GRAY, VERMILION, finished, new_figure, plain
from fnlayers.show.page import gallery_page
from fnlayers.show.picture import Picture

_COLUMNS = 4


@dataclass(frozen=True, eq=False)
class Gallery(Picture):
    """Activations as pictures. A notebook shows the figure; `curves` is what it shows, as plain data.

    `save(path)` writes the page to a name that ends in .html, else the figure: .png, .svg or .pdf.
    """

    curves: tuple[Curve, ...]

    @property
    def html(self) -> str:
        """One HTML page that needs nothing else, and follows the reader's light or dark scheme and width."""
        return gallery_page(self.curves)

    def figure(self) -> Any:
        """A matplotlib.figure.Figure of all curves."""
        return _figure(self.curves)

    def _writers(self) -> Mapping[str, Callable[[], bytes]]:
        drawn = {f".{name}": lambda name=name: self.figure()._as(name) for name in ("png", "svg", "pdf")}
        return {**drawn, ".html": lambda: self.html.encode("utf8")}

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()

    def __repr__(self) -> str:
        return f"<Gallery of {', '.join(curve.name for curve in self.curves)}>"


def activations(which: Activation | Sequence[Activation] = None, *, limit: float = 8.0) -> Gallery:
    """Each activation with its derivative; where it is flat is shaded, what it approaches is dotted.

    Arguments:
        which: one, as a layer's `activation` argument takes it, or several; None: all that have a name.
        limit: the curves run from -limit to limit.

    Returns:
        A Gallery: a notebook shows it; `figure()` is for matplotlib, `html` and `save(path)` for the rest.

    Example:
        >>> relu, = activations("relu").curves
        >>> relu.facts
        ('flat for x < 0', 'goes to y = 0 on the left, y = x on the right', 'slope at most 1.00')
    """
    if limit <= 0:
        raise ConfigError(f"show.activations(limit={limit}): give a number above 0")
    if which is None:
        chosen: Sequence[Activation] = list({id(f): name for name, f in reversed(ACTIVATIONS.items())}.values())[::-1]
    elif isinstance(which, str) or callable(which):
        chosen = [which]
    else:
        chosen = list(which)
    if not chosen:
        raise ConfigError("show.activations: there is nothing to draw in an empty list; None is for all")
    return Gallery(curves(chosen, limit))


def _figure(curves: Sequence[Curve]) -> Any:
    rows = -(-len(curves) // _COLUMNS)
    columns = -(-len(curves) // rows)
    alone = len(curves) == 1
    width, height = (6.4, 4.4) if alone else (2.9 * columns, 2.4 * rows + 0.5)
    figure = new_figure("show.activations", width, height)
    for position, drawn in enumerate(curves):
        _draw(figure.add_subplot(rows, columns, position + 1), drawn, 11 if alone else 9)
    handles = {shape.get_label(): shape for axes in figure.axes for shape in [*axes.get_lines(), *axes.patches]}
    shown = {label: handle for label, handle in handles.items() if not label.startswith("_")}
    figure.legend(shown.values(), shown, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return finished(figure, None)


def _draw(axes: Any, drawn: Curve, size: int) -> None:
    for start, end in drawn.flat:
        axes.axvspan(start, end, color=GRAY, alpha=0.16, linewidth=0, label=f"flat: |slope| < {FLAT}")
    for line in drawn.asymptotes:
        x = np.array([0.0, line.side * drawn.edge])
        axes.plot(x, line.slope * x + line.height, color=GRAY, linestyle=":", linewidth=1.4, label="asymptote")
    axes.plot(drawn.x, drawn.y, color=BLUE, linewidth=1.9, label="activation")
    axes.plot(drawn.x, drawn.slope, color=VERMILION, linestyle="--", linewidth=1.4, label="derivative")
    axes.set_title(drawn.description or drawn.name, fontsize=size + 1)
    axes.set(xlim=(-drawn.edge, drawn.edge), ylim=drawn.view)
    axes.tick_params(labelsize=size - 2)
    plain(axes)
