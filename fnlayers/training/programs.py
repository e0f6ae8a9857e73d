"""Compiled programs, kept from call to call, each used for nothing but what it was compiled for.

What a function computes may change while it stays the same object: it reads a closure, an attribute, a global. So
`fit`, `evaluate` and `predict` trace it again each time, and take a kept program only where the trace is equal, with
all its constants. Tracing takes a fraction of what compiling does. It is left out where nothing can have changed: where
model, losses and optimizer are made of plain data and of the functions of fnlayers, optax and jax.
"""

import functools
import hashlib
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.plain_data import FrozenDict

_KEPT = 64  # programs
_TRUSTED = ("fnlayers", "jax", "jaxlib", "optax", "numpy")  # packages whose functions do not change
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


@dataclass(frozen=True)
class _Key:
    """What a program is known by, and the program."""

    facts: Hashable
    compiled: Callable = field(compare=False)


@functools.lru_cache(maxsize=_KEPT)
def _kept_program(key: _Key) -> Callable:
    """The program kept under an equal key, or else this key's own."""
    return key.compiled


def clear_cache() -> None:
    """Forget the compiled programs that `fit`, `evaluate` and `predict` keep, and free what they hold.

    Never needed for right numbers: a program is used again only for what it was compiled for.

    >>> clear_cache()
    """
    _kept_program.cache_clear()


def program(build: Callable[..., Callable], *parts: Any) -> Callable:
    """`build(*parts)`, a jitted function, or the kept one that computes the same.

    Arguments:
        build: a function of a module, which compiles with `fnlayers.jit`.
        parts: what it compiles: model, losses, optimizer.
    """
    compiled = build(*parts)
    if is_settled(parts):
        return _kept_program(_Key((build, parts), compiled))
    return Retraced(build, compiled)


class Retraced:
    """A jitted function that is traced for each kind of batch, and then run by an equal one that was kept.

    Its first arguments keep their types from call to call, and the last three are a batch.
    """

    def __init__(self, build: Callable, compiled: Callable) -> None:
        self.build, self.compiled = build, compiled
        self.by_type: dict[Hashable, Callable] = {}

    def __call__(self, *args: Any) -> Any:
        """Run the program for arguments of these types."""
        return self._program_for(args)(*args)

    def unchecked(self, *args: Any) -> Any:
        """The same, for arrays that were looked at before."""
        return unchecked(self._program_for(args))(*args)

    def _program_for(self, args: tuple) -> Callable:
        leaves, structure = jax.tree.flatten(args[-3:])
        kind = (structure, *((leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)) for leaf in leaves))
        run = self.by_type.get(kind)
        if run is None:
            run = self.by_type[kind] = self._equal_program(args)
        return run

    def _equal_program(self, args: tuple) -> Callable:
        traced: Any = self.compiled.trace(*args)  # type: ignore[attr-defined]
        trees = jax.tree.structure(args), jax.tree.structure(traced.out_info)
        key = _Key((self.build, trees, fingerprint(traced.jaxpr)), self.compiled)
        try:
            return _kept_program(key)
        except TypeError:  # something in it does not hash
            return self.compiled


def unchecked(run: Callable) -> Callable:
    """A program that does not look at its arrays before they are cast."""
    return getattr(run, "unchecked", run)


def is_settled(value: Any, above: tuple[int, ...] = ()) -> bool:
    """Whether what a value computes is decided by the value alone: plain data, and functions of known packages."""
    if type(value) in _PLAIN or id(value) in above:
        return True
    if isinstance(value, type):
        return _is_trusted(value)
    inside = _contents(value)
    return inside is not None and all(is_settled(item, (*above, id(value))) for item in inside)


def _contents(value: Any) -> Any:
    """All that a value holds; None where that cannot be known."""
    if isinstance(value, types.FunctionType):
        cells = value.__closure__ or ()
        try:
            enclosed = [cell.cell_contents for cell in cells]
        except ValueError:  # an empty cell
            return None
        named = (*(value.__kwdefaults__ or {}).values(), *vars(value).values())
        return (*enclosed, *(value.__defaults__ or ()), *named) if _is_trusted(value) else None
    if type(value) is tuple:
        return value
    if not _is_trusted(type(value)):
        return None
    if isinstance(value, tuple):
        return value
    if isinstance(value, FrozenDict):
        return value.values()
    if type(value).__module__.startswith("fnlayers") and type(value).__hash__ is not object.__hash__:
        return vars(value).values()  # a layer or an option, compared by its fields
    wrapped = getattr(value, "__wrapped__", None)  # a function under jax.jit or jax.custom_jvp
    return None if wrapped is None else (wrapped,)


def _is_trusted(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").partition(".")[0] in _TRUSTED


def fingerprint(closed: Any) -> Hashable:
    """A traced program with its constants as plain data: equal for equal programs, and for no others."""
    return _jaxpr(closed.jaxpr), tuple(map(_array, closed.consts))


def _jaxpr(jaxpr: Any) -> Hashable:
    numbers: dict[Any, int] = {}

    def number(variable: Any) -> Hashable:
        if hasattr(variable, "val"):  # a literal
            return _array(variable.val), variable.aval
        return numbers.setdefault(variable, len(numbers))

    inputs = tuple((number(v), v.aval) for v in (*jaxpr.constvars, *jaxpr.invars))
    equations = tuple(
        (
            equation.primitive,
            tuple(map(number, equation.invars)),
            tuple((number(v), v.aval) for v in equation.outvars),
            _options(equation),
        )
        for equation in jaxpr.eqns
    )
    return inputs, equations, tuple(map(number, jaxpr.outvars))


def _options(equation: Any) -> Hashable:
    options = equation.params
    if equation.primitive.name.startswith(("custom_jvp_call", "custom_vjp_call")):
        # Their rules are for derivatives, which are taken by now
        options = {name: value for name, value in options.items() if hasattr(value, "jaxpr")}
    return tuple((name, _plain(options[name])) for name in sorted(options))


def _plain(value: Any) -> Hashable:
    if hasattr(value, "jaxpr") and hasattr(value, "consts"):
        return fingerprint(value)
    if hasattr(value, "eqns"):
        return _jaxpr(value)
    if isinstance(value, (tuple, list)):
        return type(value), tuple(map(_plain, value))
    if isinstance(value, Mapping):
        return tuple((name, _plain(item)) for name, item in value.items())
    if isinstance(value, float):
        return "float", value.hex()  # 0.0 == -0.0
    if isinstance(value, (bool, int)):
        return type(value), value  # 1 == True
    return _array(value) if isinstance(value, (np.ndarray, np.generic, jax.Array)) else value


def _array(value: Any) -> Hashable:
    """An array as dtype, shape and a digest of its bytes."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return str(value.dtype), _array(jax.random.key_data(value))
    array = np.asarray(value)
    if array.dtype == object:
        return value  # type: ignore[return-value]
    kind = type(value) if isinstance(value, (bool, int, float)) else None
    raw = array.tobytes()
    return kind, array.dtype.name, array.shape, raw if len(raw) <= 64 else hashlib.blake2b(raw).digest()
