"""What activations share: checks of their arguments, and dtypes."""

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp

from fnlayers.functions.options import check_array, check_axes, shown
from fnlayers.half_precision import in_float32, is_half_precision
from fnlayers.kinds import kind_of

Array = jax.Array
P = ParamSpec("P")


def checked(function: Callable[P, Array]) -> Callable[P, Array]:
    """A function of an array of real numbers, whose options are checked where they are given.

    Raises ValueError for what is not such an array, for an option that is not of its annotated type (an array counts as
    a number), and for an axis that the array does not have.
    """
    over_axes = "axis" in inspect.get_annotations(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Array:
        check_array(function.__name__, args[0] if args else kwargs.get("x"))
        if len(args) + len(kwargs) > 1 or over_axes:
            _check_options(function, args, kwargs)
        return function(*args, **kwargs)

    return call


def floating(x: Array) -> Array:
    """The array, integers as float32."""
    return x if jnp.issubdtype(jnp.result_type(x), jnp.floating) else jnp.asarray(x, jnp.float32)


def through_float32(function: Callable[..., Array], x: Array, *args: Any) -> Array:
    """function(x), computed in float32 where x is float16 or bfloat16, and returned in x's dtype."""
    x = jnp.asarray(x)
    y = in_float32(lambda x: function(x, *args), x)
    return y.astype(x.dtype) if is_half_precision(x) else y


def _check_options(function: Callable, args: tuple, kwargs: dict) -> None:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    x, hints = bound.arguments.pop("x"), typing.get_type_hints(function)
    for name, value in bound.arguments.items():
        kind = kind_of(hints[name])
        if not hasattr(value, "dtype") and not kind.accepts(tuple(value) if isinstance(value, list) else value):
            raise ValueError(f"{function.__name__}: {name}={shown(value)} is wrong; give {kind.words}")
        if name == "axis":
            check_axes(function.__name__, tuple(value) if isinstance(value, Sequence) else value, jnp.ndim(x))
