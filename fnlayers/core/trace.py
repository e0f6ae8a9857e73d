"""Output shapes, found by tracing a layer abstractly: no layer states its output shape by hand."""

import contextlib
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from fnlayers.core.context import Context
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
    """The ArrayTypes of `layer`'s output for inputs of those types, masks included; nothing is computed or allocated.

    Results are kept by value (layers and types are plain data), so shape inference through nested models stays linear.
    """
    types = _with_declared(layer.in_shape, types)
    params, state = structs(layer.specs(shape_of(types)))

    def once(batch: int, others: int) -> Any:
        x = map_nest(lambda t: _struct(t, batch, others), types)
        masks = map_nest(lambda t, a: jax.ShapeDtypeStruct(a.shape[: t.masked], bool) if t.masked else None, types, x)
        masks = masks if jax.tree.leaves(masks) else None

        def run(params: Any, state: Any, x: Any, masks: Any) -> Any:
            out = layer._run(params, x, Context(state, mask=masks))
            return jax.tree.map(lambda a: _Traced(a, 0), out.y) if out.mask is None else _paired(out.y, out.mask)

        with record.kept(None):  # a trace that is memoized says nothing the second time, so not the first time either
            return jax.eval_shape(run, params, state, x, masks)

    def merge(a: _Traced, b: _Traced) -> ArrayType:
        sizes = zip(a.array.shape, b.array.shape, strict=True)
        return ArrayType(tuple(n if n == m else None for n, m in sizes), a.array.dtype.name, a.masked)

    known = all(None not in t.shape for t in nest_leaves(types))

    def guess(others: int) -> Any:
        try:
            first = once(_BATCH, others)
        except Exception as error:
            if not known:
                _say_unknown(error, lambda: once(2 * _BATCH, 2 * others))
            raise
        other = first if known else once(2 * _BATCH, 2 * others)
        return jax.tree.map(merge, first, other, is_leaf=lambda leaf: isinstance(leaf, _Traced))

    open_axes = any(None in t.shape[1:] for t in nest_leaves(types))
    try:
        return guess(_OTHERS[0])
    except ShapeError:
        for others in _OTHERS[1:] if open_axes else ():
            with contextlib.suppress(ShapeError):
                return guess(others)
        raise


@functools.partial(jax.tree_util.register_dataclass, data_fields=["array"], meta_fields=["masked"])
@dataclass(frozen=True)
class _Traced:
    """An output, and how many of its first axes its mask has."""

    array: Any
    masked: int


def _paired(y: Any, mask: Any) -> Any:
    """The outputs with their masks' axes; y's own structure stays, whatever kind of nest the masks come in."""
    found = nest_leaves(map_nest(lambda a, m: 0 if m is None else m.ndim, y, mask))
    order = nest_leaves(map_nest(lambda a: a, y))
    axes = {id(a): n for a, n in zip(order, found, strict=True)}
    return jax.tree.map(lambda a: _Traced(a, axes[id(a)]), y)


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
