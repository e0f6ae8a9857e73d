"""Params and state compared with what a layer declares for its input: shapes only, which are known while tracing."""

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from fnlayers.core.errors import LayerError, ShapeError
from fnlayers.core.shapes import is_shape
from fnlayers.core.spec import expand, leaf_at, spec_items
from fnlayers.plain_data import freeze, map_nest

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


def check_sizes(layer: "Layer", shape: Any, params: Any, state: Any) -> None:
    """Raise ShapeError for an array of params or state of another shape than the layer declares for that input.

    Containers are left to the layers inside, which are checked as they run. What is absent is left to those who read
    it, and so is what does not have a shape.
    """
    if layer.casts_inputs != "none" and (params or state) and (error := size_error(layer, shape, params, state)):
        raise error


def size_error(layer: "Layer", shape: Any, params: Any, state: Any) -> ShapeError | None:
    """The error for the first array of another shape than the layer declares for that input; None: all fit."""
    for path, wanted in _declared_shapes(layer, shape):
        found, where = leaf_at(params, path), "params hold"
        if found is None:
            found, where = leaf_at(state, path), "the state holds"
        got = getattr(found, "shape", None)
        if got is not None and tuple(got) != wanted:
            return ShapeError(
                f"{layer!r} was given an input of shape {shape}, for which {'/'.join(path)} has shape {wanted}, but "
                f"{where} {tuple(got)}; init and apply need the same layer and sizes (the batch axis excepted)"
            )
    return None


@functools.lru_cache(maxsize=4096)
def _declared_shapes(layer: "Layer", shape: Any) -> tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]:
    """The path and shape of each array that does not depend on the batch."""
    with contextlib.suppress(LayerError):
        return tuple((path, sizes) for path, sizes in _shapes(layer, None, shape).items() if None not in sizes)
    with contextlib.suppress(LayerError):  # of a layer whose state needs to know the batch, such as a carry
        found, others = _shapes(layer, 1, shape), _shapes(layer, 2, shape)
        return tuple((path, sizes) for path, sizes in found.items() if others[path] == sizes)
    return ()


def _shapes(layer: "Layer", batch: int | None, shape: Any) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The shape of each declared array, by path, for inputs of another batch size."""
    given = freeze(map_nest(lambda s: (batch, *s[1:]), shape, is_leaf=is_shape))
    return {tuple(path.split("/")): spec.full_shape for path, spec in spec_items(expand(layer._declared(given)))}
