"""Arrays as rows of a figure, all in one scale: images by channel, sequences as maps, vectors as bars."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fnlayers.show.figure import GRAY, finished, new_figure, plain

COLORS = "RdBu_r"  # of Cynthia Brewer's; the color-blind distinguish its ends, and 0 is white
FEW = 12  # up to that many bars have their numbers next to them, and are slim
MANY = 200  # bars; of more only the outline is drawn
GAP = "#d0d4d9"  # between channels
UNEQUAL = 25.0  # rows that differ more than that in size are drawn in a logarithmic scale
HATCH: dict[str, Any] = {"facecolor": "#00000022", "edgecolor": GRAY, "hatch": "////", "linewidth": 0}


@dataclass(frozen=True, eq=False)
class Row:
    """One array of a model, of one example.

    Arguments:
        name: the path of the layer that returns it, "path (call 2)" where that is called again; or an input's name.
        array: as it is, in NumPy.
        mask: True where a step is real, or None.
    """

    name: str
    array: np.ndarray
    mask: np.ndarray | None = None


def draw(rows: Sequence[Row], channels: int, path: str | os.PathLike | None) -> Any:
    """The figure: the scale's color bar, then the rows.

    Places are reckoned, in inches: a layout that measures all text takes minutes for a hundred layers.
    """
    labels = [_label(row) for row in rows]
    left = 0.55 + 0.068 * max(len(line) for label in labels for line in label.split("\n"))
    width = left + 1.25 * min(channels, 8) + 0.2
    height = 0.6 + sum(_height(row.array) + _gap(row.array) for row in rows)
    figure = new_figure("show.features", width, height)
    figure.set_layout_engine("none")

    def axes_at(top: float, tall: float) -> Any:
        return figure.add_axes((left / width, 1 - (top + tall) / height, 1 - (left + 0.2) / width, tall / height))

    scale, top = _scale([row.array.astype("float32") for row in rows if _is_number(row.array)]), 0.6
    for row, label in zip(rows, labels, strict=True):
        axes, tall = axes_at(top, _height(row.array)), _height(row.array)
        _draw(axes, row, scale, channels)
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        middle = ((left - 0.45) / width, 1 - (top + tall / 2) / height)
        axes.yaxis.set_label_coords(*middle, transform=figure.transFigure)
        top += tall + _gap(row.array)
    bar = figure.colorbar(scale, cax=axes_at(0.15, 0.12), orientation="horizontal", extend="both")
    bar.ax.tick_params(labelsize=7)
    return finished(figure, path)


def _scale(arrays: Sequence[np.ndarray]) -> Any:
    """From values to colors: as far up as down, so that 0 is in the middle; outliers are cut off."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, SymLogNorm

    sizes = [np.abs(a[np.isfinite(a)]) for a in arrays]
    tops = [float(np.quantile(a, 0.995)) or float(a.max()) for a in sizes if a.size and a.max() > 0]
    top = max(tops, default=1.0)
    small = max(min(tops, default=1.0), top * 1e-6)
    norm = Normalize(-top, top) if top <= UNEQUAL * small else SymLogNorm(small / 4, vmin=-top, vmax=top)
    return ScalarMappable(norm, COLORS)


def _draw(axes: Any, row: Row, scale: Any, channels: int) -> None:
    array = row.array
    if array.dtype.kind not in "fiubV":  # text
        axes.text(0.0, 0.5, str(array), fontsize=8, va="center")
        axes.set_axis_off()
    elif array.ndim >= 3:
        _image(axes, _mosaic(array, channels), scale if _is_number(array) else None)
    elif array.ndim == 2:  # time to the right, features upward
        _image(axes, array.astype("float32").T, scale if _is_number(array) else None, aspect="auto", origin="lower")
        _hatch(axes, row.mask)
    else:
        _bars(axes, array.ravel(), scale)
        _hatch(axes, row.mask)


def _mosaic(array: np.ndarray, channels: int) -> np.ndarray:
    """The first channels side by side; of volumes the slice in the middle."""
    while array.ndim > 3:
        array = array[len(array) // 2]
    maps = array.astype("float32")[..., :channels]
    times = max(1, 48 // max(1, min(maps.shape[:2])))  # small maps are enlarged, so that gaps can be narrow
    maps = maps.repeat(times, 0).repeat(times, 1)
    gap = np.full((len(maps), max(1, maps.shape[1] // 16)), np.nan, "float32")
    return np.concatenate([part for i in range(maps.shape[-1]) for part in (maps[..., i], gap)][:-1], axis=1)


def _image(axes: Any, image: np.ndarray, scale: Any, **options: Any) -> None:
    colors = {"norm": scale.norm, "cmap": scale.cmap} if scale else {"cmap": "gray"}
    axes.imshow(image, interpolation="nearest", **colors, **options)
    axes.set_anchor("W")
    axes.set_facecolor(GAP)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _bars(axes: Any, array: np.ndarray, scale: Any) -> None:
    """Bars in the colors of their values; of few numbers slim ones, with the numbers."""
    number, count, values = _is_number(array), array.size, array.astype("float32")
    if count <= MANY:
        color = scale.to_rgba(values) if number else GRAY
        axes.bar(np.arange(count), values, 0.35 if count <= FEW else 0.8, color=color, edgecolor=GRAY, linewidth=0.4)
    else:  # thousands of single bars would take seconds
        axes.stairs(values, np.arange(count + 1) - 0.5, fill=True, color=GRAY)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xlim(-0.6, max(count, FEW) - 0.4)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if number:
        norm = scale.norm
        if hasattr(norm, "linthresh"):
            axes.set_yscale("symlog", linthresh=norm.linthresh)
        axes.set_ylim(norm.vmin, norm.vmax)
        axes.set_yticks([norm.vmin, 0, norm.vmax], [f"{norm.vmin:.2g}", "0", f"{norm.vmax:.2g}"])
        axes.minorticks_off()
    for i, value in enumerate(values if count <= FEW else ()):
        position = (i, float(np.clip(np.nan_to_num(value), 0, axes.get_ylim()[1])))
        text = f"{value:.3g}" if number else str(array[i])
        axes.annotate(text, position, (0, 1), textcoords="offset points", ha="center", fontsize=7)
    axes.tick_params(labelsize=7)
    plain(axes)


def _hatch(axes: Any, mask: np.ndarray | None) -> None:
    """The steps that are padding."""
    for step in np.flatnonzero(~np.asarray(mask, bool).reshape(-1)) if mask is not None else ():
        axes.axvspan(step - 0.5, step + 0.5, **HATCH)


def _height(array: np.ndarray) -> float:
    return 1.25 if array.ndim >= 2 else 0.85


def _gap(array: np.ndarray) -> float:
    return 0.15 if array.ndim >= 2 else 0.38  # bars have numbers above and below


def _is_number(array: np.ndarray) -> bool:
    """Numbers on a scale, of any precision, as against counts, classes and text."""
    return array.dtype.kind in "fV"


def _label(row: Row) -> str:
    """The name, the shape, and what is out of the ordinary."""
    lines = [row.name, str(row.array.shape)]
    if row.mask is not None and not np.all(row.mask):
        lines.append(f"{int(np.sum(~np.asarray(row.mask, bool)))} of {np.size(row.mask)} steps masked")
    if _is_number(row.array) and not (finite := np.isfinite(row.array.astype("float32"))).all():
        lines.append(f"{int(np.sum(~finite)):,} not finite")
    return "\n".join(lines)
