"""What a traced program keeps for its backward pass, as it is lowered for one platform."""

from typing import Any

import jax.numpy as jnp
from jax.extend.core import Literal

from products import inner_programs


def computed_in_float32(program: Any, count: int, platform: str) -> list[tuple[int, ...]]:
    """The shapes of those among the last `count` outputs that are float32 or wider, and computed from an input.

    Neither inputs as they are, such as params, nor constants: zeros that stand for what another platform keeps.
    """
    jaxpr = program.jaxpr
    computed = computed_from(jaxpr, [True] * len(jaxpr.invars), platform)
    last = list(zip(jaxpr.outvars, computed, strict=True))[len(jaxpr.outvars) - count :]
    wide = [out.aval for out, is_computed in last if is_computed and out not in jaxpr.invars and _is_wide(out.aval)]
    return [aval.shape for aval in wide]


def computed_from(jaxpr: Any, inputs: list[bool], platform: str) -> list[bool]:
    """For each output whether it depends on those inputs that are True."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    known = dict(zip(jaxpr.invars, inputs, strict=True))

    def depends(atom: Any) -> bool:
        return not isinstance(atom, Literal) and known.get(atom, False)

    for equation in jaxpr.eqns:
        known.update(
            zip(equation.outvars, _outputs(equation, list(map(depends, equation.invars)), platform), strict=True)
        )
    return list(map(depends, jaxpr.outvars))


def _outputs(equation: Any, inputs: list[bool], platform: str) -> list[bool]:
    """The same of an equation: through the program that it calls, where it calls one with its own inputs and outputs."""
    programs = inner_programs(equation, platform)
    inputs = inputs[1:] if "branches" in equation.params else inputs  # without the branch's number
    if "num_carry" in equation.params:  # what the first step carries on as a constant another may have computed
        first = equation.params["num_consts"]
        inputs = [one or first <= i < first + equation.params["num_carry"] for i, one in enumerate(inputs)]
    if len(programs) == 1:
        inner = getattr(programs[0], "jaxpr", programs[0])
        if (len(inner.invars), len(inner.outvars)) == (len(inputs), len(equation.outvars)):
            return computed_from(inner, inputs, platform)
    return [any(inputs)] * len(equation.outvars)


def _is_wide(aval: Any) -> bool:
    return jnp.issubdtype(aval.dtype, jnp.floating) and jnp.finfo(aval.dtype).bits > 16
