"""Layers around one other layer."""

import math
from typing import Any, ClassVar

from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.layers.bases import check_rank


@layerclass
class TimeDistributed(Layer):
    """The same layer on each time step: y[:, t] = layer(x[:, t]).

    All steps go through at once, as one batch of batch * time examples, so a BatchNormalization inside takes its
    statistics over all of them.

    Arguments:
        layer: a layer for one step.

    Shapes: (batch, time, ...) -> (batch, time, ...).
    Weights: `layer`: those of the layer. State: likewise.
    Mask: passed on; a BatchNormalization inside leaves masked steps out.
    """

    layer: Layer

    casts_inputs: ClassVar[str] = "none"

    def check(self) -> None:
        """A layer."""
        if not isinstance(self.layer, Layer):
            raise ConfigError(f"TimeDistributed takes a layer, got {self.layer!r}")

    @property
    def in_dtype(self) -> Any:
        """The layer's."""
        return self.layer.in_dtype

    def check_shape(self, shape: Shape) -> None:
        """Batch and time."""
        check_rank(self, shape, *range(2, 16), layout="(batch, time, ...)")

    def children(self, shape: Shape) -> dict:
        """The layer sees batch * time examples of one step."""
        cells = None if None in shape[:2] else math.prod(shape[:2])
        return {"layer": (self.layer, (cells, *shape[2:]))}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Fold time into the batch, and back."""
        batch, time = x.shape[:2]
        mask = None
        if ctx.mask is not None and (ctx.mask.ndim > 2 or self.layer.passes_mask):
            mask = ctx.mask.reshape(batch * time, *ctx.mask.shape[2:])
        share = ctx.at("layer", mask)
        out = self.layer._run(params.get("layer", {}), x.reshape(batch * time, *x.shape[2:]), share)
        y = out.y.reshape(batch, time, *out.y.shape[1:])
        return Out(y, {"layer": out.state} if out.state else {}, ctx.mask, out.losses)
