"""One function of arrays, made of the algorithms that the table names for its passes."""

from collections.abc import Callable, Iterable
from typing import Any

import jax

from fnlayers.ops import reference
from fnlayers.ops.cpu import table
from fnlayers.ops.cpu.problem import PoolProblem, Problem
from fnlayers.ops.cpu.table import Limits, Row
from fnlayers.ops.reference import PoolWindow

Algorithms = dict[str, Callable[..., Any]]  # by pass


def chosen(problem: Problem, limits: Limits | None = None) -> dict[str, Row]:
    """For each pass the first row that holds and names an algorithm for it; a pass without one is not there."""
    limits = limits or Limits()
    rows = [row for row in table.TABLES[problem.operation] if row.when(problem, limits)]
    return first_of_each_pass(rows)


def first_of_each_pass(rows: Iterable[Row]) -> dict[str, Row]:
    """For each pass the first of the rows that names an algorithm for it."""
    found: dict[str, Row] = {}
    for row in rows:
        for which in row.passes:
            found.setdefault(which, row)
    return found


def algorithm(problem: Problem, limits: Limits | None = None) -> Callable[..., Any] | None:
    """The function of arrays for CPUs; None where it is the reference."""
    return composed(problem, chosen(problem, limits))


def composed(problem: Problem, rows: dict[str, Row]) -> Callable[..., Any] | None:
    """The function of arrays that has in each pass the algorithm of its row."""
    algorithms = {which: row.passes[which] for which, row in rows.items()}
    return COMPOSERS[problem.operation](problem, algorithms) if algorithms else None


def pool(problem: PoolProblem, algorithms: Algorithms) -> Callable[[jax.Array], jax.Array]:
    """A pooling: forward, and its tangent."""
    window = problem.window
    plain: Callable[..., jax.Array] = getattr(reference, problem.operation)

    def tangent_of_reference(x: jax.Array, dx: jax.Array, window: PoolWindow) -> jax.Array:
        return jax.jvp(lambda x: plain(x, window), (x,), (dx,))[1]

    forward = algorithms.get("forward", plain)
    tangent = algorithms.get("input_gradient", tangent_of_reference)

    @jax.custom_jvp
    def pooled(x: jax.Array) -> jax.Array:
        return forward(x, window)

    @pooled.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple:
        return pooled(*primals), tangent(*primals, *tangents, window)

    return pooled


COMPOSERS = {"max_pool": pool, "sum_pool": pool}
