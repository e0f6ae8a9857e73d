"""Regularization: noise in training, and losses on activations."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import is_shape
from fnlayers.functions.regularizers import L1L2
from fnlayers.layers.bases import (
    FORMATS,
    channel_axis,
    check_choice,
    check_rank,
    check_share,
    configured,
    layout_of,
    seeded,
)


@layerclass
class Dropout(Layer):
    """In training, y = x / (1 - rate) with probability 1 - rate and 0 otherwise; in inference, y = x.

    Arguments:
        rate: the share that is dropped, 0 to 1.
        noise_shape: the shape of the coins thrown; None in it means x's size, 1 that one coin serves that axis.
        seed: a number folded into the layer's key, to tell layers apart that a rng would treat alike.

    Shapes: unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, Dropout, 2014.
    """

    rate: float
    noise_shape: Sequence[int | None] | None = None
    seed: int | None = None

    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        """A share."""
        check_share(self, "rate")

    def check_shape(self, shape: Shape) -> None:
        """One coin shape for the input's axes."""
        check_noise_shape(self, shape)

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Drop in training."""
        check_float(self, x)
        if not ctx.train or self.rate == 0:
            return Out(x, mask=ctx.mask)
        return Out(ops.dropout(seeded(self, ctx), x, self.rate, self.noise_shape), mask=ctx.mask)


@layerclass
class SpatialDropout(Layer):
    """Dropout of whole channels. Base of SpatialDropout1D to 3D.

    Arguments:
        rate: the share of channels that is dropped, 0 to 1.
        seed: a number folded into the layer's key.

    Shapes: (batch, *space, channels) unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Tompson et al., Efficient Object Localization Using Convolutional Networks, 2015.
    """

    rate: float

    rank: ClassVar[int]
    passes_mask: ClassVar[bool] = True
    data_format = None  # a field in 2-D and 3-D, before the seed that all have

    def check(self) -> None:
        """A share, and a known format."""
        check_share(self, "rate")
        check_choice(self, "data_format", FORMATS)

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """One coin for each channel of each example."""
        check_float(self, x)
        if not ctx.train or self.rate == 0:
            return Out(x, mask=ctx.mask)
        space = (1,) * self.rank
        coins = (None, None, *space) if channel_axis(self) == 1 else (None, *space, None)
        return Out(ops.dropout(seeded(self, ctx), x, self.rate, coins), mask=ctx.mask)


@layerclass
class SpatialDropout1D(SpatialDropout):
    """Dropout of whole channels of a sequence. See `SpatialDropout`."""

    seed: int | None = None

    rank: ClassVar[int] = 1


@layerclass
class SpatialDropout2D(SpatialDropout):
    """Dropout of whole channels of an image. See `SpatialDropout`.

    Arguments:
        data_format: "channels_last" (the default) or "channels_first".
    """

    data_format: str | None = None
    seed: int | None = None

    rank: ClassVar[int] = 2


@layerclass
class SpatialDropout3D(SpatialDropout):
    """Dropout of whole channels of a volume. See `SpatialDropout`.

    Arguments:
        data_format: "channels_last" (the default) or "channels_first".
    """

    data_format: str | None = None
    seed: int | None = None

    rank: ClassVar[int] = 3


@layerclass
class AlphaDropout(Layer):
    """Dropout that keeps mean 0 and variance 1, for SELU: dropped cells take its floor, then all are scaled.

    Arguments:
        rate: the share that is dropped, 0 to 1.
        noise_shape: as in Dropout.
        seed: a number folded into the layer's key.

    Shapes: unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Klambauer, Unterthiner, Mayr, Hochreiter, Self-Normalizing Neural Networks, 2017.
    """

    rate: float
    noise_shape: Sequence[int | None] | None = None
    seed: int | None = None

    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        """A share."""
        check_share(self, "rate")

    def check_shape(self, shape: Shape) -> None:
        """One coin shape for the input's axes."""
        check_noise_shape(self, shape)

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Drop in training."""
        check_float(self, x)
        if not ctx.train or self.rate == 0:
            return Out(x, mask=ctx.mask)
        return Out(ops.alpha_dropout(seeded(self, ctx), x, self.rate, self.noise_shape), mask=ctx.mask)


@layerclass
class GaussianDropout(Layer):
    """In training, y = x n, with n normal of mean 1 and standard deviation sqrt(rate / (1 - rate)).

    Arguments:
        rate: the share that Dropout would drop, 0 to 1.
        seed: a number folded into the layer's key.

    Shapes: unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, Dropout, 2014.
    """

    rate: float
    seed: int | None = None

    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        """A share."""
        check_share(self, "rate")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Multiply in training."""
        check_float(self, x)
        if not ctx.train or self.rate == 0:
            return Out(x, mask=ctx.mask)
        return Out(ops.gaussian_dropout(seeded(self, ctx), x, self.rate), mask=ctx.mask)


@layerclass
class GaussianNoise(Layer):
    """In training, y = x + n, with n normal of mean 0.

    Arguments:
        stddev: the standard deviation of the noise, in the units of x.
        seed: a number folded into the layer's key.

    Shapes: unchanged.
    Random: in training, unless stddev is 0.
    Mask: passed on.
    """

    stddev: float
    seed: int | None = None

    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        """No negative deviation."""
        if isinstance(self.stddev, bool) or not isinstance(self.stddev, (int, float)) or not self.stddev >= 0:
            raise ConfigError(f"GaussianNoise: stddev={self.stddev!r} is wrong; give a number of at least 0")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Add in training."""
        check_float(self, x)
        if not ctx.train or self.stddev == 0:
            return Out(x, mask=ctx.mask)
        return Out(ops.gaussian_noise(seeded(self, ctx), x, self.stddev), mask=ctx.mask)


@layerclass
class ActivityRegularization(Layer):
    """y = x, with the loss (l1 sum |x| + l2 sum x^2) / batch size.

    Arguments:
        l1, l2: the factors.

    Shapes: unchanged.
    Mask: passed on.
    """

    l1: float = 0.0
    l2: float = 0.0

    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        """Factors that a regularizer takes."""
        configured(self, L1L2, self.l1, self.l2)

    @property
    def activity_regularizer(self) -> L1L2:
        """The rule that `Layer.run` applies to the output."""
        return L1L2(self.l1, self.l2)

    def call(self, params: Any, x: Any) -> Any:
        """X as it is."""
        return x


def check_float(layer: Layer, x: Any) -> None:
    """Raise ShapeError for integers, which cannot be scaled."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ShapeError(
            f"{layer!r} takes floating numbers, got {x.dtype}; cast them, or put the layer after an Embedding"
        )


def check_noise_shape(layer: Any, shape: Shape) -> None:
    """Raise ShapeError unless noise_shape, where given, speaks of each axis."""
    if layer.noise_shape is not None and is_shape(shape) and len(layer.noise_shape) != len(shape):
        raise ShapeError(f"{layer!r}: noise_shape has {len(layer.noise_shape)} axes, its input {len(shape)}")
