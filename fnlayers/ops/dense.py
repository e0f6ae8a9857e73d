"""Matrix products over the last axis, and the bias that follows them."""

import jax
import jax.numpy as jnp

from fnlayers.ops.layout import channel_axis


def dot(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """y[..., j] = sum_i x[..., i] kernel[i, j], in x's dtype; float16 and bfloat16 are summed in float32.

    Shapes: x (..., in), kernel (in, out), y (..., out).
    """
    # jnp.matmul, not lax.dot_general: it is compiled once and for all, so an eager call costs half as much
    if x.dtype in (jnp.float16, jnp.bfloat16):
        return jnp.matmul(x, kernel, preferred_element_type=jnp.float32).astype(x.dtype)
    return jnp.matmul(x, kernel)


def einsum(equation: str, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The einsum of two operands, in x's dtype; float16 and bfloat16 are summed in float32."""
    if x.dtype in (jnp.float16, jnp.bfloat16):
        return jnp.einsum(equation, x, kernel, preferred_element_type=jnp.float32).astype(x.dtype)
    return jnp.einsum(equation, x, kernel)


def add_bias(y: jax.Array, bias: jax.Array, data_format: str = "channels_last") -> jax.Array:
    """The bias added to y, along the channel axis.

    Shapes: y (batch, *space, channels) or (batch, channels, *space), bias (channels,).
    """
    if channel_axis(data_format) == 1:
        bias = bias.reshape((-1,) + (1,) * (y.ndim - 2))
    return y + bias
