"""What a step may keep: an update after which no number is infinite or NaN that was finite before it."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import choices

Tree = Any
# What a step does with an update that is not finite: it keeps the train state, so that the training ends there; it
# leaves the update out, and the next step goes on; it looks at nothing
Guard = Literal["raise", "skip", False]

_SMALL = 1 << 14  # arrays up to this size are looked at together: a kernel each would cost more than their numbers
# Operations that are too expensive to be done twice, for an update that uses them (a line search, Newton-Schulz steps)
_EXPENSIVE = ("dot_general", "conv_general_dilated", "while", "scan", "cond", "eigh", "svd", "qr", "cholesky")


def guarded(
    update: Callable[[Tree], Tree],
    before: Tree,
    all_finite: Any,
    gradients: Tree,
    loss: Any,
    state: Tree,
    new_state: Tree,
    on_mesh: bool = False,
) -> tuple[Tree, Tree, jax.Array]:
    """One update, taken where all of its results are finite.

    Arguments:
        update: (step, params, opt_state) -> the same after the update.
        before: what it is given.
        all_finite: whether all steps before this one were finite.
        gradients: of the params that are trained.
        loss: the loss.
        state: the model's state.
        new_state: the model's state after the step.
        on_mesh: whether the arrays are on several devices: each is looked at where it is.

    Returns:
        (the update or `before`, the new state or `state`, whether the update was taken).
    """
    jaxpr, structure = jax.make_jaxpr(update, return_shape=True)(before)

    def apply(before: Tree) -> Tree:
        leaves = jaxpr_as_fun(jaxpr)(*jax.tree.leaves(before))
        return jax.tree.unflatten(jax.tree.structure(structure), leaves)

    after = apply(before)
    now_finite = stays_finite((before, state), (after, new_state), gradients, on_mesh)
    all_finite = all_finite & finite(loss) & now_finite
    if jax.default_backend() == "cpu" and not on_mesh and not _is_expensive(jaxpr.jaxpr):
        # A select would write all of `after` to memory, and copy it from there. The branch computes the update again,
        # which costs less: `after` is consumed by the check alone, and is never written
        after = jax.lax.cond(all_finite, apply, lambda same: same, before)
    else:
        # A branch would wait for the flag on the host; a select is fused into the update.
        after = _select(all_finite, after, before)
    return after, _select(all_finite, new_state, state), all_finite


def checked_guard(verb: str, guard: Any, allowed: tuple = get_args(Guard)) -> Any:
    """The guard; ConfigError for what is none, such as 0."""
    guard = bool(guard) if isinstance(guard, np.bool_) else guard
    if not any(type(guard) is type(each) and guard == each for each in allowed):
        raise ConfigError(f"{verb}: {choices('guard', guard, allowed)}")
    return guard


def finite(tree: Tree) -> jax.Array:
    """Whether all floating numbers in a tree are finite."""
    return stays_finite((), (), tree)


def stays_finite(before: Tree, after: Tree, gradients: Tree, on_mesh: bool = False) -> jax.Array:
    """Whether no number of `after` is infinite or NaN that was finite in `before`, and none of `gradients` is.

    What starts as infinite, as the best value so far of some optimizers, may stay so.
    """
    checks = [_is_finite(leaf) for leaf in _floating(gradients)]
    # A param, its gradient and its moments have one shape, and are looked at in one pass
    period = Counter(check.shape for check in checks)
    checks += [
        _is_finite(new) if new.shape in period else _is_finite(new) | ~_is_finite(old)
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
        if _is_floating(new)
    ]
    # Arrays that are split in different ways would have to move to be looked at together, with all that they come from
    if on_mesh:
        return functools.reduce(jnp.logical_and, map(jnp.all, checks), jnp.array(True))
    grouped = list(_grouped(checks, period))
    large = [check for check in grouped if check.size > _SMALL]
    small = [check.ravel() for check in grouped if check.size <= _SMALL]
    flags = [jnp.all(check) for check in large + ([jnp.concatenate(small)] if small else [])]
    return functools.reduce(jnp.logical_and, flags, jnp.array(True))


def _grouped(checks: list, period: Counter) -> Iterator[jax.Array]:
    """The checks of one shape joined element by element: the first of each tree with each other, the second, ..."""
    groups: dict[tuple, jax.Array] = {}
    seen: Counter = Counter()
    for check in checks:
        position = (check.shape, seen[check.shape] % (period[check.shape] or 1))
        groups[position] = groups[position] & check if position in groups else check
        seen[check.shape] += 1
    yield from groups.values()


def _is_finite(leaf: Any) -> jax.Array:
    # A comparison of a product is vectorized on CPUs, and so is the reduction of booleans; maxima and sums are not
    return leaf * jnp.zeros((), leaf.dtype) == 0


def _is_floating(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.size > 0


def _floating(tree: Tree) -> list:
    return [leaf for leaf in jax.tree.leaves(tree) if _is_floating(leaf)]


def _select(all_finite: Any, after: Tree, before: Tree) -> Tree:
    return jax.tree.map(functools.partial(jnp.where, all_finite), after, before)


def _is_expensive(jaxpr: Any) -> bool:
    """Whether an update is more than arithmetic, element by element."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in _EXPENSIVE:
            return True
        inner = (value for value in equation.params.values() if hasattr(value, "eqns") or hasattr(value, "jaxpr"))
        if any(_is_expensive(getattr(value, "jaxpr", value)) for value in inner):
            return True
    return False
