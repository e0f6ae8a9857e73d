"""Curves of a training history."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.show.figure import BLUE, VERMILION, finished, plain, plots

_STYLES: dict[str, dict[str, Any]] = {
    "train": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "validation": {"color": VERMILION, "linestyle": "--", "marker": "s"},
}
_NOT_METRICS = ("seconds",)


def history(history: Any, path: str | os.PathLike | None = None) -> Any:
    """Draw the loss and each metric over the epochs, training and validation in one plot.

    Arguments:
        history: what fit returns, or its `history`: name -> one number an epoch. "val_loss" is drawn with "loss";
            "seconds" is left out.
        path: where to save the figure too; its ending says the format.

    Returns:
        A matplotlib.figure.Figure, which `save(path)` writes too. A notebook shows it; nothing global is touched.

    Raises:
        MissingError: where matplotlib is not installed.
        ConfigError: where there is nothing to draw.

    Example:
        >>> figure = history({"loss": [0.9, 0.5], "val_loss": [1.0, 0.7], "seconds": [2.1, 1.9]})
        >>> [line.get_label() for line in figure.axes[0].get_lines()]
        ['train', 'validation']
    """
    curves = _curves(getattr(history, "history", history))
    figure, all_axes = plots("show.history", len(curves), 3, 4.8, 3.6)
    from matplotlib.ticker import MaxNLocator

    for axes, (name, parts) in zip(all_axes, curves.items(), strict=True):
        for part, values in parts.items():
            marked = len(values) <= 40  # more would hide the line
            style = _STYLES[part] if marked else {**_STYLES[part], "marker": ""}
            axes.plot(range(1, len(values) + 1), values, label=part, linewidth=1.8, markersize=4, **style)
        axes.set(title=name, xlabel="epoch", xlim=(0.5, max(map(len, parts.values())) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        plain(axes)
        axes.legend(framealpha=0.85, edgecolor="none", handlelength=3)
    return finished(figure, path)


def _curves(history: Mapping[str, Iterable[float]]) -> dict[str, dict[str, list[float]]]:
    """{"loss": {"train": [...], "validation": [...]}, ...}, the loss first."""
    if not isinstance(history, Mapping):
        raise ConfigError(
            f"show.history takes what fit returns, or a dict of lists such as its history; got {type(history).__name__}"
        )
    curves: dict[str, dict[str, list[float]]] = {}
    for key, values in history.items():
        name, part = (key[4:], "validation") if key.startswith("val_") else (key, "train")
        if not isinstance(values, Iterable):
            raise ConfigError(f"show.history: {key!r} is {values!r}; give one number an epoch: [{values!r}]")
        values = list(values)
        if name not in _NOT_METRICS and len(values):
            curves.setdefault(name, {})[part] = [float(value) for value in values]
    if not curves:
        raise ConfigError(f"show.history: there is nothing to draw in {dict(history)!r}; train for an epoch first")
    ordered = sorted(curves, key=lambda name: name != "loss")
    return {name: {part: curves[name][part] for part in _STYLES if part in curves[name]} for name in ordered}
