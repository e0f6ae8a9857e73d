"""What initializers, regularizers and constraints share: checks of their options, lookup by name, a dtype for sums."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from fnlayers.plain_data import FrozenRecord, choices, recordclass

Found = TypeVar("Found")


@recordclass
class Options(FrozenRecord):
    """Base of the classes of this package, with what they check of their fields."""

    def _check(self, good: bool, name: str, expected: str) -> None:
        if not good:
            raise ValueError(
                f"{type(self).__name__}: {name}={getattr(self, name)!r} is wrong; {name} must be {expected}"
            )

    def _choose(self, name: str, allowed: Iterable[str | None]) -> None:
        allowed = tuple(allowed)
        if (got := getattr(self, name)) not in allowed:
            raise ValueError(f"{type(self).__name__}: {choices(name, got, allowed)}")


def accumulation_dtype(dtype: Any) -> np.dtype:
    """What a weight of that dtype is computed with: float32, or a wider dtype as it is."""
    dtype = np.dtype(dtype)
    return dtype if dtype.itemsize > 4 else np.dtype("float32")


def is_number(value: Any, least: float = -float("inf")) -> bool:
    """Whether the value is a finite number, `least` or more."""
    return isinstance(value, (int, float)) and bool(np.isfinite(value)) and value >= least


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
    homes = {owner.rpartition(".")[2] for owner in owners if owner.startswith("fnlayers.functions.")} - {"options"}
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
    near = difflib.get_close_matches(name, table, n=4) or difflib.get_close_matches(name.lower(), table, n=4)
    if near:
        raise ValueError(f"{kind}={name!r} is unknown; did you mean {' or '.join(map(repr, near))}?")
    raise ValueError(choices(kind, name, sorted(table)))


def refused(kind: str, got: Any, signature: str) -> ValueError:
    """The error for an identifier that is neither a name nor callable."""
    return ValueError(f"{kind}={got!r} is neither a name nor callable; give a Keras name, or a function {signature}")
