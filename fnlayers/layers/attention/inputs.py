"""Inputs and masks of the attention layers by name, and checks of them.

The layers take (query, value) or (query, value, key), where without a key the values are their own keys; a dict with
these names, and with several heads "attention_mask" too; or one array, which attends to itself. Masks are nested
likewise.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.checks import check_numbers
from fnlayers.core.context import Context, Out
from fnlayers.core.dtypes import cast, policy
from fnlayers.core.errors import ShapeError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.shapes import is_shape
from fnlayers.layers.common import check_choice, check_fraction, seeded


class AttentionInputs(NamedTuple):
    """The inputs of one run: arrays (batch, ..., steps, features) that are 0 in masked steps, and their masks.

    Arguments:
        query, key, value: the arrays; without a key it is the value.
        query_mask, key_mask: which steps are valid, (batch, ..., steps), or None.
        pair_mask: which queries may attend to which keys, the attention_mask of the inputs, or None.
    """

    query: Any
    key: Any
    value: Any
    query_mask: Any = None
    key_mask: Any = None
    pair_mask: Any = None


def attention_inputs(layer: Any, x: Any, mask: Any, joins_key_mask: bool) -> AttentionInputs:
    """The inputs of a run, in any nest. A value is masked by its own mask, and by its key's if they are joined."""
    arrays = numbers_by_name(layer, x)
    masks = step_masks(layer, arrays, mask)
    key_mask = ops.all_of(masks.get("value"), masks.get("key") if joins_key_mask else None)

    def cleared(x: Any, valid: Any) -> Any:
        """0 in masked steps, so that their values, NaN too, reach no sum, forward or backward."""
        return x if valid is None or layer.keras_masks else jnp.where(valid[..., None], x, 0)

    value = cleared(arrays["value"], key_mask)
    return AttentionInputs(
        query=cleared(arrays["query"], masks.get("query")),
        key=cleared(arrays["key"], key_mask) if "key" in arrays else value,
        value=value,
        query_mask=masks.get("query"),
        key_mask=key_mask,
        pair_mask=arrays.get("attention_mask"),
    )


def by_name(nest: Any, shapes: bool = False) -> dict[str, Any]:
    """Inputs, their masks or their shapes by name: from a dict, from a tuple in order, or from one for both."""
    if isinstance(nest, Mapping):
        return dict(nest)
    if isinstance(nest, (tuple, list)) and not (shapes and is_shape(nest)):
        return dict(zip(("query", "value", "key"), nest, strict=False))
    return {"query": nest, "value": nest}


def numbers_by_name(layer: Layer, x: Any) -> dict[str, Any]:
    """The inputs by name: query, value and key in the layer's compute dtype; an attention_mask as it is."""
    arrays, compute = by_name(x), policy(layer.dtype).compute
    for name in arrays.keys() & {"query", "value", "key"}:
        check_numbers(layer, arrays[name], booleans=False)
        arrays[name] = cast(arrays[name], compute, every=True)
    return arrays


def check_common(layer: Any) -> None:
    """Raise ConfigError unless dropout is a fraction and the options of a call are True or False."""
    check_fraction(layer, "dropout")
    for name in ("use_causal_mask", "return_attention_scores", "keras_masks"):
        check_choice(layer, name, (False, True))


def check_inputs(layer: Any, shape: Shape, names: tuple[str, ...]) -> dict[str, tuple[int | None, ...]]:
    """The shapes by name; ShapeError unless there are a query and a value, whose keys fit."""
    sizes_by_name = by_name(shape, shapes=True)
    too_many = not isinstance(shape, Mapping) and not is_shape(shape) and len(shape) > 3
    if too_many or not {"query", "value"} <= sizes_by_name.keys() <= set(names):
        raise ShapeError(
            f"{layer!r} takes (query, value), (query, value, key), a dict of some of {', '.join(names)}, or one array "
            f"that attends to itself; got {shape!r}"
        )
    for name, sizes in sizes_by_name.items():
        if not is_shape(sizes) or (name != "attention_mask" and not layer.least_rank <= len(sizes) <= layer.most_rank):
            ranks = "3 axes" if layer.most_rank == 3 else f"at least {layer.least_rank} axes"
            raise ShapeError(f"{layer!r} takes arrays of {ranks}, (batch, steps, features), got {name} {sizes}")
    key, value = sizes_by_name.get("key", sizes_by_name["value"]), sizes_by_name["value"]
    if len(key) != len(value) or not all(map(fit, key[1:-1], value[1:-1])):
        raise ShapeError(
            f"{layer!r}: each value has a key, but value is {value} and key {key}; give as many steps of both"
        )
    if not fit(sizes_by_name["query"][0], value[0]) or not fit(key[0], value[0]):
        raise ShapeError(f"{layer!r}: the batch sizes differ: {shape}; give arrays of one batch")
    return sizes_by_name


def fit(a: int | None, b: int | None) -> bool:
    """Whether two sizes are, or may turn out to be, equal, or one of them is broadcast."""
    return same(a, b) or 1 in (a, b)


def same(a: int | None, b: int | None) -> bool:
    """Whether two sizes are, or may turn out to be, equal."""
    return a == b or None in (a, b)


def step_masks(layer: Layer, arrays: Mapping[str, Any], mask: Any) -> dict[str, Any]:
    """The masks by their arrays' names, each with all axes of its array but the features."""
    masks = {}
    for name, valid in by_name(mask).items():
        if valid is not None and name in ("query", "value", "key"):
            x = arrays[name]
            if valid.ndim >= x.ndim:
                raise ShapeError(f"{layer!r} takes masks of steps, not of features; the {name}'s is {valid.shape}")
            masks[name] = jnp.broadcast_to(ops.expand_trailing(valid, x.ndim - 1), x.shape[:-1])
    return masks


def dropping(layer: Any, ctx: Context) -> Any:
    """The layer's dropout as a function of the weights; None where nothing is dropped."""
    if not ctx.train or layer.dropout == 0:
        return None
    return functools.partial(ops.dropout, seeded(layer, ctx), rate=layer.dropout)


def result(y: Any, weights: Any, ctx: Context) -> Out:
    """The output with the query's mask, or it and the weights, which have none."""
    mask = by_name(ctx.mask).get("query")
    if weights is None:
        return Out(y, mask=mask)
    return Out((y, weights), mask=None if mask is None else (mask, None))


def to_steps(a: Any, axes: tuple[int, ...], rest: int = 0) -> Any:
    """(batch, ..., *rest) with the axes to attend over brought together into one, behind the others of the batch."""
    front = a.ndim - rest
    others = [axis for axis in range(front) if axis not in axes]
    a = a.transpose(*others, *axes, *range(front, a.ndim))
    return a.reshape(*a.shape[: len(others)], math.prod(a.shape[len(others) : front]), *a.shape[front:])


def from_steps(a: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The inverse of `to_steps`, for arrays (..., steps, heads, features) and the shape of what was projected."""
    others = [axis for axis in range(len(shape) - 1) if axis not in axes]
    a = a.reshape(*a.shape[: len(others)], *(shape[axis] for axis in axes), *a.shape[-2:])
    order = [*others, *axes]
    return a.transpose(*(order.index(axis) for axis in range(len(order))), a.ndim - 2, a.ndim - 1)
