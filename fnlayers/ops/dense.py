"""Matrix products over the last axis, and the bias that follows them."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from fnlayers.ops.layout import channel_axis
from fnlayers.ops.tracing import count_product


def dot(x: jax.Array, kernel: jax.Array, axes: int = 1) -> jax.Array:
    """y[..., j] = sum_i x[..., i] kernel[i, j], in x's dtype; float16 and bfloat16 are summed in float32.

    Shapes: x (..., in), kernel (in, out), y (..., out), where in stands for as many sizes as `axes`, and out for any.
    """
    if isinstance(x, Tracer):
        count_product(x, math.prod(kernel.shape[:axes]), math.prod(kernel.shape[axes:]))
    if not isinstance(x, Tracer) or x.ndim <= axes + 1 == kernel.ndim:
        return _apart(x, kernel, axes)

    def flat(x: jax.Array, kernel: jax.Array) -> jax.Array:
        rows, inner, outer = x.shape[: x.ndim - axes], math.prod(kernel.shape[:axes]), kernel.shape[axes:]
        y = _apart(x.reshape(math.prod(rows), inner), kernel.reshape(inner, math.prod(outer)), 1)
        return y.reshape(*rows, *outer)

    # On CPUs the gradient of the kernel is then a product of two matrices, and takes half the time. Elsewhere each axis
    # stays by itself, since each may be sharded.
    return lax.platform_dependent(x, kernel, cpu=flat, default=lambda x, kernel: _apart(x, kernel, axes))


def _apart(x: jax.Array, kernel: jax.Array, axes: int) -> jax.Array:
    if axes == 1 and kernel.ndim == 2:
        # jnp.matmul is compiled once and for all, so an eager call costs half as much as that of others
        return _in_dtype(x, jnp.matmul(x, kernel, preferred_element_type=_sums(x)))
    return _in_dtype(x, jnp.tensordot(x, kernel, axes, preferred_element_type=_sums(x)))


def einsum(equation: str, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The einsum of two operands, in x's dtype; float16 and bfloat16 are summed in float32."""
    return _in_dtype(x, jnp.einsum(equation, x, kernel, preferred_element_type=_sums(x)))


def _sums(x: jax.Array) -> Any:
    """The dtype to sum products in, None for x's own."""
    return jnp.float32 if x.dtype in (jnp.float16, jnp.bfloat16) else None


def _in_dtype(x: jax.Array, y: jax.Array) -> jax.Array:
    return y if _sums(x) is None else y.astype(x.dtype)


def add_bias(y: jax.Array, bias: jax.Array, data_format: str = "channels_last") -> jax.Array:
    """The bias added to y, along the channel axis.

    Shapes: y (batch, *space, channels) or (batch, channels, *space), bias (channels,).
    """
    if channel_axis(data_format) == 1:
        bias = bias.reshape((-1,) + (1,) * (y.ndim - 2))
    return y + bias
