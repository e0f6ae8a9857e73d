"""Keras's `.keras` files, read without Keras: a zip of a config and an HDF5 file of weights, both taken as data."""

import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.keras_files import archive, limits
from fnlayers.keras_files.config import input_shape_of, model_of
from fnlayers.keras_files.given import Given, given_tables
from fnlayers.keras_files.hdf5 import open_hdf5
from fnlayers.keras_files.sections import Section, open_regular
from fnlayers.keras_files.texts import config_of
from fnlayers.keras_files.training import Training, training_of
from fnlayers.keras_files.weights import read_weights, refuse_unowned, weight_places
from fnlayers.saving.files import as_path
from fnlayers.saving.strict import refusing


class Loaded(NamedTuple):
    """A model read from Keras's file, with the paths of its weights in Keras's order, and how it was trained."""

    model: Layer
    params: dict
    state: dict
    trainable: list[str]
    non_trainable: list[str]
    training: Training | None = None


def load_keras(
    path: str | pathlib.Path,
    *,
    layers: Mapping[str, Callable] | None = None,
    activations: Mapping[str, Callable] | None = None,
    functions: Mapping[str, Callable] | None = None,
) -> Loaded:
    """Read a `.keras` file: the model as plain data, its weights as arrays. Keras need not be installed; h5py must be.

    Nothing that the file names is imported, called or opened: classes are looked up in the catalog, and a class that is
    not there, or is not Keras's own, is an error unless it is given here. What a file declares is compared with what it
    stores before anything is allocated; docs/security.md lists the limits.

    Arguments:
        path: the file.
        layers: for classes of your own, by the name in the file ("mine>Dense", or "Dense" where the class was not
            registered): a layer class, whose options the config gives, or a function of the config that returns a
            layer. Its weights are taken in the order in which it declares them.
        activations: functions of an array, by the name in the file ("mine>swish"; "<lambda>" for one without).
        functions: for Lambda layers, by the name of the function; where it has none, by that of the layer.

    Returns:
        Loaded(model, params, state, trainable, non_trainable, training). `trainable` and `non_trainable` list paths
        such as "dense/kernel" in the order of Keras's trainable_weights and non_trainable_weights; `training` holds
        what the file says of a compiled model, as data (None: nothing).

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the file is not one of Keras, is damaged, or names what we do not know.
        ShapeError, MissingError: its weights are not those of its config.
    """
    path, given = as_path(path, "load_keras"), given_tables(layers, activations, functions)
    with refusing(str(path)), open_regular(path) as file:
        section = Section(file)
        if bytes(section.take(0, min(4, section.length))) == b"\x89HDF":
            raise ConfigError(
                f'{path} is in the older HDF5 format; in Keras, load it and write model.save("model.keras")'
            )
        return _load(section, given)


def _load(section: Section, given: Given) -> Loaded:
    """The model in an archive."""
    members = archive.members_of(section)
    config = config_of(archive.read_text(section, members[archive.CONFIG], limits.MAX_CONFIG_BYTES))
    if archive.METADATA in members:
        archive.read_text(section, members[archive.METADATA], limits.MAX_CONFIG_BYTES)
    model = model_of(config, given, limits.most_layers(section.length))
    shape = input_shape_of(config) if model.in_shape is None else model.in_shape
    with open_hdf5(archive.open_member(section, members[archive.WEIGHTS])) as file:
        places = list(weight_places(model, shape))
        refuse_unowned(file, places)
        weights = read_weights(file, model, shape, places)
        return Loaded(model, *weights, training_of(config, file))
