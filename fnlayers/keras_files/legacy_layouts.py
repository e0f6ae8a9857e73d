"""Arrays in the layouts of Keras 1, of Theano and of cuDNN, as Keras 3 has them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files.owners import Owner
from fnlayers.layers.conv import Conv, Conv1D, ConvTranspose
from fnlayers.layers.depthwise import DepthwiseConv, SeparableConv
from fnlayers.layers.recurrent.cells import GRUCell, LSTMCell
from fnlayers.layers.recurrent.conv_lstm import ConvLSTMCell

GATES = ("i", "f", "c", "o", "z", "r", "h")  # in the order in which Keras 2 joins them


DEPTHWISE = (DepthwiseConv, SeparableConv)
CONVOLUTIONS = (Conv, ConvTranspose, ConvLSTMCell, *DEPTHWISE)


class Origin(NamedTuple):
    """What wrote a file: the version of Keras, 1 or later, and its backend, if it says so."""

    era: int
    backend: str | None


def keras3_arrays(owner: Owner, values: Mapping[str, np.ndarray], origin: Origin) -> dict[str, np.ndarray]:
    """An owner's arrays in Keras 3's layout, from the names in the file to Keras 3's. Shapes are checked afterwards."""
    layer = owner.layer
    if isinstance(layer, (LSTMCell, GRUCell)):
        return _from_cudnn(layer, _joined(values))
    if not isinstance(layer, CONVOLUTIONS):
        return _joined(values)
    if origin.era == 1:
        values = {name: _of_keras_1(layer, value) for name, value in values.items()}
    arrays = _joined(values)
    if origin.backend == "theano" and not isinstance(layer, DEPTHWISE):  # Theano turns these kernels around
        for name in {"kernel", "recurrent_kernel"} & arrays.keys():
            arrays[name] = np.flip(arrays[name], tuple(range(max(0, arrays[name].ndim - 2))))
    return arrays


def _joined(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keras 1's one array for each gate (W_i, W_f, ...) as one array of all."""
    arrays = {name: value for name, value in values.items() if name[:-1] not in ("W_", "U_", "b_")}
    for old, new in (("W", "kernel"), ("U", "recurrent_kernel"), ("b", "bias")):
        parts = [values[f"{old}_{gate}"] for gate in GATES if f"{old}_{gate}" in values]
        if parts and (new in arrays or len({part.shape for part in parts}) > 1):
            raise ConfigError(f"{old} is stored whole and for each gate, or the gates' arrays have different shapes")
        if parts:
            arrays[new] = np.concatenate(parts, -1)
    return arrays


def _of_keras_1(layer: Any, array: np.ndarray) -> np.ndarray:
    """Kernels of channels_first have the output channels first there, and those of Conv1D a second axis of size 1."""
    if array.ndim < 4:
        return array
    space = tuple(range(2, array.ndim))
    if isinstance(layer, Conv1D):
        if array.shape[1] != 1 or array.shape[3] != layer.filters:
            array = np.transpose(array, (2, 3, 1, 0))  # of Keras 1.1
        return array[:, 0]
    if layer.data_format == "channels_first":
        return np.transpose(array, (*space, 0, 1) if isinstance(layer, ConvTranspose) else (*space, 1, 0))
    return np.swapaxes(array, -1, -2) if isinstance(layer, ConvTranspose) else array


def _from_cudnn(layer: LSTMCell | GRUCell, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Kernels of cuDNN are transposed for each gate, and there are two biases, which an LSTM adds."""
    gates = 4 if isinstance(layer, LSTMCell) else 3
    bias, units = values.get("bias"), layer.units
    if bias is None or bias.shape != (2 * gates * units,):
        return values
    kernel, recurrent = values.get("kernel"), values.get("recurrent_kernel")
    if kernel is None or recurrent is None or {kernel.ndim, recurrent.ndim} != {2}:
        raise ConfigError("the arrays of a cuDNN layer are incomplete")
    if kernel.shape[1] != gates * units or recurrent.shape != (units, gates * units):
        raise ConfigError(f"the arrays of a cuDNN layer have shapes {kernel.shape} and {recurrent.shape}")
    halves = bias.reshape(2, -1)
    return {
        "kernel": np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(kernel, gates)]),
        "recurrent_kernel": np.hstack([k.T for k in np.hsplit(recurrent, gates)]),
        "bias": halves.sum(0) if gates == 4 else halves,
    }
