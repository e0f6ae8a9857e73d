"""Histograms of a model's weights."""

import os
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.show.figure import BLUE, VERMILION, finished, plain, plots
from fnlayers.trees import paths

_COLUMNS = 4


def weights(params: Any, path: str | os.PathLike | None = None, *, bins: int = 40) -> Any:
    """Draw how the numbers of each array are spread, with their mean and standard deviation.

    Works for gradients, updates or state as well: for any tree of arrays. NaN and infinity are counted, not drawn.

    Arguments:
        params: a tree of arrays, as init draws it.
        path: where to save the figure too; its ending says the format.
        bins: how many bars a histogram has.

    Returns:
        A matplotlib.figure.Figure, which `save(path)` writes too. A notebook shows it; nothing global is touched.

    Raises:
        MissingError: where matplotlib is not installed.
        ConfigError: where there is nothing to draw.

    Example:
        >>> figure = weights({"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}})
        >>> [axes.get_title() for axes in figure.axes]
        ['dense/bias', 'dense/kernel']
    """
    arrays = {name: np.asarray(jnp.asarray(a, "float32")) for name, a in paths(params).items() if jnp.size(a)}
    if not arrays:
        raise ConfigError("show.weights: there is no array in the tree; pass what model.init returned")
    figure, all_axes = plots("show.weights", len(arrays), _COLUMNS, 3.3, 2.3)
    for axes, (name, values) in zip(all_axes, arrays.items(), strict=True):
        finite = values[np.isfinite(values)]
        axes.hist(finite, bins=bins, color=BLUE)
        if finite.size:
            axes.axvline(finite.mean(), color=VERMILION, linestyle="--", linewidth=1.4)
        axes.set_title(_title(name), fontsize=9)
        axes.set_xlabel(_caption(values, finite), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.xaxis.get_major_locator().set_params(nbins=5)
        plain(axes)
    return finished(figure, path)


def _title(name: str) -> str:
    """The name in one line, or in two where it would run into the next one's."""
    container, _, last = name.rpartition("/")
    return name if len(name) <= 40 else f"{container}/\n{last}"


def _caption(values: np.ndarray, finite: np.ndarray) -> str:
    """The shape, the mean and standard deviation, and what could not be drawn."""
    lines = [str(values.shape)]
    if finite.size:
        lines.append(f"mean {finite.mean():.2g}, deviation {finite.std():.2g}")
    if finite.size < values.size:
        lines.append(f"{values.size - finite.size:,} not finite")
    return "\n".join(lines)
