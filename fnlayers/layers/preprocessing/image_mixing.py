"""Mixing: in training, each image is mixed with another one of its batch, and their labels likewise."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.layer import layerclass
from fnlayers.core.options import DataFormat, Seed
from fnlayers.layers.common import check_count, check_positive
from fnlayers.layers.preprocessing.image_base import Factor, ImageLayer, check_factor, limits, uniform, with_dtype
from fnlayers.layers.preprocessing.image_filters import in_rectangle

__all__ = ["MixUp", "CutMix", "MaxNumBoundingBoxes"]

Data = dict[str, Any]


@layerclass
class Mixing(ImageLayer):
    """Base of the layers that mix each image of a batch with another: a random permutation says with which.

    A single image is mixed with itself, and so stays as it is. Labels become floating numbers, and have to be one-hot;
    boxes are those of both images, the other one's after the own.

    Arguments:
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: unchanged, but for twice as many boxes. See `ImageLayer`.
    Random: in training.
    Mask: not supported.
    """

    def weight(self, sampled: Any) -> Any:
        """How much of an image is its own, from 0 to 1."""
        raise ConfigError(f"{type(self).__name__} defines no weight(sampled)")

    def mix(self, image: Any, other: Any, sampled: Any) -> Any:
        """The mixture of two images (height, width, channels), or of their segmentation masks."""
        raise ConfigError(f"{type(self).__name__} defines no mix(image, other, sampled)")

    def transform_batch(self, data: Data, key: Any) -> Data:
        count = data["images"].shape[0]
        order, factors = jax.random.split(key)
        partner = jax.random.permutation(order, count)
        shape = self._channels_last(data["images"].shape[1:])
        sampled = jax.vmap(lambda key: self.sample(key, shape))(jax.random.split(factors, count))
        result = {"images": self._mixed(data["images"], partner, sampled)}
        if "segmentation_masks" in data:
            masks = data["segmentation_masks"]
            flat = masks.ndim == 3
            axis = 1 if self.data_format == "channels_first" else -1
            mixed = self._mixed(jnp.expand_dims(masks, axis) if flat else masks, partner, sampled)
            result["segmentation_masks"] = jnp.squeeze(mixed, axis) if flat else mixed
        if "labels" in data:
            result["labels"] = self._mixed_labels(data["labels"], partner, sampled)
        if "bounding_boxes" in data:
            both = jax.tree.map(lambda a: jnp.concatenate([a, a[partner]], 1), data["bounding_boxes"])
            result["bounding_boxes"] = both
        return result

    def _mixed(self, images: Any, partner: Any, sampled: Any) -> Any:
        def one(image: Any, other: Any, sampled: Any) -> Any:
            mixed = self.mix(self._last(image), self._last(other), with_dtype(sampled, jnp.float32))
            return self._first(mixed)

        return jax.vmap(one)(images, images[partner], sampled)

    def _mixed_labels(self, labels: Any, partner: Any, sampled: Any) -> Any:
        if labels.ndim < 2:
            raise ShapeError(
                f"{brief(self)} mixes labels, got numbers of classes {tuple(labels.shape)}; give them one-hot, "
                "jax.nn.one_hot(labels, classes)"
            )
        labels = self._cast_images(labels)
        own = jax.vmap(self.weight)(sampled).astype(labels.dtype)
        own = own.reshape(-1, *(1 for _ in labels.shape[1:]))
        return own * labels + (1 - own) * labels[partner]


@layerclass
class MixUp(Mixing):
    """In training, each image becomes w times itself plus 1 - w times another one, and labels and masks likewise.

    Arguments:
        alpha: w is drawn from Beta(alpha, alpha): small ones leave most images nearly as they are.
        data_format, seed, bounding_box_format: see `Mixing`.

    Shapes: unchanged. See `Mixing`.
    Random: in training.
    Mask: not supported.

    Reference: Zhang, Cisse, Dauphin, Lopez-Paz, mixup: Beyond Empirical Risk Minimization, 2017.
    """

    alpha: float = 0.2
    data_format: DataFormat | None = None
    seed: Seed = None

    def check(self) -> None:
        check_positive(self, "alpha")

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The weight w."""
        return jax.random.beta(rng, self.alpha, self.alpha, dtype=jnp.float32)

    def weight(self, sampled: Any) -> Any:
        return sampled

    def mix(self, image: Any, other: Any, sampled: Any) -> Any:
        dtype = image.dtype if jnp.issubdtype(image.dtype, jnp.floating) else jnp.float32
        own = sampled.astype(dtype)
        return own * image.astype(dtype) + (1 - own) * other.astype(dtype)


@layerclass
class CutMix(Mixing):
    """In training, a random rectangle of each image is replaced by that of another one; labels are mixed by its area.

    Arguments:
        factor: the alpha of the distribution Beta(alpha, alpha) of the area that stays: from 0 to f, or two numbers
            between which it is drawn; 0 to 1.
        data_format, seed, bounding_box_format: see `Mixing`.

    Shapes: unchanged. See `Mixing`.
    Random: in training.
    Mask: not supported.

    Reference: Yun, Han, Oh, Chun, Choe, Yoo, CutMix: Regularization Strategy to Train Strong Classifiers, 2019.
    """

    factor: Factor = 1.0
    seed: Seed = None
    data_format: DataFormat | None = None

    def check(self) -> None:
        check_factor(self, "factor", 0, 1)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The first and the last edge of the rectangle over height and width, and the fraction that it leaves."""
        first, second, third = jax.random.split(rng, 3)
        alpha = uniform(first, limits(self.factor, 0.0)) + 1e-6
        size = jnp.sqrt(1 - jax.random.beta(second, alpha, alpha, dtype=jnp.float32))
        start = uniform(third, (0.0, 1.0), (2,)) * (1 - size)
        edges = jnp.stack([start, start + size]) * jnp.array(shape[:2], jnp.float32)
        return {"edges": edges, "weight": 1 - jnp.square(size)}

    def weight(self, sampled: Any) -> Any:
        return sampled["weight"]

    def mix(self, image: Any, other: Any, sampled: Any) -> Any:
        return jnp.where(in_rectangle(sampled["edges"], image.shape)[..., None], other, image)


@layerclass
class MaxNumBoundingBoxes(ImageLayer):
    """Bounding boxes cut or padded to one number; also in inference. Images stay as they are.

    Arguments:
        max_number: how many boxes each image has then.
        fill_value: the coordinates and labels of padding.
        data_format, bounding_box_format: see `ImageLayer`.

    Shapes: boxes (batch, n, 4) -> (batch, max_number, 4), and their labels likewise. See `ImageLayer`.
    Mask: not supported.
    """

    max_number: int
    fill_value: int = -1
    data_format: DataFormat | None = None

    always: ClassVar[bool] = True
    keeps_dtype: ClassVar[bool] = True

    def check(self) -> None:
        check_count(self, "max_number")

    def transform_batch(self, data: Data, key: Any) -> Data:
        def resized(values: Any) -> Any:
            missing = max(self.max_number - values.shape[1], 0)
            padding = [(0, 0), (0, missing), *((0, 0) for _ in values.shape[2:])]
            return jnp.pad(values[:, : self.max_number], padding, constant_values=self.fill_value)

        if "bounding_boxes" not in data:
            return data
        return {**data, "bounding_boxes": jax.tree.map(resized, data["bounding_boxes"])}
