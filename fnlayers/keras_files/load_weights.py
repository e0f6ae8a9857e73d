"""Weights of Keras for a model of ours: `.weights.h5` of Keras 3, weights and whole models in HDF5 of Keras 1 and 2."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, MissingError, ShapeError, shortened
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.spec import Param, State, spec_items
from fnlayers.keras_files.hdf5 import Hdf5, open_hdf5
from fnlayers.keras_files.legacy_weights import Read, legacy_arrays
from fnlayers.keras_files.weights import default_folders, names_in, unowned, weight_places
from fnlayers.models.functional import Functional
from fnlayers.models.sequential import Sequential
from fnlayers.saving.files import as_path
from fnlayers.saving.strict import refusing


class Report(NamedTuple):
    """What came of reading weights.

    Arguments:
        loaded: the paths of the arrays that were read, such as "dense/kernel".
        missing: paths that the model has and the file has not; they keep their values.
        unused: the places of arrays in the file that no layer takes.
        mismatched: arrays that have another shape than the model's, each in a sentence; they keep their values.
    """

    loaded: list[str]
    missing: list[str]
    unused: list[str]
    mismatched: list[str]

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} arrays were read"]
        lines += [f"missing in the file: {path}" for path in self.missing]
        lines += [f"not in the model: {place}" for place in self.unused]
        lines += [f"of another shape: {text}" for text in self.mismatched]
        return "\n".join(lines)


class LoadedWeights(NamedTuple):
    """A model's params and state with the arrays of a file in them, and what came of it."""

    params: dict
    state: dict
    report: Report


def load_keras_weights(
    path: str | pathlib.Path,
    model: Layer,
    params: dict,
    state: dict | None = None,
    *,
    shape: Shape | None = None,
    names: Mapping[str, str] | None = None,
    strict: bool = True,
) -> LoadedWeights:
    """Read the weights of a Keras model into the params and state of a model of ours.

    Arrays are found by the names of their layers and their own, and compared by shape; order alone decides nothing.
    The files of Keras 3 name no arrays, but number those of a layer; before Keras 3.9 they do not name layers, either,
    and number the layers of each class.

    Arguments:
        path: a `.weights.h5` file of Keras 3; or an `.h5` file of Keras 1, Keras 2 or tf.keras, of weights or of a
            whole model. The file's first bytes say which, not its name.
        model: a Sequential or a graph, whose layers have the names of Keras's.
        params, state: the model's, from `model.init` and `model.init_state`; they stay as they are.
        shape: the shape of the input, where the model does not begin with an Input that says it.
        names: for layers of the model that have another name in the file: {ours: theirs}.
        strict: raise where anything is missing, left over or of another shape. False: read what fits.

    Returns:
        LoadedWeights(params, state, report).

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is not one of Keras, or is damaged.
        MissingError, ShapeError: with `strict`, one error with the whole list.

    Example:
        >>> import jax, fnlayers as fl
        >>> model = fl.Sequential([fl.Input((8,)), fl.Dense(4, name="hidden"), fl.Dense(2, name="head")])
        >>> params = model.init(jax.random.key(0))
        >>> params, state, report = fl.load_keras_weights("model.weights.h5", model, params)  # doctest: +SKIP
    """
    path, shape = as_path(path, "load_keras_weights"), _shape_of(model, shape)
    renamed = _checked_names(names, model)
    with refusing(str(path)), open_hdf5(path) as file:
        read = _read(file, model, shape, renamed)
    report = Report(sorted(read.arrays), read.missing, read.unused, read.mismatched)
    if strict and (read.missing or read.unused or read.mismatched):
        kind = ShapeError if read.mismatched else MissingError
        raise kind(f"{path} does not fit the model; strict=False reads what fits:\n{report}")
    filled = {True: params, False: {} if state is None else state}
    for ours, spec in spec_items(model.specs(shape)):
        if ours in read.arrays:
            is_param = isinstance(spec, Param)
            filled[is_param] = _with(filled[is_param], ours.split("/"), read.arrays.pop(ours), spec, ours)
    return LoadedWeights(filled[True], filled[False], report)


def _read(file: Hdf5, model: Layer, shape: Shape, names: Mapping[str, str]) -> Read:
    """The arrays of either kind of file."""
    if file.is_group("layers") or file.is_group("vars"):
        return _read_keras3(file, model, shape, names)
    return legacy_arrays(file, model, shape, by_order=False, names=names)


def _read_keras3(file: Hdf5, model: Layer, shape: Shape, names: Mapping[str, str]) -> Read:
    """The arrays of a `.weights.h5` file, in which each layer is a folder."""

    def folders(layer: Layer, children: Any, theirs: str) -> Iterator[tuple[str, str]]:
        named = _named(file, theirs) if isinstance(layer, (Sequential, Functional)) else {}
        for name, folder in default_folders(layer, children, theirs):
            wanted = name if theirs else names.get(name, name)
            yield name, named.get(wanted, f"layers/no layer named {wanted}") if named else folder

    read, places = Read({}, [], [], []), list(weight_places(model, shape, names_in(file, folders)))
    for ours, theirs, spec in places:
        try:
            stored = file.stored(theirs)
        except MissingError:
            read.missing.append(ours)
            continue
        if stored.shape == spec.full_shape:
            read.arrays[ours] = file.read(theirs)
        else:
            read.mismatched.append(f"{ours}: the model has shape {spec.full_shape}, the file's {theirs} {stored.shape}")
    read.unused.extend(unowned(file, places))
    return read


def _named(file: Hdf5, theirs: str) -> dict[str, str]:
    """The folders of a model's layers by the layers' names; empty where the file does not say them."""
    parent, folders = f"{theirs}layers", {}
    for folder in file.names(parent) if file.is_group(parent) else ():
        place = f"{parent}/{folder}/vars"
        name = file.attributes(place).get("name") if file.is_group(place) else None
        if isinstance(name, str):
            folders[name.replace("/", "_")] = f"layers/{folder}"
    return folders


def _shape_of(model: Any, shape: Shape | None) -> Shape:
    if not isinstance(model, Layer):
        raise ConfigError(
            f"load_keras_weights takes a model, got {shortened(model)}; write (path, model, params, state)"
        )
    known = model.in_shape if shape is None else shape
    if known is None:
        raise ConfigError(
            f"load_keras_weights: {type(model).__name__} does not say the shape of its input; begin it with "
            "fnlayers.Input(shape), or give shape="
        )
    return known


def _checked_names(names: Any, model: Layer) -> dict[str, str]:
    if names is None:
        return {}
    texts = isinstance(names, Mapping) and all(isinstance(text, str) for pair in names.items() for text in pair)
    known = [layer.name for layer in getattr(model, "layers", ())]
    if not texts or (unknown := [name for name in names if name not in known]):
        wrong = f"; the model has no {unknown[0]!r}" if texts else ""
        raise ConfigError(f"load_keras_weights: names={shortened(names)}; give a dict {{ours: theirs}}{wrong}")
    return dict(names)


def _with(tree: Any, path: list[str], value: np.ndarray, spec: Param | State, ours: str) -> Any:
    """The tree with an array in the place of another; dicts on the way are copied, nothing is changed."""
    name, *rest = path
    if not isinstance(tree, Mapping) or name not in tree:
        tree_name = "params" if isinstance(spec, Param) else "state"
        raise MissingError(f"load_keras_weights: {tree_name} has no {ours}; give what model.init returns")
    old = tree[name]
    new = _with(old, rest, value, spec, ours) if rest else jnp.asarray(value, dtype=getattr(old, "dtype", spec.dtype))
    return {**tree, name: new}
