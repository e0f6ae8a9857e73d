"""What XLA's CPU compiler shall make once, and by itself.

An array made of sums and products it makes again in each loop that reads it: a depthwise convolution seven times in a
training step, where a normalization follows. And a sum over an array takes the array's making along into a library
that wants every term of it as an array of its own. The functions here change no number; they say what is not to be
moved.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer


def _divided(y: jax.Array) -> jax.Array:
    """y, made once whoever reads it; linear in y.

    A division is what XLA never makes twice. It must not see that it is one by 1: so much it knows of a constant, of an
    array of one axis or of a bound on both sides, but not of a bound of two numbers' sum.
    """
    row, column = (lax.broadcasted_iota(y.dtype, y.shape, axis) for axis in (y.ndim - 2, y.ndim - 1))
    one = y.dtype.type(1)
    return lax.div(y, lax.clamp(one, row + column, one))  # which leaves integers integers


@jax.custom_jvp
def once(y: jax.Array) -> jax.Array:
    """y, made once whoever reads it. For at least two axes."""
    return _divided(y)


@once.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    return once(*primals), tangents[0]


@jax.custom_jvp
def bounded(y: jax.Array) -> jax.Array:
    """y, not made by what takes its mean or sum: the bounds, which hold for all numbers, are unknown to the library."""
    return lax.clamp(y.dtype.type(-jnp.inf), y, y.dtype.type(jnp.inf))


@bounded.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    return bounded(*primals), tangents[0]


def apart(x: jax.Array) -> jax.Array:
    """x, on CPUs not made by what takes its mean or sum."""
    return lax.platform_dependent(x, cpu=bounded, default=lambda x: x) if isinstance(x, Tracer) else x


def gradient_once(x: jax.Array) -> jax.Array:
    """x, with a gradient that is made once on CPUs: for one of many terms that several operations read."""
    return lax.platform_dependent(x, cpu=_gradient_once, default=lambda x: x) if isinstance(x, Tracer) else x


@jax.custom_jvp
def _gradient_once(x: jax.Array) -> jax.Array:
    return x


@_gradient_once.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    return _gradient_once(*primals), _divided(tangents[0])
