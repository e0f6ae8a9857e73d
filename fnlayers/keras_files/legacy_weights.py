"""The arrays of HDF5 files of Keras 1, Keras 2 and tf.keras: each layer's group lists them by name.

Names say which array is which: "lstm_1/lstm_cell/kernel:0", of Keras 1 "lstm_1_W_i". The layers inside one (of a nested
model, a Bidirectional) are told apart by the names of layers in them. What a name does not say, order says only where
the number, the names and the shapes of the arrays agree.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.spec import Param
from fnlayers.keras_files.hdf5 import Hdf5
from fnlayers.keras_files.legacy import era_of
from fnlayers.keras_files.legacy_layouts import GATES, Origin, keras3_arrays
from fnlayers.keras_files.owners import Owner, owners
from fnlayers.keras_files.weights import is_other_kind
from fnlayers.layers.depthwise import DepthwiseConv
from fnlayers.layers.recurrent.cells import GRUCell, LSTMCell
from fnlayers.layers.recurrent.conv_lstm import ConvLSTMCell

# Keras 1 writes the layer's name, an underscore and one of these.
_OLD = re.compile(
    r"(.+)_(W|b|U|[WUb]_[a-z]|gamma|beta|running_mean|running_std|alphas|depthwise_kernel|pointwise_kernel)"
)
_NEW_NAMES = {"W": "kernel", "U": "recurrent_kernel", "b": "bias", "alphas": "alpha"}
_NEW_NAMES |= {"running_mean": "moving_mean", "running_std": "moving_variance"}
# Names of children of ours that are no names of layers in Keras.
_UNNAMED = ("layer", "cell")


class Read(NamedTuple):
    """What was read from a file.

    Arguments:
        arrays: by path, such as "dense/kernel", each in the shape that the model declares.
        missing: what the model has and the file has not, by path.
        unused: what the file has and the model has not, by place.
        mismatched: arrays of another shape than the model's, each in a sentence.
    """

    arrays: dict[str, np.ndarray]
    missing: list[str]
    unused: list[str]
    mismatched: list[str]

    def __str__(self) -> str:
        lines = [f"missing in the file: {path}" for path in self.missing]
        lines += [f"not in the model: {place}" for place in self.unused]
        return "\n".join([*lines, *(f"of another shape: {text}" for text in self.mismatched)])


class Array(NamedTuple):
    """An array of a file: the layers that its name speaks of, its own name, and where it lies."""

    layers: tuple[str, ...]
    name: str
    place: str


class Slot(NamedTuple):
    """An array that a model expects: its owner, and its name there."""

    owner: Owner
    name: str


def legacy_arrays(
    file: Hdf5, model: Layer, shape: Shape, by_order: bool, names: Mapping[str, str] | None = None
) -> Read:
    """The arrays of a file for a model, whose layers have the file's names.

    Arguments:
        file: the open file.
        model: a Sequential or a graph.
        shape: of its input.
        by_order: whether order may decide where the names of inner layers do not: see `matched`.
        names: what layers of the model are called in the file, where that differs.
    """
    root = root_of(file)
    origin = origin_of(file, root)
    groups = {name.replace("/", "_"): arrays for name, arrays in groups_of(file, root).items()}
    by_layer: dict[str, list[Owner]] = {}
    for owner in owners(model, shape, model.specs(shape)):
        by_layer.setdefault(owner.path[0] if owner.path else "", []).append(owner)
    read, theirs = Read({}, [], [], []), names or {}
    for name, of_layer in by_layer.items():
        _read_layer(file, matched(of_layer, groups.pop(theirs.get(name, name), []), by_order), origin, read)
    read.unused.extend(array.place for arrays in groups.values() for array in arrays)
    return read


def origin_of(file: Hdf5, root: str) -> Origin:
    """The version and backend: Keras 1 wrote neither, or the version at the file's root alone."""
    attributes = file.attributes(root)
    version, backend = (attributes.get(key, file.attributes().get(key)) for key in ("keras_version", "backend"))
    return Origin(era_of(version), backend if isinstance(backend, str) else None)


def _read_layer(file: Hdf5, matches: "Matched", origin: Origin, read: Read) -> None:
    """Add what one layer's group holds."""
    for owner, arrays in matches.by_owner:
        path = "".join(f"{name}/" for name in owner.path)
        absent = [slot.name for slot in matches.missing if slot.owner is owner]
        if not set(absent) <= set(owner.specs):  # one gate of several
            read.missing.extend(f"{path}{name}" for name in owner.specs)
            continue
        values = {name: file.read(array.place) for name, array in arrays.items()}
        for name in owner.specs:
            if name not in values and alias_of(owner, name) in values:
                values[name] = values.pop(alias_of(owner, name))
        for name, value in keras3_arrays(owner, values, origin).items():
            spec = owner.specs[name]
            if value.shape != spec.full_shape or is_other_kind(spec, value.dtype):
                declared = f"{spec.dtype or 'float32'}{spec.full_shape}"
                read.mismatched.append(f"{path}{name}: the model has {declared}, the file {value.dtype}{value.shape}")
            else:
                read.arrays[f"{path}{name}"] = value
        read.missing.extend(f"{path}{name}" for name in absent)
    read.unused.extend(array.place for array in matches.unused)


def groups_of(file: Hdf5, root: str) -> dict[str, list[Array]]:
    """The arrays of each layer that has any, in the file's order."""
    names = file.attributes(root).get("layer_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"the file has no layer_names in {root or 'its root'}: it is neither a model nor weights of Keras 1 or 2"
        )
    by_layer = {name: _arrays(file, f"{root}/{name}" if root else name) for name in names}
    if "top_level_model_weights" in file.names(root):
        by_layer["top_level_model_weights"] = _arrays(file, f"{root}/top_level_model_weights".lstrip("/"))
    return {name: arrays for name, arrays in by_layer.items() if arrays}


def _arrays(file: Hdf5, group: str) -> list[Array]:
    names = file.attributes(group).get("weight_names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{group}: weight_names is {str(names)[:80]}, expected a list of names")
    if len(set(names)) < len(names):
        raise ConfigError(f"{group}: weight_names lists one array twice")
    return [_array(name, f"{group}/{name}") for name in names]


def _array(name: str, place: str) -> Array:
    *layers, last = name.split("/")
    last = re.sub(r":\d+$", "", last)
    if old := _OLD.fullmatch(last):
        layers, last = [*layers, old[1]], old[2]
    return Array(tuple(layers), _NEW_NAMES.get(last, last), place)


class Matched(NamedTuple):
    """The arrays of one layer's group: for each owner its arrays by their name in the file, and what is left over."""

    by_owner: list[tuple[Owner, dict[str, Array]]]
    missing: list[Slot]
    unused: list[Array]


def matched(owners: list[Owner], arrays: list[Array], by_order: bool) -> Matched:
    """Which array of a group belongs to which owner.

    Arguments:
        found: the owners in the layer that the group is of.
        arrays: the group's.
        by_order: whether order decides where names do not, as in a file whose model has just been read from it.
    """
    slots = _slots(owners, arrays)
    taken: dict[int, Array] = {}
    for name in dict.fromkeys(slot.name for slot in slots):
        wanted = [i for i, slot in enumerate(slots) if slot.name == name]
        offered = [array for array in arrays if array.name == name]
        taken |= _pairs(slots, wanted, offered, by_order)
    if by_order and not taken and len(slots) == len(arrays):  # a layer of the caller's, or arrays without names
        taken = dict(enumerate(arrays))
    by_owner: dict[int, tuple[Owner, dict[str, Array]]] = {id(owner): (owner, {}) for owner in owners}
    for i, array in taken.items():
        by_owner[id(slots[i].owner)][1][slots[i].name] = array
    used = set(map(id, taken.values()))
    missing = [slot for i, slot in enumerate(slots) if i not in taken]
    return Matched(list(by_owner.values()), missing, [array for array in arrays if id(array) not in used])


def _slots(owners: list[Owner], arrays: list[Array]) -> list[Slot]:
    """What the owners expect, by the names that the file's version has: those trained first, as Keras orders them."""
    offered = {array.name for array in arrays}
    slots = []
    for owner in owners:
        gated = isinstance(owner.layer, (LSTMCell, GRUCell, ConvLSTMCell))
        for name in owner.specs:
            gates = [f"{old}_{gate}" for old, new in _NEW_NAMES.items() if new == name and gated for gate in GATES]
            alias = alias_of(owner, name)
            name = alias if name not in offered and alias in offered else name
            slots += [Slot(owner, part) for part in sorted(offered.intersection(gates)) or [name]]
    return sorted(slots, key=lambda slot: not _trained(slot))


def alias_of(owner: Owner, name: str) -> str:
    """Another name of an array in some files: TensorFlow's of depthwise kernels, and Keras 1's of embeddings, W."""
    if isinstance(owner.layer, DepthwiseConv):
        return {"kernel": "depthwise_kernel"}.get(name, name)
    return {"embeddings": "kernel"}.get(name, name)


def _trained(slot: Slot) -> bool:
    spec = slot.owner.specs.get(slot.name)
    return spec is None or (isinstance(spec, Param) and spec.trainable)


def _pairs(slots: list[Slot], wanted: list[int], offered: list[Array], by_order: bool) -> dict[int, Array]:
    """The slots of one array name, each with its array."""
    if len(wanted) == len(offered) == 1 and (by_order or len(slots[wanted[0]].owner.path) <= 1):
        return {wanted[0]: offered[0]}
    taken: dict[int, Array] = {}
    for same in (_same, _renumbered):
        free = [array for array in offered if array not in taken.values()]
        for i in [i for i in wanted if i not in taken]:
            fitting = [array for array in free if _speaks_of(array, slots[i].owner, same)]
            rivals = [j for j in wanted if j not in taken and any(_speaks_of(a, slots[j].owner, same) for a in fitting)]
            if len(fitting) == 1 and rivals == [i]:
                taken[i] = fitting[0]
    rest = [array for array in offered if array not in taken.values()]
    empty = [i for i in wanted if i not in taken]
    if by_order and len(rest) == len(empty):
        taken |= dict(zip(empty, rest, strict=True))
    return taken


def _speaks_of(array: Array, owner: Owner, same: Callable[[str, str], bool]) -> bool:
    """Whether the array's name holds the names of the layers around the owner, the first one aside, in their order."""
    names = [name for name in owner.path[1:] if name not in _UNNAMED]
    rest = iter(array.layers)
    return all(any(same(theirs, name) for theirs in rest) for name in names)


def _same(theirs: str, ours: str) -> bool:
    if ours in ("forward_layer", "backward_layer"):
        return theirs.startswith(ours.removesuffix("layer"))
    return theirs == ours


def _renumbered(theirs: str, ours: str) -> bool:
    """A model that was loaded and saved again has "dense_1_1" for dense_1."""
    return re.fullmatch(rf"{re.escape(ours)}(_\d+)?", theirs) is not None


def root_of(file: Hdf5) -> str:
    """The group that lists the layers: model_weights in a file of a whole model."""
    here = file.attributes()
    if "layer_names" not in here and "model_weights" in file.names():
        return "model_weights"
    if "nb_layers" in here:
        raise ConfigError("the file is of Keras 0, which wrote no names; load it in Keras 1 and save it again")
    return ""
