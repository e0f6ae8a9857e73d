"""What all figures share: matplotlib, imported when the first is drawn, and colors that the color-blind distinguish."""

import os
from collections.abc import Collection
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError, MissingError

# Of Okabe and Ito's palette; line styles tell the same in print.
BLUE, VERMILION, GRAY = "#0072B2", "#D55E00", "#6E7781"


def check_counts(verb: str, **counts: Any) -> None:
    """Raise ConfigError for what is no number of things to draw; `verb` is the function that asks."""
    for name, count in counts.items():
        if not (isinstance(count, int) and count > 0):
            raise ConfigError(f"{verb}({name}={count!r}): give a whole number above 0")


def check_example(verb: str, example: Any, sizes: Collection[int]) -> None:
    """Raise ConfigError for what is no position in batches of those sizes."""
    if not isinstance(example, (int, np.integer)) or not all(-n <= example < n for n in sizes):
        raise ConfigError(f"{verb}(example={example!r}): the batch holds {min(sizes, default=0)}, counted from 0")


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
