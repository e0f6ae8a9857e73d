"""Repeat: a stack of equal layers as one scan over stacked params."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers.core.context import Context, Out
from fnlayers.core.dtypes import cast
from fnlayers.core.errors import ConfigError, ShapeError, within
from fnlayers.core.inherited import inherit_dtype
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.one_step import refuse_cell
from fnlayers.core.rows import by_rows
from fnlayers.core.shapes import shape_of, type_of
from fnlayers.core.spec import map_specs
from fnlayers.core.trace import trace
from fnlayers.ops import varying
from fnlayers.plain_data import freeze, map_nest


@layerclass
class Repeat(Layer):
    """`n` layers of one kind after each other, each with weights of its own, compiled once.

    The weights of all are stacked along a first axis and the layer is scanned over them, so compile time does not
    grow with n. Regularizers, constraints and initializers act on each layer's slice.

    Arguments:
        layer: the layer; its output has its input's shape. An input of another dtype than its output is cast first.
        n: how many.
        dtype: the layer's policy, where it has none of its own.
        remat: recompute each layer in the backward pass instead of keeping its intermediate values: memory for time.

    Shapes: unchanged.
    Weights: `layer`: those of the layer, each with a first axis of n.
    Mask: passed from layer to layer; each must return what kind of mask it was given.
    """

    layer: Layer
    n: int
    remat: bool = False

    is_template: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "none"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """A layer, and a count of at least one."""
        if not isinstance(self.layer, Layer):
            raise ConfigError(f"Repeat takes a layer, got {self.layer!r}")
        if not isinstance(self.n, int) or self.n < 1:
            raise ConfigError(f"Repeat(n={self.n!r}): give a whole number of at least 1")
        inherit_dtype(self)

    @property
    def in_dtype(self) -> Any:
        """The layer's."""
        return self.layer.in_dtype

    @property
    def in_shape(self) -> Shape | None:
        """The layer's."""
        return self.layer.in_shape

    def in_types(self, shape: Shape) -> Any:
        """The layer's."""
        return self.layer.in_types(shape)

    def weights(self, shape: Shape) -> Mapping[str, Any]:
        """The layer's specs, stacked."""
        refuse_cell(self.layer, shape)
        out_shape = self.layer.out_shape(shape)
        if out_shape != shape:
            raise ShapeError(
                "Repeat needs a layer whose output is shaped like its input, "
                f"but {self.layer!r} maps {shape} to {out_shape}"
            )
        declared = map_specs(lambda spec: spec.stacked(self.n), self.layer._declared(shape))
        return {"layer": declared} if declared else {}

    def _compose(self, types: Any) -> Any:
        """The layer's own output, where that is just like its input."""
        refuse_cell(self.layer, shape_of(types))
        with within("layer"):
            out_types = freeze(trace(self.layer, types))
        return out_types if out_types == types else None

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Scan the layer over its stacked params and state."""
        out_types = trace(self.layer, freeze(type_of(x)))
        x = map_nest(lambda a, like: cast(a, jnp.dtype(like.dtype), every=True), x, out_types)

        def step(carry: tuple, slices: tuple) -> tuple:
            x, mask = by_rows(carry)
            params, state, i = slices
            key = None if ctx.rng is None else jax.random.fold_in(ctx.at("layer").key(self), i)
            inside = ctx.in_scan()
            out = inside.run_alone("layer", self.layer, {"layer": params}, x, mask, state=state, key=key)
            return (out.y, out.mask), (out.state, out.losses, inside.seen())

        if self.remat:
            step = jax.checkpoint(step)
        slices = (params.get("layer", {}), ctx.state.get("layer", {}), jnp.arange(self.n))
        (y, mask), (state, losses, seen) = varying.scan(step, (x, ctx.mask), slices)
        ctx.add_seen(seen)
        return Out(y, {"layer": state} if state else {}, mask, tuple(jnp.sum(loss, axis=0) for loss in losses))
