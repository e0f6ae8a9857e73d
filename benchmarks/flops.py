"""The floating-point operations of a function, counted in its program before any compiler sees it."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def flops(function: Callable, *arrays: Any) -> int:
    """Twice the multiply-adds of all matrix products and convolutions; arrays or their shapes and dtypes are given.

    All else is left out, as is usual for a model's rate. Training takes three times as many. Of branches the
    one with the most counts: an algorithm in other operations does the same work as the convolution that it replaces.
    """
    return _count(jax.make_jaxpr(function)(*arrays).jaxpr)


def _count(jaxpr: Any) -> int:
    return sum(_count_one(equation) for equation in jaxpr.eqns)


def _count_one(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return 2 * equation.outvars[0].aval.size * math.prod(equation.invars[0].aval.shape[a] for a in contracted)
    if name == "conv_general_dilated":
        kernel, numbers = equation.invars[1].aval, params["dimension_numbers"].rhs_spec
        taps = (
            kernel.size // kernel.shape[numbers[0]]
        )  # times channels, of each output element, those on dilation's zeros too
        return 2 * equation.outvars[0].aval.size * taps // math.prod(params["lhs_dilation"])
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in params["branches"])
    times = params["length"] if name == "scan" else 1
    return times * sum(_count(inner) for inner in _inner(params))


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """The programs that an equation calls."""
    for value in params.values():
        value = getattr(value, "jaxpr", value)
        if hasattr(value, "eqns"):
            yield value
