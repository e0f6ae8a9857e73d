"""Arrays from outside, checked before jax casts them: where a number does not fit, a cast changes it silently."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, shortened

_KINDS = {"M": "dates", "m": "durations", "S": "bytes", "T": "strings", "U": "strings", "V": "records"}


def check_values(x: Any, what: str) -> None:
    """Raise ConfigError for an array or number of the host that jax would refuse, or would turn into other numbers.

    Arguments:
        x: anything. Arrays on a device and traced ones pass: they are what jax made of them.
        what: its name in the error: "x", "y".

    Example:
        >>> check_values(np.array([1, 2**32 + 1]), "y")
        Traceback (most recent call last):
        fnlayers.core.errors.ConfigError: y[1] is 4294967297, which int32 cannot hold; ...
    """
    if (
        isinstance(x, int)
        and not -(2**31) <= x < 2**31
        and (dtype := jax.dtypes.canonicalize_dtype("int64")) == "int32"
    ):
        raise ConfigError(_does_not_fit(what, x, dtype))
    if isinstance(x, (np.ndarray, np.generic)):
        x = np.asanyarray(x)
        _check_type(x, what)
        if x.dtype.kind in "iu" and x.dtype.itemsize > 4 and x.size:
            _check_range(x, what)


def check_arguments(args: Sequence[Any], kwargs: Mapping[str, Any], names: Sequence[str] = ()) -> None:
    """Raise ConfigError where `check_values` would for an array in the arguments of a function that is to be compiled.

    Arguments:
        args, kwargs: nests of arrays, as jit takes them.
        names: those of the function's parameters, for the error.
    """
    leaves = jax.tree.leaves((args, kwargs))
    on_host = {kind for kind in set(map(type, leaves)) if issubclass(kind, (np.ndarray, np.generic, int))}
    for at, leaf in enumerate(leaves) if on_host else ():
        if type(leaf) in on_host:
            try:
                check_values(leaf, "x")
            except ConfigError:
                path, _ = jax.tree_util.tree_leaves_with_path((args, kwargs))[at]
                check_values(leaf, _named(path[1:], names))


def not_a_key(rng: Any) -> str:
    """What was given in place of a random key, and what to write."""
    if jnp.issubdtype(getattr(rng, "dtype", bool), jax.dtypes.prng_key):
        return f"got {rng.shape} of them; write jax.vmap over the keys, or choose one"
    return f"got {shortened(rng)}; write jax.random.key(0)"


def _named(path: tuple, names: Sequence[str]) -> str:
    """Where a leaf of (args, kwargs) stands: "batch[0]", as far as the parameters' names are known."""
    first = getattr(path[0], "key", getattr(path[0], "idx", None))
    if isinstance(first, int):
        first = names[first] if first < len(names) else f"argument {first + 1}"
    return f"{first}{jax.tree_util.keystr(path[1:])}"


def _check_type(a: np.ndarray, what: str) -> None:
    """Raise ConfigError for anything but numbers in a type that jax has."""
    if isinstance(a, np.ma.MaskedArray):
        raise ConfigError(f"{what} is a masked array; write {what}.filled(0), and give the mask as sample weights")
    if a.dtype.kind in "iufbc" and a.dtype.isnative and a.dtype.itemsize <= (16 if a.dtype.kind == "c" else 8):
        return
    if a.dtype.kind == "O":
        raise ConfigError(_objects(a, what))
    if not a.dtype.isnative:
        raise ConfigError(f"{what} is {a.dtype.str}, in the other byte order; write {what}.astype({a.dtype.name!r})")
    if a.dtype.kind in "fc":
        double = "float64" if a.dtype.kind == "f" else "complex128"
        raise ConfigError(f"{what} is {a.dtype.name}, which jax does not have; write {what}.astype({double!r})")
    if a.dtype.kind in _KINDS and (a.dtype.kind != "V" or a.dtype.names or a.dtype.type is np.void):
        raise ConfigError(
            f"{what} holds {_KINDS[a.dtype.kind]} ({a.dtype}), and layers take numbers; {_as_numbers(a, what)}"
        )


def _check_range(a: np.ndarray, what: str) -> None:
    """Raise ConfigError for 64-bit integers that do not fit into the 32 bits that jax has for them."""
    dtype = jax.dtypes.canonicalize_dtype(a.dtype)
    if dtype == a.dtype:
        return
    limits = np.iinfo(dtype)
    if a.min() >= limits.min and a.max() <= limits.max:
        return
    at = tuple(np.argwhere((a < limits.min) | (a > limits.max))[0].tolist())
    raise ConfigError(_does_not_fit(f"{what}{list(at)}" if at else what, int(a[at]), dtype))


def _does_not_fit(what: str, value: int, dtype: np.dtype) -> str:
    return (
        f"{what} is {value}, which {dtype} cannot hold; number classes and ids from 0, give quantities as scaled "
        "floats, or keep 64 bits with jax.config.update('jax_enable_x64', True)"
    )


def _objects(a: np.ndarray, what: str) -> str:
    """What is wrong with an array of Python objects, and where."""
    for at, value in np.ndenumerate(a):
        if not isinstance(value, (int, float, np.number, np.bool_)):
            where = f"{what}{list(at)}" if at else what
            return (
                f"{what} is an array of objects, and {where} is {value!r} of type {type(value).__name__}; encode it as "
                f"numbers (a table: leave such columns out), then write {what}.astype('float32')"
            )
    dtype = "int64" if all(isinstance(value, (int, np.integer)) for value in a.flat) else "float32"
    return f"{what} is an array of objects, though all are numbers; write {what}.astype({dtype!r})"


def _as_numbers(a: np.ndarray, what: str) -> str:
    if a.dtype.kind in "Mm":
        return f"write {what}.astype('int64') and scale it"
    if a.dtype.kind == "V":
        return "give each field as an array of its own, as in a dict"
    layers = "fnlayers.StringLookup, TextVectorization or Hashing"
    return f"encode them before, on the host: {layers}, layer.apply({{}}, {what})"
