"""What all figures share: matplotlib, imported when the first is drawn, and colors that the color-blind tell apart."""

import io
import os
from typing import Any

from fnlayers.core.errors import MissingError

# Of Okabe and Ito's palette; line styles tell the same in print.
BLUE, VERMILION, GRAY = "#0072B2", "#D55E00", "#6E7781"


def new_figure(who: str, width: float, height: float) -> Any:
    """An empty matplotlib.figure.Figure of that size in inches; nothing global is touched."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingError(f"{who} draws with matplotlib; install it: pip install 'fnlayers[plot]'") from error
    figure: Any = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return figure


def plain(axes: Any) -> None:
    """A light grid, and no frame above and to the right."""
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def finished(figure: Any, path: str | os.PathLike | None) -> Any:
    """The figure, saved where a path is given: as PNG, or as SVG or PDF by the name's ending."""
    if path is not None:
        figure.savefig(path, dpi=150)
    # a notebook draws figures by itself only after pyplot was imported, and this is how it draws any object
    figure._repr_png_ = lambda: _png(figure)
    return figure


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
