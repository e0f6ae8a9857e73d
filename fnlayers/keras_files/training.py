"""How a model in a file was trained: compile options and optimizer state, as data that nothing is made of."""

from typing import Any, NamedTuple

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files.hdf5 import Hdf5
from fnlayers.keras_files.texts import config_of


class Training(NamedTuple):
    """What a file says of a compiled model.

    Arguments:
        compile_config: Keras's own words, as plain JSON: {"optimizer": {...}, "loss": "mse", "metrics": [...], ...}.
        optimizer_state: the optimizer's arrays in Keras's order: the step, the learning rate, and its moments of each
            trainable weight.
    """

    compile_config: dict[str, Any]
    optimizer_state: list[np.ndarray]


def training_of(config: dict, file: Hdf5) -> Training | None:
    """What the file of a config and its weights says; None: nothing."""
    compiled, places = config.get("compile_config") or {}, []
    if file.is_group("optimizer") and file.is_group("optimizer/vars"):
        places = sorted(file.names("optimizer/vars"), key=lambda name: (len(name), name))
    if not compiled and not places:
        return None
    return Training(compiled, [file.read(f"optimizer/vars/{name}") for name in places])


def legacy_training_of(file: Hdf5) -> Training | None:
    """What an HDF5 file of a whole model says: Keras 1 and 2 have "optimizer_config" for "optimizer"."""
    text, places = file.attributes().get("training_config"), []
    if file.is_group("optimizer_weights"):
        places = file.attributes("optimizer_weights").get("weight_names", [])
    if not isinstance(text, (str, type(None))) or not isinstance(places, list):
        raise ConfigError("training_config or the names of optimizer_weights are not texts")
    if text is None and not places:
        return None
    compiled = {} if text is None else config_of(text, "training_config")
    return Training(compiled, [file.read(f"optimizer_weights/{name}") for name in places])
