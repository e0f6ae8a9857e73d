"""A model, its params and its state in one .safetensors file: data alone, checked before it is believed."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.shapes import canonical
from fnlayers.core.types import Params, Sizes, StateDict
from fnlayers.models.fitting import fitting_shape
from fnlayers.saving import container, strict
from fnlayers.saving.atomic import write_atomically
from fnlayers.saving.config import Given, by_name, from_config, to_config
from fnlayers.saving.trees import Tree, describe, is_key, rebuild
from fnlayers.version import __version__

FORMAT, FORMAT_VERSION = "fnlayers", 1
# Endings of files that others write
_KERAS_ENDINGS = (".keras", ".h5", ".hdf5")
_ENDINGS = (*_KERAS_ENDINGS, ".weights", ".npz", ".npy", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".onnx", ".msgpack")
_TEXTS = ("model", "shape", "params", "state")
_METADATA = frozenset({"format", "format_version", "fnlayers", container.CHECKSUM, *_TEXTS})


def save(
    path: str | os.PathLike, model: Layer, params: Params, state: StateDict | None = None, *, shape: Sizes = None
) -> None:
    """Write the model with its arrays to one file, whole or not at all: a failure leaves an older file as it was.

    The arrays are the model's or there is an error: their paths, shapes and dtypes are compared with its declaration,
    for an input of `shape`. That shape is stored, and `load` compares again.

    Arguments:
        path: where to; it must end in .safetensors.
        model: any layer. A Lambda's function, or a layer class of your own, is saved by name.
        params: what init drew or training made.
        state: what init_state made or a run returned; None: the model has none.
        shape: of the model's input, as given to init. None: a Functional's own, or one that the weights suggest
            (their channels; sizes they do not tell stay open, and with them that axis of the weights that depend on
            them). Give it for a model that none is found for, such as one that begins with a Reshape, or that takes
            several inputs without being a Functional: such a file is loaded without the comparison.

    Raises:
        ConfigError: for params or state that are not the model's, and for what cannot be saved: a lambda, a Python
            number among the arrays, a dtype that the format does not have.

    Example:
        >>> import tempfile, jax, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(8, "relu"), fl.Dense(1)])
        >>> params = model.init(jax.random.key(0), (None, 4))
        >>> path = tempfile.mkdtemp() + "/model.safetensors"
        >>> save(path, model, params)
        >>> load(path)[0] == model
        True
    """
    path = target_path(path, "save", ".safetensors", lambda path: f"{_renamed(path)}{_of_keras(path)}")
    check_model(model, "save(path, model, params, state)")
    if hasattr(params, "params"):
        raise ConfigError(
            f"save: params is a {type(params).__name__}, which holds more; write save(path, model, result.params, "
            "result.state) for a finished model; what a training needs to go on is in checkpoints: "
            "fit(..., checkpoint=fnlayers.Checkpoint(folder))"
        )
    arrays: dict[str, Any] = {}
    trees = {
        "params": describe({} if params is None else params, "params", arrays),
        "state": describe({} if state is None else state, "state", arrays),
    }
    stored = {name: _stored_type(name, array) for name, array in arrays.items()}
    types = {name: (tuple(array.shape), array.dtype.name) for name, array in arrays.items()}
    texts = {"model": to_config(model), "shape": _shape_config(fitting_shape(model, types, shape)), **trees}
    stamp = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "fnlayers": __version__}
    metadata = stamp | {name: strict.dumps(value) for name, value in texts.items()}
    write_atomically(
        path,
        lambda file: container.write(file, stored, metadata, lambda name: _fetched(arrays[name])),
    )


def load(path: str | os.PathLike, layers: Given = ()) -> tuple[Layer, Tree, Tree]:
    """Read (model, params, state) from a file that `save` wrote, on any machine, whoever it comes from.

    The file is data: nothing it names is imported, called or opened, and no more is allocated than it holds. Its
    checksum, its config and the shape and dtype of every array are checked before an array is read. (The shapes are
    not compared with the model's where `save` was given no input shape and found none; see there.)

    Arguments:
        path: the file.
        layers: functions and layer classes of your own that the model uses, by the names they had when saved; or a
            dict of them by name.

    Raises:
        ConfigError: for a file that is damaged, foreign, newer than this version, or does not fit together; the
            message lists every array that is missing, unexpected, of another shape or dtype.
    """
    path, classes = as_path(path, "load"), by_name(layers)
    if path.suffix in _KERAS_ENDINGS:
        raise ConfigError(f"{path} is a file of Keras; write fnlayers.load_keras({path.name!r})")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file; load takes the .safetensors file that save wrote")
    with strict.refusing(str(path)), open(path, "rb") as file:
        opened = container.open_header(file)
        texts = texts_of(opened.metadata)
        model = from_config(texts["model"], classes)
        _check_arrays(model, texts, opened, classes)
        arrays = {name: jax.numpy.asarray(array) for name, array in container.read_arrays(file, opened)}
        params, state = (_tree(texts[kind], kind, arrays, classes) for kind in ("params", "state"))
    return model, params, state


def as_path(path: Any, verb: str) -> Path:
    """The path of a file; ConfigError for what is not one."""
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(f"{verb} takes the path of a file, got {path!r:.80}; write {verb}('NAME', ...)")
    return Path(path)


def target_path(path: Any, verb: str, ending: str, instead: Callable[[Path], Any] | None = None) -> Path:
    """The path of a file to write; ConfigError for another ending, and for a folder and the like.

    Arguments:
        path: as given.
        verb: the function that writes, for errors.
        ending: that the name must have.
        instead: for a path with another ending, what to write; None: the path with this one.
    """
    path = as_path(path, verb)
    if not path.name:
        raise ConfigError(f"{verb}: {str(path)!r} is not the name of a file; give one that ends in {ending}")
    if path.suffix != ending:
        better = instead(path) if instead else path.with_suffix(ending)
        raise ConfigError(f"{path}: the name must end in {ending}; write {better}")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file, and is not replaced by one")
    return path


def _renamed(path: Path) -> str:
    """The file's name with our ending in place of another library's."""
    name = path.name
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return f"{name or 'model'}.safetensors"


def _of_keras(path: Path) -> str:
    return f" (for a file of Keras: fnlayers.save_keras({path.stem + '.keras'!r}, ...))" * (
        path.suffix in _KERAS_ENDINGS
    )


def _stored_type(name: str, array: Any) -> tuple:
    """The shape and dtype in the file: random keys are stored as the integers that they are made of."""
    stored = jax.eval_shape(jax.random.key_data, array) if is_key(array) else array
    _check_dtype(name, stored.dtype.name)
    return tuple(stored.shape), stored.dtype.name


def _loaded_type(name: str, kind: str, entry: container.Entry) -> tuple:
    """The shape and dtype that an array of the file will have."""
    _check_dtype(name, entry.dtype)
    if kind == "array":
        return entry.shape, entry.dtype
    keys = jax.eval_shape(partial(_keys, kind), jax.ShapeDtypeStruct(entry.shape, np.dtype(entry.dtype)))
    return keys.shape, keys.dtype.name


def _keys(kind: str, data: Any) -> Any:
    return jax.random.wrap_key_data(data, impl=kind.removeprefix("key:"))


def _check_dtype(name: str, dtype: str) -> None:
    container.itemsize(dtype)
    if jax.dtypes.canonicalize_dtype(jax.numpy.dtype(dtype)).name != dtype:
        raise ConfigError(
            f"{name} is {dtype}, which jax holds only after jax.config.update('jax_enable_x64', True); do that, or "
            "cast it"
        )


def _fetched(array: Any) -> np.ndarray:
    """The array in this machine's memory, from whichever devices hold it, in the file's byte order."""
    array = np.asarray(jax.random.key_data(array) if is_key(array) else array)
    return array.astype(array.dtype.newbyteorder("<"), copy=False) if array.dtype.kind in "iufc" else array


def _shape_config(shape: Shape) -> Any:
    """Shapes as JSON: a list of sizes, or a list or object of such."""
    if isinstance(shape, Mapping):
        return {str(key): _shape_config(sub) for key, sub in shape.items()}
    return [_shape_config(sub) for sub in shape] if isinstance(shape, tuple) else shape


def texts_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The parts of the metadata, once it is known to be ours."""
    if metadata.get("format") != FORMAT:
        program = "; it is a program: fnlayers.load_exported" if "exported" in metadata.get("format", "") else ""
        raise ConfigError(f"the file holds arrays, but no model that fnlayers.save wrote{program}")
    version = metadata.get("format_version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 9):
        raise ConfigError(f"the file's format version is {version[:20]!r}, which is not a number")
    if int(version) > FORMAT_VERSION:
        raise ConfigError(
            f"the file has format {version}, written by fnlayers {metadata.get('fnlayers', '?')[:20]}; this is "
            f"fnlayers {__version__}, which reads up to {FORMAT_VERSION}: update it"
        )
    if metadata.keys() != _METADATA:
        raise ConfigError(f"the file's metadata must have {', '.join(sorted(_METADATA))}, and no more")
    texts = {name: strict.loads(metadata[name]) for name in _TEXTS}
    if texts["shape"] is not None:
        canonical(texts["shape"])
    return texts


def _check_arrays(model: Layer, texts: Mapping[str, Any], opened: container.Opened, classes: Mapping) -> None:
    """Compare what the header says with the trees and with the model, before an array is read."""
    described: list[tuple[str, str]] = []
    for part in ("params", "state"):
        rebuild(texts[part], part, lambda name, kind: described.append((name, kind)), classes)
    kinds, entries = dict(described), opened.entries
    if len(kinds) < len(described) or kinds.keys() != entries.keys():
        missing, surplus = sorted(kinds.keys() - entries.keys()), sorted(entries.keys() - kinds.keys())
        raise ConfigError(f"the file's arrays are not those of its trees: missing {missing}, unexpected {surplus}")
    types = {name: _loaded_type(name, kind, entries[name]) for name, kind in kinds.items()}
    fitting_shape(model, types, texts["shape"])


def _tree(description: Any, kind: str, arrays: Mapping[str, jax.Array], classes: Mapping) -> Tree:
    def take(name: str, kind: str) -> jax.Array:
        return arrays[name] if kind == "array" else _keys(kind, arrays[name])

    return rebuild(description, kind, take, classes)
