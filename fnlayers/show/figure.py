"""What all figures share: matplotlib, imported when the first is drawn, and colors that the color-blind distinguish."""

import os
from typing import Any

from fnlayers.core.errors import MissingError

# Of Okabe and Ito's palette; line styles tell the same in print.
BLUE, VERMILION, GRAY = "#0072B2", "#D55E00", "#6E7781"


def new_figure(who: str, width: float, height: float) -> Any:
    """An empty `Drawing`, a matplotlib.figure.Figure, of that size in inches; nothing global is touched."""
    try:
        from matplotlib.figure import Figure  # noqa: F401

        from fnlayers.show.drawing import new
    except ImportError as error:
        raise MissingError(f"{who} draws with matplotlib; install it: pip install 'fnlayers[plot]'") from error
    return new(width, height)


def plots(who: str, count: int, columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure of `count` plots, at most so many in a row, each of that size in inches, and their axes."""
    columns = min(count, columns)
    rows = -(-count // columns)
    figure = new_figure(who, width * columns, height * rows)
    return figure, [figure.add_subplot(rows, columns, position + 1) for position in range(count)]


def plain(axes: Any) -> None:
    """A light grid, and no frame above and to the right."""
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def finished(figure: Any, path: str | os.PathLike | None) -> Any:
    """The figure, saved where a path is given."""
    if path is not None:
        figure.save(path)
    return figure
