"""What pictures and summaries ask of a model: the layers inside its layers, its input, its counts."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from fnlayers.core.errors import MissingError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.shapes import canonical, shape_of, with_dtype
from fnlayers.core.spec import Param, State, is_spec
from fnlayers.models.repeat import Repeat
from fnlayers.plain_data import freeze, map_nest, nest_leaves


def inner_layers(layer: Layer, in_types: Any) -> dict[str, tuple[Layer, Any]]:
    """The layers inside a layer that is not a container of calls: name -> (layer, the types of its input)."""
    if isinstance(layer, Repeat):
        return {"layer": (layer.layer, in_types)}
    children = layer.children(shape_of(in_types)).items()
    return {name: (c, with_dtype(canonical(shape), _inner_dtype(layer, c, in_types))) for name, (c, shape) in children}


def input_types(model: Layer, shape: Shape, dtype: Any, who: str) -> Any:
    """The ArrayTypes of a model's input: of that shape and dtype, or what the model itself says."""
    if shape is None:
        if model.in_shape is None:
            raise MissingError(f"{who}: {type(model).__name__} does not know its input; give its shape, as to init")
        shape = model.in_shape
    if dtype is None:
        return model.in_types(canonical(shape))
    return with_dtype(canonical(shape), freeze(map_nest(lambda d: jnp.dtype(d).name, dtype)))


class Counts(NamedTuple):
    """How many numbers a spec tree declares."""

    params: int
    state: int
    trainable: int  # of the params


def counts(specs: Any, known: dict[int, Counts] | None = None) -> Counts:
    """(params, state, trainable params) of a spec tree.

    `known` holds what was counted of trees that are alive, by id, so that a tree inside others is counted once.
    """
    known = {} if known is None else known
    if id(specs) not in known:
        known[id(specs)] = _own_counts(specs) if is_spec(specs) else _sum([counts(sub, known) for sub in _inner(specs)])
    return known[id(specs)]


def _own_counts(spec: Param | State) -> Counts:
    size = math.prod(spec.full_shape)
    return Counts(size, 0, size * spec.trainable) if isinstance(spec, Param) else Counts(0, size, 0)


def _sum(counts: list[Counts]) -> Counts:
    return Counts(*map(sum, zip(*counts, strict=True))) if counts else Counts(0, 0, 0)


def _inner(specs: Any) -> Iterable[Any]:
    return specs.values() if isinstance(specs, Mapping) else specs if isinstance(specs, (tuple, list)) else ()


def _inner_dtype(layer: Layer, child: Layer, in_types: Any) -> Any:
    """In which dtype a layer inside sees its input: as it came, if floating and passed on as it is, else its own."""
    came = {t.dtype for t in nest_leaves(in_types)}
    if layer.casts_inputs != "none" or len(came) != 1 or not isinstance(child.in_dtype, str):
        return child.in_dtype
    return came.pop()


def bytes_of(spec: Param | State) -> int:
    """What an array takes in memory."""
    name = str(spec.dtype or "float32")
    return math.prod(spec.full_shape) * (8 if name.startswith("key<") else jnp.dtype(name).itemsize)
