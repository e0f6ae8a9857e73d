"""The filters of a convolution, as small images."""

import os
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.show.figure import check_counts, finished, new_figure

_SCALE = {"cmap": "RdBu_r", "interpolation": "nearest"}  # 0 is white
_SIDE = 0.55  # inches of one image


def filters(
    kernel: Any, path: str | os.PathLike | None = None, *, limit: int = 64, channels: int = 8, columns: int = 16
) -> Any:
    """Draw what each filter of a 2-D convolution looks for.

    Kernels that read 3 channels are drawn in color, each filter from its least to its greatest number, so that gray is
    halfway. Others have an image for each channel that they read, all in one scale in which white is 0, blue less and
    red more; a row is a filter.

    Arguments:
        kernel: (height, width, channels in, filters), such as `params["conv2d"]["kernel"]`, or that of a depthwise
            convolution (height, width, channels, depth_multiplier).
        path: where to save the figure too; its ending says the format.
        limit: how many filters are drawn, the first ones.
        channels: how many of the channels that a filter reads are drawn, the first ones.
        columns: how many images a row holds where each filter is one image.

    Returns:
        A matplotlib.figure.Figure, which `save(path)` writes too. A notebook shows it; nothing global is touched.

    Raises:
        MissingError: where matplotlib is not installed.
        ConfigError: for an array that is no such kernel.

    Example:
        >>> import fnlayers as fl, jax
        >>> params = fl.Conv2D(5, 3).init(jax.random.key(0), (None, 8, 8, 3))
        >>> len(filters(params["kernel"]).axes)
        5
    """
    check_counts("show.filters", limit=limit, channels=channels, columns=columns)
    kernel = np.asarray(kernel, "float32") if hasattr(kernel, "shape") else np.zeros(0)
    if kernel.ndim != 4 or not kernel.size:
        raise ConfigError(
            "show.filters takes a kernel (height, width, channels in, filters), such as params['conv2d']['kernel']; "
            f"got one of shape {kernel.shape}"
        )
    kernel = kernel[..., :limit]
    in_color = kernel.shape[2] == 3
    images = np.moveaxis(kernel, -1, 0) if in_color else np.moveaxis(kernel[:, :, :channels], (3, 2), (0, 1))
    if in_color or images.shape[1] == 1:  # one image a filter
        images = images if in_color else images[:, 0]
        across, images = min(columns, len(images)), list(images)
    else:
        across, images = images.shape[1], [image for row in images for image in row]
    down = -(-len(images) // across)
    figure = new_figure("show.filters", _SIDE * across + 0.3, _SIDE * down * kernel.shape[0] / kernel.shape[1] + 0.3)
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04)
    top = float(np.nanmax(np.abs(kernel))) or 1.0
    for position, image in enumerate(images):
        axes = figure.add_subplot(down, across, position + 1)
        if in_color:
            axes.imshow(_stretched(image), interpolation="nearest")
        else:
            axes.imshow(image, vmin=-top, vmax=top, **_SCALE)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#d0d4d9")
    return finished(figure, path)


def _stretched(image: np.ndarray) -> np.ndarray:
    """From 0 to 1; an image of one number is gray."""
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.full_like(image, 0.5)
