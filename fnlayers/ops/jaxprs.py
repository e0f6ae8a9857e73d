"""Programs of jax run equation by equation, so that some of their operations are replaced."""

from collections.abc import Callable
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

# The outputs of an equation of a program, from its inputs.
Evaluate = Callable[[Jaxpr, JaxprEqn, list], list]


def run_program(jaxpr: Jaxpr, consts: Any, arrays: Any, evaluate: Evaluate) -> list:
    """The outputs of a program for its inputs, each equation computed by `evaluate`."""
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arrays], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        values.update(zip(equation.outvars, evaluate(jaxpr, equation, inputs), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def run_equation(jaxpr: Jaxpr, equation: JaxprEqn, inputs: list) -> list:
    """The outputs of an equation of a program as it stands there."""
    variables = {atom: value for atom, value in zip(equation.invars, inputs, strict=True) if isinstance(atom, Var)}
    alone = jaxpr.replace(constvars=[], invars=list(variables), outvars=equation.outvars, eqns=[equation])
    return jaxpr_as_fun(ClosedJaxpr(alone, []))(*variables.values())
