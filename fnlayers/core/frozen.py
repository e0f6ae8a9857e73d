"""Values that hash: what a layer's fields are made of.

A layer is compared, hashed and saved by its fields, so a field holds numbers, strings, functions, layers, tuples and
`FrozenDict`s of them, and never an array.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from fnlayers.core.errors import ConfigError


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
    """The value as a layer stores it: lists become tuples, dicts FrozenDicts, NumPy scalars Python numbers."""
    if isinstance(value, list):
        return tuple(map(freeze, value))
    if type(value) is tuple:
        return tuple(map(freeze, value))
    if isinstance(value, dict):
        return FrozenDict(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tracer):
        raise ConfigError(
            f"a traced value ({value.dtype}{list(value.shape)}) was given as an option, and options are known before "
            "anything is traced: make the layer outside of jit, grad and vmap, or make the value an input"
        )
    if isinstance(value, (np.ndarray, jax.Array)) and value.ndim == 0 and value.dtype.kind in "biufV":
        return value.item()
    if isinstance(value, (np.ndarray, jax.Array)):
        raise ConfigError(
            f"an array of shape {tuple(value.shape)} was given as an option, and layers hold no arrays: "
            "give a number, a tuple (array.tolist()), or make the array an input or a weight"
        )
    return value


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
