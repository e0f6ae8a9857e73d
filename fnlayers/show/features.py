"""What each layer of a model makes of an input: feature maps, layer by layer."""

import os
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.core.shapes import type_of
from fnlayers.models.functional import Functional, Ref
from fnlayers.show.figure import BLUE, finished, new_figure, plain
from fnlayers.show.inside import calls, opened


def features(
    model: Layer,
    params: Any,
    x: Any,
    path: str | os.PathLike | None = None,
    *,
    state: Any = None,
    mask: Any = None,
    example: int = 0,
    channels: int = 8,
) -> Any:
    """Draw what each layer makes of one example, in inference: images by channel, sequences as maps, vectors as bars.

    Arguments:
        model: a Sequential or Functional; the models inside are opened too.
        params: what `init` drew.
        x: a batch, as for `run`.
        path: where to save the figure too, as PNG, or as SVG or PDF by the name's ending.
        state, mask: as for `run`.
        example: which one of the batch.
        channels: how many channels of an image to draw, the first ones.

    Returns:
        A matplotlib.figure.Figure with a row for each layer. A notebook shows it; nothing global is touched.

    Raises:
        MissingError: where matplotlib is not installed.
        ConfigError: where the model holds no layers.
    """
    made = {
        name: np.asarray(a[example].astype("float32")) for name, a in outputs(model, params, x, state, mask).items()
    }
    figure = new_figure("show.features", 1.25 * channels + 2.0, 0.4 + sum(map(_height, made.values())))
    grid = figure.add_gridspec(len(made), channels, height_ratios=[_height(a) for a in made.values()])
    for row, (name, a) in enumerate(made.items()):
        told = f"{name}\n{a.shape}"
        if a.ndim >= 3:
            _images(figure, grid, row, told, a, channels)
        else:
            axes = figure.add_subplot(grid[row, :])
            _map(axes, a) if a.ndim == 2 else _bars(axes, a.ravel())
            _label(axes, told)
    return finished(figure, path)


def outputs(model: Layer, params: Any, x: Any, state: Any = None, mask: Any = None) -> dict[str, jax.Array]:
    """What each layer inside a model returns for x, by path; of a layer that is called again, "path (call 2)".

    The same graph is run with more outputs, so nothing is hooked into and nothing kept.
    """
    found = _exposed(model, type_of(x))
    if found is None or not found[1]:
        raise ConfigError(
            f"show.features: {type(model).__name__} holds no layers to look into; give a Sequential or Functional"
        )
    graph, names = found
    _, made = graph.apply(params, x, state=state, mask=mask)
    return dict(zip(names, made, strict=True))


def _exposed(layer: Layer, given: Any) -> tuple[Functional, list[str]] | None:
    """The container as a graph that returns (its own output, all its layers' outputs), and the names of the latter."""
    graph = opened(layer, given)
    if graph is None:
        return None
    layers, refs, names = dict(graph.layers), [], []
    turns: dict[str, int] = {}
    for call in calls(graph, given):
        name = call.node.layer
        turns[name] = turns.get(name, 0) + 1
        again = f" (call {turns[name]})" if turns[name] > 1 else ""
        own = len(jax.tree.leaves(call.made))
        inside = _exposed(call.layer, call.given)
        inner: list[str] = []
        if inside is not None:
            layers[name], inner = inside
        if inner:  # what the last of them returns is the container's own
            names += [f"{name}/{path}{again}" for path in inner]
            refs += [Ref(call.position, own + i) for i in range(len(inner))]
        else:
            names += [f"{name}{again}" + (f" [{i}]" if own > 1 else "") for i in range(own)]
            refs += [Ref(call.position, i) for i in range(own)]
    return replace(graph, layers=tuple(layers.items()), outputs=(graph.outputs, tuple(refs))), names


def _height(a: np.ndarray) -> float:
    return 1.25 if a.ndim >= 2 else 0.85


def _images(figure: Any, grid: Any, row: int, told: str, a: np.ndarray, channels: int) -> None:
    """The first channels, all in one scale; of volumes the slice in the middle."""
    while a.ndim > 3:
        a = a[len(a) // 2]
    low, high = float(a.min()), float(a.max())
    for i in range(min(a.shape[-1], channels)):
        axes = figure.add_subplot(grid[row, i])
        axes.imshow(a[..., i], vmin=low, vmax=high, cmap="cividis")
        axes.set_xticks([])
        axes.set_yticks([])
        if i == 0:
            _label(axes, told)


def _map(axes: Any, a: np.ndarray) -> None:
    """A sequence: time to the right, features upward."""
    axes.imshow(a.T, aspect="auto", cmap="cividis", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _bars(axes: Any, a: np.ndarray) -> None:
    axes.stairs(a, np.arange(a.size + 1) - 0.5, fill=True, color=BLUE)  # thousands of single bars would take seconds
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xlim(-0.6, a.size - 0.4)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=7)
    plain(axes)


def _label(axes: Any, told: str) -> None:
    axes.set_ylabel(told, rotation=0, ha="right", va="center", fontsize=8, labelpad=12)
