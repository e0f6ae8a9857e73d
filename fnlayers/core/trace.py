"""Output shapes, found by tracing a layer abstractly: no layer states its output shape by hand."""

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from fnlayers.core.frozen import map_nest, nest_leaves
from fnlayers.core.shapes import ArrayType, shape_of
from fnlayers.core.spec import structs

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer

# What stands for an unknown size in the two traces: an output axis that differs between them is unknown too. Large,
# so that windows fit, and with many divisors, so that a Reshape of a sensible length passes.
_BATCH, _OTHERS = (48, 96), (20160, 40320)


@functools.lru_cache(maxsize=4096)
def trace(layer: "Layer", types: Any) -> Any:
    """The ArrayTypes of `layer`'s output for inputs of those types; nothing is computed or allocated.

    Results are kept by value (layers and types are plain data), so shape inference through nested models stays linear.
    """
    params, state = structs(layer.specs(shape_of(types)))

    def once(trial: int) -> Any:
        x = map_nest(lambda t: _struct(t, trial), types)
        return jax.eval_shape(lambda p, s, x: layer.run(p, x, state=s).y, params, state, x)

    first = once(0)
    if all(None not in t.shape for t in nest_leaves(types)):
        return jax.tree.map(lambda s: ArrayType(s.shape, s.dtype.name), first)

    def merge(a: jax.ShapeDtypeStruct, b: jax.ShapeDtypeStruct) -> ArrayType:
        return ArrayType(tuple(n if n == m else None for n, m in zip(a.shape, b.shape, strict=True)), a.dtype.name)

    return jax.tree.map(merge, first, once(1))


def _struct(type_: ArrayType, trial: int) -> jax.ShapeDtypeStruct:
    sizes = ((_OTHERS if axis else _BATCH)[trial] if n is None else n for axis, n in enumerate(type_.shape))
    return jax.ShapeDtypeStruct(tuple(sizes), jnp.dtype(type_.dtype))
