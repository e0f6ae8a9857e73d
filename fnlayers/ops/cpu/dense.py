"""Products over the last axes, as CPUs run them fast."""

import math

import jax
from jax.core import Tracer

from fnlayers.ops import reference
from fnlayers.ops.program import count_product


def dot(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """The product of two matrices, which the program that is traced counts."""
    if isinstance(x, Tracer):
        count_product(x, *matrix.shape)
    return reference.dot(x, matrix, 1)


def one_matrix_product(x: jax.Array, kernel: jax.Array, axes: int) -> jax.Array:
    """The product of two matrices: all axes of x that stay are one, and so are those that are summed."""
    rows, inner, outer = x.shape[: x.ndim - axes], math.prod(kernel.shape[:axes]), kernel.shape[axes:]
    y = reference.dot(x.reshape(math.prod(rows), inner), kernel.reshape(inner, math.prod(outer)), 1)
    return y.reshape(*rows, *outer)
