"""Policies: in training, each image goes through augmentations that are chosen at random, for it alone.

Images are transformed one after the other, so that each costs the augmentations that it has, and not all of them.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.core.layer import layerclass
from fnlayers.core.options import DataFormat, Seed
from fnlayers.layers.common import check_count, check_positive
from fnlayers.layers.preprocessing.image_base import (
    EachImage,
    Factor,
    check_factor,
    check_range,
    limits,
)
from fnlayers.layers.preprocessing.image_color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    Solarization,
)
from fnlayers.layers.preprocessing.image_filters import AutoContrast, Equalization, RandomSharpness
from fnlayers.layers.preprocessing.image_geometry import Order, RandomRotation, RandomShear, RandomTranslation
from fnlayers.ops.varying import scan

__all__ = ["RandAugment", "AugMix"]

BYTES = (0, 255)


def augmentations(layer: Any, strongest: bool = True) -> list[EachImage]:
    """The augmentations that Keras chooses from, of the layer's strength; without `strongest` the first seven."""
    factor, span = limits(layer.factor, 0.0), layer.value_range
    moved = {"interpolation": layer.interpolation}
    listed = [
        RandomShear(factor, factor, **moved),
        RandomTranslation(factor, factor, **moved),
        RandomRotation(factor, **moved),
        RandomPosterization(max(1, int(8 * factor[1])), span),
        Solarization(factor, factor, span),
        AutoContrast(span),
        Equalization(span),
    ]
    if strongest:
        listed += [
            RandomBrightness(factor, span),
            RandomColorDegeneration(factor, span),
            RandomContrast(factor, span),
            RandomSharpness(factor, span),
        ]
    return listed


def drawn(layers: list[EachImage], rng: Any, shape: tuple[int, ...], choices: int) -> dict[str, Any]:
    """One choice, and what each of the layers draws."""
    first, *keys = jax.random.split(rng, len(layers) + 1)
    each = [layer.sample(key, shape) for layer, key in zip(layers, keys, strict=True)]
    return {"choice": jax.random.randint(first, (), 0, choices), "each": each}


@layerclass
class RandAugment(EachImage):
    """In training, each image goes through some augmentations of eleven, chosen at random.

    These are RandomShear, RandomTranslation, RandomRotation, RandomBrightness, RandomColorDegeneration, RandomContrast,
    RandomSharpness, RandomPosterization, Solarization, AutoContrast and Equalization. Masks and boxes move, too.

    Arguments:
        value_range: the least and the greatest value of a pixel.
        num_ops: how many of them, one after the other; one may come twice.
        factor: how strong they are: the factor of each of them, from 0 to f, or two numbers; 0 to 1.
        interpolation: "bilinear" or "nearest".
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, height, width, 1 or 3) unchanged. See `ImageLayer`.
    Random: in training.
    Mask: not supported.

    Reference: Cubuk, Zoph, Shlens, Le, RandAugment: Practical Automated Data Augmentation, 2019.
    """

    value_range: Sequence[float] = BYTES
    num_ops: int = 2
    factor: Factor = 0.5
    interpolation: Order = "bilinear"
    seed: Seed = None
    data_format: DataFormat | None = None

    moves: ClassVar[bool] = True
    in_loop: ClassVar[bool] = True
    takes_channels: ClassVar[tuple[int, ...]] = (1, 3)

    def check(self) -> None:
        """A range, a number of operations, and what the augmentations check."""
        check_range(self)
        check_count(self, "num_ops", 0)
        check_factor(self, "factor", 0, 1)
        augmentations(self)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """For each operation a choice, and what each augmentation draws."""
        layers = augmentations(self)
        return jax.vmap(lambda key: drawn(layers, key, shape, len(layers)))(jax.random.split(rng, self.num_ops))

    def transform(self, image: Any, sampled: Any) -> Any:
        return self._through(image, sampled, lambda layer, image, factors: layer.transform(image, factors))

    def transform_mask(self, mask: Any, sampled: Any) -> Any:
        return self._through(mask, sampled, lambda layer, mask, factors: layer.transform_mask(mask, factors))

    def transform_boxes(self, edges: Any, sampled: Any, shape: tuple[int, ...]) -> Any:
        return self._through(edges, sampled, lambda layer, edges, factors: layer.transform_boxes(edges, factors, shape))

    def _through(self, value: Any, sampled: Any, apply: Any) -> Any:
        """The value after each operation that was chosen."""
        ways = [
            lambda v, each, i=i, layer=layer: apply(layer, v, each[i]) for i, layer in enumerate(augmentations(self))
        ]

        def step(value: Any, one: Any) -> Any:
            return lax.switch(one["choice"], ways, value, one["each"]), None

        return scan(step, value, sampled)[0]


@layerclass
class AugMix(EachImage):
    """In training, each image is mixed with several versions of itself, each after a chain of random augmentations.

    Arguments:
        value_range: the least and the greatest value of a pixel, between which results are clipped.
        num_chains: how many versions.
        chain_depth: how many augmentations one has, each of which may be none.
        factor: how strong they are: the factor of each of them, from 0 to f, or two numbers; 0 to 1.
        alpha: the weights of the versions are drawn from a Dirichlet distribution of this alpha, and that of the image
            itself from Beta(alpha, alpha).
        all_ops: whether they are those of `RandAugment`; False: without brightness, color, contrast and sharpness.
        interpolation: "bilinear" or "nearest".
        data_format, seed, bounding_box_format: see `ImageLayer`.

    Shapes: (batch, height, width, 1 or 3) unchanged. See `ImageLayer`. Masks and boxes stay where they are, since each
        version is moved by itself.
    Random: in training.
    Mask: not supported.

    Reference: Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan, AugMix, 2019.
    """

    value_range: Sequence[float] = BYTES
    num_chains: int = 3
    chain_depth: int = 3
    factor: Factor = 0.3
    alpha: float = 1.0
    all_ops: bool = True
    interpolation: Order = "bilinear"
    seed: Seed = None
    data_format: DataFormat | None = None

    in_loop: ClassVar[bool] = True
    takes_channels: ClassVar[tuple[int, ...]] = (1, 3)

    def check(self) -> None:
        """A range, numbers of chains and steps, and what the augmentations check."""
        check_range(self)
        check_count(self, "num_chains")
        check_count(self, "chain_depth", 0)
        check_positive(self, "alpha")
        check_factor(self, "factor", 0, 1)
        augmentations(self, self.all_ops)

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """The weights, and for each step of each chain a choice, and what each augmentation draws."""
        layers = augmentations(self, self.all_ops)
        first, second, chains = jax.random.split(rng, 3)

        def step(key: Any) -> Any:
            return drawn(layers, key, shape, len(layers) + 1)  # the last choice: none

        return {
            "own": jax.random.beta(first, self.alpha, self.alpha, dtype=jnp.float32),
            "weights": jax.random.dirichlet(
                second, jnp.full(self.num_chains, self.alpha, jnp.float32), dtype=jnp.float32
            ),
            "chains": jax.vmap(jax.vmap(step))(jax.random.split(chains, (self.num_chains, self.chain_depth))),
        }

    def transform(self, image: Any, sampled: Any) -> Any:
        layers = augmentations(self, self.all_ops)
        ways = [lambda v, each, i=i, layer=layer: layer.transform(v, each[i]) for i, layer in enumerate(layers)]
        ways = [*ways, lambda v, each: v]

        def step(version: Any, one: Any) -> Any:
            return lax.switch(one["choice"], ways, version, one["each"]), None

        def chain(total: Any, one: Any) -> Any:
            weight, steps = one
            return total + weight * scan(step, image, steps)[0], None

        total, _ = scan(chain, jnp.zeros_like(image), (sampled["weights"], sampled["chains"]))
        return jnp.clip(sampled["own"] * image + (1 - sampled["own"]) * total, *self.value_range)
