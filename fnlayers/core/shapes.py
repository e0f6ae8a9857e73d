"""Shapes: tuples of sizes, None where a size is unknown, nested where a layer has several inputs or outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.plain_data import FrozenDict, freeze, map_nest


@dataclass(frozen=True)
class ArrayType:
    """What is known of an array before it exists: its shape (None where unknown), dtype, and mask.

    `masked` is the number of its first axes that its mask has, 0 where it has no mask.
    """

    shape: tuple[int | None, ...]
    dtype: str
    masked: int = 0

    def __str__(self) -> str:
        return f"{self.dtype}{self.shape}"


def is_shape(value: Any) -> bool:
    """A tuple or list of sizes, as against a nest of shapes. `()` is the shape of a scalar."""
    return isinstance(value, (tuple, list)) and all(
        n is None or (isinstance(n, (int, np.integer)) and n is not True and n is not False) for n in value
    )


def canonical(shape: Any) -> Any:
    """The shape, or nest of shapes, as tuples that hash; anything else is an error."""

    def sizes(shape: Any) -> tuple[int | None, ...]:
        if not is_shape(shape):
            raise ShapeError(_no_shape(shape))
        if any(n is not None and n < 0 for n in shape):
            raise ShapeError(f"shape {tuple(shape)} has a negative size; write None for an unknown one")
        if any(n is not None and n >= 2**63 for n in shape):
            raise ShapeError(f"shape {tuple(shape)} has a size that no array has; write None for an unknown one")
        return tuple(n if n is None else int(n) for n in shape)

    return freeze(map_nest(sizes, shape, is_leaf=is_shape))


def _no_shape(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"a shape is needed, got an array of shape {tuple(value.shape)}; write x.shape"
    return f"{value!r} is not a shape; write a tuple with the batch axis, such as (None, 28, 28, 1)"


def known(shape: Sequence[int | None], axis: int, what: str = "") -> int:
    """The size of an axis that a weight's shape depends on; an error where it is unknown or absent."""
    if not is_shape(shape):
        raise ShapeError(f"one input is needed, got several: {shape!r}")
    if not -len(shape) <= axis < len(shape):
        raise ShapeError(f"the input has shape {tuple(shape)}, which has no axis {axis}{what and ' (' + what + ')'}")
    size = shape[axis]
    if size is None:
        raise ShapeError(
            f"axis {axis}{what and ' (' + what + ')'} of {tuple(shape)} must be known; write its size in the shape "
            "given to init or Input"
        )
    return size


def per_axis(value: int | Sequence[int], rank: int, what: str = "size", least: int = 1) -> tuple[int, ...]:
    """One number for all `rank` axes, or one for each: 3 -> (3, 3); checked to be integers of at least `least`."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in values)
    if not whole or len(values) != rank or any(n < least for n in values):
        raise ConfigError(
            f"{what}={value!r} is wrong; give an integer of at least {least}"
            + (f", or {rank} of them" if rank > 1 else "")
        )
    return values


def type_of(x: Any) -> Any:
    """The ArrayType of each array in a nest; a size that is symbolic (under export) counts as unknown."""

    def describe(a: Any) -> ArrayType:
        sizes = tuple(n if isinstance(n, int) else None for n in np.shape(a))
        return ArrayType(sizes, str(getattr(a, "dtype", "?")))

    return map_nest(describe, x)


def with_dtype(shape: Any, dtype: Any) -> Any:
    """Shapes and dtypes put together; one dtype serves all shapes of a nest."""
    if is_shape(shape):
        return ArrayType(shape, str(dtype))
    if isinstance(dtype, str):
        return freeze(map_nest(lambda s: ArrayType(s, dtype), shape, is_leaf=is_shape))
    if isinstance(shape, Mapping):
        return FrozenDict({key: with_dtype(shape[key], dtype[key]) for key in shape})
    return tuple(with_dtype(s, d) for s, d in zip(shape, dtype, strict=True))


def shape_of(types: Any) -> Any:
    """The shapes of a nest of ArrayTypes."""
    return map_nest(lambda t: t.shape, types)
