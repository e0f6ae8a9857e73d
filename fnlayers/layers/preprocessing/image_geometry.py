"""Geometry: in training, images whose pixels move, with their masks and boxes; in inference, images as they are."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import layerclass
from fnlayers.core.options import DataFormat, Seed
from fnlayers.layers.preprocessing.image_base import (
    EachImage,
    Factor,
    check_factor,
    check_range,
    happens,
    limits,
    sign,
    uniform,
)
from fnlayers.ops import boxes, image as geometry

__all__ = [
    "RandomFlip", "RandomTranslation", "RandomRotation", "RandomZoom", "RandomShear", "RandomPerspective",
    "RandomElasticTransform",
]  # fmt: skip

FillMode = Literal["constant", "nearest", "wrap", "reflect"]
Order = Literal["nearest", "bilinear"]
HORIZONTAL, VERTICAL = ("horizontal", "horizontal_and_vertical"), ("vertical", "horizontal_and_vertical")


@layerclass
class RandomFlip(EachImage):
    """In training, images mirrored with probability 1/2, from left to right, top to bottom, or each by itself.

    Arguments:
        mode: "horizontal", "vertical", or "horizontal_and_vertical" (the default).
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"
    seed: Seed = None
    data_format: DataFormat | None = None

    moves: ClassVar[bool] = True
    computes_in_float32: ClassVar[bool] = False

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Whether it is flipped from left to right, and from top to bottom."""
        return jax.random.bernoulli(rng, 0.5, (2,)) & jnp.array([self.mode in HORIZONTAL, self.mode in VERTICAL])

    def transform(self, image: Any, sampled: Any) -> Any:
        return self._flipped(image, sampled)

    def transform_mask(self, mask: Any, sampled: Any) -> Any:
        return self._flipped(mask, sampled)

    def transform_boxes(self, edges: Any, sampled: Any, shape: tuple[int, ...]) -> Any:
        left, top, right, bottom = jnp.moveaxis(edges, -1, 0)
        left, right = _mirrored(sampled[0], left, right, shape[1])
        top, bottom = _mirrored(sampled[1], top, bottom, shape[0])
        return jnp.stack([left, top, right, bottom], -1)

    def _flipped(self, image: Any, sampled: Any) -> Any:
        for axis, flip in ((1, sampled[0]), (0, sampled[1])):
            image = jnp.where(flip, jnp.flip(image, axis), image)
        return image


def _mirrored(flip: Any, first: Any, last: Any, size: int) -> tuple[Any, Any]:
    return jnp.where(flip, size - last, first), jnp.where(flip, size - first, last)


@layerclass
class Warp(EachImage):
    """Base of the layers whose pixels are read at other positions: `source` says where.

    Arguments:
        interpolation: "bilinear" or "nearest"; masks take the nearest pixel.
        fill_mode: what is outside an image: "reflect" (mirrored at the edge), "wrap" (the image again), "nearest" (its
            edge), or "constant", `fill_value`.
        fill_value: the value for "constant".
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    moves: ClassVar[bool] = True
    interpolation = "bilinear"
    fill_mode = "constant"
    fill_value = 0.0

    def source(self, sampled: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """Where each pixel is read, as (y, x), each (height, width)."""
        raise ConfigError(f"{type(self).__name__} defines no source(sampled, shape)")

    def transform(self, image: Any, sampled: Any) -> Any:
        read = self._read(image, sampled, self.interpolation)
        value_range = getattr(self, "value_range", None)  # of the layers that clip their results
        return read if value_range is None else jnp.clip(read, *value_range)

    def transform_mask(self, mask: Any, sampled: Any) -> Any:
        return self._read(mask, sampled, "nearest")

    def _read(self, image: Any, sampled: Any, interpolation: Any) -> Any:
        y, x = self.source(sampled, image.shape)
        fill_mode: Any = self.fill_mode
        return geometry.sample_at(image, y, x, interpolation, fill_mode, self.fill_value)


@layerclass
class ProjectiveWarp(Warp):
    """Base of the layers whose `matrix` says where pixels are read. See `Warp`."""

    def matrix(self, sampled: Any, shape: tuple[int, ...]) -> Any:
        """The matrix (8,) from each pixel (x, y) to the one that it reads. See `ops.image.projected`."""
        raise ConfigError(f"{type(self).__name__} defines no matrix(sampled, shape)")

    def source(self, sampled: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
        return geometry.projected(self.matrix(sampled, shape), shape)

    def transform_boxes(self, edges: Any, sampled: Any, shape: tuple[int, ...]) -> Any:
        return boxes.around_projected(edges, geometry.inverted(self.matrix(sampled, shape)))


@layerclass
class RandomTranslation(ProjectiveWarp):
    """In training, images moved by random fractions of their size.

    Arguments:
        height_factor, width_factor: the fractions, down and to the right: from -f to f, or two numbers; -1 to 1.
        interpolation, fill_mode, fill_value: see `Warp`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    height_factor: Factor
    width_factor: Factor
    fill_mode: FillMode = "reflect"
    interpolation: Order = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "height_factor", -1, 1)
        check_factor(self, "width_factor", -1, 1)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The fractions: down, to the right."""
        down, right = jax.random.split(rng)
        return jnp.stack([uniform(down, limits(self.height_factor)), uniform(right, limits(self.width_factor))])

    def matrix(self, sampled: Any, shape: tuple[int, ...]) -> Any:
        down, right = sampled
        return geometry.affine((1, 0, -right * shape[1]), (0, 1, -down * shape[0]), sampled.dtype)


@layerclass
class RandomRotation(ProjectiveWarp):
    """In training, images turned about their middle by random angles.

    Arguments:
        factor: the angle as a fraction of a full turn, counterclockwise: from -f to f, or two numbers; -1 to 1.
        interpolation, fill_mode, fill_value: see `Warp`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor
    fill_mode: FillMode = "reflect"
    interpolation: Order = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "factor", -1, 1)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The fraction of a turn."""
        return uniform(rng, limits(self.factor))

    def matrix(self, sampled: Any, shape: tuple[int, ...]) -> Any:
        angle = sampled * (2 * math.pi)
        cos, sin, x, y = jnp.cos(angle), jnp.sin(angle), (shape[1] - 1) / 2, (shape[0] - 1) / 2
        return geometry.affine((cos, -sin, x - x * cos + y * sin), (sin, cos, y - x * sin - y * cos), sampled.dtype)


@layerclass
class RandomZoom(ProjectiveWarp):
    """In training, images made smaller or larger about their middle by random factors.

    Arguments:
        height_factor: how much more of the image's height is seen: 0.2 makes it smaller, -0.2 larger; from -f to f, or
            two numbers; above -1, to 1.
        width_factor: likewise; None: as the height, so that shapes stay.
        interpolation, fill_mode, fill_value: see `Warp`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    height_factor: Factor
    width_factor: Factor | None = None
    fill_mode: FillMode = "reflect"
    interpolation: Order = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat | None = None

    def check(self) -> None:
        for name in ("height_factor", "width_factor"):
            if getattr(self, name) is not None:
                check_factor(self, name, -1, 1, open_least=True)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """What is seen of the height, and of the width."""
        first, second = jax.random.split(rng)
        high = 1 + uniform(first, limits(self.height_factor))
        wide = high if self.width_factor is None else 1 + uniform(second, limits(self.width_factor))
        return jnp.stack([high, wide])

    def matrix(self, sampled: Any, shape: tuple[int, ...]) -> Any:
        high, wide = sampled
        x, y = (1 - wide) * ((shape[1] - 1) / 2), (1 - high) * ((shape[0] - 1) / 2)
        return geometry.affine((wide, 0, x), (0, high, y), sampled.dtype)


@layerclass
class RandomShear(ProjectiveWarp):
    """In training, images sheared by random factors, about their upper left pixel.

    Arguments:
        x_factor: how many pixels to the side each row is moved against the one before: from -f to f, or two numbers,
            each to one side or the other; -1 to 1.
        y_factor: likewise for columns, up and down.
        interpolation, fill_mode, fill_value: see `Warp`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    x_factor: Factor = 0.0
    y_factor: Factor = 0.0
    interpolation: Order = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    data_format: DataFormat | None = None
    seed: Seed = None

    def check(self) -> None:
        check_factor(self, "x_factor", -1, 1)  # a Keras file says (-f, f) for f
        check_factor(self, "y_factor", -1, 1)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """How far each row is moved, and each column."""
        side, first, second = jax.random.split(rng, 3)
        along = (uniform(key, limits(f)) for key, f in ((first, self.x_factor), (second, self.y_factor)))
        return sign(side) * jnp.stack(list(along))

    def matrix(self, sampled: Any, shape: tuple[int, ...]) -> Any:
        return geometry.affine((1, sampled[0], 0), (sampled[1], 1, 0), sampled.dtype)


@layerclass
class RandomPerspective(ProjectiveWarp):
    """In training, images seen from another side: their corners are drawn at random positions.

    Arguments:
        factor: the probability of it: from 0 to f, or two numbers between which it is drawn.
        scale: how far corners move, 0 to 1: by up to half of it, as a fraction of their distance from the
            upper left one.
        interpolation, fill_value: see `Warp`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor = 1.0
    scale: float = 1.0
    interpolation: Order = "bilinear"
    fill_value: float = 0.0
    seed: Seed = None
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)
        check_factor(self, "scale", 0, 1)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Whether, and by which fractions of its (x, y) each corner moves."""
        first, second = jax.random.split(rng)
        moved = uniform(second, (-0.5 * self.scale, 0.5 * self.scale), (4, 2))
        return {"applied": happens(first, self.factor), "moved": moved}

    def matrix(self, sampled: Any, shape: tuple[int, ...]) -> Any:
        x, y = max(shape[1] - 1, 1), max(shape[0] - 1, 1)
        corners = jnp.array([[0, 0], [x, 0], [0, y], [x, y]], sampled["moved"].dtype)
        moved = jnp.where(sampled["applied"], sampled["moved"], 0)
        return geometry.quadrilateral(corners * (1 + moved), shape)


@layerclass
class RandomElasticTransform(Warp):
    """In training, images distorted by smooth random displacements, as if drawn on rubber.

    Arguments:
        factor: the probability of it: from 0 to f, or two numbers between which it is drawn.
        scale: how far pixels move, 0 to 1: from 0 to s, or two numbers.
        value_range: the least and the greatest value of a pixel, between which results are clipped.
        interpolation, fill_mode, fill_value: see `Warp`; fill_mode also takes "mirror" (at the middle of the edge's
            pixels).

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.

    Reference: Simard, Steinkraus, Platt, Best Practices for Convolutional Neural Networks, 2003.
    """

    factor: Factor = 1.0
    scale: Factor = 1.0
    interpolation: Order = "bilinear"
    fill_mode: Literal["constant", "nearest", "wrap", "mirror", "reflect"] = "reflect"
    fill_value: float = 0.0
    value_range: Sequence[float] = (0, 255)
    seed: Seed = None
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)
        check_factor(self, "scale", 0, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Whether, how far, and the key of the displacements."""
        first, second, noise = jax.random.split(rng, 3)
        scale = jnp.where(happens(first, self.factor), uniform(second, limits(self.scale, 0.0)), 0)
        return {"scale": scale, "noise": noise}

    def source(self, sampled: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
        scale, (height, width) = sampled["scale"], shape[:2]
        sigma = min(height, width) * 0.05 * scale
        most = int(6 * min(height, width) * 0.05 * limits(self.scale, 0.0)[1]) | 1
        taps = 2 * (jnp.floor(6 * sigma) // 2) + 1  # the odd number from there on
        key = jax.random.clone(sampled["noise"])  # images, masks and boxes are moved alike
        noise = jax.random.normal(key, (height, width, 2), scale.dtype)
        moved = geometry.displacement(noise, jnp.maximum(sigma, 1e-6), most, taps) * (max(height, width) * 0.1 * scale)
        rows = jnp.arange(height, dtype=scale.dtype)[:, None]
        return rows + moved[..., 0], jnp.arange(width, dtype=scale.dtype) + moved[..., 1]

    def transform_boxes(self, edges: Any, sampled: Any, shape: tuple[int, ...]) -> Any:
        return boxes.around_read(edges, *self.source(sampled, shape))
