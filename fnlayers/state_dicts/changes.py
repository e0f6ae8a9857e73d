"""Functions of arrays: from the layouts of PyTorch to ours. Each takes NumPy arrays and returns one.

A function that has a parameter named `shape` is given the shape of the weight that it makes.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError

Array = np.ndarray
Change = Callable[..., Any]


def same(array: Array) -> Array:
    """The array as it is."""
    return array


def transpose(array: Array) -> Array:
    """A matrix (out, in), as PyTorch's Linear has it, as (in, out)."""
    _check_rank("transpose", array, 2)
    return array.T


def conv_kernel(array: Array) -> Array:
    """(out, in, *window) -> (*window, in, out), with any number of axes (OIHW to HWIO), and with groups.

    Of a transposed convolution likewise: PyTorch's (in, out, *window) -> (*window, out, in).
    """
    if array.ndim < 3:
        raise ShapeError(f"a convolution's weight has 3 axes or more, got {array.shape}")
    return np.moveaxis(array, (0, 1), (-1, -2))


def depthwise_kernel(array: Array, shape: tuple[int, ...]) -> Array:
    """(channels * multiplier, 1, *window) of a convolution with a group for each channel -> shape, (*window, channels,
    multiplier).
    """
    if array.ndim < 3 or array.shape[1] != 1:
        raise ShapeError(f"a depthwise weight is (channels * multiplier, 1, *window), got {array.shape}")
    return split_axes(np.moveaxis(array[:, 0], 0, -1), shape)


def heads(array: Array, shape: tuple[int, ...]) -> Array:
    """A matrix (out, in) transposed, or a bias, whose axis of all heads is split into (heads, features)."""
    return split_axes(array.T, shape)


def split_axes(array: Array, shape: tuple[int, ...]) -> Array:
    """The array in that shape, where some of its axes are several of those: (384, 384) -> (384, 12, 32)."""
    remaining = list(shape)
    for size in array.shape:
        taken: list[int] = []
        while remaining and (not taken or math.prod(taken) < size):
            taken.append(remaining.pop(0))
        if math.prod(taken) != size or not taken:
            raise ShapeError(f"{array.shape} cannot be split into {shape}")
    if math.prod(remaining) != 1:
        raise ShapeError(f"{array.shape} cannot be split into {shape}")
    return array.reshape(shape)


def added(*arrays: Array) -> Array:
    """The sum of arrays of one shape: both biases of an LSTM."""
    if len({array.shape for array in arrays}) > 1:
        raise ShapeError(f"arrays of different shapes are not added: {[array.shape for array in arrays]}")
    return np.sum(arrays, axis=0, dtype=np.result_type(*arrays))


@dataclass(frozen=True)
class ChannelsLast:
    """An axis that was flattened from `sizes` (channels, ...), in the order of (..., channels); then changed.

    >>> ChannelsLast((2, 3))(np.array([10, 11, 12, 20, 21, 22]), (6,)).tolist()
    [10, 20, 11, 21, 12, 22]
    """

    sizes: tuple[int, ...]
    axis: int = 0
    change: Change = same

    def __post_init__(self) -> None:
        sizes = self.sizes if isinstance(self.sizes, (tuple, list)) else ()
        if not sizes or not all(type(size) is int and size > 0 for size in sizes):
            raise ConfigError(f"{self.sizes!r} are no sizes; give those of theirs: (channels, height, width)")
        object.__setattr__(self, "sizes", tuple(sizes))

    def __call__(self, array: Array, shape: tuple[int, ...]) -> Array:
        """Move the channels to the end of what that axis holds."""
        before, after = array.shape[: self.axis], array.shape[self.axis + 1 :]
        if array.ndim <= self.axis or array.shape[self.axis] != math.prod(self.sizes):
            raise ShapeError(
                f"axis {self.axis} of {array.shape} is not flattened from {self.sizes}, which are "
                f"{math.prod(self.sizes)} numbers"
            )
        parts = np.moveaxis(array.reshape(*before, *self.sizes, *after), self.axis, self.axis + len(self.sizes) - 1)
        return applied(self.change, (parts.reshape(array.shape),), shape)


@dataclass(frozen=True)
class Flattened:
    """A matrix (out, in) of a Linear whose input was flattened from `sizes` (channels, ...), for (..., channels).

    What `dense(path, flattened=sizes)` does to the weight.

    >>> Flattened((2, 2))(np.array([[11, 12, 21, 22]])).T.tolist()
    [[11, 21, 12, 22]]
    """

    sizes: tuple[int, ...]

    def __call__(self, array: Array) -> Array:
        """Move the channels of the inputs to the end, and transpose."""
        return ChannelsLast(self.sizes, 1, transpose)(array, array.shape)


def slopes(array: Array, shape: tuple[int, ...]) -> Array:
    """PyTorch's PReLU has one slope, or one for each channel; ours may have one for each position."""
    if array.ndim != 1 or array.size not in (1, shape[-1]):
        raise ShapeError(f"a PReLU of {array.shape} slopes has no place in alpha {shape}")
    return np.broadcast_to(array, shape)


@dataclass(frozen=True)
class Part:
    """One of `count` equal parts along an axis, then changed: query, key and value out of one matrix."""

    index: int
    count: int
    change: Change = heads
    axis: int = 0

    def __call__(self, array: Array, shape: tuple[int, ...]) -> Array:
        """Cut it out."""
        if array.shape[self.axis] % self.count:
            raise ShapeError(f"axis {self.axis} of {array.shape} has no {self.count} equal parts")
        return applied(self.change, (np.split(array, self.count, self.axis)[self.index],), shape)


@dataclass(frozen=True)
class Gates:
    """The gates of a recurrent layer, side by side along the first axis, in another order; then changed.

    >>> Gates("rzn", "zrn")(np.array([[1], [2], [3]]), (1, 3))
    array([[2, 1, 3]])
    """

    theirs: str
    ours: str
    change: Change = np.transpose

    def __post_init__(self) -> None:
        if sorted(self.theirs) != sorted(self.ours) or len(set(self.ours)) != len(self.ours):
            raise ConfigError(f"Gates({self.theirs!r}, {self.ours!r}): both must have the same letters, each once")

    def __call__(self, array: Array, shape: tuple[int, ...]) -> Array:
        """Put them in order."""
        if array.shape[0] % len(self.theirs):
            raise ShapeError(f"the first axis of {array.shape} has no {len(self.theirs)} equal gates")
        by_letter = dict(zip(self.theirs, np.split(array, len(self.theirs)), strict=True))
        return applied(self.change, (np.concatenate([by_letter[gate] for gate in self.ours]),), shape)


def gru_biases(of_x: Array, of_h: Array) -> Array:
    """The biases of a GRU, of x and of h, gates r, z, n -> (2, 3 units), gates z, r, h: ours with reset_after=True."""
    ordered = (Gates("rzn", "zrn", same)(bias, bias.shape) for bias in (of_x, of_h))
    return np.stack(list(ordered))


def applied(change: Change, arrays: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    """The change's result, as an array; the shape goes along where the change has a parameter of that name."""
    extra = {"shape": shape} if takes_shape(change) else {}
    return np.asarray(change(*arrays, **extra))


def takes_shape(change: Change) -> bool:
    """Whether a change has a parameter named shape, and is one of ours or of the caller's, not of NumPy's."""
    if getattr(change, "__module__", "").startswith("numpy"):
        return False
    try:
        return "shape" in inspect.signature(change).parameters
    except (TypeError, ValueError):
        return False


def _check_rank(name: str, array: Array, rank: int) -> None:
    if array.ndim != rank:
        raise ShapeError(f"{name} takes an array of {rank} axes, got {array.shape}")
