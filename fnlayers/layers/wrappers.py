"""Layers around one other layer."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out, nest_like
from fnlayers.core.dtypes import cast, policy
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.frozen import map_nest
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.spec import State
from fnlayers.functions.initializers import TruncatedNormal
from fnlayers.layers.bases import check_choice, check_count, check_rank
from fnlayers.layers.cell_base import first_shape, split_states
from fnlayers.layers.recurrent_base import Recurrent, step_mask

SIDES = ("forward_layer", "backward_layer")
MERGES: dict[str, Callable] = {
    "concat": lambda forward, backward: jnp.concatenate([forward, backward], -1),
    "sum": jnp.add,
    "mul": jnp.multiply,
    "ave": lambda forward, backward: ops.average_arrays((forward, backward)),
}


@layerclass
class TimeDistributed(Layer):
    """The same layer on each time step: y[:, t] = layer(x[:, t]).

    All steps go through at once, as one batch of batch * time examples, so a BatchNormalization inside takes its
    statistics over all of them.

    Arguments:
        layer: a layer for one step.

    Shapes: (batch, time, ...) -> (batch, time, ...).
    Weights: `layer`: those of the layer. State: likewise.
    Mask: axes beyond (batch, time) are the layer's own mask of each step. The output has the mask that the layer makes,
        with its batch axis unfolded; where the layer makes none, a step is valid if anything in it was. A
        BatchNormalization inside leaves masked steps out.
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

        def fold(a: Any) -> Any:
            return a.reshape(batch * time, *a.shape[2:])

        def unfold(a: Any) -> Any:
            return a.reshape(batch, time, *a.shape[1:])

        outer = None if ctx.mask is None else _over_time(ctx.mask, time)
        inner = None if outer is None or not (outer.ndim > 2 or self.layer.passes_mask) else fold(outer)
        out = self.layer._run(params.get("layer", {}), fold(x), ctx.at("layer", inner))
        y = jax.tree.map(unfold, out.y)
        steps = outer if outer is None or outer.ndim == 2 else jnp.any(outer, axis=tuple(range(2, outer.ndim)))
        mask = map_nest(
            lambda a, made: steps if made is None else _both(unfold(made), steps), y, nest_like(out.mask, y)
        )
        losses = tuple(loss * time for loss in out.losses)  # which were divided by batch * time, not by the batch
        return Out(y, {"layer": out.state} if out.state else {}, mask, losses)


def _over_time(mask: Any, time: int) -> Any:
    """A mask with a time axis, also where it is one of whole examples."""
    return jnp.broadcast_to(mask[:, None], (mask.shape[0], time)) if mask.ndim == 1 else mask


def _both(mask: Any, steps: Any) -> Any:
    """The mask that a layer made within each step, in the steps that are valid themselves."""
    return mask if steps is None else mask & ops.expand_trailing(steps, mask.ndim)


@layerclass
class Bidirectional(Layer):
    """A recurrent layer that runs forwards and one that runs backwards, their outputs merged step by step.

    Arguments:
        layer: a recurrent layer, which tells whether sequences and states are returned.
        merge_mode: how outputs are merged: "concat" (along the last axis), "sum", "mul", "ave" (the mean) or None.
        backward_layer: the layer that runs backwards; None: one like `layer`, with weights of its own.

    Shapes: those of the layer, with twice the features under concat; without a merge (forward, backward). With
        return_state the forward carry follows, then the backward one; the input may be (x, *carries) in that order.
    Weights: `forward_layer`, `backward_layer`: those of each. State: likewise.
    Random: in training, where the layers have dropout.
    Mask: used by both: masked steps are 0 in returned sequences, and else each direction gives its last real step.
        Passed on with return_sequences, else ended.

    Reference: Schuster, Paliwal, Bidirectional Recurrent Neural Networks, 1997.
    """

    layer: Recurrent
    merge_mode: str | None = "concat"
    backward_layer: Recurrent | None = None

    is_template: ClassVar[bool] = True  # the layer is copied for each direction
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """Two recurrent layers that run in two directions and return the same things."""
        check_choice(self, "merge_mode", (*MERGES, None))
        for given in (self.layer, self.layer if self.backward_layer is None else self.backward_layer):
            if not isinstance(given, Recurrent):
                raise ConfigError(f"Bidirectional takes recurrent layers, such as LSTM(32), got {given!r}")
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
        """The two layers as they run: 0 at the masked steps of sequences, the last real step's output without them."""
        layer: Any = self.layer
        backward: Any = self.backward_layer or replace(layer, go_backwards=True)
        return tuple(replace(one, zero_output_for_mask=one.return_sequences) for one in (layer, backward))

    def check_shape(self, shape: Shape) -> None:
        """The layers'."""
        for one in self.directions():
            one.check_shape(first_shape(shape))

    def children(self, shape: Shape) -> dict:
        """Both see the same sequence."""
        return {name: (one, first_shape(shape)) for name, one in zip(SIDES, self.directions(), strict=True)}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Run both, and put together what each returns: (y, *carry)."""
        x, given = split_states(x)
        mask, sides = step_mask(self, x, ctx.mask), self.directions()
        outs = [
            one._run(params.get(name, {}), (x, *own) if own else x, ctx.at(name, mask))
            for name, one, own in zip(SIDES, sides, self._divided(x, given), strict=True)
        ]
        (y, *states), (back, *more) = (out.y if sides[0].return_state else (out.y,) for out in outs)
        ys, states = self._merged(y, back), (*states, *more)
        mask = mask if sides[0].return_sequences else None
        state = {name: out.state for name, out in zip(SIDES, outs, strict=True) if out.state}
        losses = (*outs[0].losses, *outs[1].losses)
        if len(ys) + len(states) == 1:
            return Out(ys[0], state, mask, losses)
        return Out((*ys, *states), state, (*(mask for _ in ys), *jax.tree.map(lambda _: None, states)), losses)

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

    def _divided(self, x: Any, given: list) -> tuple[list, list]:
        """The arrays of the two first carries, forward and backward, of those that came after x."""
        if not given:
            return [], []
        counts = [one.carry_count(x) for one in self.directions()]
        if len(given) != sum(counts):
            raise ShapeError(
                f"{self!r} takes a forward carry of {counts[0]} arrays and then a backward one of {counts[1]}, got "
                f"{len(given)} arrays; give (x, *forward_carry, *backward_carry), as return_state returns them"
            )
        return given[: counts[0]], given[counts[0] :]


@layerclass
class SpectralNormalization(Layer):
    """A layer whose kernel is divided by its largest singular value, found by power iteration.

    The kernel in params stays as it is; it is divided in training and in inference alike. (Keras on JAX overwrites the
    kernel in training, and only there.) The gradient flows through the division.

    Arguments:
        layer: a layer with a weight named kernel or embeddings.
        power_iterations: steps of the iteration in each training pass.

    Shapes: the layer's.
    Weights: `layer`: those of the layer. State: vector_u (1, outputs), the singular vector; and the layer's, if any.
    Mask: the layer's.

    Reference: Miyato, Kataoka, Koyama, Yoshida, Spectral Normalization for Generative Adversarial Networks, 2018.
    """

    layer: Layer
    power_iterations: int = 1

    casts_inputs: ClassVar[str] = "none"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """A layer, and some iterations."""
        if not isinstance(self.layer, Layer):
            raise ConfigError(f"SpectralNormalization takes a layer, got {self.layer!r}")
        check_count(self, "power_iterations")

    @property
    def in_dtype(self) -> Any:
        """The layer's."""
        return self.layer.in_dtype

    def weights(self, shape: Shape) -> dict:
        """The singular vector on the side of the outputs."""
        kernel = self.layer.specs(shape)[self._kernel_name(self.layer.specs(shape))]
        return {"vector_u": State((1, kernel.shape[-1]), TruncatedNormal(stddev=0.02))}

    def children(self, shape: Shape) -> dict:
        """The layer."""
        return {"layer": (self.layer, shape)}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Divide the kernel by sigma, and run the layer with it."""
        inner = params["layer"]
        name = self._kernel_name(inner)
        matrix = inner[name].reshape(-1, inner[name].shape[-1])
        turns = self.power_iterations if ctx.train and not ctx.frozen else 0
        sigma, u = ops.spectral_norm(matrix, ctx.read(self, "vector_u"), turns)
        share = ctx.at("layer", ctx.mask)
        out = self.layer._run(inner | {name: inner[name] / sigma}, x, share)
        state = {"vector_u": u} | ({"layer": out.state} if out.state else {})
        return Out(out.y, state, out.mask, out.losses)

    def _kernel_name(self, weights: Any) -> str:
        for name in ("kernel", "embeddings"):
            if name in weights:
                return name
        raise ConfigError(f"SpectralNormalization: {self.layer!r} has no weight named kernel or embeddings")
