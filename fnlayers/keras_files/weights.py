"""Weights in Keras's HDF5 files: where each array of a model lies there, and all compared before one is read."""

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, MissingError, ShapeError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.names import number_from
from fnlayers.core.operation import Operation
from fnlayers.core.spec import Param, State, spec_items
from fnlayers.keras_files import limits
from fnlayers.keras_files.feature_spaces import folders_of_space
from fnlayers.keras_files.hdf5 import Hdf5
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.basic import CopyMask, DropMask
from fnlayers.layers.preprocessing.feature_space import FeatureSpace
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.layers.recurrent.cells import StackedRNNCells
from fnlayers.models.functional import Functional
from fnlayers.models.pipeline import Pipeline
from fnlayers.models.sequential import Sequential

Place = tuple[str, str, Param | State]  # our path, the array in the file, what the model declares

Folders = Callable[[Layer, Any, str], Iterator[tuple[str, str]]]  # of a layer, its children, and where it lies

# Keras keeps a copy of the kernel before the vector that SpectralNormalization itself owns.
FIRST_OWN = {"SpectralNormalization": 1}
# Where Keras keeps the projections of attention layers.
PROJECTIONS = {
    (kind, name): f"{mark}{name.removeprefix('attention_')}_dense"
    for kind, mark in (("MultiHeadAttention", ""), ("GroupQueryAttention", "_"))
    for name in ("query", "key", "gate", "value", "attention_output")
} | {("MultiHeadAttention", "gate"): "_gate_dense"}
TF_PROJECTIONS = PROJECTIONS | {  # the same in files of tf.keras
    ("MultiHeadAttention", name): f"_{name.removeprefix('attention_')}_dense"
    for name in ("query", "key", "value", "attention_output")
}


class Weights(NamedTuple):
    """Params and state of a model, and the paths of what a file stores of them, in the file's order."""

    params: dict
    state: dict
    trainable: list[str]
    non_trainable: list[str]


def read_weights(file: Hdf5, model: Layer, shape: Shape, places: Iterable[Place]) -> Weights:
    """The arrays of a model from a file. All that it declares is compared with what is stored before one is read.

    Raises:
        MissingError, ShapeError, ConfigError: the file lacks an array, or has it of another shape or kind; or the
            model declares more state that no file stores than `limits` lets it.
    """
    places = list(places)
    for ours, theirs, spec in places:
        _compare(file, ours, theirs, spec)
    return assembled(model, shape, places, lambda ours, theirs: file.read(theirs))


def assembled(model: Layer, shape: Shape, places: Iterable[Place], read: Callable[[str, str], Any]) -> Weights:
    """Params and state of arrays that have the declared shapes.

    Arguments:
        model: the model.
        shape: of its input.
        places: what is stored, in the file's order.
        read: gives an array by our path and its place in the file.
    """
    places = list(places)
    _check_carries(model.specs(shape), {ours for ours, _, _ in places})
    params: dict = {}
    state = model.init_state(shape)  # of which carries stay: Keras does not save them
    order: dict[bool, list[str]] = {True: [], False: []}
    for ours, theirs, spec in places:
        tree = params if isinstance(spec, Param) else state
        _put(tree, ours, jnp.asarray(read(ours, theirs), dtype=spec.dtype))
        order[isinstance(spec, Param) and spec.trainable].append(ours)
    return Weights(params, state, order[True], order[False])


def refuse_unowned(file: Hdf5, places: Iterable[Place], others: Container[str] = ()) -> None:
    """Raise ConfigError for arrays that no layer owns, and that are not among the others."""
    if unexpected := [name for name in unowned(file, places) if name not in others]:
        first = unexpected[0][:200]
        raise ConfigError(f"the file has {len(unexpected)} arrays that no layer of the model owns: {first}, ...")


def unowned(file: Hdf5, places: Iterable[Place]) -> list[str]:
    """The arrays that no layer owns, but for what Keras saves besides the weights."""
    owned = {theirs for _, theirs, _ in places}

    def is_aside(name: str) -> bool:
        copied = name.endswith("vars/0") and f"{name[:-1]}1" in owned  # before what SpectralNormalization owns
        return copied or name.startswith("optimizer/") or name.endswith("/seed_generator/vars/0")

    return [name for name in file.arrays() if name not in owned and not is_aside(name)]


def _compare(file: Hdf5, ours: str, theirs: str, spec: Param | State) -> None:
    try:
        stored = file.stored(theirs)
    except MissingError as error:
        raise MissingError(f"{error} for {ours}") from None
    if stored.shape != spec.full_shape:
        raise ShapeError(f"{ours}: the model has shape {spec.full_shape}, the file's {theirs} {stored.shape}")
    if is_other_kind(spec, stored.dtype):
        raise ConfigError(f"{ours}: the model has {spec.dtype or 'float32'}, the file's {theirs} is {stored.dtype}")


def is_other_kind(spec: Param | State, dtype: Any) -> bool:
    """Whether one of a declaration and a stored dtype is of floats and the other is not."""
    return bool(jnp.issubdtype(spec.dtype or "float32", jnp.floating)) != bool(jnp.issubdtype(dtype, jnp.floating))


def _check_carries(specs: dict, stored: set[str]) -> None:
    """Refuse state that no file stores where it is large: a declaration alone would allocate it."""
    sizes = [
        math.prod(spec.full_shape) * 4
        for path, spec in spec_items(specs)
        if isinstance(spec, State) and path not in stored
    ]
    if sum(sizes) > limits.MAX_CARRY_BYTES:
        raise ConfigError(
            f"the model declares {sum(sizes)} bytes of state that its file does not store, such as carries; at most "
            f"{limits.MAX_CARRY_BYTES} are allocated"
        )


def default_folders(layer: Layer, children: Any, theirs: str) -> Iterator[tuple[str, str]]:
    """Each child's name and its folder in the file: a container's children are numbered there by class, not by name."""
    del theirs  # where the layer itself lies; others ask the file
    if isinstance(layer, FeatureSpace):
        places = {name: folder for name, _, folder in folders_of_space(layer)}
        yield from ((name, places[name][:-1]) for name in children if name in places)  # crosses have no arrays
        return
    if not isinstance(layer, (Sequential, Functional, Pipeline, StackedRNNCells)):
        yield from ((name, name) for name in children)
        return
    parent, taken = "cells" if isinstance(layer, StackedRNNCells) else "layers", set()
    counts: dict[str, int] = {}  # so that many layers of one class take linear time
    order = layer.by_name if isinstance(layer, Functional) else children
    for name in order:
        child = children[name][0]
        if isinstance(child, (Operation, CopyMask, DropMask)):
            continue
        folder, counts[child.base_name] = number_from(child.base_name, taken, counts.get(child.base_name, 0))
        taken.add(folder)
        yield name, f"{parent}/{folder}"


class Names(NamedTuple):
    """How a file calls the folders of children, and those of the projections of attention layers."""

    folders: Folders = default_folders
    projections: Mapping[tuple[str, str], str] = PROJECTIONS


KERAS3 = Names()


def names_in(file: Hdf5, folders: Folders = default_folders) -> Names:
    """The names of a file, which is Keras 3's or tf.keras's."""
    queries = {part for place in file.arrays() for part in place.split("/") if part in ("query_dense", "_query_dense")}
    return Names(folders, TF_PROJECTIONS if queries == {"_query_dense"} else PROJECTIONS)


def weight_places(model: Layer, shape: Shape, names: Names = KERAS3) -> Iterator[Place]:
    """(our path, the dataset in model.weights.h5, the spec) of each array that Keras saves, in its order."""
    yield from _places(model, shape, model.specs(shape), "", "", names)


def _places(layer: Layer, shape: Shape, specs: dict, ours: str, theirs: str, names: Names) -> Iterator[Place]:
    declared = () if isinstance(layer, Recurrent) else layer.weights(shape)
    own = [name for name in declared if isinstance(specs.get(name), (Param, State))]
    own.sort(key=lambda name: isinstance(specs[name], State))  # Keras: those it trains come first
    first = FIRST_OWN.get(type(layer).__name__, 0)
    for index, name in enumerate(own, first):
        yield f"{ours}{name}", f"{theirs}vars/{index}", specs[name]
    if isinstance(layer, MultiHead):
        for name, projection in layer.weights(shape).items():
            folder = names.projections[type(layer).__name__, name]
            for index, part in enumerate(projection):
                yield f"{ours}{name}/{part}", f"{theirs}{folder}/vars/{index}", specs[name][part]
    children = layer.children(shape)
    for name, folder in names.folders(layer, children, theirs):
        if name in specs:
            child, child_shape = children[name]
            yield from _places(child, child_shape, specs[name], f"{ours}{name}/", f"{theirs}{folder}/", names)


def _put(tree: dict, path: str, value: Any) -> None:
    *parents, last = path.split("/")
    for name in parents:
        tree = tree.setdefault(name, {})
    tree[last] = value
