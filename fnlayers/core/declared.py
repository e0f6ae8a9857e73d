"""Params and state compared with what a layer declares for its input: shapes only, which are known while tracing."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fnlayers.core.errors import ConfigError, LayerError, ShapeError, brief, shortened
from fnlayers.core.shapes import is_shape
from fnlayers.core.spec import expand, leaf_at, spec_items
from fnlayers.plain_data import freeze, map_nest

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


def check_sizes(layer: "Layer", shape: Any, params: Any, state: Any) -> None:
    """Raise for an array of params or state of another shape than the layer declares for that input, or not declared.

    Containers are left to the layers inside, which are checked as they run; a container may be a part of the model
    whose params it is given, so that those of other layers are left alone. What is absent is left to those who read it.
    """
    if not params and not state:
        return
    if layer.casts_inputs == "none" and layer.has_children:
        error = _stray_error(layer, params)
    else:
        error = size_error(layer, shape, params, state) or _surplus_error(layer, shape, params, state)
    if error is not None:
        raise error


def _stray_error(layer: "Layer", params: Any) -> ConfigError | None:
    """The error for an array where a container's params have a dict for each layer; None: there is none."""
    stray = [name for name, value in params.items() if not isinstance(value, Mapping)] if _is_dict(params) else []
    if not stray or len(stray) == len(params):  # those of one layer alone: that its own are missing says more
        return None
    return ConfigError(
        f"{brief(layer)} was given params with {stray[0]!r}: {shortened(params[stray[0]])}, and its params hold a dict "
        "for each layer; pass what init returned for this model"
    )


def _surplus_error(layer: "Layer", shape: Any, params: Any, state: Any) -> ConfigError | None:
    """The error for a name in the params that the layer does not declare; None: there is none."""
    names = _names(layer, shape)
    surplus = next(_surplus(params, names), None) if names and _is_dict(params) else None
    if surplus is None:
        return None
    declared = [path for path, _ in _declared_shapes(layer, shape)]
    if any(leaf_at(params, path) is None and leaf_at(state, path) is None for path in declared):
        return None  # that one is missing says more
    return ConfigError(
        f"{brief(layer)} was given params with {surplus!r}, which it does not have; it has "
        f"{', '.join(map('/'.join, declared))}; pass what init returned for this layer"
    )


def _surplus(params: Any, declared: Mapping, path: str = "") -> Iterator[str]:
    """The paths in a tree of params whose names are not among the declared ones."""
    for name, value in params.items():
        if name not in declared:
            yield f"{path}{name}"
        elif _is_dict(value) and declared[name]:
            yield from _surplus(value, declared[name], f"{path}{name}/")


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


@functools.lru_cache(maxsize=4096)
def _names(layer: "Layer", shape: Any) -> Mapping:
    """The declared names as nested dicts; an array is an empty one."""
    tree: dict = {}
    for path, _ in _declared_shapes(layer, shape):
        inner = tree
        for name in path:
            inner = inner.setdefault(name, {})
    return tree


def size_error(layer: "Layer", shape: Any, params: Any, state: Any) -> ShapeError | None:
    """The error for the first array of another shape than the layer declares for that input; None: all fit."""
    for path, expected in _declared_shapes(layer, shape):
        array, where = leaf_at(params, path), "params hold"
        if array is None:
            array, where = leaf_at(state, path), "the state holds"
        got = getattr(array, "shape", None)
        if got is not None and tuple(got) != expected:
            return ShapeError(
                f"{layer!r} was given an input of shape {shape}, for which {'/'.join(path)} has shape {expected}, but "
                f"{where} {tuple(got)}; init and apply need the same layer and sizes (the batch axis excepted)"
            )
    return None


@functools.lru_cache(maxsize=4096)
def _declared_shapes(layer: "Layer", shape: Any) -> tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]:
    """The path and shape of each array that does not depend on the batch."""
    with contextlib.suppress(LayerError):
        return tuple((path, sizes) for path, sizes in _shapes(layer, None, shape).items() if None not in sizes)
    with contextlib.suppress(LayerError):  # of a layer whose state needs to know the batch, such as a carry
        sizes_1, sizes_2 = _shapes(layer, 1, shape), _shapes(layer, 2, shape)
        return tuple((path, sizes) for path, sizes in sizes_1.items() if sizes_2[path] == sizes)
    return ()


def _shapes(layer: "Layer", batch: int | None, shape: Any) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The shape of each declared array, by path, for inputs of another batch size."""
    given = freeze(map_nest(lambda s: (batch, *s[1:]), shape, is_leaf=is_shape))
    return {tuple(path.split("/")): spec.full_shape for path, spec in spec_items(expand(layer._declared(given)))}
