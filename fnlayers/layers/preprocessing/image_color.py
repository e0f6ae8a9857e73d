"""Colors: in training, images whose pixels change their values; in inference, images as they are."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

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
from fnlayers.ops import color

__all__ = [
    "RandomBrightness", "RandomContrast", "RandomSaturation", "RandomHue", "RandomColorJitter",
    "RandomColorDegeneration", "RandomGrayscale", "RandomPosterization", "RandomInvert", "Solarization",
]  # fmt: skip

BYTES = (0, 255)
EPSILON = 1e-7  # Keras's, so that no saturation is infinite


@layerclass
class RandomBrightness(EachImage):
    """In training, a random number added to all pixels of an image, clipped to the value range.

    Arguments:
        factor: the number as a fraction of the value range: from -f to f, or two numbers; -1 to 1.
        value_range: the least and the greatest value of a pixel.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor
    value_range: Sequence[float] = BYTES
    seed: Seed = None
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "factor", -1, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """What is added, as a fraction."""
        return uniform(rng, limits(self.factor))

    def transform(self, image: Any, sampled: Any) -> Any:
        least, greatest = self.value_range
        return jnp.clip(image + sampled * (greatest - least), least, greatest)


@layerclass
class RandomContrast(EachImage):
    """In training, each channel of an image is brought away from its mean by a random factor, or nearer to it.

    Arguments:
        factor: (a, b): the factor is from 1 - a to 1 + b; b: from 1 to 1 + b, as in Keras; 0 to 1.
        value_range: the least and the greatest value of a pixel, between which results are clipped.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor
    value_range: Sequence[float] = BYTES
    seed: Seed = None
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The factor."""
        less, more = limits(self.factor, 0.0)
        return uniform(rng, (1 - less, 1 + more))

    def transform(self, image: Any, sampled: Any) -> Any:
        mean = jnp.mean(image, (0, 1), keepdims=True)
        return jnp.clip((image - mean) * sampled + mean, *self.value_range)


@layerclass
class RandomSaturation(EachImage):
    """In training, colors made stronger or weaker by a random factor.

    Arguments:
        factor: f multiplies the saturation by f / (1 - f): 0 is gray, 0.5 as it is, and 1 as strong as can be; from -f
            to f, where negative ones are gray, or two numbers; -1 to 1.
        value_range: the least and the greatest value of a pixel. Results are not clipped to it, as in Keras.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, height, width, 3) unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor
    value_range: Sequence[float] = BYTES
    data_format: DataFormat | None = None
    seed: Seed = None

    takes_channels: ClassVar[tuple[int, ...]] = (3,)

    def check(self) -> None:
        check_factor(self, "factor", -1, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """What the saturation is multiplied by."""
        factor = uniform(rng, limits(self.factor))
        return factor / (1 - factor + EPSILON)

    def transform(self, image: Any, sampled: Any) -> Any:
        hue, saturation, value = jnp.moveaxis(color.to_hsv(image), -1, 0)
        saturation = jnp.clip(saturation * sampled, *self.value_range)
        return color.from_hsv(jnp.stack([hue, saturation, value], -1))


@layerclass
class RandomHue(EachImage):
    """In training, all hues of an image turned by a random angle.

    Arguments:
        factor: the angle, in half turns, to one side or the other: from 0 to f, or two numbers; 0 to 1.
        value_range: the least and the greatest value of a pixel.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, height, width, 3) unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor
    value_range: Sequence[float] = BYTES
    data_format: DataFormat | None = None
    seed: Seed = None

    takes_channels: ClassVar[tuple[int, ...]] = (3,)

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The fraction of a turn."""
        side, size = jax.random.split(rng)
        return sign(side) * uniform(size, limits(self.factor, 0.0)) * 0.5

    def transform(self, image: Any, sampled: Any) -> Any:
        hsv = color.to_hsv(color.scaled(image, self.value_range, (0, 1)))
        hue = hsv[..., :1] + sampled
        hue = jnp.where(hue > 1, hue - 1, jnp.where(hue < 0, hue + 1, hue))
        turned = jnp.clip(color.from_hsv(jnp.concatenate([hue, hsv[..., 1:]], -1)), 0, 1)
        return color.scaled(turned, (0, 1), self.value_range)


@layerclass
class RandomColorJitter(EachImage):
    """In training, RandomBrightness, RandomContrast, RandomSaturation and RandomHue, one after the other.

    Arguments:
        value_range: the least and the greatest value of a pixel.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: the factors of the four; None: left out.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, height, width, 3) unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    value_range: Sequence[float] = BYTES
    brightness_factor: Factor | None = None
    contrast_factor: Factor | None = None
    saturation_factor: Factor | None = None
    hue_factor: Factor | None = None
    seed: Seed = None
    data_format: DataFormat | None = None

    @property
    def channels(self) -> tuple[int, ...]:
        """RGB, where saturation or hue change."""
        return () if self.saturation_factor is None and self.hue_factor is None else (3,)

    def check(self) -> None:
        """What the four check."""
        check_range(self)
        for name, least in (("brightness", -1), ("contrast", 0), ("saturation", -1), ("hue", 0)):
            if getattr(self, f"{name}_factor") is not None:
                check_factor(self, f"{name}_factor", least, 1)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """What each of them draws."""
        parts = self._parts()
        return [part.sample(key, shape) for part, key in zip(parts, jax.random.split(rng, len(parts)), strict=True)]

    def transform(self, image: Any, sampled: Any) -> Any:
        for part, drawn in zip(self._parts(), sampled, strict=True):
            image = part.transform(image, drawn)
        return image

    def _parts(self) -> list[EachImage]:
        kinds = {
            RandomBrightness: self.brightness_factor,
            RandomContrast: self.contrast_factor,
            RandomSaturation: self.saturation_factor,
            RandomHue: self.hue_factor,
        }
        return [kind(factor, value_range=self.value_range) for kind, factor in kinds.items() if factor is not None]


@layerclass
class RandomColorDegeneration(EachImage):
    """In training, images mixed with what is gray of them, in random proportions.

    Arguments:
        factor: how much gray: 0 is the image, 1 gray, below 0 stronger colors; from -f to f, or two numbers; -1 to 1.
        value_range: the least and the greatest value of a pixel, between which results are clipped.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, height, width, 1 or 3) unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor
    value_range: Sequence[float] = BYTES
    data_format: DataFormat | None = None
    seed: Seed = None

    takes_channels: ClassVar[tuple[int, ...]] = (1, 3)

    def check(self) -> None:
        check_factor(self, "factor", -1, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """How much gray."""
        return uniform(rng, limits(self.factor))

    def transform(self, image: Any, sampled: Any) -> Any:
        return jnp.clip(image + sampled * (color.to_gray(image) - image), *self.value_range)


@layerclass
class RandomGrayscale(EachImage):
    """In training, some images made gray.

    Arguments:
        factor: the probability of it, 0 to 1.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, height, width, 1 or 3) unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: float = 0.5
    data_format: DataFormat | None = None
    seed: Seed = None

    takes_channels: ClassVar[tuple[int, ...]] = (1, 3)

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Whether it is made gray."""
        return uniform(rng, (0.0, 1.0)) < self.factor

    def transform(self, image: Any, sampled: Any) -> Any:
        return jnp.where(sampled, color.to_gray(image), image)


@layerclass
class RandomPosterization(EachImage):
    """In training, values rounded down to a random number of bits of the 8 that they have.

    Arguments:
        factor: the bits: one of 1 to f - 1, or of a to b - 1, as in Keras; where both are equal, that number; 1 to 8.
        value_range: the least and the greatest value of a pixel.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training, unless the bits are given.
    Mask: not supported.
    """

    factor: Factor
    value_range: Sequence[float] = BYTES
    data_format: DataFormat | None = None
    seed: Seed = None

    def check(self) -> None:
        check_factor(self, "factor", 1, 8)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The number of bits."""
        least, most = map(int, limits(self.factor, 1))
        return jnp.array(least, jnp.int32) if least == most else jax.random.randint(rng, (), least, most)

    def transform(self, image: Any, sampled: Any) -> Any:
        rounded = color.posterize(color.scaled(image, self.value_range, BYTES), sampled)
        return color.scaled(rounded, BYTES, self.value_range)


@layerclass
class RandomInvert(EachImage):
    """In training, some images made negatives: each value x becomes the greatest one minus x.

    Arguments:
        factor: the probability of it: from 0 to f, or two numbers between which it is drawn; 0 to 1.
        value_range: the least and the greatest value of a pixel.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    factor: Factor = 1.0
    value_range: Sequence[float] = BYTES
    seed: Seed = None
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Whether it is inverted."""
        return happens(rng, self.factor)

    def transform(self, image: Any, sampled: Any) -> Any:
        return jnp.where(sampled, self.value_range[1] - image, image)


@layerclass
class Solarization(EachImage):
    """In training, a random number is added to all values, and those above a random threshold are inverted.

    Arguments:
        addition_factor: what is added, as a fraction of the value range: from 0 to f, or two numbers; 0 to 1.
        threshold_factor: the threshold, likewise. At 0, all values are inverted.
        value_range: the least and the greatest value of a pixel.
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    addition_factor: Factor = 0.0
    threshold_factor: Factor = 0.0
    value_range: Sequence[float] = BYTES
    seed: Seed = None
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "addition_factor", 0, 1)
        check_factor(self, "threshold_factor", 0, 1)
        check_range(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """What is added, and the threshold, for values of 0 to 255."""
        first, second = jax.random.split(rng)
        pair = ((first, self.addition_factor), (second, self.threshold_factor))
        return 255 * jnp.stack([uniform(key, limits(factor, 0.0)) for key, factor in pair])

    def transform(self, image: Any, sampled: Any) -> Any:
        added = jnp.clip(color.scaled(image, self.value_range, BYTES) + sampled[0], *BYTES)
        return color.scaled(jnp.where(added < sampled[1], added, 255 - added), BYTES, self.value_range)
