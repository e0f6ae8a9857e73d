"""save_keras: a model as a `.keras` file, which Keras opens with the same outputs."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError, MissingError, ShapeError
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.shapes import canonical, shape_of
from fnlayers.core.spec import Param, leaf_at
from fnlayers.core.types import Params, Sizes, StateDict
from fnlayers.keras_files import limits
from fnlayers.keras_files.config import model_of
from fnlayers.keras_files.custom_objects import NO_CUSTOM_OBJECTS
from fnlayers.keras_files.graph_writer import model_config
from fnlayers.keras_files.keras_form import as_graph, keras_form
from fnlayers.keras_files.lookups import stored_weights
from fnlayers.keras_files.texts import config_of
from fnlayers.keras_files.weights import default_folders, weight_places
from fnlayers.models.fitting import fitting_shape
from fnlayers.models.functional import Functional
from fnlayers.models.sequential import Sequential
from fnlayers.plain_data import freeze
from fnlayers.saving.atomic import write_atomically
from fnlayers.saving.files import target_path
from fnlayers.trees import paths

KERAS = "3.15.1"  # the version whose form is written
DATE = (1980, 1, 1, 0, 0, 0)  # of the members: equal models make equal files


def save_keras(
    path: str | os.PathLike, model: Layer, params: Params, state: StateDict | None = None, shape: Sizes = None
) -> None:
    """Write a `.keras` file, which `keras.models.load_model` opens: the same outputs, weights, names and frozen layers.

    Keras need not be installed; h5py must be. The file is written whole or not at all. What differs in Keras, such as
    the numbers of a query that may attend to nothing, differs there still: docs/deviations.md lists it.

    Arguments:
        path: where to; it must end in .keras.
        model: a Sequential or a graph of layers that Keras has. Another layer is written as a graph of it alone, so
            that its params are read back under its name.
        params: what init drew or training made.
        state: what init_state made or a run returned; None: the model has none. Carries are not written.
        shape: of the model's input, as given to init; None: the model's own, or one that its weights tell.

    Raises:
        ConfigError: for what Keras cannot express, with the path of the layer and what to do; for a wrong path; for
            more layers, or layers inside each other, than load_keras reads (docs/security.md).
        ShapeError, MissingError: for params or state that are not the model's.

    Example:
        >>> import tempfile, jax, fnlayers as fl
        >>> model = fl.Sequential([fl.Input((4,)), fl.Dense(8, "relu"), fl.Dense(1)])
        >>> params = model.init(jax.random.key(0))
        >>> path = tempfile.mkdtemp() + "/model.keras"
        >>> fl.save_keras(path, model, params)
        >>> fl.load_keras(path).trainable
        ['dense/kernel', 'dense/bias', 'dense_1/kernel', 'dense_1/bias']
    """
    path = target_path(path, "save_keras", ".keras", lambda path: path.with_suffix(".keras").name)
    check_model(model, "save_keras(path, model, params, state)")
    state = {} if state is None else state
    for what, tree in (("params", params), ("state", state)):
        if not isinstance(tree, Mapping):
            raise ConfigError(f"save_keras: {what} is a {type(tree).__name__}; give the dict that init returned")
    types = model.in_types(_shape_of(model, params, state, shape))
    if not isinstance(model, (Sequential, Functional)):
        model = as_graph(model, freeze(types))
        types = model.in_types(model.in_shape)
        params, state = ({str(model.layers[0].name): tree} if tree else {} for tree in (params, state))
    form = keras_form(model, freeze(types))
    config = _checked_text(model_config(form, freeze(types)))
    weights = _weights(form, canonical(_sizes(form, types)), params, state)
    write_atomically(path, lambda file: _write(file, config, weights))


def _checked_text(config: dict) -> str:
    """The config as JSON, which load_keras reads: it may have too many layers, or too many inside each other."""
    text = json.dumps(config, allow_nan=False)
    model_of(config_of(text), NO_CUSTOM_OBJECTS, limits.most_layers(len(text)))
    return text


def _shape_of(model: Layer, params: Any, state: Any, shape: Any) -> Any:
    """The shape of the model's input; its arrays are compared with its declaration for that shape."""
    types = {
        f"{what}/{path}": _type(f"{what}/{path}", leaf)
        for what, tree in (("params", params), ("state", state))
        for path, leaf in paths(tree).items()
    }
    fitting = fitting_shape(model, types, shape)
    if fitting is None:
        raise MissingError(
            "save_keras: the model does not know the shape of its input; write save_keras(path, model, params, state, "
            "shape=x.shape), or start the Sequential with fnlayers.Input(shape)"
        )
    return fitting


def _type(path: str, leaf: Any) -> tuple[tuple[int, ...], str]:
    """The shape and dtype of an array."""
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise ConfigError(f"save_keras: {path} is {leaf!r:.80}, not an array; give what init, or a training, returned")
    return tuple(leaf.shape), leaf.dtype.name


def _sizes(form: Layer, types: Any) -> Any:
    return form.in_shape if isinstance(form, Functional) else shape_of(freeze(types))


def _weights(form: Layer, shape: Any, params: Any, state: Any) -> dict[str, np.ndarray]:
    """The arrays by their names in the file."""
    arrays: dict[str, np.ndarray] = {}
    for ours, theirs, spec in weight_places(form, shape):
        value = leaf_at(params if isinstance(spec, Param) else state, ours.split("/"))
        if value is None:
            raise MissingError(
                f"save_keras: there is no {ours} among the {'params' if isinstance(spec, Param) else 'state'}"
            )
        if tuple(value.shape) != spec.full_shape:
            raise ShapeError(f"save_keras: {ours} has the shape {tuple(value.shape)}, the model {spec.full_shape}")
        arrays[theirs] = np.asarray(value)
    return arrays | dict(stored_weights(form, shape, default_folders))


def _write(file: Any, config: str, weights: Mapping[str, np.ndarray]) -> None:
    metadata = json.dumps({"keras_version": KERAS, "date_saved": "1980-01-01@00:00:00"})
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in (("metadata.json", metadata), ("config.json", config)):
            archive.writestr(zipfile.ZipInfo(name, DATE), text)
        archive.writestr(zipfile.ZipInfo("model.weights.h5", DATE), _hdf5(weights))


def _hdf5(weights: Mapping[str, np.ndarray]) -> bytes:
    """The HDF5 file of those arrays, as Keras has it: bfloat16 as two bytes and an attribute."""
    try:
        import h5py
    except ImportError:
        raise MissingError("writing Keras's files needs h5py; pip install 'fnlayers[keras]'") from None
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_group("layers")
        for name, array in weights.items():
            if array.dtype.name == "bfloat16":
                file.create_dataset(name, data=array.view("V2")).attrs["dtype"] = "bfloat16"
            else:
                file.create_dataset(name, data=array)
    return stream.getvalue()
