"""Values that hash, records of them, and nests: what the fields of layers, initializers and regularizers are made of.

All of these are compared, hashed and saved by their fields, so a field holds numbers, strings, functions, layers,
tuples and `FrozenDict`s of them, and never an array.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, fields
from difflib import get_close_matches
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer

Made = TypeVar("Made")


class FrozenDict(Mapping):
    """A dict that does not change, and therefore hashes. Keeps its order; equal to any mapping with the same items."""

    __slots__ = ("_items",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._items = {key: freeze(value) for key, value in dict(*args, **kwargs).items()}

    def __getitem__(self, key: Any) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def freeze(value: Any) -> Any:
    """The value as a record or layer stores it: lists become tuples, dicts FrozenDicts, NumPy scalars numbers.

    Raises:
        ValueError: for an array.
    """
    if isinstance(value, list):
        return tuple(map(freeze, value))
    if type(value) is tuple:
        return tuple(map(freeze, value))
    if isinstance(value, dict):
        return FrozenDict(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tracer):
        raise ValueError(
            f"a traced value ({value.dtype}{list(value.shape)}) was given as an option, and options are known before "
            "anything is traced: make the layer outside of jit, grad and vmap, or make the value an input"
        )
    if isinstance(value, (np.ndarray, jax.Array)) and value.ndim == 0 and value.dtype.kind in "biufV":
        return value.item()
    if isinstance(value, (np.ndarray, jax.Array)):
        raise ValueError(
            f"an array of shape {tuple(value.shape)} was given as an option, and options hold no arrays: "
            "give a number, a tuple (array.tolist()), or make the array an input or a weight"
        )
    return value


class ByValue:
    """Equal, and hashed, by class and fields. The hash is computed once: models hold models that hold models."""

    __slots__ = ("_hash",)

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self.__dict__ == other.__dict__)

    def __hash__(self) -> int:
        hashed = getattr(self, "_hash", None)
        if hashed is None:
            hashed = hash((type(self), *self.__dict__.values()))
            object.__setattr__(self, "_hash", hashed)
        return hashed

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: the fields."""
        return self.__dict__


@dataclass_transform(frozen_default=True)
def recordclass(cls: type[Made]) -> type[Made]:
    """Make the annotated names of a class its options: a dataclass whose methods stand once, in `FrozenRecord`.

    Generating them for each class would cost a good part of the time that importing this library takes.
    """
    return dataclass(init=False, repr=False, eq=False)(cls)


@recordclass
class FrozenRecord(ByValue):
    """Base of classes of options: frozen, compared and hashed by their fields, which are plain Python values.

    Lists become tuples and NumPy scalars Python numbers; arrays are refused. The repr shows what differs from the
    defaults.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = [field.name for field in fields(self)]
        if len(args) > len(names) or any(name not in names[len(args) :] for name in kwargs):
            raise ValueError(
                f"{type(self).__name__} takes {', '.join(names) or 'no options'}, each once; got {_call(args, kwargs)}"
            )
        values = dict(zip(names, args, strict=False)) | kwargs
        for field in fields(self):
            self._store(field.name, values.get(field.name, field.default))
        self.__post_init__()

    def __post_init__(self) -> None:
        for field in fields(self):
            self._store(field.name, self._plain(field.name))

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"{type(self).__name__} does not change; make another one")

    def __repr__(self) -> str:
        shown = ((field, getattr(self, field.name)) for field in fields(self))
        listed = ", ".join(f"{field.name}={value!r}" for field, value in shown if value != field.default)
        return f"{type(self).__name__}({listed})"

    def _store(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the class is frozen; only __post_init__ may call this

    def _plain(self, name: str) -> Any:
        """The field as plain data, or the error that names it."""
        try:
            value = freeze(getattr(self, name))
            if hasattr(value, "shape") and hasattr(value, "dtype"):  # of another library
                raise ValueError(f"an array of shape {tuple(value.shape)} was given as an option; give array.tolist()")
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {name}: {error}") from None
        return value


def _call(args: tuple, kwargs: dict) -> str:
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


def choices(what: str, got: object, allowed: Iterable[object]) -> str:
    """A sentence for an argument outside a list: "padding='full' is unknown; choose from valid, same"."""
    return f"{what}={got!r} is unknown; choose from {', '.join(map(str, allowed))}"


def did_you_mean(name: str, names: Iterable[str], most: int = 1) -> str:
    """A question for a mistyped name: "did you mean 'head'?"; empty where no name is near."""
    near = get_close_matches(name, list(dict.fromkeys(names))[:5000], most)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def map_nest(function: Callable, tree: Any, *others: Any, is_leaf: Callable[[Any], bool] = lambda _: False) -> Any:
    """`function` over the leaves of nested tuples, lists and mappings; the others follow the first one's structure."""
    if is_leaf(tree):
        return function(tree, *others)
    if isinstance(tree, Mapping):
        return {key: map_nest(function, tree[key], *(o[key] for o in others), is_leaf=is_leaf) for key in tree}
    if isinstance(tree, (tuple, list)):
        if not all(isinstance(other, (tuple, list)) for other in others):  # an array would give its rows
            raise TypeError(f"a nest of {len(tree)} does not go with {[type(other).__name__ for other in others]}")
        return tuple(map_nest(function, *items, is_leaf=is_leaf) for items in zip(tree, *others, strict=True))
    return function(tree, *others)


def nest_leaves(tree: Any, is_leaf: Callable[[Any], bool] = lambda _: False) -> list:
    """The leaves of nested tuples, lists and mappings, in their own order (mappings are not sorted)."""
    leaves: list = []
    map_nest(leaves.append, tree, is_leaf=is_leaf)
    return leaves
