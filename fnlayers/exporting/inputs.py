"""The inputs that a program is traced with: the model's shape, its unknown sizes as symbols."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, MissingError
from fnlayers.core.layer import Layer
from fnlayers.core.shapes import ArrayType, canonical, with_dtype
from fnlayers.models.functional import Functional, Ref
from fnlayers.plain_data import freeze, map_nest

BATCH = "batch"


def open_inputs(model: Layer, shape: Any, dtype: Any, verb: str) -> Any:
    """The model's inputs as `jax.ShapeDtypeStruct`s with symbolic sizes, nested as the model takes them.

    Arguments:
        model: the layer.
        shape: a shape, or a tuple or dict of them; None: the model's own. A size that is None is a symbol of its own,
            on axis 0 the batch that all inputs share; a size that is a string is the symbol of that name.
        dtype: of the inputs, as the model's `in_dtype` nests it; None: `in_dtype`.
        verb: the function that asks, for errors.
    """
    if shape is None:
        shape = model.in_shape
    if shape is None:
        raise MissingError(f"{verb}: the model does not know the shape of its input; give shape=x.shape")
    shapes, scope, count = _canonical(shape, verb), jax.export.SymbolicScope(), 0
    unnamed = map_nest(_sizes_alone, shapes, is_leaf=_is_sizes)
    model.check_shape(unnamed)
    types = with_dtype(unnamed, dtype) if dtype else model.in_types(unnamed)

    def opened(sizes: tuple, type_: ArrayType) -> jax.ShapeDtypeStruct:
        nonlocal count
        names = []
        for axis, size in enumerate(sizes):
            if size is None and axis:
                count += 1
                size = f"size_{count}"
            names.append(BATCH if size is None else str(size))
        symbols = jax.export.symbolic_shape(", ".join(names), scope=scope) if names else ()
        return jax.ShapeDtypeStruct(symbols, jnp.dtype(type_.dtype))

    return _plain(map_nest(opened, shapes, types, is_leaf=_is_sizes))


def input_names(model: Layer, x: Any) -> list[str]:
    """A name for each array of x, in jax's order: the names of a graph's Inputs, the keys of dicts, else x, x_1, ..."""
    if isinstance(model, Functional) and not isinstance(x, Mapping):
        names = map_nest(lambda ref: model.nodes[ref.node].name, model.inputs, is_leaf=lambda v: isinstance(v, Ref))
        return jax.tree.leaves(_plain(names))
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(x)]
    keys = ["_".join(str(getattr(part, "key", getattr(part, "idx", part))) for part in path) for path in paths]
    return [f"x_{key}" if key.isdigit() else key or "x" for key in keys]


def _is_sizes(value: Any) -> bool:
    """A shape in which sizes may have names."""
    kinds = (int, np.integer, str)
    return isinstance(value, (tuple, list)) and all(n is None or isinstance(n, kinds) for n in value)


def _canonical(shape: Any, verb: str) -> Any:
    def sizes(shape: Any) -> tuple:
        if not _is_sizes(shape):
            canonical(shape)  # says what is wrong
        for name in shape:
            if isinstance(name, str) and not name.isidentifier():
                raise ConfigError(
                    f"{verb}: the size {name!r} in {tuple(shape)} is no name; write a word, such as 'time'"
                )
        canonical(_sizes_alone(shape))
        return tuple(n if n is None or isinstance(n, str) else int(n) for n in shape)

    return freeze(map_nest(sizes, shape, is_leaf=_is_sizes))


def _sizes_alone(sizes: tuple) -> tuple:
    return tuple(None if isinstance(n, str) else n for n in sizes)


def _plain(nest: Any) -> Any:
    """The nest with dicts for frozen ones, as jax's files hold them."""
    if isinstance(nest, Mapping):
        return {key: _plain(value) for key, value in nest.items()}
    if type(nest) is tuple:
        return tuple(map(_plain, nest))
    return nest
