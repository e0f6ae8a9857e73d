"""Activations over an axis: softmax and its kin, and glu. In half precision they compute in float32."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from fnlayers.functions.activations.common import Array, checked, floating, through_float32
from fnlayers.half_precision import in_float32, is_half_precision

Axis = int | Sequence[int]


@checked
def glu(x: Array, axis: int = -1) -> Array:
    """`a * sigmoid(b)`, where a and b are the first and the second half of x along the axis.

    Raises ValueError where that axis has an odd size.

    Reference: Y. Dauphin, A. Fan, M. Auli, D. Grangier, "Language modeling with gated convolutional networks", 2017.
    """
    if x.shape[axis] % 2:
        raise ValueError(
            f"glu(axis={axis}) got an array of shape {x.shape}, whose axis {axis} has the odd size {x.shape[axis]}; "
            "glu halves that axis, so give it an even size"
        )
    return jax.nn.glu(floating(x), axis=axis)


@checked
def softmax(x: Array, axis: Axis = -1) -> Array:
    """`exp(x) / sum(exp(x))` over the axis, or over all of a tuple of axes together.

    >>> [round(value, 4) for value in softmax(jnp.array([0.0, 1.0, 1.0])).tolist()]
    [0.1554, 0.4223, 0.4223]
    """
    x = jnp.asarray(x)
    return _half_precision_softmax(x, _axes(axis)) if is_half_precision(x) else jax.nn.softmax(x, _axes(axis))


@checked
def log_softmax(x: Array, axis: Axis = -1) -> Array:
    """`x - log(sum(exp(x)))`, over the axis or a tuple of axes together."""
    return through_float32(jax.nn.log_softmax, x, _axes(axis))


@checked
def sparsemax(x: Array, axis: int = -1) -> Array:
    """`max(x - tau, 0)`, with the tau that makes each row sum to 1: the point of the simplex nearest to x.

    Keras 3.15 finds a tau too large as soon as two entries of a row stay positive, and its rows then sum to less
    than 1; this function computes what the paper defines.

    Reference: A. Martins, R. Astudillo, "From softmax to sparsemax", 2016.

    >>> sparsemax(jnp.array([3.0, 3.0, 1.0])).tolist()
    [0.5, 0.5, 0.0]
    """
    return through_float32(_sparsemax, x, axis)


@checked
def legacy_sparsemax(x: Array, axis: int = -1) -> Array:
    """What Keras up to 3.15 computes for sparsemax, for models that were trained with it.

    Its tau is (the sum of all cumulative sums of the support - 1) / k, where only the last cumulative sum belongs.
    """
    return through_float32(_legacy_sparsemax, x, axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _half_precision_softmax(x: Array, axis: int | tuple[int, ...]) -> Array:
    return jax.nn.softmax(x.astype(jnp.float32), axis).astype(x.dtype)


@_half_precision_softmax.defjvp
def _(axis: int | tuple[int, ...], primals: tuple, tangents: tuple) -> tuple:
    """The backward pass keeps x, the maximum and the sum."""
    (x,), (dx,) = primals, tangents
    top = jax.lax.stop_gradient(jnp.max(x, axis, keepdims=True, initial=-jnp.inf)).astype(jnp.float32)
    total = jnp.sum(jnp.exp(x.astype(jnp.float32) - top), axis, keepdims=True)

    def tangent(x: Array, top: Array, total: Array, dx: Array) -> Array:
        y, dx = jnp.exp(x - top) / total, dx.astype(jnp.float32)
        return y * (dx - jnp.sum(y * dx, axis, keepdims=True))

    return _half_precision_softmax(x, axis), in_float32(tangent, x, top, total, dx).astype(x.dtype)


def _sparsemax(x: Array, axis: int) -> Array:
    x = x - jax.lax.stop_gradient(jnp.max(x, axis, keepdims=True))  # a shift changes nothing, and 1e8 - 1 is not 1e8
    ordered = jnp.sort(x, axis, descending=True)
    rank = jnp.expand_dims(
        jnp.arange(1, x.shape[axis] + 1, dtype=x.dtype), [i for i in range(x.ndim) if i != axis % x.ndim]
    )
    support = 1 + rank * ordered > jnp.cumsum(ordered, axis=axis)
    count = jnp.sum(support, axis, keepdims=True, dtype=x.dtype)
    tau = (jnp.sum(jnp.where(support, ordered, 0), axis, keepdims=True) - 1) / count
    return jnp.maximum(x - tau, 0)


def _legacy_sparsemax(x: Array, axis: int) -> Array:
    ordered = jnp.flip(jnp.sort(x, axis), axis)
    total = jnp.cumsum(ordered, axis=axis)
    rank = jnp.arange(1, x.shape[axis] + 1, dtype=x.dtype).reshape(
        [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
    )
    support = ordered - (total - 1) / rank > 0
    count = jnp.sum(support, axis, keepdims=True, dtype=x.dtype)
    return jnp.maximum(x - (jnp.sum(jnp.where(support, total, 0), axis, keepdims=True) - 1) / count, 0)


def _axes(axis: Axis) -> int | tuple[int, ...]:
    return axis if isinstance(axis, int) else tuple(axis)
