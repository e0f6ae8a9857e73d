"""What a file of Keras says of its model, without reading its weights."""

import pathlib
from typing import Any, NamedTuple

from fnlayers.core.errors import LayerError
from fnlayers.core.layer import Layer
from fnlayers.keras_files import archive, limits
from fnlayers.keras_files.config import model_and_shape
from fnlayers.keras_files.custom_objects import NO_CUSTOM_OBJECTS
from fnlayers.keras_files.hdf5 import SIGNATURE, Hdf5, open_hdf5
from fnlayers.keras_files.hdf5_arrays import Stored
from fnlayers.keras_files.legacy import keras3_config
from fnlayers.keras_files.sections import Section, open_regular
from fnlayers.keras_files.texts import config_of
from fnlayers.saving.files import as_path
from fnlayers.saving.strict import refusing


class Topology(NamedTuple):
    """A model as a file describes it.

    Arguments:
        version: of the Keras that wrote the file; None where it does not say.
        model, shape: the model and the shape of its input; None where the file has weights alone, and where `problem`
            says why the model cannot be made, such as a class of somebody's own.
        problem: what is wrong with the model; "" for nothing.
        arrays: the shape and dtype of each stored array, those of an optimizer too, by its place in the file.
    """

    version: str | None
    model: Layer | None
    shape: Any
    problem: str
    arrays: dict[str, Stored]


def keras_topology(path: str | pathlib.Path) -> Topology:
    """What a `.keras` or HDF5 file of Keras holds, told by its first bytes. No weights are read.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is not one of Keras, or is damaged.
    """
    path = as_path(path, "keras_topology")
    with refusing(str(path)), open_regular(path) as file:
        section = Section(file)
        if bytes(section.take(0, min(8, section.length))) == SIGNATURE:
            with open_hdf5(section) as opened:
                attributes = opened.attributes()
                version, config = attributes.get("keras_version"), attributes.get("model_config")
                return _described(opened, section, version, config, legacy=True)
        members = archive.members_of(section)
        most = limits.most_config(section.length)
        config = archive.read_text(section, members[archive.CONFIG], most)
        about = {}
        if archive.METADATA in members:
            about = config_of(archive.read_text(section, members[archive.METADATA], most))
        with open_hdf5(archive.open_member(section, members[archive.WEIGHTS])) as opened:
            return _described(opened, section, about.get("keras_version"), config, legacy=False)


def _described(file: Hdf5, section: Section, version: Any, text: Any, legacy: bool) -> Topology:
    arrays = {place: file.stored(place) for place in file.arrays()}
    known_version = version if isinstance(version, str) else None
    if not isinstance(text, str):
        return Topology(known_version, None, None, "", arrays)
    config = config_of(text)
    try:
        config = keras3_config(config, version) if legacy else config
        model, shape = model_and_shape(config, NO_CUSTOM_OBJECTS, limits.most_layers(section.length))
    except LayerError as error:
        return Topology(known_version, None, None, str(error), arrays)
    return Topology(known_version, model, shape, "", arrays)
