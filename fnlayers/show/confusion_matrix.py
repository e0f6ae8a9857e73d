"""A confusion matrix as a picture."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.show.figure import finished, new_figure

_WITH_NUMBERS = 20  # classes; of more there is no room for a number in each square


def confusion_matrix(
    matrix: Any, names: Sequence[str] | None = None, path: str | os.PathLike | None = None, *, counts: bool = False
) -> Any:
    """Draw how often each class is predicted for each; what is right lies on the diagonal.

    Each square is colored by its fraction of its row: of the examples of that class, how many were taken for which. So
    a rare class is as easy to see as a frequent one.

    Arguments:
        matrix: (n, n); row i, column j is how many examples of class i were taken for j, as
            `fl.metrics.ConfusionMatrix` counts them, or its nested lists in the logs of `evaluate` and `fit`.
        names: n names of the classes; None: their numbers.
        path: where to save the figure too; its ending says the format.
        counts: whether to write each square's count instead of its percentage. With more than 20 classes neither is
            written.

    Returns:
        A matplotlib.figure.Figure, which `save(path)` writes too. A notebook shows it; nothing global is touched.

    Raises:
        MissingError: where matplotlib is not installed.
        ConfigError: for a matrix that is not square or holds less than nothing, and names that are not n.

    Example:
        >>> figure = confusion_matrix([[8, 2], [1, 9]], ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['80', '20', '10', '90']
    """
    matrix = _checked(matrix)
    count = len(matrix)
    names = [str(i) for i in range(count)] if names is None else [str(name) for name in names]
    if len(names) != count:
        raise ConfigError(f"show.confusion_matrix: the matrix has {count} classes, and there are {len(names)} names")
    fractions = matrix / np.maximum(matrix.sum(1, keepdims=True), np.finfo("float64").tiny)
    longest = max(map(len, names))
    side = 1.4 + 0.08 * longest + (0.45 if count <= _WITH_NUMBERS else 0.18) * count
    figure = new_figure("show.confusion_matrix", max(3.2, side) + 0.8, max(3.2, side) - 0.2)
    axes = figure.add_subplot()
    image = axes.imshow(100 * fractions, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, label="% of the true class", shrink=0.8)
    upright = longest > 3 or count > _WITH_NUMBERS  # horizontal names would run into one another
    axes.set_xticks(range(count), names, rotation=90 if upright else 0)
    axes.set_yticks(range(count), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if count <= _WITH_NUMBERS:
        written = matrix if counts else 100 * fractions
        for i, j in np.ndindex(matrix.shape):
            color = "white" if fractions[i, j] > 0.55 else "black"
            axes.text(j, i, _number(written[i, j]), ha="center", va="center", color=color, fontsize=8)
    return finished(figure, path)


def _checked(matrix: Any) -> np.ndarray:
    try:
        matrix = np.asarray(matrix, "float64")
    except (TypeError, ValueError) as error:
        raise ConfigError(f"show.confusion_matrix takes a matrix of counts (n, n); got {shortened(matrix)}") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ConfigError(f"show.confusion_matrix takes a matrix of counts (n, n); got one of shape {matrix.shape}")
    if not (np.isfinite(matrix).all() and (matrix >= 0).all()):
        raise ConfigError("show.confusion_matrix: counts are finite and at least 0; some of these are not")
    return matrix


def _number(value: float) -> str:
    """At most three digits and a letter, as there is room for: 0 stays empty, so that mistakes are seen.

    >>> [_number(value) for value in (0, 0.4, 97.5, 1234.0, 56_000)]
    ['', '<1', '98', '1.2k', '56k']
    """
    if value < 0.5:
        return "<1" if value else ""
    return f"{value:.0f}" if value < 1000 else f"{value / 1000:.2g}k" if value < 100_000 else f"{value / 1000:.0f}k"
