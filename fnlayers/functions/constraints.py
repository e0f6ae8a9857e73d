"""Constraints: frozen options, called as constraint(w) for the weight projected onto the allowed set.

A constraint acts after the optimizer's update. Norms are summed in float32 (float64 for float64 weights), the weight
keeps its dtype. `axis` names the axes that a norm sums over: 0 for a Dense kernel (in, out), (0, 1, 2) for a Conv2D
kernel (height, width, in, out), so that each unit's incoming weights have one norm.
`CONSTRAINTS` is the table of names; `constraint` reads a layer's argument.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from fnlayers.functions.options import Options, check_array, check_axes, is_axes, is_number, resolve
from fnlayers.half_precision import accumulation_dtype
from fnlayers.plain_data import recordclass

Axis = int | Sequence[int]
Constraint = Annotated[
    str | Callable[..., jax.Array] | None, lambda value: constraint(value)
]  # checked by core.options

EPSILON = 1e-7  # Keras's: norms are divided by norm + 1e-7, so that zero weights stay 0


def constraint(identifier: Constraint) -> Callable[..., jax.Array] | None:
    """The constraint that a layer's argument means: None is none, a string a name, a callable of a weight itself.

    >>> constraint("max_norm"), constraint(None)
    (MaxNorm(), None)
    """
    return None if identifier is None else resolve("constraint", identifier, CONSTRAINTS, "of one array")


class _Constraint(Options):
    """Base of all constraints; a subclass writes `_project`, for a weight that is float32 or float64."""

    def __call__(self, w: jax.Array) -> jax.Array:
        """The weight projected onto the allowed set, in its own dtype."""
        check_array(f"{self}", w, booleans=False)
        dtype = jnp.result_type(w)
        if "axis" in self.__dict__:
            check_axes(f"{self}", self.__dict__["axis"], jnp.ndim(w))
        return jnp.asarray(self._project(jnp.asarray(w, accumulation_dtype(dtype))), dtype)

    def _project(self, w: jax.Array) -> jax.Array:
        raise NotImplementedError


@recordclass
class NonNeg(_Constraint):
    """max(w, 0)."""

    def _project(self, w: jax.Array) -> jax.Array:
        return jnp.maximum(w, 0)


@recordclass
class UnitNorm(_Constraint):
    """w / (norm + 1e-7).

    Arguments:
        axis: the axis or axes that a norm sums over.
    """

    axis: Axis = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_axes(self.axis), "axis", "an axis or a tuple of axes")

    def _project(self, w: jax.Array) -> jax.Array:
        return w / (_norm(w, self.axis) + EPSILON)


@recordclass
class MaxNorm(_Constraint):
    """w * min(norm, max_value) / (norm + 1e-7): norms above max_value are scaled down to it.

    Arguments:
        max_value: the largest norm, 0 or more.
        axis: the axis or axes that a norm sums over.

    >>> [round(value, 4) for value in MaxNorm(1)(jnp.array([3.0, 4.0])).tolist()]
    [0.6, 0.8]
    """

    max_value: float = 2
    axis: Axis = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.max_value, least=0), "max_value", "a number, 0 or more")
        self._check(is_axes(self.axis), "axis", "an axis or a tuple of axes")

    def _project(self, w: jax.Array) -> jax.Array:
        norm = _norm(w, self.axis)
        # Keras: weights within the bound shrink too, by 1e-7 / norm of their size at each step.
        return w * (jnp.minimum(norm, self.max_value) / (norm + EPSILON))


@recordclass
class MinMaxNorm(_Constraint):
    """w * target / (norm + 1e-7), target = rate * clip(norm, min_value, max_value) + (1 - rate) * norm.

    Arguments:
        min_value, max_value: the bounds of a norm, 0 or more.
        rate: 1 moves norms onto the bounds at once, less moves them there over several steps, 0 not at all.
        axis: the axis or axes that a norm sums over.
    """

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: Axis = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.min_value, least=0), "min_value", "a number, 0 or more")
        least = self.min_value
        self._check(is_number(self.max_value, least), "max_value", f"a number, min_value={least} or more")
        self._check(is_number(self.rate), "rate", "a finite number, most often from 0 to 1")
        self._check(is_axes(self.axis), "axis", "an axis or a tuple of axes")

    def _project(self, w: jax.Array) -> jax.Array:
        norm = _norm(w, self.axis)
        target = self.rate * jnp.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm
        return w * (target / (norm + EPSILON))


def _norm(w: jax.Array, axis: Any) -> jax.Array:
    squares = jnp.sum(jnp.square(w), axis, keepdims=True)
    zero = squares == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squares)))  # the root's slope at 0 is infinite


CONSTRAINTS: dict[str, type[_Constraint]] = {
    "MaxNorm": MaxNorm,
    "MinMaxNorm": MinMaxNorm,
    "NonNeg": NonNeg,
    "UnitNorm": UnitNorm,
    "max_norm": MaxNorm,
    "min_max_norm": MinMaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
}
