"""The one place where a program takes different ways on different platforms."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from fnlayers.ops import record
from fnlayers.ops.cpu.compose import algorithm, chosen
from fnlayers.ops.cpu.problem import Problem


def dispatch(reference: Callable[..., Any], problem: Problem | None, *arrays: jax.Array) -> Any:
    """`reference(*arrays)`, by the algorithms of `ops.cpu` where the program is compiled for a CPU.

    The choice is made when a program is compiled, not when it is traced: what is exported to other platforms holds the
    reference for them. Without a problem there is nothing to choose from.
    """
    if problem is None:
        return reference(*arrays)
    written, cpu = record.current(), algorithm(problem)
    if written is not None:
        written.add(problem, chosen(problem))
    return reference(*arrays) if cpu is None else lax.platform_dependent(*arrays, cpu=cpu, default=reference)
