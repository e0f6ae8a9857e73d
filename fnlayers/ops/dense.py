"""Matrix products over the last axis, and the bias that follows them.

Products of float16 and bfloat16 are asked for in that dtype, not in float32 to be rounded afterwards: XLA sums them in
float32 on every platform, inside of the product. A float32 result would have a float32 cotangent, and the other
operand of both gradient products would be widened to meet it, at half the rate of a GPU or less.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnlayers.kinds import DataFormat
from fnlayers.ops import reference
from fnlayers.ops.dispatch import dispatch
from fnlayers.ops.layout import channel_axis
from fnlayers.ops.problem import DotProblem
from fnlayers.ops.program import count_product


def dot(x: jax.Array, kernel: jax.Array, axes: int = 1) -> jax.Array:
    """y[..., j] = sum_i x[..., i] kernel[i, j], in x's dtype; float16 and bfloat16 are summed in float32.

    Shapes: x (..., in), kernel (in, out), y (..., out), where in stands for as many sizes as `axes`, and out for any.
    """
    if not isinstance(x, Tracer):
        return reference.dot(x, kernel, axes)
    count_product(x, math.prod(kernel.shape[:axes]), math.prod(kernel.shape[axes:]))
    problem = DotProblem(x.ndim, kernel.ndim, axes)
    return dispatch(functools.partial(reference.dot, axes=axes), problem, x, kernel)


def einsum(equation: str, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The einsum of two operands, in x's dtype; float16 and bfloat16 are summed in float32."""
    return reference.rounded(jnp.einsum(equation, x, kernel), x)


def matmul_in_float32(a: jax.Array, b: jax.Array) -> jax.Array:
    """The product of the last two axes; of float16 and bfloat16 the sums in float32, as they are.

    For what goes on in float32, such as the scores of attention. In derivatives, too, the operands keep their dtype: a
    cotangent, which comes in float32, is rounded before it is multiplied.

    Shapes: a (..., rows, inner), b (..., inner, columns), the product (..., rows, columns).
    """
    return reference.matmul_in_float32(a, b)


def add_bias(y: jax.Array, bias: jax.Array, data_format: DataFormat = "channels_last") -> jax.Array:
    """The bias added to y, along the channel axis.

    Shapes: y (batch, *space, channels) or (batch, channels, *space), bias (channels,).
    """
    if channel_axis(data_format) == 1:
        bias = bias.reshape((-1,) + (1,) * (y.ndim - 2))
    return y + bias
