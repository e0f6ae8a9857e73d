"""The models that `peers.py` times, each at three sizes: chains of the layers in `kinds.py`."""

from collections.abc import Callable
from typing import NamedTuple

from kinds import (
    Attention,
    BatchNorm,
    Conv,
    ConvLSTM,
    ConvTranspose,
    Dense,
    Depthwise,
    Flatten,
    GlobalAverage,
    Kind,
    LayerNorm,
    MaxPool,
    Recurrent,
    Relu,
    Residual,
    Shape,
    Skip,
    flat,
    out_shape,
)


class Workload(NamedTuple):
    """A chain and its input's shape, the batch axis included."""

    chain: tuple[Kind, ...]
    shape: Shape

    @property
    def out_shape(self) -> Shape:
        """The shape of the output."""
        return out_shape(self.chain, self.shape)

    @property
    def has_space(self) -> bool:
        """Whether it convolves, so that channels may be first or last."""
        return any(isinstance(kind, (Conv, Depthwise, ConvTranspose)) for kind in flat(self.chain))


def mlp(batch: int, width: int) -> Workload:
    hidden = (Dense(width), Relu())
    return Workload((*hidden, *hidden, Dense(10)), (batch, 784))


def cnn(batch: int, size: int, filters: int) -> Workload:
    def block(filters: int) -> tuple[Kind, ...]:
        return Conv(filters, (3, 3)), Relu(), MaxPool()

    return Workload((*block(filters), *block(2 * filters), Flatten(), Dense(10)), (batch, size, size, 1))


def resnet(batch: int, size: int, filters: int) -> Workload:
    def convolved() -> tuple[Kind, ...]:
        return Conv(filters, (3, 3)), BatchNorm()

    block = (Residual((*convolved(), Relu(), *convolved())), Relu())
    return Workload((*block, *block, GlobalAverage(2), Dense(10)), (batch, size, size, filters))


def mobilenet(batch: int, size: int, filters: int) -> Workload:
    def block(filters: int) -> tuple[Kind, ...]:
        return Depthwise((3, 3)), BatchNorm(), Relu(), Conv(filters, (1, 1)), BatchNorm(), Relu()

    chain = (*block(filters), *block(2 * filters), GlobalAverage(2), Dense(10))
    return Workload(chain, (batch, size, size, filters))


def transposed(batch: int, size: int, channels: int) -> Workload:
    chain = (ConvTranspose(channels // 2, (4, 4), 2), Relu(), ConvTranspose(3, (4, 4), 2))
    return Workload(chain, (batch, size, size, channels))


def grouped(batch: int, size: int, channels: int, groups: int) -> Workload:
    convolved = (Conv(channels, (3, 3), groups=groups), Relu())
    return Workload((*convolved, *convolved, GlobalAverage(2), Dense(10)), (batch, size, size, channels))


def conv1d(batch: int, length: int, channels: int) -> Workload:
    convolved = (Conv(2 * channels, (5,)), Relu())
    return Workload((*convolved, *convolved, GlobalAverage(1), Dense(10)), (batch, length, channels))


def conv3d(batch: int, size: int, channels: int) -> Workload:
    convolved = (Conv(2 * channels, (3, 3, 3)), Relu())
    return Workload((*convolved, *convolved, GlobalAverage(3), Dense(10)), (batch, size, size, size, channels))


def lstm(batch: int, time: int, channels: int, units: int) -> Workload:
    return Workload((Recurrent("LSTM", units), Dense(10)), (batch, time, channels))


def gru(batch: int, time: int, channels: int, units: int) -> Workload:
    return Workload((Recurrent("GRU", units), Dense(10)), (batch, time, channels))


def bidirectional(batch: int, time: int, channels: int, units: int) -> Workload:
    return Workload((Recurrent("LSTM", units, bidirectional=True), Dense(10)), (batch, time, channels))


def transformer(batch: int, time: int, width: int, heads: int) -> Workload:
    attention = Residual((LayerNorm(), Attention(heads)))
    feed_forward = Residual((LayerNorm(), Dense(4 * width), Relu(), Dense(width)))
    return Workload((attention, feed_forward), (batch, time, width))


def unet(batch: int, size: int, filters: int) -> Workload:
    def convolved(filters: int) -> tuple[Kind, ...]:
        return Conv(filters, (3, 3)), Relu(), Conv(filters, (3, 3)), Relu()

    def level(filters: int, inner: tuple[Kind, ...]) -> tuple[Kind, ...]:
        below = (MaxPool(), *inner, ConvTranspose(filters, (2, 2), 2))
        return *convolved(filters), Skip(below), *convolved(filters)

    chain = level(filters, level(2 * filters, convolved(4 * filters)))
    return Workload((*chain, Conv(2, (1, 1))), (batch, size, size, 3))


def convlstm(batch: int, time: int, size: int, channels: int) -> Workload:
    return Workload((ConvLSTM(2 * channels, (3, 3)), GlobalAverage(2), Dense(10)), (batch, time, size, size, channels))


class Family(NamedTuple):
    """A workload at each size; tiny is for the tests."""

    make: Callable[..., Workload]
    tiny: tuple[int, ...]
    small: tuple[int, ...]
    medium: tuple[int, ...]
    large: tuple[int, ...]

    def at(self, size: str) -> Workload:
        """The workload at the size of that name."""
        return self.make(*getattr(self, size))


SIZES = ("tiny", "small", "medium", "large")

WORKLOADS = {
    "mlp": Family(mlp, (4, 8), (32, 128), (128, 512), (256, 2048)),
    "cnn": Family(cnn, (2, 8, 4), (16, 28, 16), (64, 28, 32), (64, 64, 32)),
    "resnet": Family(resnet, (2, 4, 4), (8, 16, 32), (16, 32, 64), (16, 28, 128)),
    "mobilenet": Family(mobilenet, (2, 4, 4), (4, 28, 32), (8, 56, 64), (8, 56, 128)),
    "transposed": Family(transposed, (2, 4, 4), (4, 8, 32), (8, 16, 64), (8, 32, 64)),
    "grouped": Family(grouped, (2, 4, 8, 2), (4, 28, 32, 4), (8, 28, 64, 16), (8, 28, 128, 32)),
    "conv1d": Family(conv1d, (2, 8, 4), (16, 128, 32), (32, 256, 64), (32, 512, 128)),
    "conv3d": Family(conv3d, (2, 4, 2), (2, 8, 8), (4, 16, 16), (4, 24, 32)),
    "lstm": Family(lstm, (2, 4, 3, 4), (16, 50, 32, 64), (64, 100, 64, 128), (64, 100, 256, 512)),
    "gru": Family(gru, (2, 4, 3, 4), (16, 50, 32, 64), (64, 100, 64, 128), (64, 100, 256, 512)),
    "bidirectional": Family(bidirectional, (2, 4, 3, 4), (16, 50, 32, 64), (64, 100, 64, 128), (64, 100, 128, 256)),
    "transformer": Family(transformer, (2, 4, 8, 2), (8, 64, 128, 4), (16, 128, 256, 4), (8, 512, 512, 8)),
    "unet": Family(unet, (2, 8, 2), (2, 32, 16), (4, 64, 16), (4, 128, 32)),
    "convlstm": Family(convlstm, (2, 3, 4, 2), (4, 8, 16, 8), (8, 10, 32, 16), (8, 10, 32, 32)),
}
