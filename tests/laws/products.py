"""The products and convolutions of a traced program, as it is lowered for one platform."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp

PRODUCTS = ("dot_general", "conv_general_dilated")


def products(jaxpr: Any, platform: str) -> Iterator[Any]:
    """Their equations, those of inner functions and loops among them; of branches by platform those of `platform`."""
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        if equation.primitive.name in PRODUCTS:
            yield equation
        for inner in inner_programs(equation, platform):
            yield from products(inner, platform)


def inner_programs(equation: Any, platform: str) -> list[Any]:
    """The programs that an equation holds; of branches by platform the one of that platform."""
    platforms = equation.params.get("branches_platforms")
    if platforms is not None:
        taken = next(i for i, names in enumerate(platforms) if names is None or platform in names)
        return [equation.params["branches"][taken]]
    several = [value if isinstance(value, (tuple, list)) else [value] for value in equation.params.values()]
    return [value for values in several for value in values if hasattr(value, "eqns") or hasattr(value, "jaxpr")]


def in_full_precision(jaxpr: Any, platform: str) -> list[str]:
    """The products that have an operand in float32 or more."""
    return [str(e) for e in products(jaxpr, platform) if any(_is_wide(operand.aval.dtype) for operand in e.invars)]


def _is_wide(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits > 16
