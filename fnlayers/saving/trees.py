"""Trees of arrays as flat tables by path, and back, whatever they are nested of.

A tree's description is JSON: an object for a dict, ["tuple", ...], ["list", ...], ["none"], ["named", "Class", ...] for
a NamedTuple, "array" for an array, and "key:threefry2x32" for random keys of that kind.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.saving.strict import MAX_DEPTH

Tree = Any
KEYS = ("threefry2x32", "rbg", "unsafe_rbg")


def describe(tree: Tree, path: str, arrays: dict[str, Any], depth: int = 0) -> Any:
    """The tree's description. Its arrays are added to `arrays` by path: "params/dense/kernel"."""
    _check_depth(path, depth)
    if type(tree) is dict:
        if wrong := [key for key in tree if type(key) is not str]:
            raise ConfigError(f"{path}: the key {wrong[0]!r} is not a string, and only strings can be saved as keys")
        return {key: describe(sub, f"{path}/{key}", arrays, depth + 1) for key, sub in tree.items()}
    if tree is None:
        return ["none"]
    if isinstance(tree, (tuple, list)):
        kind = [type(tree).__name__] if type(tree) in (tuple, list) else ["named", type(tree).__name__]
        if "named" in kind and not hasattr(tree, "_fields"):
            raise _foreign(tree, path)
        return [*kind, *(describe(sub, f"{path}/{i}", arrays, depth + 1) for i, sub in enumerate(tree))]
    if not isinstance(tree, (jax.Array, np.ndarray, np.generic)):
        raise _foreign(tree, path)
    if arrays.setdefault(path, tree) is not tree:
        raise ConfigError(f"two arrays have the path {path}; a key with a slash hides the one behind the other")
    return f"key:{jax.random.key_impl(jnp.asarray(tree))}" if is_key(tree) else "array"


def _check_depth(path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ConfigError(f"{path[:80]}: the tree has more than {MAX_DEPTH} levels")


def rebuild(
    description: Any, path: str, take: Callable[[str, str], Any], classes: Mapping[str, Any], depth: int = 0
) -> Tree:
    """The tree of a description, whose arrays are what take(path, kind) returns.

    Raises:
        ConfigError: for anything that `describe` does not write.
    """
    _check_depth(path, depth)
    if isinstance(description, dict):
        return {key: rebuild(sub, f"{path}/{key}", take, classes, depth + 1) for key, sub in description.items()}
    if description == "array" or isinstance(description, str) and description.removeprefix("key:") in KEYS:
        return take(path, description)
    if description == ["none"]:
        return None
    kind, *items = description if isinstance(description, list) and description else [None]
    if kind not in ("tuple", "list", "named"):
        raise ConfigError(f"{path[:80]}: {str(description)[:80]!r} describes no tree")
    build: Callable = tuple if kind == "tuple" else list
    if kind == "named":
        build = _named(items[:1], classes, path)
        items = items[1:]
    return build([rebuild(sub, f"{path}/{i}", take, classes, depth + 1) for i, sub in enumerate(items)])


def is_key(array: Any) -> bool:
    """Whether it is an array of typed random keys."""
    return isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key)


def _named(name: list, classes: Mapping[str, Any], path: str) -> Callable:
    cls = classes.get(name[0]) if name and isinstance(name[0], str) else None
    if not (isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_make")):
        raise ConfigError(f"{path[:80]} is a NamedTuple {str(name)[1:-1][:80]}; give its class in layers=")
    return cls._make  # type: ignore[attr-defined]


def _foreign(tree: Any, path: str) -> ConfigError:
    return ConfigError(
        f"{path} is a {type(tree).__name__}, which cannot be saved; give dicts, tuples, lists, "
        "NamedTuples or None of arrays"
    )
