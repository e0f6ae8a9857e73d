"""Models in Keras's files, read without Keras: a config and arrays, both taken as data.

A `.keras` file is a zip archive of a JSON text and an HDF5 file of weights; before, all was in one HDF5 file.
"""

import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fnlayers.core.errors import ConfigError, MissingError, ShapeError
from fnlayers.core.layer import Layer
from fnlayers.keras_files import archive, limits
from fnlayers.keras_files.config import model_and_shape
from fnlayers.keras_files.custom_objects import CustomObjects, custom_objects
from fnlayers.keras_files.hdf5 import SIGNATURE, open_hdf5
from fnlayers.keras_files.legacy import era_of, keras3_config
from fnlayers.keras_files.legacy_weights import legacy_arrays
from fnlayers.keras_files.lookups import Stored, options_among, stored_weights, with_vocabularies
from fnlayers.keras_files.sections import Section, open_regular
from fnlayers.keras_files.texts import config_of
from fnlayers.keras_files.training import Training, legacy_training_of, training_of
from fnlayers.keras_files.weights import (
    assembled,
    default_folders,
    names_in,
    read_weights,
    refuse_unowned,
    weight_places,
)
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
    """Read a model that Keras saved: the model as plain data, its weights as arrays. Keras need not be installed.

    Files of all versions are read: `.keras` of Keras 3 and tf.keras, and models in one HDF5 file (`.h5`, `.hdf5`) of
    Keras 1, 2, 3 and tf.keras. The file's first bytes say which it is, not its name. What old versions computed in
    another way is computed as there: their hard_sigmoid is our `legacy_hard_sigmoid`, kernels are turned around where
    the file says that Theano wrote it (Keras 1 never says so). h5py has to be installed.

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
        ConfigError: the file is not one of Keras, is damaged, holds weights alone (see `load_keras_weights`), or names
            what we do not know.
        ShapeError, MissingError: its weights are not those of its config.
    """
    path, custom = as_path(path, "load_keras"), custom_objects(layers, activations, functions)
    with refusing(str(path)), open_regular(path) as file:
        section = Section(file)
        if bytes(section.take(0, min(8, section.length))) == SIGNATURE:
            return _load_hdf5(section, custom)
        return _load(section, custom)


def _load(section: Section, custom: CustomObjects) -> Loaded:
    """The model in an archive."""
    members = archive.members_of(section)
    most = limits.most_config(section.length)
    config = config_of(archive.read_text(section, members[archive.CONFIG], most))
    metadata = {}
    if archive.METADATA in members:
        text = archive.read_text(section, members[archive.METADATA], most)
        metadata = config_of(text, archive.METADATA)
    version = metadata.get("keras_version", "3")
    translated = keras3_config(config, version, custom)  # tf.keras wrote .keras files, too
    with open_hdf5(archive.open_member(section, members[archive.WEIGHTS])) as file:
        texts, of_tokens = archive.read_vocabularies(section, members), options_among(file.arrays())
        translated = with_vocabularies(translated, Stored(texts, file, of_tokens))
        model, shape = model_and_shape(translated, custom, limits.most_layers(section.length), era_of(version))
        places = list(weight_places(model, shape, names_in(file)))
        refuse_unowned(file, places, {name for name, _ in stored_weights(model, shape, default_folders)})
        weights = read_weights(file, model, shape, places)
        return Loaded(model, *weights, training_of(config, file))


def _load_hdf5(section: Section, custom: CustomObjects) -> Loaded:
    """A model in one HDF5 file: of Keras 1, Keras 2 and tf.keras, and of Keras 3 where it was asked for that format."""
    with open_hdf5(section) as file:
        attributes = file.attributes()
        if not isinstance(attributes.get("model_config"), str):
            raise ConfigError(
                "the file holds weights without a model; build the model, and read them with "
                "fnlayers.load_keras_weights(path, model, params, state)"
            )
        version = attributes.get("keras_version")
        config = keras3_config(config_of(attributes["model_config"], "model_config"), version, custom)
        model, shape = model_and_shape(config, custom, limits.most_layers(section.length), era_of(version))
        read = legacy_arrays(file, model, shape, by_order=True)
        if read.missing or read.unused or read.mismatched:
            raise (ShapeError if read.mismatched else MissingError)(f"its weights are not the model's:\n{read}")
        places = list(weight_places(model, shape))
        weights = assembled(model, shape, places, lambda ours, theirs: read.arrays.pop(ours))
        return Loaded(model, *weights, legacy_training_of(file))
