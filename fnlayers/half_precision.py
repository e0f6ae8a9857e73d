"""In which dtype sums are taken, and what the backward pass keeps of float32 sections within half precision.

A function that computes in float32 for float16 or bfloat16 inputs would leave float32 residuals, twice as large as the
array that it got. XLA computes most of them again where it sees both passes in one program, but not from one loop to
another (`Repeat`) nor past a remat. Here the backward pass keeps arrays of half precision and small statistics alone.
Float32 and float64 are left as they are; so are eager calls without derivatives.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.core import Tracer

HALF = frozenset({np.dtype(jnp.float16), np.dtype(jnp.bfloat16)})
SAVED = ("reduce_sum", "reduce_max", "name")  # primitives: statistics of an axis or more, and what `statistic` names


def is_half_precision(x: Any) -> bool:
    """Whether x is of float16 or bfloat16."""
    return x.dtype in HALF


def accumulation_dtype(dtype: Any) -> np.dtype:
    """The dtype in which numbers of that dtype are summed: float32, or a wider one of floats as it is.

    Half precision overflows, and rounds too soon.
    """
    dtype = np.dtype(dtype)
    is_wider = dtype.itemsize > 4 and jnp.issubdtype(dtype, jnp.inexact)
    return dtype if is_wider else np.dtype("float32")


def in_float32(function: Callable[..., Any], x: jax.Array, *arrays: Any) -> Any:
    """function(x, *arrays), with x in float32 where it is of half precision.

    The backward pass then keeps x as it came, the other arrays, and sums and maxima within the function; all else it
    computes again.
    """
    if not is_half_precision(x):
        return function(x, *arrays)

    def widened(x: jax.Array, *arrays: Any) -> Any:
        return function(x.astype(jnp.float32), *arrays)

    return recomputed(widened)(x, *arrays)


def recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of which the backward pass keeps the arguments, sums and maxima, and computes all else again."""
    checkpointed = jax.checkpoint(function, prevent_cse=False, policy=_is_saved)

    def call(*arrays: Any) -> Any:
        traced = any(isinstance(array, Tracer) for array in jax.tree.leaves(arrays))
        return (checkpointed if traced else function)(*arrays)

    return call


def statistic(x: jax.Array) -> jax.Array:
    """x, which `recomputed` is to keep: a mean or sum that a rule of differentiation hides from it."""
    return checkpoint_name(x, "statistic")


def _is_saved(primitive: Any, *_: Any, **__: Any) -> bool:
    return primitive.name in SAVED


def exp(x: jax.Array, dtype: Any) -> jax.Array:
    """e^x, of which the backward pass keeps the result in `dtype`."""
    return _exp(x, dtype) if dtype != x.dtype else jnp.exp(x)


def divide(x: jax.Array, divisor: jax.Array, dtype: Any) -> jax.Array:
    """The quotient, of which the backward pass keeps the result in `dtype`, and the divisor, which is small."""
    return _divide(x, divisor, dtype) if dtype != x.dtype else x / divisor


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _exp(x: jax.Array, dtype: Any) -> jax.Array:
    return jnp.exp(x)


@_exp.defjvp
def _(dtype: Any, primals: tuple, tangents: tuple) -> tuple:
    y = _exp(*primals, dtype)
    return y, _times(y.astype(dtype), *tangents)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _divide(x: jax.Array, divisor: jax.Array, dtype: Any) -> jax.Array:
    return x / divisor


@_divide.defjvp
def _(dtype: Any, primals: tuple, tangents: tuple) -> tuple:
    y, (dx, ddivisor) = _divide(*primals, dtype), tangents
    return y, (dx - _times(y.astype(dtype), ddivisor)) / primals[1]


@functools.partial(jax.checkpoint, prevent_cse=False)
def _times(saved: jax.Array, x: jax.Array) -> jax.Array:
    """The product in x's dtype, of which the backward pass by x keeps `saved` in its own."""
    return saved.astype(x.dtype) * x
