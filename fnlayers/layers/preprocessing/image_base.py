"""What all layers of images share: batches, keys, layouts, and what moves with the images.

A subclass says what happens to one image, channels last: `sample(rng, shape)` draws, `transform(image, sampled)`
computes. Where pixels move, `transform_mask` and `transform_boxes` say it of masks and boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers.core import dtypes
from fnlayers.core.context import Context, Out, has_mask
from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import is_shape
from fnlayers.half_precision import in_float32
from fnlayers.layers.common import seeded
from fnlayers.ops import boxes
from fnlayers.ops.boxes import BoxFormat

Factor = float | Sequence[float]
PARTS = ("images", "labels", "bounding_boxes", "segmentation_masks")


@layerclass
class ImageLayer(Layer):
    """Base of the layers of images.

    Arguments:
        bounding_box_format: of the boxes in a dict; "xyxy" (edges in pixels), "yxyx", "xywh" (a corner and a size),
            "center_xywh", "center_yxhw", or as fractions of the image's size "rel_xyxy", "rel_yxyx", "rel_xywh",
            "rel_center_xywh".
        data_format: "channels_last" (the default) or "channels_first".
        seed: a number folded into the layer's key.

    Shapes: (batch, height, width, channels), or one image (height, width, channels); or a dict with "images", and any
        of "labels" (batch, ...), "segmentation_masks" (batch, height, width, 1) or (batch, height, width), and
        "bounding_boxes" {"boxes": (batch, n, 4), "labels": (batch, n)}, which move with the images. Integer images
        become floating ones, in the compute dtype; boxes come out in float32; a box that has left the image has the
        label -1, as padding has.
    Mask: not supported.
    """

    bounding_box_format: BoxFormat | None = field(default=None, kw_only=True)

    takes: ClassVar[str] = "real"
    casts_inputs: ClassVar[str] = "none"
    always: ClassVar[bool] = False  # whether it acts in inference, too
    moves: ClassVar[bool] = False  # whether pixels move, and so masks and boxes
    keeps_dtype: ClassVar[bool] = False  # whether images stay in their dtype, integers too
    takes_channels: ClassVar[tuple[int, ...]] = ()  # how many channels an image may have; (): any number
    data_format = None  # fields in the layers that Keras has them in
    seed = None

    @property
    def channels(self) -> tuple[int, ...]:
        """`takes_channels`, but where it follows from options."""
        return self.takes_channels

    def sample(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Draw what is random, for an image of that shape, channels last. Nothing is random unless a layer draws."""
        return ()

    def transform_batch(self, data: dict[str, Any], key: Any) -> dict[str, Any]:
        """The new images (batch, ...) and what is with them; the key is None where nothing is drawn."""
        raise ConfigError(f"{type(self).__name__} defines no transform_batch(data, key)")

    def check_shape(self, shape: Shape) -> None:
        """Images of the right rank, in an array or a dict of what may be with them."""
        if not is_shape(shape):
            self._check_parts(shape)
            shape = shape["images"]
        if len(shape) not in (3, 4):
            first = " (channels first)" if self.data_format == "channels_first" else ""
            raise ShapeError(
                f"{brief(self)} takes images (batch, height, width, channels){first}, or one of them, got the shape "
                f"{tuple(shape)}"
            )
        height, width, channels = self._channels_last(shape[-3:])
        if self.channels and channels not in (None, *self.channels):
            raise ShapeError(
                f"{brief(self)} takes images of {' or '.join(map(str, self.channels))} channels, got {channels} in "
                f"{tuple(shape)}"
            )
        if 0 in (height, width):
            raise ShapeError(f"{brief(self)} takes images of at least one pixel, got the shape {tuple(shape)}")

    def _check_parts(self, shape: Any) -> None:
        if not isinstance(shape, Mapping) or "images" not in shape or not set(shape) <= set(PARTS):
            raise ShapeError(
                f"{brief(self)} takes images, or a dict of 'images' and any of {', '.join(map(repr, PARTS[1:]))}, got "
                f"{sorted(shape) if isinstance(shape, Mapping) else shape!r}"
            )
        box_shapes = shape.get("bounding_boxes")
        if box_shapes is None:
            return
        if not isinstance(box_shapes, Mapping) or set(box_shapes) != {"boxes", "labels"}:
            raise ShapeError(f"{brief(self)}: 'bounding_boxes' is a dict of 'boxes' and 'labels', got {box_shapes!r}")
        rank, inner = len(shape["images"]) - 1, box_shapes["boxes"]
        if len(inner) != rank or inner[-1] not in (4, None) or box_shapes["labels"][: rank - 1] != inner[:-1]:
            raise ShapeError(
                f"{brief(self)}: boxes are {'(batch, n, 4)' if rank == 3 else '(n, 4)'}, with a label for each, got "
                f"boxes {tuple(inner)} and labels {tuple(box_shapes['labels'])}"
            )
        if self.moves and self.bounding_box_format is None:
            raise ConfigError(
                f"{brief(self)} moves boxes and does not know their format; give bounding_box_format, such as 'xyxy'"
            )

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Each image with a key of its own; a single one as a batch of one."""
        if has_mask(ctx.mask):
            raise ConfigError(f"{brief(self)} does not support a mask: images have no steps; leave it out")
        data = dict(x) if isinstance(x, Mapping) else {"images": x}
        data["images"] = self._cast_images(data["images"])
        if self.always or ctx.train:
            key = seeded(self, ctx) if type(self).sample is not ImageLayer.sample else None
            single = data["images"].ndim == 3
            data = jax.tree.map(lambda a: jnp.asarray(a)[None], data) if single else jax.tree.map(jnp.asarray, data)
            data = self.transform_batch(data, key)
            data = jax.tree.map(lambda a: a[0], data) if single else data
        return Out(data if isinstance(x, Mapping) else data["images"])

    def _cast_images(self, images: Any) -> Any:
        compute = dtypes.policy(self.dtype).compute
        return dtypes.cast(images, compute, every=not self.keeps_dtype)

    def _channels_last(self, shape: Any) -> tuple:
        return (*shape[1:], shape[0]) if self.data_format == "channels_first" else tuple(shape)

    def _last(self, image: Any) -> Any:
        return jnp.moveaxis(image, 0, -1) if self.data_format == "channels_first" else image

    def _first(self, image: Any) -> Any:
        return jnp.moveaxis(image, -1, 0) if self.data_format == "channels_first" else image


@layerclass
class EachImage(ImageLayer):
    """Base of the layers that transform each image by itself. See `ImageLayer`."""

    in_loop: ClassVar[bool] = False  # whether one after the other: where each image chooses its own way
    computes_in_float32: ClassVar[bool] = (
        True  # whether images of half precision are widened; not where pixels only move
    )

    def transform(self, image: Any, sampled: Any) -> Any:
        """The new image, of one (height, width, channels)."""
        raise ConfigError(f"{type(self).__name__} defines no transform(image, sampled)")

    def transform_mask(self, mask: Any, sampled: Any) -> Any:
        """The new segmentation mask, of one (height, width, channels), in its dtype."""
        return mask

    def transform_boxes(self, edges: Any, sampled: Any, shape: tuple[int, ...]) -> Any:
        """The new boxes, edges in pixels, of those (n, 4) of an image of that shape."""
        return edges

    def transform_batch(self, data: dict[str, Any], key: Any) -> dict[str, Any]:
        """The new images, and what is with them, each with the factors drawn for it."""
        keys = None if key is None else jax.random.split(key, data["images"].shape[0])

        def one(arguments: tuple[Any, Any]) -> dict[str, Any]:
            return self._transform_example(*arguments)

        return jax.lax.map(one, (data, keys)) if self.in_loop else jax.vmap(one)((data, keys))

    def _transform_example(self, example: dict[str, Any], key: Any) -> dict[str, Any]:
        image = self._last(example["images"])
        sampled = self.sample(key, image.shape)
        new = self.transformed(image, sampled)
        result = {**example, "images": self._first(new)}
        if not self.moves:
            return result
        if "segmentation_masks" in example:
            mask = example["segmentation_masks"]
            flat = mask.ndim == 2
            new_mask = self.transform_mask(mask[..., None] if flat else self._last(mask), sampled)
            result["segmentation_masks"] = new_mask[..., 0] if flat else self._first(new_mask)
        if "bounding_boxes" in example:
            result["bounding_boxes"] = self._moved(example["bounding_boxes"], sampled, image.shape, new.shape)
        return result

    def transformed(self, image: Any, sampled: Any) -> Any:
        """`transform` in float32 where the image is of half precision; what was drawn in the image's dtype."""
        if not self.computes_in_float32:
            return self.transform(image, with_dtype(sampled, image.dtype))

        def computed(image: Any, sampled: Any) -> Any:
            return self.transform(image, with_dtype(sampled, image.dtype))

        return in_float32(computed, image, sampled).astype(image.dtype)

    def _moved(self, bounding_boxes: dict[str, Any], sampled: Any, old: Any, new: Any) -> dict[str, Any]:
        """The boxes where they are in the new image, within it; what has no area there, or was padding, is padding."""
        kind = str(self.bounding_box_format)
        edges = boxes.to_xyxy(bounding_boxes["boxes"].astype(jnp.float32), kind, *old[:2])
        labels = bounding_boxes["labels"]
        absent = (boxes.area(edges) <= 0) | (labels == -1 if labels.ndim == 1 else (labels == -1).all(-1))
        edges = boxes.clip(self.transform_boxes(edges, with_dtype(sampled, edges.dtype), old), *new[:2])
        edges = jnp.where(absent[:, None], 0, edges)
        gone = (absent | (boxes.area(edges) <= 0)).reshape(-1, *(1 for _ in labels.shape[1:]))
        return {
            "boxes": boxes.from_xyxy(edges, kind, *new[:2]),
            "labels": jnp.where(gone, jnp.asarray(-1, labels.dtype), labels),
        }


def with_dtype(sampled: Any, dtype: Any) -> Any:
    """What was drawn, its floating numbers in that dtype; booleans, integers and keys as they are."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, sampled)


def limits(factor: Any, least: float = -1.0) -> tuple[float, float]:
    """Between which numbers a factor is drawn: a number f is from -f to f, but from `least` on."""
    if isinstance(factor, tuple):
        return min(factor), max(factor)
    return max(-abs(factor), least), abs(factor)


def uniform(rng: Any, between: tuple[float, float], shape: tuple[int, ...] = ()) -> Any:
    """Numbers drawn between two."""
    return jax.random.uniform(rng, shape, jnp.float32, *between)


def happens(rng: Any, factor: Any) -> Any:
    """True with a probability that is drawn, too, between the limits of the factor."""
    first, second = jax.random.split(rng)
    return uniform(first, (0.0, 1.0)) < uniform(second, limits(factor, 0.0))


def sign(rng: Any) -> Any:
    """1 or -1, equally often."""
    return jax.random.rademacher(rng, (), jnp.float32)


def check_factor(layer: Any, name: str, least: float, most: float, open_least: bool = False) -> None:
    """Raise ConfigError unless the field is a number between these, or two such numbers."""
    value = getattr(layer, name)
    numbers = value if isinstance(value, tuple) else (value,)
    right = all(not isinstance(n, bool) and isinstance(n, (int, float)) and least <= n <= most for n in numbers)
    if not right or (isinstance(value, tuple) and len(value) != 2) or (open_least and least in numbers):
        above = "above" if open_least else "from"
        raise ConfigError(
            f"{type(layer).__name__}: {name}={value!r} is wrong; give a number {above} {least:g} to {most:g}, or two "
            "of them between which it is drawn"
        )


def check_range(layer: Any) -> None:
    """Raise ConfigError unless value_range is the least and the greatest value of a pixel."""
    value = layer.value_range
    pair = value if isinstance(value, tuple) and len(value) == 2 else (0, 0)
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in pair) or not pair[0] < pair[1]:
        raise ConfigError(
            f"{type(layer).__name__}: value_range={value!r} is wrong; give the least and the greatest value of a "
            "pixel, such as (0, 255)"
        )
