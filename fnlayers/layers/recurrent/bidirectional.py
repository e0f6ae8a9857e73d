"""Bidirectional: one recurrent layer that runs forwards and one that runs backwards."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.dtypes import cast, policy
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.layers.recurrent.base import Recurrent, step_mask
from fnlayers.layers.recurrent.cell import first_shape, split_states

__all__ = ["Bidirectional"]

SIDES = ("forward_layer", "backward_layer")
MERGES: dict[str, Callable] = {
    "concat": lambda forward, backward: jnp.concatenate([forward, backward], -1),
    "sum": jnp.add,
    "mul": jnp.multiply,
    "ave": lambda forward, backward: ops.average_arrays((forward, backward)),
}


@layerclass
class Bidirectional(Layer):
    """A recurrent layer that runs forwards and one that runs backwards, their outputs merged step by step.

    Arguments:
        layer: a recurrent layer, which says whether sequences and states are returned.
        merge_mode: how outputs are merged: "concat" (along the last axis), "sum", "mul", "ave" (the mean) or None.
        backward_layer: the layer that runs backwards; None: one like `layer`, with weights of its own.

    Shapes: those of the layer, with twice the features under concat; without a merge (forward, backward). With
        return_state the forward carry follows, then the backward one; the input may be (x, *carries) in that order.
    Weights: `forward_layer`, `backward_layer`: those of each. State: likewise.
    Random: in training, where the layers have dropout.
    Mask: used by both: masked steps are 0 in returned sequences, and else each direction gives its last valid step.
        Passed on with return_sequences, else ended.

    Reference: Schuster, Paliwal, Bidirectional Recurrent Neural Networks, 1997.
    """

    layer: Recurrent
    merge_mode: Literal["concat", "sum", "mul", "ave"] | None = "concat"
    backward_layer: Recurrent | None = None

    is_template: ClassVar[bool] = True  # the layer is copied for each direction
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """Two recurrent layers that run in two directions and return the same things."""
        for inner in (self.layer, self.layer if self.backward_layer is None else self.backward_layer):
            if not isinstance(inner, Recurrent):
                raise ConfigError(f"Bidirectional takes recurrent layers, such as LSTM(32), got {inner!r}")
        forward, backward = self.directions()
        if forward.go_backwards == backward.go_backwards:
            raise ConfigError(
                f"Bidirectional: both layers have go_backwards={forward.go_backwards}; let backward_layer alone run "
                "backwards"
            )
        for name in ("stateful", "return_sequences", "return_state", "time_major"):
            if getattr(forward, name) != getattr(backward, name):
                raise ConfigError(f"Bidirectional: {name} differs between layer and backward_layer; give both the same")

    def directions(self) -> tuple[Any, Any]:
        """The two layers as they run: 0 at the masked steps of sequences, the last valid step's output without them."""
        layer: Any = self.layer
        backward: Any = self.backward_layer or replace(layer, go_backwards=True)
        return tuple(replace(one, zero_output_for_mask=one.return_sequences) for one in (layer, backward))

    def check_shape(self, shape: Shape) -> None:
        for one in self.directions():
            one.check_shape(first_shape(shape))

    def children(self, shape: Shape) -> dict:
        """Both see the same sequence."""
        return {name: (one, first_shape(shape)) for name, one in zip(SIDES, self.directions(), strict=True)}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Run both, and put together what each returns: (y, *carry)."""
        x, initial_states = split_states(x)
        mask, sides = step_mask(self, x, ctx.mask), self.directions()
        outs = [
            ctx.run(name, one, params, (x, *own) if own else x, mask)
            for name, one, own in zip(SIDES, sides, self._divided(x, initial_states), strict=True)
        ]
        (y, *states), (back, *more) = (out.y if sides[0].return_state else (out.y,) for out in outs)
        ys, states = self._merged(y, back), (*states, *more)
        mask = mask if sides[0].return_sequences else None
        if len(ys) + len(states) == 1:
            return Out(ys[0], mask=mask)
        return Out((*ys, *states), mask=(*(mask for _ in ys), *jax.tree.map(lambda _: None, states)))

    def _merged(self, y: Any, back: Any) -> tuple:
        """Both outputs, the backward sequence turned around, as one or two."""
        dtype = policy(self.dtype).compute
        y, back = cast(y, dtype), cast(back, dtype)
        if self.directions()[1].return_sequences:
            back = jnp.flip(back, 0 if self.directions()[1].time_major else 1)
        if self.merge_mode is None:
            return y, back
        try:
            return (MERGES[self.merge_mode](y, back),)
        except TypeError:
            raise ShapeError(
                f"{self!r}: outputs of the shapes {y.shape} and {back.shape} do not merge by {self.merge_mode}; give "
                "both layers one size, or merge_mode=None"
            ) from None

    def _divided(self, x: Any, initial_states: list) -> tuple[list, list]:
        """The arrays of the two first carries, forward and backward, of those that came after x."""
        if not initial_states:
            return [], []
        counts = [one.carry_count(x) for one in self.directions()]
        if len(initial_states) != sum(counts):
            raise ShapeError(
                f"{self!r} takes a forward carry of {counts[0]} arrays and then a backward one of {counts[1]}, got "
                f"{len(initial_states)} arrays; give (x, *forward_carry, *backward_carry), as return_state returns them"
            )
        return initial_states[: counts[0]], initial_states[counts[0] :]
