"""What annotations accept: the types of the fields of layers and of the options of functions, read once.

An annotation is a type, for editors and for the check alike: `bool`, `int`, `float`, `str`, `Literal[...]`, tuples and
sequences of those, functions, layers, and unions. `Annotated[type, check]` adds a function of the value that raises
ValueError (a name that must be known). What an annotation says beyond that passes.
"""

import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

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


def checks_of(annotation: Any) -> tuple:
    """The functions in the annotation's Annotated parts."""
    if typing.get_origin(annotation) is typing.Annotated:
        return tuple(extra for extra in annotation.__metadata__ if not isinstance(extra, Kind) and callable(extra))
    return ()


def is_integer(value: Any) -> bool:
    """Whether the value is a whole number that 32 bits hold, and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def is_number(value: Any) -> bool:
    """Whether the value is a number that a float holds."""
    return not isinstance(value, bool) and isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


_SIMPLE = {
    bool: Kind(lambda value: isinstance(value, bool), "True or False", frozenset({0})),
    int: Kind(is_integer, "an integer", frozenset({0})),
    float: Kind(is_number, "a number", frozenset({0})),
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


Seed = typing.Annotated[  # an integer of any size: its last 32 bits are folded into the key
    int | None, Kind(lambda value: value is None or (type(value) is int), "an integer or None", frozenset({0}))
]
