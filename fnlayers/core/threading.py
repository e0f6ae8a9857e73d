"""What a container threads through its children: params, state, keys and losses, by name."""

from dataclasses import replace
from typing import Any

from fnlayers.core.context import Context, Mask, Out
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape


class Thread:
    """The state and losses of one pass through a container, gathered while its children run one after the other."""

    def __init__(self, params: Any, ctx: Context) -> None:
        self.params, self.ctx, self.state = params, ctx, dict(ctx.state)
        self.losses: tuple = ()
        self.calls: dict[str, int] = {}

    def step(self, name: str, layer: Layer, x: Any, mask: Mask, train: bool | None = None) -> tuple[Any, Mask]:
        """Run one child on x. A shared child sees the state that its call before returned, and draws other numbers."""
        call = self.calls.get(name, 0)
        self.calls[name] = call + 1
        share = self.ctx.at(name, mask, call, self.state)
        if train is not None:
            share = replace(share, train=train)
        out = layer._run(self.params.get(name, {}), x, share)
        if out.state:
            self.state[name] = out.state
        self.losses += out.losses
        return out.y, out.mask

    def out(self, y: Any, mask: Mask) -> Out:
        """The container's own result."""
        return Out(y, self.state, mask, self.losses)


def same_weights(layer: Layer, first: Shape, shape: Shape) -> None:
    """A shared layer must want the same weights for all the shapes that it is called with."""
    if first != shape and layer.specs(first) != layer.specs(shape):
        raise ConfigError(
            f"{layer!r} is shared, but its weights for {first} differ from those for {shape}; use a second layer, or "
            "bring the inputs to the same size"
        )
