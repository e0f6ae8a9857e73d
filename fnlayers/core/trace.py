"""Output shapes, found by tracing a layer abstractly: no layer states its output shape by hand."""

import contextlib
import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ShapeError
from fnlayers.core.frozen import freeze, map_nest, nest_leaves
from fnlayers.core.shapes import ArrayType, shape_of
from fnlayers.core.spec import structs
from fnlayers.ops import record

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer

# What stands for an unknown size in the two traces: it and its double. An output axis that differs between them is
# unknown too. Large, so that windows fit, and with many divisors, so that a Reshape of a sensible length passes; the
# smaller ones are for layers that take no more than so many steps.
_BATCH = 48
_OTHERS = (20160, 2520, 360, 60, 12, 2)


@functools.lru_cache(maxsize=4096)
def trace(layer: "Layer", types: Any) -> Any:
    """The ArrayTypes of `layer`'s output for inputs of those types; nothing is computed or allocated.

    Results are kept by value (layers and types are plain data), so shape inference through nested models stays linear.
    """
    types = _with_declared(layer.in_shape, types)
    params, state = structs(layer.specs(shape_of(types)))

    def once(batch: int, others: int) -> Any:
        x = map_nest(lambda t: _struct(t, batch, others), types)
        with record.kept(None):  # a trace that is memoized says nothing the second time, so not the first time either
            return jax.eval_shape(lambda p, s, x: layer.run(p, x, state=s).y, params, state, x)

    def merge(a: jax.ShapeDtypeStruct, b: jax.ShapeDtypeStruct) -> ArrayType:
        return ArrayType(tuple(n if n == m else None for n, m in zip(a.shape, b.shape, strict=True)), a.dtype.name)

    def guess(others: int) -> Any:
        first = once(_BATCH, others)
        known = all(None not in t.shape for t in nest_leaves(types))
        return jax.tree.map(merge, first, first if known else once(2 * _BATCH, 2 * others))

    open_axes = any(None in t.shape[1:] for t in nest_leaves(types))
    try:
        return guess(_OTHERS[0])
    except ShapeError:
        for others in _OTHERS[1:] if open_axes else ():
            with contextlib.suppress(ShapeError):
                return guess(others)
        raise


def trace_training(layer: "Layer", types: Any) -> None:
    """Trace a training pass for inputs of those types, whose sizes are known; nothing is computed or kept."""
    if any(None in t.shape for t in nest_leaves(types)):
        raise ShapeError(f"{layer!r}: {shape_of(types)} has unknown sizes, which decide here; write all of them")
    with record.kept(None):
        params, state = structs(layer.specs(shape_of(types)))
    x = map_nest(lambda t: _struct(t, 0, 0), types)

    def run(params: Any, state: Any, x: Any) -> Any:
        return layer.run(params, x, state=state, rng=jax.random.key(0), train=True).y

    jax.eval_shape(run, params, state, x)


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
        return types  # of another structure or rank: the layer itself says so


def _struct(type_: ArrayType, batch: int, others: int) -> jax.ShapeDtypeStruct:
    sizes = ((others if axis else batch) if n is None else n for axis, n in enumerate(type_.shape))
    return jax.ShapeDtypeStruct(tuple(sizes), jnp.dtype(type_.dtype))
