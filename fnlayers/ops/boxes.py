"""Bounding boxes: their formats, and how they move with an image. Boxes are (..., 4).

The format in between is "xyxy": left, top, right and bottom edge, in pixels from the image's upper left corner.
"""

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from fnlayers.ops.layout import check_choice

BoxFormat = Literal[
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh"
]


def to_xyxy(boxes: jax.Array, source: str, height: Any, width: Any) -> jax.Array:
    """Boxes of another format as edges in pixels.

    Arguments:
        boxes: (..., 4).
        source: their format: "xyxy", "yxyx", "xywh" (a corner and a size), "center_xywh", "center_yxhw", or one of
            those as fractions of the image's size, "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh".
        height, width: of the image.

    >>> to_xyxy(jnp.array([0.5, 0.5, 0.2, 0.4]), "rel_center_xywh", 10, 20).tolist()
    [8.0, 3.0, 12.0, 7.0]
    """
    check_choice("bounding_box_format", source, get_args(BoxFormat))
    kind = source.removeprefix("rel_")
    if kind in ("yxyx", "center_yxhw"):
        boxes = boxes[..., jnp.array([1, 0, 3, 2])]
    first, last = boxes[..., :2], boxes[..., 2:]
    if kind == "xywh":
        last = first + last
    elif kind.startswith("center"):
        first, last = first - last / 2, first + last / 2
    edges = jnp.concatenate([first, last], -1)
    return edges * _sizes(height, width, boxes.dtype) if source.startswith("rel_") else edges


def from_xyxy(boxes: jax.Array, target: str, height: Any, width: Any) -> jax.Array:
    """Edges in pixels as boxes of another format. See `to_xyxy`."""
    check_choice("bounding_box_format", target, get_args(BoxFormat))
    if target.startswith("rel_"):
        boxes = boxes / _sizes(height, width, boxes.dtype)
    kind = target.removeprefix("rel_")
    first, last = boxes[..., :2], boxes[..., 2:]
    if kind == "xywh":
        last = last - first
    elif kind.startswith("center"):
        first, last = first + (last - first) / 2, last - first
    converted = jnp.concatenate([first, last], -1)
    return converted[..., jnp.array([1, 0, 3, 2])] if kind in ("yxyx", "center_yxhw") else converted


def clip(boxes: jax.Array, height: Any, width: Any) -> jax.Array:
    """Edges that do not leave the image."""
    return jnp.clip(boxes, 0, _sizes(height, width, boxes.dtype))


def area(boxes: jax.Array) -> jax.Array:
    """Width times height, (...,); 0 for a box whose edges are the wrong way round."""
    size = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return size[..., 0] * size[..., 1]


def around_projected(boxes: jax.Array, matrix: jax.Array) -> jax.Array:
    """The boxes around what a projective transform makes of each box.

    Arguments:
        boxes: (n, 4), edges in pixels.
        matrix: (8,), as in `image.projected`, but from the old position of a pixel to its new one.
    """
    a0, a1, a2, b0, b1, b2, c0, c1 = matrix
    # edges are half a pixel from the middles of pixels, which the matrix is about
    x = boxes[..., jnp.array([0, 2, 0, 2])] - 0.5
    y = boxes[..., jnp.array([1, 1, 3, 3])] - 0.5
    scale = c0 * x + c1 * y + 1
    projected = [(a0 * x + a1 * y + a2) / scale + 0.5, (b0 * x + b1 * y + b2) / scale + 0.5]
    return jnp.stack([*(a.min(-1) for a in projected), *(a.max(-1) for a in projected)], -1)


def around_read(boxes: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """The boxes around the pixels that read within each box: (n, 4); 0 where none does.

    Arguments:
        boxes: (n, 4), edges in pixels.
        y, x: where each pixel of the new image reads, (height, width) each.
    """
    y, x = y + 0.5, x + 0.5

    def one(box: jax.Array) -> jax.Array:
        inside = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
        left, right = _extent(inside.any(0), box.dtype)
        top, bottom = _extent(inside.any(1), box.dtype)
        return jnp.stack([left, top, right, bottom])

    return jax.vmap(one)(boxes)


def _extent(inside: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """The first edge and the last of the positions that are True."""
    first = jnp.argmax(inside)
    last = len(inside) - jnp.argmax(inside[::-1])
    any_inside = inside.any()
    return jnp.where(any_inside, first, 0).astype(dtype), jnp.where(any_inside, last, 0).astype(dtype)


def _sizes(height: Any, width: Any, dtype: Any) -> jax.Array:
    return jnp.stack([jnp.asarray(size, dtype) for size in (width, height)] * 2)
