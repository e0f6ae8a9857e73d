"""Regularizers: frozen options, called as regularizer(w) for the penalty of a weight, a scalar.

The penalty is summed and returned in float32 (float64 for float64 weights): a sum of squares overflows float16 soon.
`REGULARIZERS` is the table of names; `regularizer` reads a layer's argument.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from fnlayers.functions.options import Options, check_array, is_number, resolve
from fnlayers.half_precision import accumulation_dtype, in_float32
from fnlayers.plain_data import recordclass

Regularizer = Annotated[
    str | Callable[..., jax.Array] | None, lambda value: regularizer(value)
]  # checked by core.options

EPSILON = 1e-7  # Keras's: rows shorter than this are not scaled to length 1


def regularizer(identifier: Regularizer) -> Callable[..., jax.Array] | None:
    """The regularizer that a layer's argument means: None is none, a string a name, a callable of a weight itself.

    A name stands for the class with its defaults: "l1" is 0.01 * sum(|w|), "l2" is 0.01 * sum(w**2), and "l1_l2" has
    both factors 0.

    >>> regularizer("l2"), regularizer(None)
    (L2(), None)
    """
    return None if identifier is None else resolve("regularizer", identifier, REGULARIZERS, "of one array")


class _Regularizer(Options):
    """Base of all regularizers; a subclass writes `_penalty` of a weight that is float32 or float64."""

    def __call__(self, w: jax.Array) -> jax.Array:
        """The penalty of the weight, a scalar."""
        check_array(f"{self}", w, booleans=False)
        w = jnp.asarray(w)
        return in_float32(lambda w: self._penalty(w.astype(accumulation_dtype(w.dtype))), w)

    def _penalty(self, w: jax.Array) -> jax.Array:
        raise NotImplementedError


@recordclass
class L1(_Regularizer):
    """l1 * sum(|w|). Its gradient at 0 is 0.

    Arguments:
        l1: the factor, 0 or more.
    """

    l1: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor(self, "l1", default=0.01)

    def _penalty(self, w: jax.Array) -> jax.Array:
        return self.l1 * jnp.sum(_absolute(w))


@recordclass
class L2(_Regularizer):
    """l2 * sum(w**2), without a half. A decoupled weight decay of d under plain SGD is L2(d / 2).

    Arguments:
        l2: the factor, 0 or more.

    >>> round(float(L2(0.1)(jnp.array([1.0, -2.0]))), 4)
    0.5
    """

    l2: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor(self, "l2", default=0.01)

    def _penalty(self, w: jax.Array) -> jax.Array:
        return self.l2 * jnp.sum(jnp.square(w))


@recordclass
class L1L2(_Regularizer):
    """l1 * sum(|w|) + l2 * sum(w**2).

    Arguments:
        l1, l2: the factors, 0 or more. Both are 0 by default, for the name "l1_l2" too.
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor(self, "l1", default=0.0)
        _check_factor(self, "l2", default=0.0)

    def _penalty(self, w: jax.Array) -> jax.Array:
        return self.l1 * jnp.sum(_absolute(w)) + self.l2 * jnp.sum(jnp.square(w))


@recordclass
class OrthogonalRegularizer(_Regularizer):
    """factor times the mean of |u . v| over all pairs of rows (or columns) of a matrix, each row divided by its length.

    A matrix with one row has no pairs, and the penalty 0. A row of zeros is orthogonal to all others. The gradient at
    u . v = 0 is 0.

    Arguments:
        factor: the factor, 0 or more.
        mode: "rows" or "columns". In rows mode a Dense kernel's rows, one for each input feature, are compared.
    """

    factor: float = 0.01
    mode: Literal["rows", "columns"] = "rows"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor(self, "factor", default=None)

    def _penalty(self, w: jax.Array) -> jax.Array:
        if w.ndim != 2:
            raise ValueError(
                f"{self} penalizes matrices; the weight has shape {w.shape}, of rank {w.ndim}; choose another one"
            )
        rows = w if self.mode == "rows" else w.T
        count = rows.shape[0]
        # The squared length is clipped before the root: at 0 the root's slope is infinite, and 0 * inf is NaN.
        length = jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(rows), 1, keepdims=True), EPSILON**2))
        rows = rows * length
        products = jnp.matmul(rows, rows.T, precision="highest")  # near 0 the faster products round to noise
        pairs = jnp.sum(_absolute(products * (1 - jnp.eye(count, dtype=rows.dtype)))) / 2
        return self.factor * pairs / max(count * (count - 1) / 2, 1)


def _absolute(x: jax.Array) -> jax.Array:
    """|x| with gradient 0 at 0, so that weights at 0 stay there; jnp.abs has 1."""
    return x * jnp.sign(x)


def _check_factor(options: Any, name: str, default: float | None) -> None:
    """The factor as a float, the default where None was given."""
    if getattr(options, name) is None and default is not None:
        options._store(name, default)
    options._check(is_number(getattr(options, name), least=0), name, "a finite number, 0 or more")
    options._store(name, float(getattr(options, name)))


REGULARIZERS: dict[str, type[_Regularizer]] = {
    "L1": L1,
    "L1L2": L1L2,
    "L2": L2,
    "OrthogonalRegularizer": OrthogonalRegularizer,
    "l1": L1,
    "l1_l2": L1L2,
    "l1l2": L1L2,
    "l2": L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
}
