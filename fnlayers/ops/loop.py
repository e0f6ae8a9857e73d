"""The loop over time, with masks, that all recurrent layers run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnlayers.ops import varying
from fnlayers.ops.layout import expand_trailing

Tree = Any
Step = Callable[[Tree, Tree], tuple[Tree, Tree, Tree]]  # (carry, x) -> (carry, output, what is saved)


class Loop(NamedTuple):
    """The options of a loop; see `ops.scan_time`."""

    reverse: bool = False
    unroll: int = 1
    zero_output: bool = False
    return_all: bool = True
    output: Callable[[Tree], Tree] | None = None


class Scan(NamedTuple):
    """Steps over what `project` makes of x, all of it or one step's, and the loop that they run in."""

    step: Step
    project: Callable[[Tree], Tree]
    loop: Loop


def run(step: Step, carry: Tree, xs: Tree, mask: jax.Array | None, loop: Loop) -> tuple[Tree, Tree, Tree | None, Tree]:
    """(carry, last output, all outputs or None, what all steps saved)."""
    reverse, unroll, zero_output, return_all, output = loop
    length = _length(xs, mask)
    if isinstance(unroll, bool) or unroll < 1:
        raise ValueError(f"unroll={unroll!r} is wrong; give the steps in an iteration of the loop, 1 or more")
    # An output is carried only where somebody reads it: a carried array costs a copy in each step, and one backward.
    carries_output = output is None and (not return_all or (mask is not None and not zero_output))

    def body(state: Tree, inputs: Tree) -> tuple[Tree, Tree]:
        (carry, last), (x, valid) = state, inputs
        new_carry, y, saved = step(carry, x)
        if valid is not None:
            before = jax.tree.map(jnp.zeros_like, y) if zero_output else output(carry) if output else last
            new_carry, y = _where(valid, new_carry, carry), _where(valid, y, before)
        return (new_carry, y if carries_output else None), (y if return_all else None, saved)

    last = output(carry) if output else _zero_output(step, carry, xs) if carries_output or length == 0 else None
    unroll = min(unroll, max(length, 1)) if isinstance(length, int) else 1  # a symbolic length compares with nothing
    state = (carry, last if carries_output else None)
    # Without `length=`, which is no symbolic one
    (carry, carried), (outputs, saved) = varying.scan(body, state, (xs, mask), reverse=reverse, unroll=unroll)
    if reverse:
        outputs = jax.tree.map(lambda y: jnp.flip(y, 0), outputs)
    if carries_output:
        last = carried
    elif return_all and length != 0:
        last = jax.tree.map(lambda y: y[-1], outputs)
    elif output:
        last = output(carry)
        if mask is not None and zero_output and length != 0:
            last = _where(mask[0 if reverse else -1], last, jax.tree.map(jnp.zeros_like, last))
    return carry, last, outputs, saved


def _length(xs: Tree, mask: jax.Array | None) -> int:
    """The number of time steps, which all arrays must agree on."""
    lengths = [leaf.shape[0] for leaf in jax.tree.leaves((xs, mask))]
    if not lengths:
        raise ValueError("xs holds no array, so the number of time steps is unknown; give (time, batch, ...) arrays")
    if any(n != lengths[0] for n in lengths):
        raise ValueError(f"xs and mask disagree on the number of time steps, their first axis: {lengths}")
    return lengths[0]


def _zero_output(step: Step, carry: Tree, xs: Tree) -> Tree:
    """Zeros in the shape of one step's output, found by tracing: nothing is computed."""
    x = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), xs)
    _, y, _ = jax.eval_shape(step, carry, x)
    return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), y)


def _where(valid: jax.Array, new: Tree, old: Tree) -> Tree:
    """`new` in the rows whose step is valid, `old` in the others."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        if jnp.ndim(new) == 0:
            return new
        return jnp.where(expand_trailing(valid.astype(bool), new.ndim), new, old)

    return jax.tree.map(choose, new, old)
