"""Params and state compared with what a layer declares for its input: by what is known while tracing."""

import contextlib
import functools
from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, LayerError, MissingError, ShapeError, brief, shortened
from fnlayers.core.shapes import is_shape
from fnlayers.core.spec import State, expand, leaf_at, spec_items
from fnlayers.core.symbol import Symbol
from fnlayers.plain_data import freeze, map_nest, nest_leaves

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


class DeclaredArray(NamedTuple):
    """An array that a layer declares: where it is, its shape (None: it depends on the batch), its dtype."""

    path: tuple[str, ...]
    shape: tuple[int, ...] | None
    dtype: str
    is_state: bool


def check_trees(layer: "Layer", params: Any, state: Any) -> None:
    """Raise MissingError for params or state that are not dicts."""
    for word, tree, method in (("params", params, "init"), ("state", state, "init_state")):
        if type(tree) is not dict and not isinstance(tree, Mapping):  # asking for a Mapping takes longer
            raise MissingError(
                f"{brief(layer)} got {type(tree).__name__} for {word}; pass what {method} returned, a dict"
            )


def check_sizes(layer: "Layer", shape: Any, params: Any, state: Any) -> None:
    """Raise for an array of params or state that is not what the layer declares for that input, or not declared.

    The arrays of layers inside are left to those, which are checked as they run: a container may be a part of the model
    whose params it is given, so that those of other layers are left alone. State that is absent is left to `ctx.read`.
    """
    if not params and not state:
        return
    expected = _expected(layer, shape)
    if expected is not None and _is_like(params, expected.params, expected.inside) and _is_like(state, *expected[1:]):
        return  # nearly always, so that an eager call pays no more than one comparison for each array
    if layer.casts_inputs == "none" and layer.has_children:
        error = size_error(layer, shape, params, state) if layer.has_weights else None
        error = error or _stray_error(layer, params)
    else:
        if _declared_arrays(layer, shape) is None and all(None not in leaf for leaf in nest_leaves(shape, is_shape)):
            layer._declared(shape)  # which says why not
        error = (
            size_error(layer, shape, params, state)
            or missing_error(layer, shape, params)
            or _empty_state_error(layer, shape, state)
            or _surplus_error(layer, shape, params, state)
        )
    if error is not None:
        raise error


def missing_error(layer: "Layer", shape: Any, params: Any) -> MissingError | None:
    """The error for arrays that the layer declares and its params do not hold; None: all are there.

    Those of layers inside are left to them, whose errors have their paths.
    """
    absent = [
        "/".join(declared.path)
        for declared in _declared_arrays(layer, shape) or ()
        if not declared.is_state and leaf_at(params, declared.path) is None
    ]
    if not absent:
        return None
    names = [str(name) for name, value in params.items() if value is not None] if _is_dict(params) else ["no dict"]
    there = ", ".join(names)
    return MissingError(
        f"{brief(layer)} has no {', '.join(absent)} in its params (they hold: {there or 'nothing'}); pass what init "
        "returned for this model"
    )


def _empty_state_error(layer: "Layer", shape: Any, state: Any) -> MissingError | None:
    """The error for None in place of an array of the state; None: there is none.

    State that is absent is left to `ctx.read`.
    """
    for path in [d.path for d in _declared_arrays(layer, shape) or () if d.is_state]:
        if _is_dict(state) and path[0] in state and leaf_at(state, path) is None:
            return MissingError(
                f"{brief(layer)}: the state holds no array for {'/'.join(path)}; pass what init_state returned"
            )
    return None


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
    """The error for a name in the params or state that the layer does not declare; None: there is none."""
    declared = _declared_arrays(layer, shape)
    if declared is None or any(leaf_at(state if d.is_state else params, d.path) is None for d in declared):
        return None  # that one is missing says more
    for word, tree in (("params", params), ("state", state)):
        names = _names(layer, shape, word == "state")
        surplus = next(_surplus(tree, names), None) if _is_dict(tree) else None
        if surplus is not None:
            listed = ", ".join(["/".join(d.path) for d in declared if d.is_state == (word == "state")] or names)
            return ConfigError(
                f"{brief(layer)} was given {word} with {surplus!r}, which it does not have; it has {listed or 'none'}; "
                "pass what init and init_state returned for this layer"
            )
    return None


def _surplus(tree: Any, declared: Mapping, path: str = "") -> Iterator[str]:
    """The paths in a tree of arrays whose names are not among the declared ones."""
    for name, value in tree.items():
        if name not in declared:
            if not _is_dict(value) or value:  # the branch of a layer without arrays is empty
                yield f"{path}{name}"
        elif _is_dict(value) and declared[name]:
            yield from _surplus(value, declared[name], f"{path}{name}/")


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


class Expected(NamedTuple):
    """The params and state that a layer declares as nested dicts of (shape, dtype), and the names of layers inside."""

    params: dict
    state: dict
    inside: Container[str]


@functools.lru_cache(maxsize=4096)
def _expected(layer: "Layer", shape: Any) -> Expected | None:
    """What the layer declares; None: where that cannot be told."""
    if layer.casts_inputs == "none" and layer.has_children:  # params may be those of a larger model
        return None
    declared_arrays = _declared_arrays(layer, shape)
    if declared_arrays is None:
        return None
    trees: tuple[dict, dict] = ({}, {})
    for declared in declared_arrays:
        inner = trees[declared.is_state]
        for name in declared.path[:-1]:
            inner = inner.setdefault(name, {})
        inner[declared.path[-1]] = declared.shape, jnp.dtype(declared.dtype)
    return Expected(*trees, frozenset(_inside(layer, shape)))


def _is_like(tree: Any, expected: dict, inside: Container[str] = ()) -> bool:
    """Whether a tree holds arrays of those shapes and dtypes, and no others. False where that takes a closer look."""
    if type(tree) is not dict:
        return False
    absent = len(expected)
    for name, value in tree.items():
        if name in inside:
            continue
        absent -= 1
        entry = expected.get(name)
        if type(entry) is tuple:
            if getattr(value, "dtype", None) is not entry[1] or value.shape != entry[0]:
                return False
        elif entry is None or not _is_like(value, entry):
            return False
    return absent == 0


@functools.lru_cache(maxsize=4096)
def _names(layer: "Layer", shape: Any, of_state: bool) -> Mapping:
    """The declared names of params, or of state, as nested dicts; an array is an empty one, and so is a layer."""
    tree: dict = {}
    for declared in _declared_arrays(layer, shape) or ():
        inner = tree
        for name in declared.path if declared.is_state == of_state else ():
            inner = inner.setdefault(name, {})
    return tree | {name: {} for name in _inside(layer, shape)}


def size_error(layer: "Layer", shape: Any, params: Any, state: Any) -> LayerError | None:
    """The error for the first array that is not what the layer declares for that input; None: all are."""
    for declared in _declared_arrays(layer, shape) or ():
        array = leaf_at(state if declared.is_state else params, declared.path)
        error = None if array is None else _error_of(layer, shape, declared, array)
        if error is not None:
            return error
    return None


_NO_NUMBERS = "OSUMmT"  # kinds of NumPy's dtypes: objects, strings, dates


def _error_of(layer: "Layer", shape: Any, declared: DeclaredArray, array: Any) -> LayerError | None:
    """The error for an array that is not what was declared; None: it is."""
    got = None if isinstance(array, (type, Symbol)) else getattr(array, "shape", None)
    kind = getattr(getattr(array, "dtype", None), "kind", "")
    path, where = "/".join(declared.path), "the state holds" if declared.is_state else "params hold"
    if got is None or kind in _NO_NUMBERS:
        if declared.shape == () and isinstance(array, (int, float)):
            return None
        sizes = f" of shape {declared.shape}" if declared.shape else ""
        return ConfigError(
            f"{brief(layer)}: {where} {shortened(array)} of type {type(array).__name__} for {path}; give an array of "
            f"numbers{sizes}, as init and init_state return it"
        )
    if declared.shape is not None and tuple(got) != declared.shape:
        return ShapeError(
            f"{layer!r} was given an input of shape {shape}, for which {path} has shape {declared.shape}, but {where} "
            f"{tuple(got)}; init and apply need the same layer and sizes (the batch axis excepted)"
        )
    if kind == "c" and not jnp.issubdtype(declared.dtype, jnp.complexfloating):
        return ConfigError(
            f"{brief(layer)}: {where} complex numbers for {path}, declared {declared.dtype}: the imaginary part would "
            "be lost; give real numbers"
        )
    if kind in "iub" and kind and jnp.issubdtype(declared.dtype, jnp.floating):
        return ConfigError(
            f"{brief(layer)}: {where} {array.dtype} for {path}, declared {declared.dtype}; write "
            f".astype({declared.dtype!r})"
        )
    return None


@functools.lru_cache(maxsize=4096)
def _declared_arrays(layer: "Layer", shape: Any) -> tuple[DeclaredArray, ...] | None:
    """The arrays that the layer declares, without those of layers inside; None: it cannot say for that input."""
    with contextlib.suppress(LayerError):
        return tuple(_arrays(layer, None, shape))
    with contextlib.suppress(LayerError):  # of a layer whose state needs to know the batch, such as a carry
        pairs = zip(_arrays(layer, 1, shape), _arrays(layer, 2, shape), strict=True)
        return tuple(one if one == two else one._replace(shape=None) for one, two in pairs)
    return None


def _arrays(layer: "Layer", batch: int | None, shape: Any) -> list[DeclaredArray]:
    """Each declared array, for inputs of another batch size."""
    one_shape = freeze(map_nest(lambda s: (batch, *s[1:]) if len(s) > 1 else s, shape, is_leaf=is_shape))
    inside = _inside(layer, one_shape)
    own = {name: tree for name, tree in layer._declared(one_shape).items() if name not in inside}
    return [
        DeclaredArray(tuple(path.split("/")), spec.full_shape, spec.dtype or "float32", isinstance(spec, State))
        for path, spec in spec_items(expand(own))
    ]


def _inside(layer: "Layer", shape: Any) -> Mapping[str, Any]:
    """The layers inside that are checked as they run: all but the cells of a recurrent layer."""
    return {} if layer.scans_children or not layer.has_children else layer.children(shape)
