"""One function of arrays, made of the algorithms that a table's rows name for the passes of an operation."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.ops import reference
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import ConvProblem, ConvTransposeProblem, PoolProblem, Problem
from fnlayers.ops.reference import PoolWindow, Window
from fnlayers.ops.rows import Row, first_of_each_pass

Algorithms = dict[str, Callable[..., Any]]  # by pass


@functools.cache
def tables() -> dict[str, dict[str, Any]]:
    """By platform the rows of each operation. Imported when a program is first traced: `import fnlayers` is fast."""
    from fnlayers.ops.cpu import table as cpu_table
    from fnlayers.ops.cuda import table as cuda_table

    return {"cpu": cpu_table.TABLES, "cuda": cuda_table.TABLES}


def chosen(problem: Problem, platform: str = "cpu", limits: Limits | None = None) -> dict[str, Row]:
    """For each pass the first row that holds and names an algorithm for it; a pass without one is not there."""
    limits = limits or Limits()
    rows = tables()[platform].get(problem.operation, ())
    return first_of_each_pass(row for row in rows if row.holds(problem, limits))


def is_reference(problem: Problem, rows: dict[str, Row]) -> bool:
    """Whether the rows name nothing but the reference."""
    plain = getattr(reference, problem.operation)
    return all(row.passes[which] is plain for which, row in rows.items())


def composed(problem: Problem, rows: dict[str, Row], limits: Limits | None = None) -> Callable[..., Any] | None:
    """The function of arrays that has in each pass the algorithm of its row; None where all are the reference."""
    if is_reference(problem, rows):
        return None
    limits = limits or Limits()
    settings = {row.name: row.settings(limits, _inner_conv(limits)) for row in rows.values() if row.settings}
    bound: dict[Any, Callable] = {}

    def bind(row: Row, algorithm: Callable) -> Callable:
        if row.name not in settings:
            return algorithm
        return bound.setdefault((row.name, algorithm), functools.partial(algorithm, **settings[row.name]))

    algorithms = {which: bind(row, row.passes[which]) for which, row in rows.items()}
    return COMPOSERS[problem.operation](problem, algorithms)


def _inner_conv(limits: Limits) -> Callable[[jax.Array, jax.Array, Window], jax.Array]:
    """The convolution for CPUs within that of an algorithm, channels last."""

    def conv(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
        problem = ConvProblem.of(x, kernel, window)
        algorithm = None if problem is None else composed(problem, chosen(problem, "cpu", limits), limits)
        return reference.conv(x, kernel, window) if algorithm is None else algorithm(x, kernel)

    return conv


def conv(
    problem: ConvProblem | ConvTransposeProblem, algorithms: Algorithms
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """A convolution, plain or transposed: its algorithms, which have the channels last."""
    plain: Callable[..., jax.Array] = getattr(reference, problem.operation)
    function, axis = bilinear(problem.window, algorithms, plain), problem.channel_axis
    if axis == -1:
        return function
    return lambda x, kernel: jnp.moveaxis(function(jnp.moveaxis(x, axis, -1), kernel), -1, axis)


def bilinear(
    window: Any, algorithms: Algorithms, plain: Callable[..., jax.Array]
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """A function of x and kernel that is linear in each, so that its tangents are the same function of others.

    The tangents are stated by a `custom_jvp`, so their transposes are the gradients, and there are derivatives of all
    orders, forward and reverse.
    """
    forward = algorithms.get("forward", plain)
    training = algorithms.get("training", forward)
    of_x, of_kernel = (algorithms.get(which, plain) for which in ("input_gradient", "kernel_gradient"))
    if "training" in algorithms and training is of_x is of_kernel:  # differentiated as it is written
        return _differentiated(forward, training, window)

    @jax.custom_jvp
    def function(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return forward(x, kernel, window)

    @function.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple:
        (x, kernel), (dx, dkernel) = primals, tangents
        y = function(x, kernel) if training is forward else training(x, kernel, window)
        return y, of_x(dx, kernel, window) + of_kernel(x, dkernel, window)

    return function


def _differentiated(forward: Callable, training: Callable, call: Any) -> Callable[..., Any]:
    """One function in programs without derivatives, another in those with, which is differentiated as it is written."""

    def bound(algorithm: Callable) -> Callable[..., Any]:
        return lambda *arrays: algorithm(*arrays, call)

    if forward is training:
        return bound(forward)
    function = jax.custom_jvp(bound(forward))
    function.defjvp(functools.partial(jax.jvp, bound(training)))
    return function


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


def whole(problem: Any, algorithms: Algorithms) -> Callable[..., Any]:
    """What has no algorithm for a single gradient."""
    plain: Callable[..., Any] = getattr(reference, problem.operation)
    forward = algorithms.get("forward", plain)
    return _differentiated(forward, algorithms.get("training", forward), problem.call)


def identity(_: Any, algorithms: Algorithms) -> Callable[[jax.Array], jax.Array]:
    """A function of one array."""
    return algorithms["forward"]


COMPOSERS = {
    "dot": whole,
    "attention": whole,
    "scan": whole,
    "scan_dense": whole,
    "conv": conv,
    "conv_transpose": conv,
    "max_pool": pool,
    "sum_pool": pool,
    "mean_operand": identity,
    "gradient_once": identity,
}
