"""Output shapes, by tracing a layer abstractly: no layer states its output shape by hand."""

import contextlib
import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from fnlayers.core.context import mask_leaves
from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.outline import declared_by, outline
from fnlayers.core.shapes import ArrayType, canonical, shape_of
from fnlayers.core.spec import structs
from fnlayers.core.strings import BEFORE_NUMBERS, STRING
from fnlayers.ops import record
from fnlayers.plain_data import freeze, map_nest, nest_leaves

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer

# The numbers that replace an unknown size in the two traces: one of these, and its double. An output axis that differs
# between them is unknown too. Large, so that windows fit, and with many divisors, so that a Reshape of a usual length
# passes; the smaller ones are for layers that take no more than so many steps.
_BATCH = 48
_OTHERS = (20160, 2520, 360, 60, 12, 2)


def trace(layer: "Layer", types: Any) -> Any:
    """The ArrayTypes of `layer`'s output for inputs of those types, masks included; nothing is computed or allocated.

    Results are memoized by value (layers and types are plain data): shape inference through nested models stays linear.
    The layer's name has no part in it: the equal blocks of a model are traced once.
    """
    try:
        return _trace(layer.renamed(None), types)
    except Exception as error:
        if getattr(error, "_names_layer", False):  # of a layer inside: to trace it again at each level takes 2^depth
            raise
    try:
        return _trace(layer, types)  # so that the error names the layer
    except Exception as error:
        error._names_layer = True  # type: ignore[attr-defined]
        raise


@functools.lru_cache(maxsize=4096)
def _trace(layer: "Layer", types: Any) -> Any:
    types = _with_declared(layer.in_shape, types)
    if (composed := layer._compose(types)) is not None:
        return composed
    if any(t.dtype == STRING for t in nest_leaves(types)):
        raise ConfigError(f"{brief(layer)} takes numbers, and is given strings; {BEFORE_NUMBERS}")
    shape = canonical(shape_of(types))
    declared_by(layer, shape)  # whose errors are those of the shape as it is

    def trace_with(batch: int, others: int) -> Any:
        x = map_nest(lambda t: _struct(t, batch, others), types)
        masks = map_nest(lambda t, a: jax.ShapeDtypeStruct(a.shape[: t.masked], bool) if t.masked else None, types, x)

        with record.written(None):  # a memoized trace records nothing the second time, so it must not the first time
            out = outline(layer, shape, x, masks)
        return out.y, mask_leaves(out.mask, len(jax.tree.leaves(out.y)))

    def merge(a: jax.ShapeDtypeStruct, b: jax.ShapeDtypeStruct, mask: Any) -> ArrayType:
        sizes = tuple(n if n == m else None for n, m in zip(a.shape, b.shape, strict=True))
        return ArrayType(sizes, a.dtype.name, 0 if mask is None else len(mask.shape))

    known = all(None not in t.shape for t in nest_leaves(types))

    def guess(others: int) -> Any:
        try:
            first, masks = trace_with(_BATCH, others)
        except Exception as error:
            if not known:
                _say_unknown(error, lambda: trace_with(2 * _BATCH, 2 * others))
            raise
        leaves, structure = jax.tree.flatten(first)
        other = leaves if known else jax.tree.leaves(trace_with(2 * _BATCH, 2 * others)[0])
        return jax.tree.unflatten(structure, map(merge, leaves, other, masks))

    open_axes = any(None in t.shape[1:] for t in nest_leaves(types))
    try:
        return guess(_OTHERS[0])
    except ShapeError:
        for others in _OTHERS[1:] if open_axes else ():
            with contextlib.suppress(ShapeError):
                return guess(others)
        raise


def _say_unknown(error: Exception, again: Callable[[], Any]) -> None:
    """Write None for the numbers in an error that stand for unknown sizes: those that differ in the second trace's."""
    try:
        again()
    except Exception as other:
        if type(other) is type(error) and other.args and error.args and isinstance(error.args[0], str):
            error.args = (_merged(error.args[0], other.args[0]), *error.args[1:])
        pairs = zip(getattr(error, "__notes__", ()), getattr(other, "__notes__", ()), strict=False)
        if notes := [_merged(*pair) for pair in pairs]:
            error.__notes__ = notes


def _merged(text: str, other: Any) -> str:
    """The text with None in place of each number that the other one has another number for."""
    words, others = (re.split(r"(\d+)", str(t)) for t in (text, other))
    if words[::2] != others[::2]:
        return text
    return "".join(a if a == b else "None" for a, b in zip(words, others, strict=True))


def trace_training(layer: "Layer", types: Any) -> None:
    """Trace a training pass and its gradients for inputs of known sizes; nothing is computed or recorded."""
    if any(None in t.shape for t in nest_leaves(types)):
        raise ShapeError(f"{layer!r}: {shape_of(types)} has unknown sizes, which decide here; write all of them")
    with record.written(None):
        params, state = structs(layer.specs(shape_of(types)))
    x = map_nest(lambda t: _struct(t, 0, 0), types)
    leaves, structure = jax.tree.flatten((params, x))
    floating = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

    def run(state: Any, *arrays: Any) -> None:
        def of_floating(moving: list) -> Any:
            replacements = iter(moving)
            chosen = [next(replacements) if moves else leaf for moves, leaf in zip(floating, arrays, strict=True)]
            params, x = jax.tree.unflatten(structure, chosen)
            y = layer.run(params, x, state=state, rng=jax.random.key(0), train=True).y
            return [leaf for leaf in jax.tree.leaves(y) if jnp.issubdtype(leaf.dtype, jnp.inexact)]

        y, back = jax.vjp(of_floating, [leaf for moves, leaf in zip(floating, arrays, strict=True) if moves])
        back(y)

    jax.eval_shape(run, state, *leaves)


def _with_declared(shapes: Any, types: Any) -> Any:
    """The types with the sizes that the layer declares for its input where they are unknown."""
    if shapes is None:
        return types

    def fill(type_: ArrayType, shape: Any) -> ArrayType:
        sizes = zip(type_.shape, shape, strict=True)
        return ArrayType(tuple(b if a is None else a for a, b in sizes), type_.dtype)

    try:
        return freeze(map_nest(fill, types, shapes))
    except (ValueError, TypeError, KeyError):
        return types  # of another structure or rank: the layer itself raises


def _struct(type_: ArrayType, batch: int, others: int) -> jax.ShapeDtypeStruct:
    sizes = ((others if axis else batch) if n is None else n for axis, n in enumerate(type_.shape))
    return jax.ShapeDtypeStruct(tuple(sizes), jax.dtypes.canonicalize_dtype(jnp.dtype(type_.dtype)))
