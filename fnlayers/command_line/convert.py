"""A model's file in another format. A format that is read or written is one line of a table."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fnlayers.command_line.files import HDF5, KERAS, SAFETENSORS, TORCH, kind_of
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.exporting import export, to_onnx
from fnlayers.keras_files import load_keras, save_keras
from fnlayers.keras_files.topology import keras_topology
from fnlayers.plain_data import FrozenDict
from fnlayers.saving import load, save
from fnlayers.saving.described import described
from fnlayers.trees import count


class Parts(NamedTuple):
    """A model with its arrays, and the shape of its input where its file says it."""

    model: Layer
    params: Any
    state: Any
    shape: Any = None


READERS: Mapping[str, Callable[[Path], Parts]] = FrozenDict(
    {
        KERAS: lambda path: Parts(*load_keras(path)[:3], keras_topology(path).shape),
        HDF5: lambda path: Parts(*load_keras(path)[:3], keras_topology(path).shape),
        SAFETENSORS: lambda path: Parts(*load(path), described(path).shape),
    }
)
# By the ending of the file that is written
WRITERS: Mapping[str, Callable[[Path, Parts], Any]] = FrozenDict(
    {
        ".safetensors": lambda path, parts: save(path, *parts[:3], shape=parts.shape),
        ".keras": lambda path, parts: save_keras(path, *parts[:3], shape=parts.shape),
        ".exported": lambda path, parts: export(path, *parts[:3], shape=parts.shape),
        ".onnx": lambda path, parts: to_onnx(path, *parts[:3], shape=parts.shape),
    }
)


def read(path: Path) -> Parts:
    """The model of a file, whatever its name."""
    kind = kind_of(path)
    if kind == TORCH:
        raise ConfigError(
            f"{path} holds tensors without a model; build the model, and read them with "
            "fnlayers.load_state_dict(model, shape, path, mapping)"
        )
    return READERS[kind](path)


def convert(source: str, target: str, *, force: bool = False) -> str:
    """Write the model of one file into another one; returns what was done, in a line.

    Arguments:
        source: told by its first bytes, whatever its name.
        target: the ending says which format.
        force: whether to replace a file that is there.
    """
    from_path, to_path = Path(source), Path(target)
    write = WRITERS.get(to_path.suffix)
    if write is None:
        raise ConfigError(f"{to_path}: the ending says what is written; choose from {', '.join(WRITERS)}")
    if to_path.exists() and (not force or to_path.resolve() == from_path.resolve()):
        raise ConfigError(
            f"{to_path} is there already; give another name{'' if force else ', or --force to replace it'}"
        )
    parts = read(from_path)
    write(to_path, parts)
    state = f", {count(parts.state):,} numbers of state" if parts.state else ""
    return f"{to_path}: {type(parts.model).__name__}, {count(parts.params):,} params{state}"
