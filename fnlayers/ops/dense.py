"""Matrix products over the last axis, and the bias that follows them.

Products of float16 and bfloat16 are asked for in that dtype, not in float32 to be rounded afterwards: XLA sums them in
float32 on every platform, inside of the product. A float32 result would have a float32 cotangent, and the other
operand of both gradient products would be widened to meet it, at half the rate of a GPU or less.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from fnlayers.ops.layout import channel_axis, is_half_precision
from fnlayers.ops.program import count_product


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
        return _rounded(jnp.matmul(x, kernel), x)
    return _rounded(jnp.tensordot(x, kernel, axes), x)


def einsum(equation: str, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The einsum of two operands, in x's dtype; float16 and bfloat16 are summed in float32."""
    return _rounded(jnp.einsum(equation, x, kernel), x)


def _rounded(y: jax.Array, x: jax.Array) -> jax.Array:
    """The product y of x and a kernel in x's dtype, where that is of half precision and the kernel's is not."""
    return y.astype(x.dtype) if is_half_precision(x) else y


def matmul_in_float32(a: jax.Array, b: jax.Array) -> jax.Array:
    """The product of the last two axes; of float16 and bfloat16 the sums in float32, as they are.

    For what goes on in float32, such as the scores of attention. In derivatives, too, the operands keep their dtype: a
    cotangent, which comes in float32, is rounded before it is multiplied.

    Shapes: a (..., rows, inner), b (..., inner, columns), the product (..., rows, columns).
    """
    return _matmul_in_float32(a, b) if is_half_precision(a) else jnp.matmul(a, b)


@jax.custom_jvp
def _matmul_in_float32(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


@_matmul_in_float32.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    (a, b), (da, db) = primals, tangents
    dy = jnp.matmul(da, b).astype(jnp.float32) + jnp.matmul(a, db).astype(jnp.float32)
    return _matmul_in_float32(a, b), dy


def add_bias(y: jax.Array, bias: jax.Array, data_format: str = "channels_last") -> jax.Array:
    """The bias added to y, along the channel axis.

    Shapes: y (batch, *space, channels) or (batch, channels, *space), bias (channels,).
    """
    if channel_axis(data_format) == 1:
        bias = bias.reshape((-1,) + (1,) * (y.ndim - 2))
    return y + bias
