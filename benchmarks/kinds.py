"""Layers in words that belong to no library: what the workloads of `peers.py` are made of.

Each contender builds them from its own library's layers. Shapes are written channels last. Shapes and parameter counts
follow from the descriptions, so that a contender that built something else is found out.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]


class Missing(Exception):
    """A library has no layer of that kind, or is not installed."""


@dataclass(frozen=True)
class Kind:
    """What a chain is made of. Convolutions pad as "same" and have a bias; recurrent layers return the last output."""

    def out(self, shape: Shape) -> Shape:
        """The shape of the output."""
        return shape

    def count(self, shape: Shape, gate_biases: Mapping[str, int]) -> int:
        """How many numbers are trained."""
        return 0


@dataclass(frozen=True)
class Dense(Kind):
    """A product and a bias, over the last axis."""

    units: int

    def out(self, shape):
        return (*shape[:-1], self.units)

    def count(self, shape, gate_biases):
        return (shape[-1] + 1) * self.units


@dataclass(frozen=True)
class Conv(Kind):
    """A convolution over as many axes as the kernel has."""

    filters: int
    kernel: Shape
    strides: int = 1
    groups: int = 1

    def out(self, shape):
        return (shape[0], *(-(-n // self.strides) for n in shape[1:-1]), self.filters)

    def count(self, shape, gate_biases):
        return (math.prod(self.kernel) * shape[-1] // self.groups + 1) * self.filters


@dataclass(frozen=True)
class Depthwise(Kind):
    """A convolution of each channel with a kernel of its own."""

    kernel: Shape

    def count(self, shape, gate_biases):
        return (math.prod(self.kernel) + 1) * shape[-1]


@dataclass(frozen=True)
class ConvTranspose(Kind):
    """A transposed convolution, which makes each axis `strides` times as long."""

    filters: int
    kernel: Shape
    strides: int

    def out(self, shape):
        return (shape[0], *(n * self.strides for n in shape[1:-1]), self.filters)

    def count(self, shape, gate_biases):
        return (math.prod(self.kernel) * shape[-1] + 1) * self.filters


@dataclass(frozen=True)
class BatchNorm(Kind):
    """Normalization of each channel over the batch; scale and offset are trained, two running moments are state."""

    def count(self, shape, gate_biases):
        return 2 * shape[-1]


@dataclass(frozen=True)
class LayerNorm(Kind):
    """Normalization over the last axis, with scale and offset."""

    def count(self, shape, gate_biases):
        return 2 * shape[-1]


@dataclass(frozen=True)
class Relu(Kind):
    """The positive part."""


@dataclass(frozen=True)
class MaxPool(Kind):
    """The maximum of each window of 2 x 2."""

    def out(self, shape):
        return (shape[0], *(n // 2 for n in shape[1:-1]), shape[-1])


@dataclass(frozen=True)
class Flatten(Kind):
    """All axes but the batch axis as one."""

    def out(self, shape):
        return (shape[0], math.prod(shape[1:]))


@dataclass(frozen=True)
class GlobalAverage(Kind):
    """The mean over the `rank` axes between the batch and the channels."""

    rank: int

    def out(self, shape):
        return (shape[0], shape[-1])


@dataclass(frozen=True)
class Attention(Kind):
    """Self-attention with biases in all four products; the heads share the width."""

    heads: int

    def count(self, shape, gate_biases):
        return 4 * (shape[-1] + 1) * shape[-1]


@dataclass(frozen=True)
class Recurrent(Kind):
    """An LSTM or GRU over (batch, time, channels); the last output."""

    cell: str
    units: int
    bidirectional: bool = False

    def out(self, shape):
        return (shape[0], self.units * (1 + self.bidirectional))

    def count(self, shape, gate_biases):
        gates = {"LSTM": 4, "GRU": 3}[self.cell]
        one = self.units * (gates * (shape[-1] + self.units) + gate_biases[self.cell])
        return one * (1 + self.bidirectional)


@dataclass(frozen=True)
class ConvLSTM(Kind):
    """An LSTM over (batch, time, height, width, channels) whose products are convolutions; the last output."""

    filters: int
    kernel: Shape

    def out(self, shape):
        return (shape[0], *shape[2:-1], self.filters)

    def count(self, shape, gate_biases):
        return self.filters * (4 * math.prod(self.kernel) * (shape[-1] + self.filters) + gate_biases["ConvLSTM"])


@dataclass(frozen=True)
class Residual(Kind):
    """x + body(x)."""

    body: tuple[Kind, ...]

    def count(self, shape, gate_biases):
        return count(self.body, shape, gate_biases)


@dataclass(frozen=True)
class Skip(Kind):
    """x and body(x), side by side in the channels."""

    body: tuple[Kind, ...]

    def out(self, shape):
        return (*shape[:-1], shape[-1] + out_shape(self.body, shape)[-1])

    def count(self, shape, gate_biases):
        return count(self.body, shape, gate_biases)


def out_shape(chain: tuple[Kind, ...], shape: Shape) -> Shape:
    """The shape that a chain of layers gives for an input of that shape."""
    for kind in chain:
        shape = kind.out(shape)
    return shape


def count(chain: tuple[Kind, ...], shape: Shape, gate_biases: Mapping[str, int]) -> int:
    """How many numbers a chain trains.

    Arguments:
        gate_biases: how many biases a unit of each recurrent cell has; libraries differ there, at no cost.
    """
    total = 0
    for kind in chain:
        total += kind.count(shape, gate_biases)
        shape = kind.out(shape)
    return total


def flat(chain: tuple[Kind, ...]) -> Iterator[Kind]:
    """The layers of a chain, those inside of others too."""
    for kind in chain:
        yield kind
        yield from flat(getattr(kind, "body", ()))
