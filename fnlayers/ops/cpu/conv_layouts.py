"""Convolutions within loops in the layout that XLA's fast code for CPUs takes.

That code takes channels last. XLA brings convolutions of other layouts to it, such as those of the backward pass, but
for those of a loop's body (its pass goes through the entry computation alone): there they run as plain loops over all
elements, many times slower, and their sums are taken in another order. So the same is done here.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from fnlayers.ops.jaxprs import run_equation, run_program

# Primitives that run a program once, in the computation that they stand in. The bodies of loops stay as they are: XLA
# treats them alike wherever a loop stands
_CALLS = (
    "jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint", "cond",
)  # fmt: skip


def channels_last(function: Callable) -> Callable:
    """The function of arrays with all its convolutions channels last: the same numbers in and out of a loop.

    Within a loop, on a CPU, it gives bit for bit what `function` gives outside of one. It is no more differentiated.
    """

    def run(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        outputs = _run(closed, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return run


def _run(closed: ClosedJaxpr, arrays: Any) -> list:
    return run_program(closed.jaxpr, closed.consts, arrays, _results)


def _results(jaxpr: Jaxpr, equation: JaxprEqn, inputs: list) -> list:
    """What an equation of the program gives, with the convolutions inside channels last."""
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
        return [_conv(*inputs, **params)]
    if name in _CALLS:
        equation = equation.replace(params={key: _rewritten(value) for key, value in params.items()})
    return run_equation(jaxpr, equation, inputs)


def _rewritten(value: Any) -> Any:
    """A primitive's parameter, the programs in it rewritten."""
    if isinstance(value, ClosedJaxpr):
        return jax.make_jaxpr(lambda *arrays: _run(value, arrays))(*value.in_avals)
    if isinstance(value, Jaxpr) and not value.constvars:
        rewritten = _rewritten(ClosedJaxpr(value, []))
        return value if rewritten.consts else rewritten.jaxpr
    if isinstance(value, tuple):
        return tuple(map(_rewritten, value)) if any(isinstance(each, ClosedJaxpr) for each in value) else value
    return value


def _conv(x: jax.Array, kernel: jax.Array, *, dimension_numbers: Any, **params: Any) -> jax.Array:
    """The convolution of x (batch, *space, channels) and a kernel (*window, channels, out), between transposes."""
    x_axes, kernel_axes, y_axes = dimension_numbers
    rank = x.ndim
    last, first = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
    window = (*range(2, rank), 1, 0)
    y = lax.conv_general_dilated_p.bind(
        lax.transpose(x, [x_axes[i] for i in last]),
        lax.transpose(kernel, [kernel_axes[i] for i in window]),
        dimension_numbers=lax.ConvDimensionNumbers(first, (rank - 1, rank - 2, *range(rank - 2)), first),
        **params,
    )
    return lax.transpose(y, [[y_axes[i] for i in last].index(axis) for axis in range(rank)])
