"""The networks in PyTorch, which trains them on commands from standard input. See `networks` and `ask`.

Eager, images in the layout channels_last, float32 products in TF32 like JAX's, bfloat16 by autocast.
"""

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks import RATE, Network

Shape = tuple[int, ...]


class Residual(nn.Module):
    """activation(short(x) + body(x))."""

    def __init__(self, body: nn.Module, short: nn.Module | None = None, activation: Callable | None = None) -> None:
        super().__init__()
        self.body, self.short, self.activation = body, short or nn.Identity(), activation or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.short(x) + self.body(x))


def convolved(channels: int, out: int, window: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without bias, and batch normalization."""
    options = {"padding": window // 2, "groups": groups, "bias": False}
    return [nn.Conv2d(channels, out, window, stride, **options), nn.BatchNorm2d(out)]


def resnet(shape: Shape, filters: int, depths: Sequence[int], classes: int) -> nn.Module:
    layers = [*convolved(3, filters, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = filters
    for stage, depth in enumerate(depths):
        width = filters * 2**stage
        for block in range(depth):
            stride = 2 if stage and not block else 1
            body = nn.Sequential(
                *convolved(channels, width, 1),
                nn.ReLU(inplace=True),
                *convolved(width, width, 3, stride),
                nn.ReLU(inplace=True),
                *convolved(width, 4 * width, 1),
            )
            short = None if block else nn.Sequential(*convolved(channels, 4 * width, 1, stride))
            layers.append(Residual(body, short, nn.ReLU(inplace=True)))
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def mobilenet(shape: Shape, blocks: int, expansion: int) -> nn.Module:
    channels = shape[-1]
    hidden = channels * expansion

    def block() -> nn.Module:
        return Residual(
            nn.Sequential(
                *convolved(channels, hidden, 1),
                nn.ReLU6(inplace=True),
                *convolved(hidden, hidden, 3, groups=hidden),
                nn.ReLU6(inplace=True),
                *convolved(hidden, channels, 1),
            )
        )

    return nn.Sequential(*(block() for _ in range(blocks)))


class Attention(nn.Module):
    """Causal attention of a sequence to itself, by PyTorch's fused kernels."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads, self.enter, self.leave = heads, nn.Linear(features, 3 * features), nn.Linear(features, features)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.enter(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.leave(y.transpose(1, 2).flatten(-2))


def transformer(shape: Shape, blocks: int, heads: int) -> nn.Module:
    features = shape[-1]

    def block() -> nn.Module:
        dense = [nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features)]
        parts = [[Attention(features, heads)], dense]
        return nn.Sequential(*(Residual(nn.Sequential(nn.LayerNorm(features), *part)) for part in parts))

    return nn.Sequential(*(block() for _ in range(blocks)))


class Outputs(nn.Module):
    """The outputs of a recurrent layer, without its last state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


def lstm(shape: Shape, units: int) -> nn.Module:
    return Outputs(nn.LSTM(shape[-1], units, batch_first=True))


class UNet(nn.Module):
    """See `networks.ours.unet`."""

    def __init__(self, filters: int, levels: int, classes: int) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(levels)]
        self.down = nn.ModuleList(map(twice, [3, *widths[:-1]], widths))
        self.bottom = twice(widths[-1], 2 * widths[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in reversed(widths))
        self.after = nn.ModuleList(twice(2 * width, width) for width in reversed(widths))
        self.head = nn.Conv2d(filters, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        passed = []
        for down in self.down:
            passed.append(down(x))
            x = F.max_pool2d(passed[-1], 2)
        x = self.bottom(x)
        for up, after in zip(self.up, self.after, strict=True):
            x = after(torch.cat([passed.pop(), up(x)], 1))
        return self.head(x)


def twice(channels: int, out: int) -> nn.Module:
    """Two convolutions, each with relu."""
    first, second = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))


def unet(shape: Shape, filters: int, levels: int, classes: int) -> nn.Module:
    return UNet(filters, levels, classes)


class Trained:
    """A network and its training step."""

    def __init__(self, network: Network, dtype: str) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = globals()[network.name](network.shape, **network.options).to(device)
        x = torch.randn(network.shape, device=device)
        if x.ndim == 4:
            x = x.movedim(-1, 1).contiguous(memory_format=torch.channels_last)
            model = model.to(memory_format=torch.channels_last)
        self.model, self.x = model, x
        self.optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
        mixed = dtype != "float32"
        self.casts = torch.autocast(device, torch.bfloat16) if mixed else contextlib.nullcontext()

    def step(self) -> Tensor:
        """One update; returns the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.casts:
            y = self.model(self.x)
        loss = y.float().square().mean()
        loss.backward()
        self.optimizer.step()
        return loss

    def run(self, calls: int) -> float:
        """The seconds that so many steps take."""
        start = time.perf_counter()
        for _ in range(calls):
            loss = self.step()
        if not math.isfinite(loss.item()):  # waits for the device
            raise FloatingPointError("the loss is not finite")
        return time.perf_counter() - start


def main() -> None:
    """Answer each line of JSON with one: {"prepare": [network, dtype]} or {"run": calls}."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # next to a busy process its threads wait for each other for seconds
    trained: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "prepare" in asked:
                trained = None  # before the next takes its memory
                (name, shape, options), dtype = asked["prepare"]
                trained = Trained(Network(name, tuple(shape), options), dtype)
                trained.run(3)
                answer = {"params": sum(p.numel() for p in trained.model.parameters())}
            else:
                answer = {"seconds": trained.run(asked["run"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
