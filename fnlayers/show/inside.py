"""What pictures and summaries ask of a model: the layers inside its layers, its input, its counts."""

import math
from typing import Any

import jax.numpy as jnp

from fnlayers.core.errors import MissingError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.shapes import canonical, shape_of, with_dtype
from fnlayers.core.spec import Param, spec_items
from fnlayers.models.repeat import Repeat
from fnlayers.plain_data import freeze, map_nest, nest_leaves


def inner_layers(layer: Layer, given: Any) -> dict[str, tuple[Layer, Any]]:
    """The layers inside a layer that is not a container of calls: name -> (layer, the types of its input)."""
    if isinstance(layer, Repeat):
        return {"layer": (layer.layer, given)}
    children = layer.children(shape_of(given)).items()
    return {name: (c, with_dtype(canonical(shape), _inner_dtype(layer, c, given))) for name, (c, shape) in children}


def input_types(model: Layer, shape: Shape, dtype: Any, who: str) -> Any:
    """The ArrayTypes of a model's input: of that shape and dtype, or what the model itself says."""
    if shape is None:
        if model.in_shape is None:
            raise MissingError(f"{who}: {type(model).__name__} does not know its input; give its shape, as to init")
        shape = model.in_shape
    if dtype is None:
        return model.in_types(canonical(shape))
    return with_dtype(canonical(shape), freeze(map_nest(lambda d: jnp.dtype(d).name, dtype)))


def counts(specs: Any) -> tuple[int, int, int]:
    """(params, state, trainable params) of a spec tree."""
    found = [(math.prod(spec.full_shape), spec) for _, spec in spec_items(specs)]
    params = sum(n for n, spec in found if isinstance(spec, Param))
    return params, sum(n for n, _ in found) - params, sum(n for n, s in found if isinstance(s, Param) and s.trainable)


def _inner_dtype(layer: Layer, child: Layer, given: Any) -> Any:
    """In which dtype a layer inside sees its input: as it came, if floating and passed on as it is, else its own."""
    came = {t.dtype for t in nest_leaves(given)}
    if layer.casts_inputs != "none" or len(came) != 1 or not isinstance(child.in_dtype, str):
        return child.in_dtype
    return came.pop()
