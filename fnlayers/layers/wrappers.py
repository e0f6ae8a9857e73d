"""Layers around one other layer."""

import math
from dataclasses import replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out, nest_like
from fnlayers.core.errors import ConfigError, within
from fnlayers.core.inherited import inherit_dtype
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.one_step import refuse_cell_within
from fnlayers.core.shapes import ArrayType
from fnlayers.core.spec import State
from fnlayers.core.trace import trace
from fnlayers.functions.initializers import TruncatedNormal
from fnlayers.layers.common import check_count, check_rank
from fnlayers.plain_data import freeze, map_nest, nest_leaves

__all__ = ["TimeDistributed", "SpectralNormalization"]


@layerclass
class TimeDistributed(Layer):
    """The same layer on each time step: y[:, t] = layer(x[:, t]).

    All steps run at once, as one batch of batch * time examples, so a BatchNormalization inside takes its
    statistics over all of them.

    Arguments:
        layer: a layer for one step.
        dtype: the layer's policy, where it has none of its own.

    Shapes: (batch, time, ...) -> (batch, time, ...).
    Weights: `layer`: those of the layer. State: likewise.
    Mask: axes beyond (batch, time) are the layer's own mask of each step. The output has the mask that the layer makes,
        with its batch axis unfolded; where the layer makes none, a step is valid if anything in it was. A
        BatchNormalization inside, at whatever depth, leaves masked steps out.
    """

    layer: Layer

    casts_inputs: ClassVar[str] = "none"

    def check(self) -> None:
        if not isinstance(self.layer, Layer):
            raise ConfigError(f"TimeDistributed takes a layer, got {self.layer!r}")
        refuse_cell_within(self, self.layer)
        inherit_dtype(self)

    @property
    def in_dtype(self) -> Any:
        return self.layer.in_dtype

    def check_shape(self, shape: Shape) -> None:
        check_rank(self, shape, *range(2, 16), layout="(batch, time, ...)")

    def children(self, shape: Shape) -> dict:
        """The layer sees batch * time examples of one step."""
        examples = None if None in shape[:2] else math.prod(shape[:2])
        return {"layer": (self.layer, (examples, *shape[2:]))}

    def _compose(self, types: Any) -> Any:
        """The layer's output for one step, with the axes of `forward`."""
        if not isinstance(types, ArrayType) or len(types.shape) < 2:
            return None
        batch, time, *sizes = types.shape
        examples = None if batch is None or time is None else batch * time
        masked = max(types.masked, 2) if types.masked else 0
        inner = masked - 1 if masked > 2 or (masked and self.layer.passes_mask) else 0
        with within("layer"):
            out_types = freeze(trace(self.layer, ArrayType((examples, *sizes), types.dtype, inner)))
        if any(leaf.shape[:1] != (examples,) for leaf in nest_leaves(out_types)):
            return None

        def unfold(leaf: ArrayType) -> ArrayType:
            return ArrayType(
                (batch, time, *leaf.shape[1:]), leaf.dtype, leaf.masked + 1 if leaf.masked else min(masked, 2)
            )

        return map_nest(unfold, out_types)

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Fold time into the batch, and back."""
        batch, time = x.shape[:2]

        def fold(a: Any) -> Any:
            return a.reshape(batch * time, *a.shape[2:])

        def unfold(a: Any) -> Any:
            return a.reshape(batch, time, *a.shape[1:])

        outer = None if ctx.mask is None else _over_time(ctx.mask, time)
        inner = None if outer is None or not (outer.ndim > 2 or self.layer.passes_mask) else fold(outer)
        steps = outer if outer is None or outer.ndim == 2 else jnp.any(outer, axis=tuple(range(2, outer.ndim)))
        counting = replace(ctx, examples=_examples(ctx.examples, steps, (batch, time)))
        out = counting.run_alone("layer", self.layer, params, fold(x), inner)
        y = jax.tree.map(unfold, out.y)
        mask = map_nest(
            lambda a, inner_mask: steps if inner_mask is None else _both(unfold(inner_mask), steps),
            y,
            nest_like(out.mask, y),
        )
        losses = tuple(loss * time for loss in out.losses)  # which were divided by batch * time, not by the batch
        return Out(y, {"layer": out.state} if out.state else {}, mask, losses)


def _examples(outer: Any, steps: Any, sizes: tuple[int, int]) -> Any:
    """Which of the batch * time examples count: the valid steps of the examples that count; None: all."""
    if outer is not None:
        outer = jnp.broadcast_to(outer[:, None], sizes)
        steps = outer if steps is None else steps & outer
    return None if steps is None else steps.reshape(-1)


def _over_time(mask: Any, time: int) -> Any:
    """A mask with a time axis, also where it is one of whole examples."""
    return jnp.broadcast_to(mask[:, None], (mask.shape[0], time)) if mask.ndim == 1 else mask


def _both(mask: Any, steps: Any) -> Any:
    """The mask that a layer returned within each step, where the step itself is valid."""
    return mask if steps is None else mask & ops.expand_trailing(steps, mask.ndim)


@layerclass
class SpectralNormalization(Layer):
    """A layer whose kernel is divided by its largest singular value, computed by power iteration.

    The kernel in params stays as it is; it is divided in training and in inference alike. (Keras on JAX overwrites the
    kernel in training, and only there.) The gradient flows through the division.

    Arguments:
        layer: a layer with a weight named kernel or embeddings.
        power_iterations: steps of the iteration in each training pass.
        dtype: the layer's policy, where it has none of its own.

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
        refuse_cell_within(self, self.layer)
        check_count(self, "power_iterations")
        inherit_dtype(self)

    @property
    def in_dtype(self) -> Any:
        return self.layer.in_dtype

    def weights(self, shape: Shape) -> dict:
        """The singular vector on the side of the outputs."""
        kernel = self.layer.specs(shape)[self._kernel_name(self.layer.specs(shape))]
        return {"vector_u": State((1, kernel.shape[-1]), TruncatedNormal(stddev=0.02))}

    def children(self, shape: Shape) -> dict:
        return {"layer": (self.layer, shape)}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Divide the kernel by sigma, and run the layer with it."""
        inner = params["layer"]
        name = self._kernel_name(inner)
        matrix = inner[name].reshape(-1, inner[name].shape[-1])
        turns = self.power_iterations if ctx.train and not ctx.frozen else 0
        sigma, u = ops.spectral_norm(matrix, ctx.read(self, "vector_u"), turns)
        divided = {"layer": inner | {name: inner[name] / sigma}}
        out = ctx.run("layer", self.layer, divided, x, ctx.mask)
        return Out(out.y, {"vector_u": u}, out.mask)

    def _kernel_name(self, weights: Any) -> str:
        for name in ("kernel", "embeddings"):
            if name in weights:
                return name
        raise ConfigError(f"SpectralNormalization: {self.layer!r} has no weight named kernel or embeddings")
