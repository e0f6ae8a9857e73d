"""Whether arrays are a model's: every path, shape and dtype against its declaration, without computing anything."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.shapes import canonical, is_shape
from fnlayers.core.spec import Param, spec_items
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import freeze, map_nest

Types = Mapping[str, tuple]  # path -> (shape, dtype name)

# Two sizes that stand for an unknown one where a weight depends on it: what differs between them is left open. Large,
# so that windows fit, and with many divisors, so that groups and a Reshape do.
_TRIALS = (20160, 40320)
_RANKS = (2, 3, 4, 5, 1)


def fitting_shape(model: Layer, types: Types, shape: Shape = None) -> Shape | None:
    """An input shape for which the model declares exactly these arrays; None if there is no telling.

    Arguments:
        model: the model.
        types: the arrays.
        shape: the shape to check them for; None: a Functional's own, or else the likely ones by its first weights. A
            size of None is one that no weight is held against.

    Raises:
        ConfigError: lists what is missing, unexpected, of another shape or dtype.
    """
    if shape is None:
        shape = model.in_shape
    if shape is not None:
        _raise_if_any(differences(declared(model, shape), types), shape)
        return canonical(shape)
    best: tuple[list[str], Shape] | None = None
    for candidate in _candidates(model, types):
        try:
            problems = differences(declared(model, candidate), types)
        except Exception:  # whatever a layer raises for an input that it was not made for
            continue
        if not problems:
            return candidate
        if best is None or len(problems) < len(best[0]):
            best = problems, candidate
    if best is not None:
        _raise_if_any(*best)
    return None


def suggested_shape(model: Layer, params: Any, state: Any = None) -> Shape | None:
    """An input shape for which the arrays are those that the model declares; its own, where it knows it.

    Arrays that the model does not declare and dtypes do not count, nor does the state if there is none. None: there is
    no telling.
    """
    if model.in_shape is not None:
        return model.in_shape
    arrays = {"params": params} | ({"state": state} if state else {})
    types = {path: (tuple(a.shape), a.dtype.name) for path, a in paths_of(arrays).items()}
    for candidate in _candidates(model, types):
        try:
            expected = _wanted(model, candidate)  # all sizes are needed: other weights may depend on them
        except Exception:  # whatever a layer raises for an input that it was not made for
            continue
        asked = {path: expected[path] for path in expected if state or path.startswith("params/")}
        present = {path: (types[path][0], asked[path][1]) for path in asked if path in types}
        if not differences(asked, present):
            return candidate
    return None


def paths_of(tree: Any, path: str = "") -> dict[str, Any]:
    """The arrays of nested dicts and tuples by path."""
    if not isinstance(tree, (Mapping, tuple, list)):
        return {path: tree} if hasattr(tree, "dtype") else {}
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    by_path: dict[str, Any] = {}
    for name, sub in items:
        by_path |= paths_of(sub, f"{path}/{name}" if path else str(name))
    return by_path


def declared(model: Layer, shape: Shape) -> dict[str, tuple]:
    """Every array that the model declares: path -> (shape, dtype name), None for a size that depends on an unknown."""
    shape = canonical(shape)
    try:
        return _wanted(model, shape)
    except ShapeError:
        trials = [_filled(shape, size) for size in _TRIALS]
        if trials[0] == shape:
            raise
    one, other = (_wanted(model, trial) for trial in trials)

    def merge(a: tuple, b: tuple) -> tuple:
        return tuple(n if n == m else None for n, m in zip(a[0], b[0], strict=True)), a[1]

    return {path: merge(one[path], other[path]) for path in one}


def differences(expected: Mapping[str, tuple], types: Types) -> list[str]:
    """One line for each array that is missing, unexpected, or of another shape or dtype."""
    lines = [f"missing: {path} {_shown(*expected[path])}" for path in expected if path not in types]
    lines += [f"unexpected: {path} {_shown(*types[path])}" for path in types if path not in expected]
    for path in expected:
        if path in types:
            (shape, dtype), (there, actual) = expected[path], types[path]
            fits = len(shape) == len(there) and all(n in (None, m) for n, m in zip(shape, there, strict=True))
            lines += [] if fits else [f"wrong shape: {path} is {tuple(there)}, the model has {shape}"]
            lines += (
                [] if _same_dtype(path, dtype, actual) else [f"wrong dtype: {path} is {actual}, the model has {dtype}"]
            )
    return lines


def _same_dtype(path: str, dtype: str, actual: str) -> bool:
    """Whether the dtype fits; the state of float64 layers was float32 once, and files of then are read."""
    return dtype == actual or path.startswith("state/") and (dtype, actual) == ("float64", "float32")


def _raise_if_any(lines: list[str], shape: Shape) -> None:
    if lines:
        shown = "\n  ".join(lines[:50] + ([f"... and {len(lines) - 50} more"] if len(lines) > 50 else []))
        raise ConfigError(f"the arrays are not the model's, for an input of shape {shape}:\n  {shown}")


def _wanted(model: Layer, shape: Shape) -> dict[str, tuple]:
    expected = {}
    for path, spec in spec_items(model.specs(shape)):
        kind = "params" if isinstance(spec, Param) else "state"
        dtype = str(spec.dtype or "float32")  # of random keys too, whose dtype numpy does not know
        expected[f"{kind}/{path}"] = spec.full_shape, dtype if dtype.startswith("key<") else jnp.dtype(dtype).name
    return expected


def _filled(shape: Shape, size: int) -> Shape:
    def fill(shape: tuple) -> tuple:
        return (*shape[:1], *(size if n is None else n for n in shape[1:]))

    return freeze(map_nest(fill, shape, is_leaf=is_shape))


def _candidates(model: Layer, types: Types) -> Iterator[Shape]:
    """Input shapes that the model's first weights suggest: their sizes as channels, in each number of axes."""
    path = "params/"
    while isinstance(model, Sequential) and model.layers:
        steps = list(model.by_name.items())
        name, model = next((step for step in steps if any(t.startswith(f"{path}{step[0]}/") for t in types)), steps[0])
        path += f"{name}/"
    if model.in_shape is not None:
        yield model.in_shape
    kernels = [shape for name, (shape, _) in types.items() if name.startswith(path)]
    likely = [shape[-2] for shape in kernels if len(shape) > 1] + [n for shape in kernels for n in shape]
    for rank in _RANKS:
        for channels in list(dict.fromkeys(likely))[:8]:
            yield (None,) * (rank - 1) + (channels,)
            if rank > 2:
                yield (None, channels) + (None,) * (rank - 2)
        yield (None,) * rank


def _shown(shape: tuple, dtype: str) -> str:
    return f"{dtype}{tuple(shape)}"
