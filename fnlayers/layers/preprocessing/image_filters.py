"""Filters: images blurred, sharpened, erased in parts, or with other histograms.

AutoContrast and ContrastLimitedAdaptiveHistogramEqualization act in inference, too, as in Keras.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import layerclass
from fnlayers.core.options import DataFormat, Seed
from fnlayers.core.shapes import per_axis
from fnlayers.layers.common import check_count
from fnlayers.layers.preprocessing.image_base import (
    EachImage,
    Factor,
    check_factor,
    check_range,
    happens,
    limits,
    uniform,
)
from fnlayers.ops import color
from fnlayers.ops.image import box_blur, gaussian_blur

__all__ = [
    "RandomGaussianBlur", "RandomSharpness", "RandomErasing", "AutoContrast", "Equalization",
    "ContrastLimitedAdaptiveHistogramEqualization",
]  # fmt: skip

BYTES = (0, 255)
SHARPEST = 5.0  # how often the middle pixel counts among nine where a sharper image is away from their mean


@layerclass
class RandomGaussianBlur(EachImage):
    """In training, some images blurred.

    Arguments:
        factor: the probability of it: from 0 to f, or two numbers between which it is drawn; 0 to 1.
        kernel_size: the width and height of the window, an odd number or two.
        sigma: the standard deviation, in pixels, drawn for each axis: from 0 to s, or two numbers; 0 to 1.
        value_range: the least and the greatest value of a pixel, between which results are clipped.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor = 1.0
    kernel_size: int | Sequence[int] = 3
    sigma: Factor = 1.0
    value_range: Sequence[float] = BYTES
    data_format: DataFormat | None = None
    seed: Seed = None

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)
        check_factor(self, "sigma", 0, 1)
        check_range(self)
        if any(n % 2 == 0 for n in self._window()):
            raise ConfigError(f"RandomGaussianBlur: kernel_size={self.kernel_size!r} is wrong; give odd numbers")

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Whether it is blurred, and by how much over its width and height."""
        first, second = jax.random.split(rng)
        return {
            "applied": happens(first, self.factor),
            "sigma": uniform(second, limits(self.sigma, 0.0), (2,)) + 1e-6,
        }

    def transform(self, image: Any, sampled: Any) -> Any:
        wide, high = self._window()
        blurred = gaussian_blur(image, (high, wide), sampled["sigma"][::-1])
        return jnp.clip(jnp.where(sampled["applied"], blurred, image), *self.value_range)

    def _window(self) -> tuple[int, ...]:
        return per_axis(self.kernel_size, 2, "RandomGaussianBlur: kernel_size")


@layerclass
class RandomSharpness(EachImage):
    """In training, images blurred or sharpened by a random amount.

    Arguments:
        factor: 0 is blurred, 0.5 as it is, 1 sharper: from 0 to f, or two numbers; 0 to 1.
        value_range: the least and the greatest value of a pixel, between which results are clipped.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor
    value_range: Sequence[float] = BYTES
    data_format: DataFormat | None = None
    seed: Seed = None

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The factor."""
        return uniform(rng, limits(self.factor, 0.0))

    def transform(self, image: Any, sampled: Any) -> Any:
        smooth = box_blur(image, SHARPEST)
        return jnp.clip(image + (1 - 2 * sampled) * (smooth - image), *self.value_range)


@layerclass
class RandomErasing(EachImage):
    """In training, a random rectangle of some images filled, with noise or a color.

    Arguments:
        factor: the probability of it: from 0 to f, or two numbers between which it is drawn; 0 to 1.
        scale: the square of the fraction of each side that is erased: from 0 to s, or two numbers; 0 to 1.
        fill_value: a number, or one for each channel; None: normal noise, times the greatest value of a pixel.
        value_range: the least and the greatest value of a pixel, between which what is filled in is clipped.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.

    Reference: Zhong, Zheng, Kang, Li, Yang, Random Erasing Data Augmentation, 2017.
    """

    factor: Factor = 1.0
    scale: Factor = (0.02, 0.33)
    fill_value: float | Sequence[float] | None = None
    value_range: Sequence[float] = BYTES
    seed: Seed = None
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)
        check_factor(self, "scale", 0, 1)
        check_range(self)
        if isinstance(self.fill_value, tuple) and len(self.fill_value) not in (1, 3):
            raise ConfigError(f"RandomErasing: fill_value={self.fill_value!r} is wrong; give a number for each channel")

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Whether, the first and the last edge over height and width, and the key of the noise."""
        first, second, third, noise = jax.random.split(rng, 4)
        size = jnp.sqrt(uniform(second, limits(self.scale, 0.0), (2,)))
        start = uniform(third, (0.0, 1.0), (2,)) * (1 - size)
        edges = jnp.stack([start, start + size]) * jnp.array(shape[:2], jnp.float32)
        return {"applied": happens(first, self.factor), "edges": edges, "noise": noise}

    def transform(self, image: Any, sampled: Any) -> Any:
        inside = sampled["applied"] & in_rectangle(sampled["edges"], image.shape)
        if self.fill_value is None:
            fill = jax.random.normal(sampled["noise"], image.shape, image.dtype) * self.value_range[1]
        else:
            fill = jnp.asarray(self.fill_value, image.dtype)
        return jnp.where(inside[..., None], jnp.clip(fill, *self.value_range), image)


@layerclass
class AutoContrast(EachImage):
    """Each channel of an image stretched over the value range; also in inference.

    Arguments:
        value_range: the least and the greatest value of a pixel.
        data_format, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Mask: not supported.

    Example:
        >>> AutoContrast().apply({}, jnp.array([100.0, 120, 140]).reshape(1, 1, 3, 1)).ravel().tolist()
        [0.0, 127.5, 255.0]
    """

    value_range: Sequence[float] = BYTES
    data_format: DataFormat | None = None

    always: ClassVar[bool] = True

    def check(self) -> None:
        check_range(self)

    def transform(self, image: Any, sampled: Any) -> Any:
        stretched = color.autocontrast(color.scaled(image, self.value_range, BYTES))
        return color.scaled(stretched, BYTES, self.value_range)


@layerclass
class Equalization(EachImage):
    """In training, each channel of an image mapped so that all levels are about equally frequent.

    Arguments:
        value_range: the least and the greatest value of a pixel.
        bins: how many levels are told apart.
        data_format, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Mask: not supported.
    """

    value_range: Sequence[float] = BYTES
    bins: int = 256
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_range(self)
        check_count(self, "bins", 2)

    def transform(self, image: Any, sampled: Any) -> Any:
        equal = color.equalize(color.scaled(image, self.value_range, BYTES), self.bins)
        return color.scaled(equal, BYTES, self.value_range)


@layerclass
class ContrastLimitedAdaptiveHistogramEqualization(EachImage):
    """Each tile of an image equalized by its own histogram, with a limit to the contrast; also in inference.

    Arguments:
        value_range: the least and the greatest value of a pixel.
        clip_limit: how many times the mean a level may count; 0 or below: no limit.
        tile_grid_size: how many tiles there are over height and width.
        data_format, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Mask: not supported.

    Reference: Zuiderveld, Contrast Limited Adaptive Histogram Equalization, 1994.
    """

    value_range: Sequence[float] = BYTES
    clip_limit: float = 4.0
    tile_grid_size: int | Sequence[int] = (8, 8)
    data_format: DataFormat | None = None

    always: ClassVar[bool] = True

    def check(self) -> None:
        check_range(self)
        self._grid()

    def transform(self, image: Any, sampled: Any) -> Any:
        equal = color.equalize_adaptively(color.scaled(image, self.value_range, BYTES), self.clip_limit, self._grid())
        return color.scaled(equal, BYTES, self.value_range)

    def _grid(self) -> tuple[int, int]:
        high, wide = per_axis(self.tile_grid_size, 2, f"{type(self).__name__}: tile_grid_size")
        return high, wide


def in_rectangle(edges: Any, shape: tuple[int, ...]) -> Any:
    """Which pixels are in a rectangle, (height, width).

    Arguments:
        edges: (2, 2), the first and the last edge over height and width.
        shape: of the image.
    """
    row = jnp.arange(shape[0], dtype=edges.dtype)[:, None]
    column = jnp.arange(shape[1], dtype=edges.dtype)[None, :]
    first, last = edges
    return (row >= first[0]) & (row < last[0]) & (column >= first[1]) & (column < last[1])
