"""retraces: a warning when jax traces a function again, and what changed since."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

from fnlayers.core.errors import ConfigError, brief
from fnlayers.training.retracing import RetraceWarning, described, least_changes, ordinal


def retraces(function: Callable, *, after: int = 1) -> Callable:
    """The same function, which warns when it is traced more than `after` times, and says what changed since.

    It goes inside of jit: `step = jax.jit(fl.debug.retraces(step))`. Calls of what is compiled cost nothing; only when
    jax traces, and so compiles again, are the arguments compared with those of the traces before. What differs least
    is named: other shapes, dtypes, weak types (a Python number in place of an array), other keys of a dict, or other
    values that are no arrays.

    Arguments:
        function: what is to be compiled.
        after: how many traces are expected: 1, or 2 where a last batch is smaller.

    Returns:
        A function of the same arguments.

    Example:
        >>> import warnings, jax, jax.numpy as jnp, fnlayers as fl
        >>> step = jax.jit(fl.debug.retraces(lambda batch: batch["x"] * 2))
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     for rows in (4, 4, 3):
        ...         y = step({"x": jnp.ones((rows, 2))})
        >>> print(caught[0].message)
        <lambda> is traced for the 2nd time: batch/x is float32[3,2], was float32[4,2]
    """
    if not callable(function):
        raise ConfigError(f"debug.retraces: {brief(function)} is no function; write jax.jit(fl.debug.retraces(step))")
    if isinstance(after, bool) or not isinstance(after, int) or after < 1:
        raise ConfigError(f"debug.retraces: after={after!r}; give how many traces are expected, 1 or more")
    name = getattr(function, "__name__", type(function).__name__)
    earlier: list[dict[str, str]] = []

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        call = _described(function, args, kwargs)
        if len(earlier) >= after:
            changed = least_changes(earlier, call) or "nothing in its arguments changed: a new jit was made each time"
            text = f"{name} is traced for the {ordinal(len(earlier) + 1)} time: {changed}"
            warnings.warn(text, RetraceWarning, stacklevel=2)
        earlier.append(call)
        return function(*args, **kwargs)

    return traced


def _described(function: Callable, args: tuple, kwargs: dict) -> dict[str, str]:
    """Shape and dtype of each argument by its path, and any other value as text."""
    return described(dict(zip(_argument_names(function, len(args)), args, strict=True)) | kwargs)


def _argument_names(function: Callable, count: int) -> list[str]:
    code = getattr(function, "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code else []
    return [*names[:count], *(f"argument {i}" for i in range(len(names), count))]
