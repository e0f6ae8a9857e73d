"""Images of another size: resized, or cut. These act in inference, too, but for RandomCrop."""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import layerclass
from fnlayers.core.options import DataFormat, Interpolation, Seed
from fnlayers.layers.common import check_count
from fnlayers.layers.preprocessing.image_base import EachImage
from fnlayers.ops.image import like, resize

__all__ = ["Resizing", "CenterCrop", "RandomCrop"]

Size = tuple[int, int]


@layerclass
class Resizing(EachImage):
    """Images resized to height x width; integer images stay integers, rounded.

    Arguments:
        height, width: the new size.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5"; masks take the nearest pixel.
        crop_to_aspect_ratio: whether the middle part that has the new shape is cut out first.
        pad_to_aspect_ratio: whether the image is padded on two sides to the new shape first.
        fill_mode: "constant", the only one.
        fill_value: of the padding.
        antialias: whether a smaller image is made of averages.
        data_format, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, old height, old width, channels) -> (batch, height, width, channels). See `ImageLayer`.
    Mask: not supported.

    Example:
        >>> Resizing(2, 2).apply({}, jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
        [[2.5, 4.5], [10.5, 12.5]]
    """

    height: int
    width: int
    interpolation: Interpolation = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_mode: Literal["constant"] = "constant"
    fill_value: float = 0.0
    antialias: bool = False
    data_format: DataFormat | None = None

    always: ClassVar[bool] = True
    moves: ClassVar[bool] = True
    computes_in_float32: ClassVar[bool] = False
    keeps_dtype: ClassVar[bool] = True

    def check(self) -> None:
        """Positive sizes, and one way to treat another shape."""
        check_size(self)
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ConfigError("Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio are both True; choose one")

    def transform(self, image: Any, sampled: Any) -> Any:
        return self._resized(image, self.interpolation, self.fill_value)

    def transform_mask(self, mask: Any, sampled: Any) -> Any:
        return self._resized(mask, "nearest", self.fill_value)

    def transform_boxes(self, edges: Any, sampled: Any, shape: tuple[int, ...]) -> Any:
        offset, size = self._window(shape)
        return rescaled(edges, offset, size, (self.height, self.width))

    def _resized(self, image: Any, interpolation: Interpolation, fill_value: float) -> Any:
        offset, size = self._window(image.shape)
        if self.crop_to_aspect_ratio:
            image = cut(image, offset, size)
        elif self.pad_to_aspect_ratio:
            padding = [(-start, -start) for start in offset]
            value = like(jnp.asarray(fill_value, jnp.float32), image.dtype)
            image = jnp.pad(image, [*padding, (0, 0)], constant_values=value)
        return resize(image, (self.height, self.width), interpolation, self.antialias)

    def _window(self, shape: tuple[int, ...]) -> tuple[Size, Size]:
        """Where the part that is resized begins in the image, and its size; before 0 where it is padded."""
        old = (shape[0], shape[1])
        if self.crop_to_aspect_ratio:
            return middle(old, (self.height, self.width))
        if not self.pad_to_aspect_ratio:
            return (0, 0), old
        high, wide = (
            max(old[0], int(old[1] * self.height / self.width)),
            max(old[1], int(old[0] * self.width / self.height)),
        )
        top, left = (high - old[0]) // 2, (wide - old[1]) // 2
        left = 0 if top else left  # Keras pads one axis
        return (-top, -left), (old[0] + 2 * top, old[1] + 2 * left)


@layerclass
class CenterCrop(EachImage):
    """The middle height x width of images; of smaller ones the largest middle part of that shape, resized.

    Arguments:
        height, width: the new size.
        data_format, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, old height, old width, channels) -> (batch, height, width, channels). See `ImageLayer`.
    Mask: not supported.

    Example:
        >>> CenterCrop(2, 2).apply({}, jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
        [[5.0, 6.0], [9.0, 10.0]]
    """

    height: int
    width: int
    data_format: DataFormat | None = None

    always: ClassVar[bool] = True
    moves: ClassVar[bool] = True
    computes_in_float32: ClassVar[bool] = False

    def check(self) -> None:
        check_size(self)

    def transform(self, image: Any, sampled: Any) -> Any:
        return self._cropped(image, "bilinear")

    def transform_mask(self, mask: Any, sampled: Any) -> Any:
        return self._cropped(mask, "nearest")

    def transform_boxes(self, edges: Any, sampled: Any, shape: tuple[int, ...]) -> Any:
        offset, size = self._window(shape)
        return rescaled(edges, offset, size, (self.height, self.width))

    def _cropped(self, image: Any, interpolation: Interpolation) -> Any:
        offset, size = self._window(image.shape)
        return resized(cut(image, offset, size), (self.height, self.width), interpolation)

    def _window(self, shape: tuple[int, ...]) -> tuple[Size, Size]:
        """Where the part that is cut out begins, and its size."""
        if shape[0] >= self.height and shape[1] >= self.width:
            return ((shape[0] - self.height) // 2, (shape[1] - self.width) // 2), (self.height, self.width)
        return middle((shape[0], shape[1]), (self.height, self.width))


@layerclass
class RandomCrop(EachImage):
    """In training, height x width of images at a random position; in inference, the images as they are.

    Smaller images are cut in the middle where they are too large, and resized.

    Arguments:
        height, width: the new size.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, old height, old width, channels) -> (batch, height, width, channels) in training. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    height: int
    width: int
    seed: Seed = None
    data_format: DataFormat | None = None

    moves: ClassVar[bool] = True
    computes_in_float32: ClassVar[bool] = False

    def check(self) -> None:
        check_size(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Where the part begins: top, left."""
        free = [shape[0] - self.height, shape[1] - self.width]
        if min(free) < 0:
            start, _ = middle((shape[0], shape[1]), (self.height, self.width))
            return jnp.array(start, jnp.int32)
        return jax.random.randint(rng, (2,), 0, jnp.array(free, jnp.int32) + 1)

    def transform(self, image: Any, sampled: Any) -> Any:
        return self._cropped(image, sampled, "bilinear")

    def transform_mask(self, mask: Any, sampled: Any) -> Any:
        return self._cropped(mask, sampled, "nearest")

    def transform_boxes(self, edges: Any, sampled: Any, shape: tuple[int, ...]) -> Any:
        top, left = sampled.astype(edges.dtype)
        return rescaled(edges, (top, left), self._part(shape), (self.height, self.width))

    def _part(self, shape: tuple[int, ...]) -> Size:
        """The size of what is cut out."""
        start = (0, 0)
        if shape[0] < self.height or shape[1] < self.width:
            start, _ = middle((shape[0], shape[1]), (self.height, self.width))
        return min(self.height, shape[0] - start[0]), min(self.width, shape[1] - start[1])

    def _cropped(self, image: Any, start: Any, interpolation: Interpolation) -> Any:
        part = jax.lax.dynamic_slice(image, (start[0], start[1], 0), (*self._part(image.shape), image.shape[-1]))
        return resized(part, (self.height, self.width), interpolation)


def check_size(layer: Any) -> None:
    """Raise ConfigError unless height and width are numbers of pixels."""
    check_count(layer, "height")
    check_count(layer, "width")


def middle(old: Size, new: Size) -> tuple[Size, Size]:
    """Where the largest middle part that has the shape of `new` begins, and its size."""
    high = max(min(old[0], int(old[1] * new[0] / new[1])), 1)
    wide = max(min(old[1], int(old[0] * new[1] / new[0])), 1)
    return ((old[0] - high) // 2, (old[1] - wide) // 2), (high, wide)


def cut(image: Any, offset: Size, size: Size) -> Any:
    """A part of an image."""
    return image[offset[0] : offset[0] + size[0], offset[1] : offset[1] + size[1]]


def resized(image: Any, size: Size, interpolation: Interpolation) -> Any:
    """The image in that size, untouched where it has it."""
    return image if image.shape[:2] == size else ops.image.resize(image, size, interpolation)


def rescaled(edges: Any, offset: tuple[Any, Any], old: Size, new: Size) -> Any:
    """Boxes of a part of an image that is resized, edges in pixels."""
    start = jnp.stack([jnp.asarray(n, edges.dtype) for n in (offset[1], offset[0])] * 2)
    ratio = jnp.array([new[1] / old[1], new[0] / old[0]] * 2, edges.dtype)
    return (edges - start) * ratio
