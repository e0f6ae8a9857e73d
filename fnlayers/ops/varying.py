"""Loops in the body of a `jax.shard_map`, where jax's types say which arrays differ from device to device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Tree = Any


def scan(body: Callable[[Tree, Tree], tuple[Tree, Tree]], carry: Tree, xs: Tree, **options: Any) -> tuple[Tree, Tree]:
    """`lax.scan`. In a shard_map zeros that a carry starts with count as different on each device, as what follows."""
    return lax.scan(body, _as_returned(body, carry, xs) if _in_shard_map() else carry, xs, **options)


def like(tree: Tree, other: Tree) -> Tree:
    """The tree, each array of which may differ at least where that of the other does."""
    return jax.tree.map(_cast, tree, other)


def _as_returned(body: Callable, carry: Tree, xs: Tree) -> Tree:
    """The carry with the type with which the body returns it: cast until a further step changes nothing."""

    def step(carry: Tree, xs: Tree) -> Tree:
        return body(carry, jax.tree.map(_first, xs))[0]

    while True:
        cast = like(carry, jax.eval_shape(step, carry, xs))
        if jax.tree.map(_varying, cast) == jax.tree.map(_varying, carry):
            return carry
        carry = cast


def _first(a: jax.Array) -> jax.Array:
    return a[0] if a.shape[0] != 0 else _cast(jnp.zeros(a.shape[1:], a.dtype), a)


def _in_shard_map() -> bool:
    mesh = getattr(jax.sharding, "get_abstract_mesh", lambda: None)()
    return bool(getattr(mesh, "manual_axes", ()))


def _varying(a: Any) -> frozenset[str]:
    """The axes of the mesh along which an array may differ."""
    type_of_a = jax.typeof(a) if not isinstance(a, jax.ShapeDtypeStruct) else a
    manual = getattr(type_of_a, "manual_axis_type", None)  # jax 0.10; before it was vma
    return manual.varying if manual is not None else getattr(type_of_a, "vma", None) or frozenset()


def _cast(a: Any, like: Any) -> jax.Array:
    """The array as one that may differ where `like` does."""
    axes = tuple(sorted(_varying(like) - _varying(a)))
    if not axes:
        return a
    if hasattr(lax, "pcast"):
        return lax.pcast(a, axes, to="varying")
    return getattr(lax, "pvary")(a, axes)  # noqa: B009  # before jax 0.9
