"""Places in a sequence: learned rows, fixed waves, or turns, for layers that do not see order by themselves.

Names and arguments are KerasHub's.
"""

from dataclasses import field
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import lax

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import known
from fnlayers.core.spec import Param
from fnlayers.functions.initializers import Initializer
from fnlayers.layers.attention.cache import (
    check_cache,
    check_room,
    first_position,
    next_position,
    position_state,
    within_room,
)
from fnlayers.layers.common import check_count, check_positive, check_rank, normal_axis

__all__ = ["PositionEmbedding", "SinePositionEncoding", "RotaryEmbedding"]


@layerclass
class Positional(Layer):
    """Base of the layers that depend on the positions of steps.

    Arguments:
        cache: for generation: go on counting positions from run to run, up to this many steps, after which the output
            is NaN; None: each run starts at position 0. See `fnlayers.cached`.

    State: with cache: place (): the number of steps seen.
    Mask: passed on.
    """

    cache: int | None = field(default=None, kw_only=True)

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"
    sequence_axis = -2  # a field of RotaryEmbedding

    def encoded(self, params: Any, x: Any, start: Any) -> Any:
        """The output for an x whose first step has the position `start`."""
        raise ConfigError(f"{type(self).__name__} defines no encoded(params, x, start)")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Count on from where the last run ended."""
        start, steps = first_position(self, ctx), x.shape[self.sequence_axis]
        y = within_room(self, self.encoded(params, x, start), start + steps)
        return Out(y, next_position(self, start, steps), ctx.mask)


@layerclass
class PositionEmbedding(Positional):
    """y[..., t, :] = embeddings[t]: a learned vector for each position. See `Positional`.

    Only the shape of x is used; add it to x.

    Arguments:
        sequence_length: the number of positions: the greatest number of steps.
        initializer: where the vectors start.

    Shapes: (batch, ..., steps, features) -> the same.
    Weights: embeddings (sequence_length, features).

    Reference: Gehring et al., Convolutional Sequence to Sequence Learning, 2017.
    """

    sequence_length: int
    initializer: Initializer = "glorot_uniform"

    def check(self) -> None:
        """Some positions, at least as many as the cache has."""
        check_count(self, "sequence_length")
        check_cache(self)
        if self.cache is not None and self.cache > self.sequence_length:
            raise ConfigError(
                f"{self!r} has no position for {self.cache} steps; give cache={self.sequence_length} or less"
            )

    def check_shape(self, shape: Shape) -> None:
        """No more steps than positions."""
        check_rank(self, shape, *range(2, 16), layout="(batch, ..., steps, features)")
        if shape[-2] is not None and shape[-2] > self.sequence_length:
            raise ShapeError(
                f"{self!r} has no position for {shape[-2]} steps; give no more, or a larger sequence_length"
            )
        check_room(self, shape[-2])

    def weights(self, shape: Shape) -> dict:
        """A row for each position."""
        sizes = (self.sequence_length, known(shape, -1, "features"))
        return {"embeddings": Param(sizes, self.initializer, axes=(None, "out")), **position_state(self)}

    def encoded(self, params: Any, x: Any, start: Any) -> Any:
        """The rows from the first step's on."""
        rows = lax.dynamic_slice_in_dim(params["embeddings"], start, x.shape[-2])
        return jnp.broadcast_to(rows, x.shape)


@layerclass
class SinePositionEncoding(Positional):
    """y[..., t, 2i] = sin(a), y[..., t, 2i + 1] = cos(a), with a = t / max_wavelength^(2i / features).

    See `Positional`. Only the shape of x is used; add it to x.

    Arguments:
        max_wavelength: the greatest wavelength divided by 2 pi, in steps.

    Shapes: (batch, ..., steps, features) -> the same.

    Reference: Vaswani et al., Attention Is All You Need, 2017.
    """

    max_wavelength: float = 10000

    def check(self) -> None:
        check_positive(self, "max_wavelength")
        check_cache(self)

    def check_shape(self, shape: Shape) -> None:
        check_rank(self, shape, *range(2, 16), layout="(batch, ..., steps, features)")
        check_room(self, shape[-2])

    def weights(self, shape: Shape) -> dict:
        return position_state(self)

    def encoded(self, params: Any, x: Any, start: Any) -> Any:
        """The waves from the first step's position on."""
        waves = ops.waves(*x.shape[-2:], start=start, wavelength=self.max_wavelength, dtype=x.dtype)
        return jnp.broadcast_to(waves, x.shape)


@layerclass
class RotaryEmbedding(Positional):
    """Pairs of features (x[i], x[i + features / 2]) rotated by t / scaling_factor / max_wavelength^(2i / features).

    See `Positional`. For queries and keys, before their product; attention with `rotary_wavelength` does so by itself.

    Arguments:
        max_wavelength: the greatest wavelength divided by 2 pi, in steps.
        scaling_factor: positions are divided by it, so that longer sequences stay within those of training.
        sequence_axis, feature_axis: which axes the steps and the features lie along.

    Shapes: unchanged; the number of features is even.

    Reference: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.
    """

    max_wavelength: float = 10000
    scaling_factor: float = 1.0
    sequence_axis: int = 1
    feature_axis: int = -1

    def check(self) -> None:
        check_positive(self, "max_wavelength")
        check_positive(self, "scaling_factor")
        check_cache(self)

    def check_shape(self, shape: Shape) -> None:
        """Two axes that the input has, an even number of features."""
        check_rank(self, shape, *range(2, 16))
        at = [normal_axis(self, axis, len(shape)) for axis in (self.sequence_axis, self.feature_axis)]
        if at[0] == at[1] or 0 in at:
            raise ShapeError(
                f"{self!r}: steps and features lie along two axes behind the batch, got {shape}; give (batch, ..., "
                "steps, ..., features)"
            )
        if known(shape, at[1], "features") % 2:
            raise ShapeError(f"{self!r} rotates pairs of features, so their number must be even, got {shape[at[1]]}")
        check_room(self, shape[at[0]])

    def weights(self, shape: Shape) -> dict:
        return position_state(self)

    def encoded(self, params: Any, x: Any, start: Any) -> Any:
        """Rotated from the first step's position on."""
        axes = self.sequence_axis, self.feature_axis
        return ops.rotate(x, start, self.max_wavelength, self.scaling_factor, *axes)
