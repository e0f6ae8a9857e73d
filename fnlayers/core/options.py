"""The types of a layer's fields, checked in one place when the layer is made. `fnlayers/kinds.py` reads annotations."""

import functools
import math
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.kinds import (
    ANYTHING,
    CausalPadding as CausalPadding,
    DataFormat as DataFormat,
    Interpolation as Interpolation,
    Kind,
    Padding as Padding,
    Seed as Seed,
    checks_of,
    is_integer as is_integer,
    is_number,
    kind_of,
)
from fnlayers.plain_data import FrozenDict, choices, freeze


class Option(NamedTuple):
    """A field as the check knows it: its default, its type, and functions that raise ValueError for a bad value."""

    layer: str
    name: str
    default: Any
    kind: Kind
    checks: tuple[Callable[[Any], Any], ...]


@functools.cache
def options_of(cls: type) -> tuple[Option, ...]:
    """The fields of a layer class, their annotations resolved: once, when the first layer of the class is made."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception:  # names that only a type checker sees: such fields are not checked
        hints = {}
    return tuple(
        Option(cls.__name__, f.name, f.default, kind_of(hints.get(f.name, Any)), checks_of(hints.get(f.name, Any)))
        for f in fields(cls)
    )


def stored(option: Option, value: Any) -> Any:
    """The value as the layer stores it: `freeze`, and small arrays as numbers where the type asks for numbers."""
    if isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, Tracer):
        if value.ndim in option.kind.ranks:
            value = value.tolist()
    try:
        value = freeze(value)
        if option.kind is not ANYTHING:
            _check_hashes(value)
    except ValueError as error:
        raise ConfigError(f"{option.layer}: {option.name}: {error}") from None
    return value


def _check_hashes(value: Any) -> None:
    """Raise ConfigError for a value that does not hash, by which layers are compared and traces memoized."""
    if type(value) is tuple or type(value) is FrozenDict:
        for item in value.values() if type(value) is FrozenDict else value:
            _check_hashes(item)
    elif type(value).__hash__ is None:
        raise ConfigError(
            f"{shortened(value)} of type {type(value).__name__} was given as an option, and options hash: give a "
            "number, a string, a tuple, a dict, a function or a layer"
        )


class Fault(NamedTuple):
    """A field that is not of its type, and what is wrong with it, as a sentence."""

    name: str
    sentence: str


def fault(layer: Any) -> Fault | None:
    """The first field that is not of its type; None: all are.

    Raises:
        ConfigError: for a class in place of a layer, which no other error explains better.
    """
    by_name = layer.__dict__
    for option in options_of(type(layer)):
        value = by_name[option.name]
        if value is option.default and option.default is not MISSING:
            continue
        sentence = _wrong_type(option, value)
        for check in option.checks if sentence is None else ():
            try:
                check(value)
            except ValueError as error:
                sentence = f"{option.layer}: {option.name}: {error}"
        if sentence is not None:
            return Fault(option.name, sentence)
    return None


def _wrong_type(option: Option, value: Any) -> str | None:
    """What is wrong with the value's type, as a sentence; None: nothing."""
    cls, name, kind = option.layer, option.name, option.kind
    if kind.accepts(value):
        return None
    _refuse_classes(cls, name, value)
    if kind.choices:
        return f"{cls}: {choices(name, value, kind.choices)}"
    why = f"{_not_finite(value)} is not a number to compute with, " if _not_finite(value) else ""
    return f"{cls}: {name}={shortened(value)} is wrong; {why}give {kind.words}"


def _not_finite(value: Any) -> str:
    """What a number is, or one in a tuple, that is not finite: NaN or infinity."""
    if type(value) is tuple:
        return next(filter(None, map(_not_finite, value)), "")
    finite = not isinstance(value, float) or math.isfinite(value)
    return "" if finite else "NaN" if math.isnan(value) else "infinity"


def _small(value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{value!r} is wrong; give a finite number from 0, such as 1e-3")


Epsilon = typing.Annotated[float, _small]  # what is added so that nothing is divided by zero
Marker = typing.Annotated[  # a number that stands for something, which infinity can, too
    float, Kind(lambda value: is_number(value) or value in (math.inf, -math.inf), "a number", frozenset({0}))
]


def _are_numbers(value: Any) -> bool:
    return all(map(_are_numbers, value)) if type(value) is tuple else is_number(value)


Numbers = typing.Annotated[  # a number, or numbers nested like an array
    Any, Kind(_are_numbers, "a number, or a tuple or nest of numbers", frozenset(range(9)))
]


def _refuse_classes(cls: str, name: str, value: Any) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, type) and hasattr(item, "init_state"):
            raise ConfigError(f"{cls}: {name} holds the class {item.__name__}; make a layer: {item.__name__}(...)")
