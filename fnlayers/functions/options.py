"""What initializers, regularizers and constraints share: options that hash, a short repr, lookup by name."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any, TypeVar, dataclass_transform

import numpy as np

Found = TypeVar("Found")
Made = TypeVar("Made")


@dataclass_transform(frozen_default=True)
def optionclass(cls: type[Made]) -> type[Made]:
    """Make the annotated names of a class its options: a dataclass whose methods stand once, in `Options`.

    Writing them anew for each class would cost a good part of the time that importing this library takes.
    """
    return dataclass(init=False, repr=False, eq=False)(cls)


@optionclass
class Options:
    """Base of the classes of this package: frozen, compared and hashed by its fields, which are plain Python values.

    Lists become tuples and NumPy scalars Python numbers; arrays are refused. The repr shows what differs from the
    defaults.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = [field.name for field in fields(self)]
        if len(args) > len(names) or any(name not in names[len(args) :] for name in kwargs):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names) or 'no options'}; got {args} and {kwargs}")
        given = dict(zip(names, args, strict=False)) | kwargs
        for field in fields(self):
            self._store(field.name, given.get(field.name, field.default))
        self.__post_init__()

    def __post_init__(self) -> None:
        for field in fields(self):
            self._store(field.name, plain(getattr(self, field.name), f"{type(self).__name__}({field.name}=...)"))

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"{type(self).__name__} does not change; make another one")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        shown = ((field, getattr(self, field.name)) for field in fields(self))
        listed = ", ".join(f"{field.name}={value!r}" for field, value in shown if value != field.default)
        return f"{type(self).__name__}({listed})"

    def _store(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the class is frozen; only __post_init__ may call this

    def _check(self, good: bool, name: str, wanted: str) -> None:
        if not good:
            raise ValueError(
                f"{type(self).__name__}: {name}={getattr(self, name)!r} was given; {name} must be {wanted}"
            )

    def _choose(self, name: str, allowed: Iterable[str | None]) -> None:
        allowed = tuple(allowed)
        if (got := getattr(self, name)) not in allowed:
            raise ValueError(f"{type(self).__name__}: {name}={got!r} is unknown; choose from {_listed(allowed)}")


def plain(value: Any, where: str) -> Any:
    """The value as plain Python: lists become tuples, NumPy scalars numbers; an array is an error."""
    if isinstance(value, (list, tuple)):
        return tuple(plain(item, where) for item in value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        raise ValueError(
            f"{where} got an array of shape {tuple(value.shape)}, and options hold no arrays; "
            "give a number or a nested tuple (array.tolist())"
        )
    return value


def is_number(value: Any, least: float = -float("inf")) -> bool:
    """Whether the value is a finite number, `least` or more."""
    return isinstance(value, (int, float)) and bool(np.isfinite(value)) and value >= least


def is_axes(value: Any) -> bool:
    """Whether the value is an axis or a tuple of axes."""
    axes = value if isinstance(value, tuple) else (value,)
    return all(isinstance(axis, int) and not isinstance(axis, bool) for axis in axes)


def resolve(kind: str, identifier: Any, table: Mapping[str, type[Found]], signature: str) -> Found | Callable:
    """The object a layer's argument means: a name or a class is called without arguments, any other callable stays.

    Raises ValueError for an unknown name, and lists the names that come near.
    """
    found = look_up(kind, identifier, table) if isinstance(identifier, str) else identifier
    if isinstance(found, type):
        found = _made(kind, found)
    if not callable(found) or hasattr(found, "init_state"):
        raise refused(kind, identifier, signature)
    if not isinstance(identifier, str):
        check_home(kind, found)
    return found


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
    """`table[name]`, or a ValueError with the names that come near."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=4) or difflib.get_close_matches(name.lower(), table, n=4)
    if near:
        raise ValueError(f"{kind}={name!r} is unknown; did you mean {' or '.join(map(repr, near))}?")
    raise ValueError(f"{kind}={name!r} is unknown; choose from {_listed(sorted(table))}")


def refused(kind: str, got: Any, signature: str) -> ValueError:
    """The error for an identifier that is neither a name nor callable."""
    return ValueError(f"{kind}={got!r} is neither a name nor callable; give a Keras name, or a function {signature}")


def _listed(names: Iterable[str | None]) -> str:
    return ", ".join(map(str, names))
