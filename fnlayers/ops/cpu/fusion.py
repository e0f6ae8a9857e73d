"""What XLA's CPU compiler shall compute once, and not together with what reads it.

An array of sums and products it computes again in each loop that reads it: a depthwise convolution seven times in a
training step, where a normalization follows. And YNNPACK takes what computes an array along into its mean or sum, but
needs each term of it as an array of its own. The functions here change no number; they say what is not to be moved.
"""

import jax
import jax.numpy as jnp
from jax import lax


def _divided(y: jax.Array) -> jax.Array:
    """y, computed once whoever reads it; linear in y.

    A division is what XLA never computes twice. It must not see that it is one by 1: so much it knows of a constant, of
    an array of one axis or of a bound on both sides, but not of a bound of two numbers' sum.
    """
    row, column = (lax.broadcasted_iota(y.dtype, y.shape, axis) for axis in (y.ndim - 2, y.ndim - 1))
    one = y.dtype.type(1)
    return lax.div(y, lax.clamp(one, row + column, one))  # which leaves integers integers


@jax.custom_jvp
def materialized(y: jax.Array) -> jax.Array:
    """y, computed once whoever reads it. For at least two axes."""
    return _divided(y)


@materialized.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    return materialized(*primals), tangents[0]


@jax.custom_jvp
def fusion_barrier(y: jax.Array) -> jax.Array:
    """y, not computed within its mean or sum: YNNPACK does not know the bounds, which hold for all numbers."""
    return lax.clamp(y.dtype.type(-jnp.inf), y, y.dtype.type(jnp.inf))


@fusion_barrier.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    return fusion_barrier(*primals), tangents[0]


@jax.custom_jvp
def materialized_gradient(x: jax.Array) -> jax.Array:
    """x, with a gradient that is computed once: for one of many terms that several operations read."""
    return x


@materialized_gradient.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    return materialized_gradient(*primals), _divided(tangents[0])
