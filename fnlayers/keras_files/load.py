"""Keras's `.keras` files, read without Keras: a zip of a config and an HDF5 file of weights, both taken as data."""

import io
import json
import pathlib
import stat
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, MissingError, ShapeError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.names import number
from fnlayers.core.operation import Operation
from fnlayers.core.spec import Param, State
from fnlayers.keras_files.config import input_shape_of, model_of
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.basic import CopyMask, DropMask
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.cells import StackedRNNCells
from fnlayers.models.functional import Functional
from fnlayers.models.sequential import Sequential
from fnlayers.saving.files import as_path

MOST_CONFIG = 64 << 20  # bytes of config.json, unpacked
MOST_WEIGHTS = 16 << 30
# Keras keeps a copy of the kernel before the vector that SpectralNormalization itself owns.
FIRST_OWN = {"SpectralNormalization": 1}
# Where Keras keeps the projections of attention layers.
PROJECTIONS = {
    (kind, name): f"{mark}{name.removeprefix('attention_')}_dense"
    for kind, mark in (("MultiHeadAttention", ""), ("GroupQueryAttention", "_"))
    for name in ("query", "key", "gate", "value", "attention_output")
} | {("MultiHeadAttention", "gate"): "_gate_dense"}


class Loaded(NamedTuple):
    """A model read from Keras's file, with the paths of its weights in Keras's order."""

    model: Layer
    params: dict
    state: dict
    trainable: list[str]
    non_trainable: list[str]


def load_keras(path: str | pathlib.Path) -> Loaded:
    """Read a `.keras` file: the model as plain data, its weights as arrays. Keras need not be installed; h5py must be.

    Nothing that the file names is imported, called or opened: classes are looked up in the catalog, and a class that is
    not there is an error.

    Arguments:
        path: the file.

    Returns:
        Loaded(model, params, state, trainable, non_trainable); the last two list paths such as "dense/kernel" in the
        order of Keras's trainable_weights and non_trainable_weights.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the file is not one of Keras, or names what we do not know.
        ShapeError, MissingError: its weights are not those of its config.
    """
    config, weights = _members(as_path(path, "load_keras"))
    model = model_of(config)
    shape = input_shape_of(config) if model.in_shape is None else model.in_shape
    params: dict = {}
    state = model.init_state(shape)  # of which carries stay: Keras does not save them
    order: dict[bool, list[str]] = {True: [], False: []}
    with _h5(weights) as file:
        for ours, theirs, spec in weight_places(model, shape):
            tree = params if isinstance(spec, Param) else state
            _put(tree, ours, _array(file, theirs, spec, ours))
            order[isinstance(spec, Param) and spec.trainable].append(ours)
    return Loaded(model, params, state, order[True], order[False])


def weight_places(model: Layer, shape: Shape) -> Iterator[tuple[str, str, Param | State]]:
    """(our path, the dataset in model.weights.h5, the spec) of each array that Keras saves, in its order."""
    yield from _places(model, shape, model.specs(shape), "", "")


def _places(layer: Layer, shape: Shape, specs: dict, ours: str, theirs: str) -> Iterator:
    kept = () if isinstance(layer, Recurrent) else layer.weights(shape)
    own = [name for name in kept if isinstance(specs.get(name), (Param, State))]
    own.sort(key=lambda name: isinstance(specs[name], State))  # Keras: those it trains come first
    first = FIRST_OWN.get(type(layer).__name__, 0)
    for index, name in enumerate(own, first):
        yield f"{ours}{name}", f"{theirs}vars/{index}", specs[name]
    if isinstance(layer, MultiHead):
        for name, projection in layer.weights(shape).items():
            folder = PROJECTIONS[type(layer).__name__, name]
            for index, part in enumerate(projection):
                yield f"{ours}{name}/{part}", f"{theirs}{folder}/vars/{index}", specs[name][part]
    children = layer.children(shape)
    for name, folder in _folders(layer, children):
        if name in specs:
            child, child_shape = children[name]
            yield from _places(child, child_shape, specs[name], f"{ours}{name}/", f"{theirs}{folder}/")


def _folders(layer: Layer, children: Any) -> Iterator[tuple[str, str]]:
    """Each child's name and its folder in the file: a container's children are numbered there by class, not by name."""
    if not isinstance(layer, (Sequential, Functional, StackedRNNCells)):
        yield from ((name, name) for name in children)
        return
    parent, taken = "cells" if isinstance(layer, StackedRNNCells) else "layers", set()
    order = layer.by_name if isinstance(layer, Functional) else children
    for name in order:
        child = children[name][0]
        if isinstance(child, (Operation, CopyMask, DropMask)):
            continue
        folder = number(child.base_name, taken)
        taken.add(folder)
        yield name, f"{parent}/{folder}"


def _members(path: pathlib.Path) -> tuple[dict, bytes]:
    """The config and the bytes of the weights, read by their exact names and by nothing else."""
    if path.suffix in (".h5", ".hdf5"):
        raise ConfigError(f'{path} is in the older HDF5 format; in Keras, load it and write model.save("model.keras")')
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path} is not a regular file")
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if astray := [name for name in names if "\\" in name or name.startswith("/") or ".." in name.split("/")]:
                raise ConfigError(f"{path} holds a member that would leave its folder: {astray[0]!r}")
            for expected in ("config.json", "model.weights.h5"):
                if names.count(expected) != 1:
                    raise ConfigError(f"{path} holds {names.count(expected)} members named {expected}, expected one")
            config = _read_member(archive, "config.json", MOST_CONFIG)
            weights = _read_member(archive, "model.weights.h5", MOST_WEIGHTS)
    except FileNotFoundError:
        raise
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise ConfigError(f"{path} cannot be read as a .keras file: {error}") from None
    try:
        return json.loads(config), weights
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: config.json is no JSON: {error}") from None


def _read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise ConfigError(f"{name} unpacks to more than {most} bytes")
    return archive.read(name)


def _h5(weights: bytes) -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingError("reading Keras's files needs h5py; pip install 'fnlayers[keras]'") from None
    try:
        return h5py.File(io.BytesIO(weights), "r")
    except OSError as error:
        raise ConfigError(f"model.weights.h5 cannot be read: {error}") from None


def _array(file: Any, name: str, spec: Param | State, ours: str) -> Any:
    """The dataset of that name, followed link by link: hard links only, and no bytes from outside the file."""
    import h5py

    node = file
    for part in name.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            raise MissingError(f"the file has no {name} for {ours}")
        node = node[part]
    if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual:
        raise ConfigError(f"{name} is not a plain array")
    if tuple(node.shape) != spec.full_shape:
        raise ShapeError(f"{ours}: the model has shape {spec.full_shape}, the file's {name} {tuple(node.shape)}")
    array = np.asarray(node[...])
    if array.dtype == "V2" and node.attrs.get("dtype") == "bfloat16":  # HDF5 has no such type
        array = array.view(jnp.bfloat16)
    elif array.dtype.kind not in "fiub":
        raise ConfigError(f"{name} holds {node.dtype}, expected numbers")
    return jnp.asarray(array, dtype=spec.dtype)


def _put(tree: dict, path: str, value: Any) -> None:
    *parents, last = path.split("/")
    for name in parents:
        tree = tree.setdefault(name, {})
    tree[last] = value
