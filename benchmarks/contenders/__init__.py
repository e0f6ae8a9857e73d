"""The libraries that `peers.py` compares: each module builds any workload from its own library's layers.

A module defines `prepare(workload, channels_first)` -> `Passes`, and `GATE_BIASES` where its recurrent cells have other
biases than Keras's. All train alike: the mean squared error against fixed targets, its gradients, an update by Adam.
"""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from kinds import Missing, Shape
from workloads import Workload

LEARNING_RATE = 1e-4
GATE_BIASES = {"LSTM": 4, "GRU": 6, "ConvLSTM": 4}  # a unit, in Keras


class Passes(NamedTuple):
    """A model that is ready to run: each call runs one pass and returns when it is done."""

    forward: Callable[[], object]
    train: Callable[[], object]
    count: int
    out_shape: Shape


class Contender(NamedTuple):
    """Where a contender is built.

    Arguments:
        module: its module here.
        package: what has to be installed, as pip calls it.
        uses_jax: whether it computes by JAX.
        channels_first: the layout of its images.
    """

    module: str
    package: str
    uses_jax: bool = True
    channels_first: bool = False


CONTENDERS = {
    "fnlayers": Contender("ours", "fnlayers"),
    "plain": Contender("plain", "jax"),
    "keras": Contender("keras_jax", "keras"),
    "linen": Contender("linen", "flax"),
    "nnx": Contender("nnx", "flax"),
    "equinox": Contender("equinox_", "equinox", channels_first=True),
    "haiku": Contender("haiku_", "dm-haiku"),
    "torch": Contender("torch_", "torch", uses_jax=False, channels_first=True),
    "torch-last": Contender("torch_", "torch", uses_jax=False),
}


def module_of(name: str) -> ModuleType:
    """The module that builds a contender's models."""
    contender = CONTENDERS[name]
    try:
        return importlib.import_module(f"contenders.{contender.module}")
    except ModuleNotFoundError as error:
        raise Missing(f"{contender.package} is not installed ({error})") from error


def drawn(workload: Workload, channels_first: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The input and the targets of a workload, the same for all contenders."""
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal(shape, np.float32) for shape in (workload.shape, workload.out_shape)]
    if channels_first and workload.has_space:
        arrays = [np.ascontiguousarray(np.moveaxis(array, -1, 1)) for array in arrays]
    return arrays[0], arrays[1]


def channels_last(shape: Shape, workload: Workload) -> Shape:
    """An output's shape as kinds write it, from one with channels first."""
    return (shape[0], *shape[2:], shape[1]) if workload.has_space and len(shape) > 2 else tuple(shape)
