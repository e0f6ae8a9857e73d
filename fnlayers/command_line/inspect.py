"""What is in a model's file: its layers, shapes and counts, without its weights."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fnlayers.command_line.files import HDF5, KERAS, SAFETENSORS, TORCH, kind_of
from fnlayers.core.errors import ConfigError, LayerError
from fnlayers.core.layer import Layer
from fnlayers.exporting.program import FORMAT as EXPORTED, PROGRAM, Exported, read_program
from fnlayers.keras_files.topology import keras_topology
from fnlayers.plain_data import FrozenDict
from fnlayers.saving.described import described
from fnlayers.saving.files import FORMAT
from fnlayers.saving.strict import refusing
from fnlayers.show import summary
from fnlayers.state_dicts.arrays import arrays_of

OPTIMIZERS = ("optimizer", "optimizer_weights")  # where files of Keras have an optimizer's state


class Inspected(NamedTuple):
    """What a file says of itself.

    Arguments:
        about: in a line.
        model, shape: its model and that of its input; None where there is none.
        problem: why there is no model; "" for nothing.
        arrays: by name; each has a shape and a dtype.
    """

    about: str
    model: Layer | None
    shape: Any
    problem: str
    arrays: Mapping[str, Any]


class Array(NamedTuple):
    """An array of which nothing is read but what it is."""

    shape: tuple[int, ...]
    dtype: str


def inspect(path: str, *, key: str | None = None) -> str:
    """What a file holds, as text: what it is, and its layers with their shapes and counts, or else its arrays.

    Arguments:
        path: of the file.
        key: of the dict of tensors, in a checkpoint of PyTorch that holds more.
    """
    kind = kind_of(Path(path))
    if key is not None and kind != TORCH:
        raise ConfigError(f"{path}: --key {key} is for files of torch.save, and this is none")
    inspected = _torch(Path(path), key) if kind == TORCH else INSPECTORS[kind](Path(path))
    numbers = sum(math.prod(array.shape) for array in inspected.arrays.values())
    head = f"{path}: {inspected.about}\n{len(inspected.arrays)} arrays, {numbers:,} numbers"
    if optimizers := sum(name.split("/")[0] in OPTIMIZERS for name in inspected.arrays):
        head += f", {optimizers} of the arrays an optimizer's"
    if inspected.problem:
        head += f"\nno layers are shown: {inspected.problem}"
    if inspected.model is None and not inspected.arrays:
        return head
    with refusing(path):  # a graph that no program wrote may fail anywhere
        table = _arrays(inspected.arrays) if inspected.model is None else _layers(inspected.model, inspected.shape)
    return f"{head}\n\n{table}"


def _keras(path: Path) -> Inspected:
    topology = keras_topology(path)
    what = "a model" if topology.model is not None or topology.problem else "weights without a model,"
    return Inspected(f"{what} of Keras {topology.version or '(of unknown version)'}", *topology[1:])


def _safetensors(path: Path) -> Inspected:
    description = described(path)
    if description.format == EXPORTED:
        program = read_program(path)
        about = f"a program exported by fnlayers {description.version}, {_signature(program)}"
        return Inspected(about, None, None, "", {name: a for name, a in description.arrays.items() if name != PROGRAM})
    about = f"a model of fnlayers {description.version}" if description.format == FORMAT else "arrays without a model"
    return Inspected(about, *description[2:])


def _signature(program: Exported) -> str:
    where = "inside it" if program.weights_inside else "beside it"
    return (
        f"for {', '.join(program.platforms)}, weights {where}: {program.in_dtype} {program.in_shape} -> "
        f"{program.out_shape}"
    )


def _torch(path: Path, key: str | None) -> Inspected:
    types = arrays_of(path, key).types
    return Inspected(
        "tensors of PyTorch", None, None, "", {name: Array(*shape_and_dtype) for name, shape_and_dtype in types.items()}
    )


INSPECTORS: Mapping[str, Callable[[Path], Inspected]] = FrozenDict(
    {KERAS: _keras, HDF5: _keras, SAFETENSORS: _safetensors}
)


def _layers(model: Layer, shape: Any) -> str:
    """The summary; where the shape that it needs is not known, the model as it is written."""
    try:
        return str(summary(model, shape))
    except LayerError:
        return repr(model)


def _arrays(arrays: Mapping[str, Any]) -> str:
    width = max(map(len, arrays), default=0)
    return "\n".join(f"{name:{width}}  {array.dtype}{tuple(array.shape)}" for name, array in arrays.items())
