"""A few numbers that say what an array holds, read from the device."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from fnlayers.core.errors import ConfigError


class Numbers(NamedTuple):
    """What some arrays hold together.

    Arguments:
        least, mean, greatest: of the finite numbers; NaN where there is none.
        norm: the square root of the sum of squares, of the finite numbers.
        zeros: the fraction of numbers that are 0.
        not_finite: how many are infinite or NaN.
        size: how many numbers there are.
    """

    least: float
    mean: float
    greatest: float
    norm: float
    zeros: float
    not_finite: int
    size: int


def numbers_of(arrays: Sequence[Any], verb: str) -> Numbers:
    """The numbers of some arrays; `verb` is the function that asks, for its error under jit."""
    check_known(arrays, verb)
    parts = [np.asarray(array).astype("float64").ravel() for array in arrays]
    values = np.concatenate(parts) if parts else np.zeros(0)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Numbers(np.nan, np.nan, np.nan, 0.0, 0.0, values.size, values.size)
    scale = max(float(np.abs(finite).max()), np.finfo("float64").tiny)  # so that no square overflows
    return Numbers(
        float(finite.min()),
        float(finite.mean()),
        float(finite.max()),
        scale * float(np.linalg.norm(finite / scale)),
        float(np.mean(values == 0)),
        values.size - finite.size,
        values.size,
    )


def check_known(tree: Any, verb: str) -> None:
    """Raise ConfigError where jax traces; `verb` is the function that asks."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree)):
        raise ConfigError(f"debug.{verb} reads numbers, which are unknown while jax traces; call it outside jit")


def note(numbers: Numbers) -> str:
    """What a table says under a row; "" where all numbers are finite."""
    return f"{numbers.not_finite} of {numbers.size} numbers are not finite" if numbers.not_finite else ""


def shown(number: float) -> str:
    """A number in a table."""
    return f"{number:.3g}"


def percent(fraction: float) -> str:
    """A fraction in a table; "" for none."""
    return f"{100 * fraction:.0f} %" if fraction else ""
