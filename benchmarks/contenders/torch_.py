"""PyTorch, eager: one nn.Sequential, in either memory layout."""

import os

import torch
from torch import nn

import kinds
from contenders import LEARNING_RATE, Passes, channels_last, drawn
from workloads import Workload

GATE_BIASES = {"LSTM": 8, "GRU": 6, "ConvLSTM": 4}


def prepare(workload: Workload, channels_first: bool) -> Passes:
    if not channels_first and (not workload.has_space or len(workload.shape) < 4):
        raise kinds.Missing("the same in both layouts")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = built(workload.chain, workload.shape)
    x, target = (torch.from_numpy(array) for array in drawn(workload, channels_first=True))
    if not channels_first:
        layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
        model, x = model.to(memory_format=layout), x.to(memory_format=layout)
        target = target.to(memory_format=layout) if target.ndim == x.ndim else target
    # one pass over the memory instead of one for each operation of the update
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)

    def forward() -> torch.Tensor:
        model.eval()
        with torch.inference_mode():
            return model(x)

    def train() -> torch.Tensor:
        model.train()
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    count = sum(parameter.numel() for parameter in model.parameters())
    return Passes(forward, train, count, channels_last(forward().shape, workload))


def built(chain: tuple[kinds.Kind, ...], shape: kinds.Shape) -> nn.Sequential:
    """The chain, for inputs of that shape, channels last as kinds write it."""
    modules = []
    for kind in chain:
        modules.append(module(kind, shape))
        shape = kind.out(shape)
    return nn.Sequential(*modules)


def module(kind: kinds.Kind, shape: kinds.Shape) -> nn.Module:
    channels = shape[-1]
    match kind:
        case kinds.Dense(units):
            return nn.Linear(channels, units)
        case kinds.Conv(filters, kernel, strides, groups):
            cls = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[len(kernel)]
            return cls(channels, filters, kernel, strides, tuple(k // 2 for k in kernel), groups=groups)
        case kinds.Depthwise(kernel):
            return nn.Conv2d(channels, channels, kernel, padding=tuple(k // 2 for k in kernel), groups=channels)
        case kinds.ConvTranspose(filters, kernel, strides):
            return nn.ConvTranspose2d(channels, filters, kernel, strides, tuple((k - strides) // 2 for k in kernel))
        case kinds.BatchNorm():
            return nn.BatchNorm2d(channels)
        case kinds.LayerNorm():
            return nn.LayerNorm(channels)
        case kinds.Relu():
            return nn.ReLU()
        case kinds.MaxPool():
            return nn.MaxPool2d(2)
        case kinds.Flatten():
            return nn.Flatten()
        case kinds.GlobalAverage(rank):
            pool = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}[rank]
            return nn.Sequential(pool(1), nn.Flatten())
        case kinds.Attention(heads):
            return SelfAttention(channels, heads)
        case kinds.Recurrent(cell, units, bidirectional):
            return LastOutput({"LSTM": nn.LSTM, "GRU": nn.GRU}[cell], channels, units, bidirectional)
        case kinds.Residual(body):
            return Residual(built(body, shape))
        case kinds.Skip(body):
            return Skip(built(body, shape))
    raise kinds.Missing(f"no {type(kind).__name__}")


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class Skip(Residual):
    """x and body(x), side by side in the channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((x, self.body(x)), dim=1)


class SelfAttention(nn.Module):
    """nn.MultiheadAttention of x to itself."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


class LastOutput(nn.Module):
    """A recurrent module's last output, of each direction."""

    def __init__(self, make: type[nn.RNNBase], channels: int, units: int, bidirectional: bool) -> None:
        super().__init__()
        self.cells = make(channels, units, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, ends = self.cells(x)
        h = ends[0] if isinstance(ends, tuple) else ends
        return h.transpose(0, 1).flatten(1)
