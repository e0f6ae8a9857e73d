"""What initializers, regularizers and constraints share: checks of their options, lookup by name, a dtype for sums."""

import functools
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from fnlayers.kinds import Kind, is_number as is_finite, kind_of
from fnlayers.plain_data import FrozenRecord, choices, did_you_mean, recordclass

Found = TypeVar("Found")


@recordclass
class Options(FrozenRecord):
    """Base of the classes of this package: each field is of its annotated type, and what a class checks besides."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, kind in kinds_of(type(self)):
            value = getattr(self, name)
            if kind.accepts(value):
                continue
            if kind.choices:
                self._choose(name, kind.choices)
            self._check(False, name, kind.words)

    def _check(self, good: bool, name: str, expected: str) -> None:
        if not good:
            raise ValueError(
                f"{type(self).__name__}: {name}={getattr(self, name)!r} is wrong; {name} must be {expected}"
            )

    def _choose(self, name: str, allowed: Iterable[str | None]) -> None:
        allowed = tuple(allowed)
        if (got := getattr(self, name)) not in allowed:
            raise ValueError(f"{type(self).__name__}: {choices(name, got, allowed)}")


@functools.cache
def kinds_of(cls: type) -> tuple[tuple[str, Kind], ...]:
    """The fields of a class of options, and what each accepts."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple((field.name, kind_of(hints[field.name])) for field in fields(cls))


def check_array(what: str, x: Any, booleans: bool = False, complex_numbers: bool = False) -> None:
    """Raise ValueError for what is not an array of numbers of those kinds, or a number."""
    kind = getattr(getattr(x, "dtype", None), "kind", "") if hasattr(x, "shape") and not isinstance(x, type) else ""
    if isinstance(x, (bool, int, float, complex)):
        kind = "b" if isinstance(x, bool) else "c" if isinstance(x, complex) else "f"
    if isinstance(getattr(x, "dtype", None), str):
        np.asarray(x)  # of a Symbol, which says in words of its own that it is not an array yet
    if kind == "c" and not complex_numbers:
        raise ValueError(f"{what} takes real numbers, got complex ones; give x.real, x.imag or jax.numpy.abs(x)")
    if kind == "b" and not booleans:
        raise ValueError(f"{what} takes numbers, got booleans; write x.astype('float32') if True counts as 1")
    if not kind or kind in "OSUMmT":
        raise ValueError(
            f"{what} takes an array of numbers, got {shown(x)}; give an array, as jax.numpy.asarray makes one"
        )


def check_axes(what: str, axis: Any, rank: int) -> None:
    """Raise ValueError for axes that an array of so many axes does not have, or for one that is named twice."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    if any(not -rank <= a < rank for a in axes) or len({a % rank for a in axes}) < len(axes):
        raise ValueError(
            f"{what}: axis={axis!r} is wrong for an array of {rank} axes; give axes that it has, each once"
        )


def shown(value: Any) -> str:
    """A value that was given, in one short line."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"{value!r:.80}"


def is_number(value: Any, least: float = -float("inf")) -> bool:
    """Whether the value is a finite number, `least` or more."""
    return is_finite(value) and value >= least


def is_axes(value: Any) -> bool:
    """Whether the value is an axis or a tuple of axes."""
    axes = value if isinstance(value, tuple) else (value,)
    return all(isinstance(axis, int) and not isinstance(axis, bool) for axis in axes)


def resolve(kind: str, identifier: Any, table: Mapping[str, type[Found]], signature: str) -> Found | Callable:
    """The object a layer's argument means: a name or a class is called without arguments, any other callable stays.

    Raises ValueError for an unknown name, and lists similar names.
    """
    value = look_up(kind, identifier, table) if isinstance(identifier, str) else identifier
    if isinstance(value, type):
        value = _made(kind, value)
    if not callable(value) or hasattr(value, "init_state"):
        raise refused(kind, identifier, signature)
    if not isinstance(identifier, str):
        check_home(kind, value)
    return value


def check_home(kind: str, value: Any) -> None:
    """Raise ValueError for a function or class of this package that is of another kind, such as a swapped argument."""
    cls = value if isinstance(value, type) else type(value)
    owners = [value.__module__] if hasattr(value, "__qualname__") else [base.__module__ for base in cls.__mro__]
    homes = {owner.split(".")[2] for owner in owners if owner.startswith("fnlayers.functions.")} - {"options"}
    if homes and f"{kind}s" not in homes:
        raise ValueError(f"{kind}={value!r} is one of the {min(homes)}; give one of fnlayers.{kind}s")
    if isinstance(value, type) and hasattr(value, "init_state"):
        raise ValueError(f"{kind}={value.__name__} is a class; write {value.__name__}(...)")


def _made(kind: str, cls: type) -> Any:
    try:
        return cls()
    except Exception as error:
        raise ValueError(f"{kind}={cls.__name__} is a class that needs options; write {cls.__name__}(...)") from error


def look_up(kind: str, name: str, table: Mapping[str, Found]) -> Found:
    """`table[name]`, or a ValueError with similar names."""
    if name in table:
        return table[name]
    if hint := did_you_mean(name, table, 4) or did_you_mean(name.lower(), table, 4):
        raise ValueError(f"{kind}={name!r} is unknown; {hint}")
    raise ValueError(choices(kind, name, sorted(table)))


def refused(kind: str, got: Any, signature: str) -> ValueError:
    """The error for an identifier that is neither a name nor callable."""
    return ValueError(f"{kind}={got!r} is neither a name nor callable; give a Keras name, or a function {signature}")
