"""The types of a layer's fields, checked in one place when the layer is made.

A field's annotation is its type, for editors and for the check alike: `bool`, `int`, `float`, `str`, `Literal[...]`,
tuples and sequences of those, functions, layers, and unions. `Annotated[type, check]` adds a function of the value that
raises ValueError (a name that must be known). What an annotation says beyond that passes.
"""

import functools
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.plain_data import FrozenDict, choices, freeze

Padding = Literal["valid", "same"]
CausalPadding = Literal["valid", "same", "causal"]
DataFormat = Literal["channels_last", "channels_first"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]


class Kind(NamedTuple):
    """What an annotation accepts.

    Arguments:
        accepts: whether a value that `freeze` returned is of the type.
        words: the type in words: "an integer or None".
        ranks: the numbers of axes of the arrays that count as numbers (0) or tuples of them (1).
        choices: the values of a closed set.
    """

    accepts: Callable[[Any], bool]
    words: str
    ranks: frozenset[int] = frozenset()
    choices: tuple = ()


ANYTHING = Kind(lambda value: True, "a value")


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
        Option(cls.__name__, f.name, f.default, kind_of(hints.get(f.name, Any)), _checks(hints.get(f.name, Any)))
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
    given = layer.__dict__
    for option in options_of(type(layer)):
        value = given[option.name]
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


def kind_of(annotation: Any) -> Kind:
    """The Kind of an annotation; ANYTHING where it is not checked here."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return next((extra for extra in arguments[1:] if isinstance(extra, Kind)), kind_of(arguments[0]))
    if origin in (typing.Union, types.UnionType):
        return _union([kind_of(argument) for argument in arguments])
    if origin is Literal:
        known = [(type(choice), choice) for choice in arguments]
        return Kind(lambda value: (type(value), value) in known, " or ".join(map(repr, arguments)), choices=arguments)
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if origin is Callable or annotation is Callable or annotation is typing.Callable:
        return Kind(callable, "a function")
    cls = origin or annotation
    if cls in (Sequence, tuple, list):
        return _tuple_of(cls, arguments)
    if isinstance(cls, type) and issubclass(cls, Mapping):
        return Kind(lambda value: isinstance(value, Mapping), "a dict")
    if isinstance(cls, type) and not getattr(cls, "_is_protocol", False) and cls is not object:
        return Kind(lambda value: isinstance(value, cls), f"a {cls.__name__}")
    return ANYTHING


def is_integer(value: Any) -> bool:
    """Whether the value is a whole number that 32 bits hold, and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


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
    float, Kind(lambda value: _is_number(value) or value in (math.inf, -math.inf), "a number", frozenset({0}))
]
Seed = typing.Annotated[  # an integer of any size: its last 32 bits are folded into the key
    int | None, Kind(lambda value: value is None or (type(value) is int), "an integer or None", frozenset({0}))
]


def _is_number(value: Any) -> bool:
    """Whether the value is a number that a float holds."""
    return not isinstance(value, bool) and isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


def _are_numbers(value: Any) -> bool:
    return all(map(_are_numbers, value)) if type(value) is tuple else _is_number(value)


Numbers = typing.Annotated[  # a number, or numbers nested like an array
    Any, Kind(_are_numbers, "a number, or a tuple or nest of numbers", frozenset(range(9)))
]

_SIMPLE = {
    bool: Kind(lambda value: isinstance(value, bool), "True or False", frozenset({0})),
    int: Kind(is_integer, "an integer", frozenset({0})),
    float: Kind(_is_number, "a number", frozenset({0})),
    str: Kind(lambda value: isinstance(value, str), "a string"),
    None: Kind(lambda value: value is None, "None", choices=(None,)),
    type(None): Kind(lambda value: value is None, "None", choices=(None,)),
    Any: ANYTHING,
}


def _union(kinds: list[Kind]) -> Kind:
    """Any of several; None is named last in words, and first among choices."""
    if ANYTHING in kinds:
        return ANYTHING
    kinds = sorted(kinds, key=lambda kind: kind.words == "None")
    accepts = tuple(kind.accepts for kind in kinds)
    closed = all(kind.choices for kind in kinds)
    return Kind(
        lambda value: any(accept(value) for accept in accepts),
        " or ".join(kind.words for kind in kinds),
        frozenset().union(*(kind.ranks for kind in kinds)),
        tuple(choice for kind in reversed(kinds) for choice in kind.choices) if closed else (),
    )


def _tuple_of(cls: Any, arguments: tuple) -> Kind:
    """Tuples, which lists and sequences become when they are stored."""
    if not arguments or (cls is tuple and arguments[-1] is not Ellipsis):
        return Kind(lambda value: isinstance(value, tuple), "a tuple", frozenset({1, 2, 3}))
    item = kind_of(arguments[0])
    return Kind(
        lambda value: isinstance(value, tuple) and all(map(item.accepts, value)),
        f"a tuple, each of it {item.words}",
        frozenset(rank + 1 for rank in item.ranks),
    )


def _checks(annotation: Any) -> tuple:
    """The functions in the annotation's Annotated parts."""
    if typing.get_origin(annotation) is typing.Annotated:
        return tuple(extra for extra in annotation.__metadata__ if not isinstance(extra, Kind) and callable(extra))
    return ()


def _refuse_classes(cls: str, name: str, value: Any) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, type) and hasattr(item, "init_state"):
            raise ConfigError(f"{cls}: {name} holds the class {item.__name__}; make a layer: {item.__name__}(...)")
