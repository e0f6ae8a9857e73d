"""`augmentations`: a contact sheet of what layers make of images, for the eye."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.core.layer import Layer
from fnlayers.ops import boxes
from fnlayers.show.figure import VERMILION, finished, plots


def augmentations(
    layer: Layer | Sequence[Layer],
    images: Any,
    *,
    rng: Any = None,
    columns: int = 5,
    rows: int | None = None,
    path: str | os.PathLike | None = None,
) -> Any:
    """A contact sheet: each image, and next to it what the layer makes of it in training, with several keys.

    Arguments:
        layer: a layer of images, such as RandomRotation(0.1), or a list of them, each with rows of its own.
        images: (n, height, width, 1 or 3), of 0 to 255 or of 0 to 1; or a dict with "images" and any of what the layers
            take with them. Segmentation masks are drawn over the images, and boxes where a layer says their format.
        rng: a random key; None: jax.random.key(0).
        columns: how many versions of each image.
        rows: how many of the images are drawn, the first ones; None: all. The others are there to be mixed with them.
        path: where the sheet is written, as .png, .svg or .pdf; None: nowhere.

    Returns:
        A matplotlib.figure.Figure, which `save(path)` writes too. A notebook shows it; nothing global is touched.

    Raises:
        MissingError: where matplotlib is not installed.
        ConfigError: for images that are none.

    Example:
        >>> import fnlayers as fl
        >>> sheet = augmentations(fl.RandomFlip(), np.zeros((2, 8, 8, 3)), columns=3)
        >>> len(sheet.axes)
        8
    """
    layers = [layer] if isinstance(layer, Layer) else list(layer)
    data = dict(images) if isinstance(images, Mapping) else {"images": np.asarray(images)}
    if np.ndim(data.get("images", 0)) != 4 or not len(data["images"]) or not layers:
        got = shortened(np.shape(data.get("images", 0)))
        raise ConfigError(f"show.augmentations takes images (n, height, width, channels), got {got}")
    keys = jax.random.split(jax.random.key(0) if rng is None else rng, columns)
    sheets = [(one, [data, *_versions(one, data, keys)]) for one in layers]
    count = len(data["images"][:rows])
    figure, axes = plots("show.augmentations", len(layers) * count * (columns + 1), columns + 1, 1.7, 1.75)
    brightest = 255 if np.max(data["images"]) > 1.5 else 1
    waiting = iter(axes)
    for one, versions in sheets:
        for position in range(count):
            for column, version in enumerate(versions):
                title = "" if position or column > 1 else type(one).__name__ if column else "image"
                _draw(next(waiting), version, position, one, brightest, title)
    return finished(figure, path)


def _versions(layer: Layer, data: dict, keys: Any) -> list[dict]:
    """What the layer makes of the images with each key, from one compiled program."""
    params, state = layer.init(jax.random.key(0), _shapes(data)), layer.init_state(_shapes(data))
    run = jax.jit(lambda data, key: layer.run(params, data, state=state, rng=key, train=True).y)
    return [jax.tree.map(np.asarray, dict(run(data, key))) for key in keys]


def _shapes(data: Any) -> Any:
    return {key: _shapes(value) if isinstance(value, Mapping) else np.shape(value) for key, value in data.items()}


def _draw(axes: Any, version: dict, position: int, layer: Any, brightest: float, title: str) -> None:
    image = np.asarray(version["images"][position], "float32") / brightest
    image = np.clip(image, 0, 1)
    axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=7, loc="left")
    if "segmentation_masks" in version:
        _draw_mask(axes, version["segmentation_masks"][position])
    kind = getattr(layer, "bounding_box_format", None)
    if kind is not None and "bounding_boxes" in version:
        _draw_boxes(axes, version["bounding_boxes"], position, kind, image.shape)


def _draw_mask(axes: Any, mask: Any) -> None:
    """Each class but 0 in a color of its own, through which the image is seen."""
    mask = np.asarray(mask, "float32").reshape(np.shape(mask)[:2])
    axes.imshow(np.ma.masked_equal(mask, 0), cmap="tab10", vmin=0, vmax=10, alpha=0.5, interpolation="nearest")


def _draw_boxes(axes: Any, bounding_boxes: dict, position: int, kind: str, shape: tuple[int, ...]) -> None:
    edges = boxes.to_xyxy(jnp.asarray(bounding_boxes["boxes"][position], "float32"), kind, *shape[:2])
    for (left, top, right, bottom), label in zip(np.asarray(edges), bounding_boxes["labels"][position], strict=True):
        if np.max(label) >= 0:
            axes.plot(
                np.array([left, right, right, left, left]) - 0.5,
                np.array([top, top, bottom, bottom, top]) - 0.5,
                color=VERMILION,
                linewidth=1,
            )
