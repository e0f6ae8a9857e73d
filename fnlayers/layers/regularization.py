"""Regularization: noise in training, and losses on activations."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import DataFormat, Seed
from fnlayers.core.shapes import is_shape
from fnlayers.functions.regularizers import L1L2
from fnlayers.layers.common import (
    channel_axis,
    check_fraction,
    check_rank,
    configured,
    layout_of,
    seeded,
)

__all__ = [
    "Dropout", "StochasticDepth", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
    "GaussianDropout", "GaussianNoise", "ActivityRegularization",
]  # fmt: skip


@layerclass
class Noise(Layer):
    """Base of the layers that draw noise in training and are the identity in inference.

    Shapes: unchanged.
    Random: in training, unless the amount of noise (`rate` or `stddev`) is 0.
    Mask: passed on.
    """

    single_input: ClassVar[bool] = True
    amount: ClassVar[str] = "rate"  # the field that says how much noise there is
    passes_mask: ClassVar[bool] = True
    seed = None  # a field in all of them

    def noisy(self, key: Any, x: Any) -> Any:
        raise ConfigError(f"{type(self).__name__} defines no noisy(key, x)")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ShapeError(
                f"{self!r} takes floating numbers, got {x.dtype}; cast them, or put the layer after an Embedding"
            )
        quiet = not ctx.train or getattr(self, self.amount) == 0
        return Out(x if quiet else self.noisy(seeded(self, ctx), x), mask=ctx.mask)


@layerclass
class Dropout(Noise):
    """In training, y = x / (1 - rate) with probability 1 - rate and 0 otherwise; in inference, y = x.

    Arguments:
        rate: the fraction that is dropped, 0 to 1.
        noise_shape: the shape of what is drawn: None in it means the size of x on that axis, 1 that one draw is for the
            whole axis. With fewer axes than x it broadcasts over the last ones.
        seed: a number folded into the layer's key, to tell layers apart that a rng would treat alike.

    Shapes: unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, Dropout, 2014.
    """

    rate: float
    noise_shape: Sequence[int | None] | None = None
    seed: Seed = None

    def check(self) -> None:
        check_fraction(self, "rate")
        check_noise_sizes(self)

    def check_shape(self, shape: Shape) -> None:
        """A noise shape that broadcasts to the input."""
        check_noise_shape(self, shape)

    def noisy(self, key: Any, x: Any) -> Any:
        return ops.dropout(key, x, self.rate, self.noise_shape)


@layerclass
class StochasticDepth(Noise):
    """In training, whole examples are 0 with probability drop_path_rate, the others x / (1 - drop_path_rate).

    Of keras.applications' ConvNeXt, where x is the output of a residual branch, which is so left out.

    Arguments:
        drop_path_rate: the fraction of the examples that is dropped, 0 to 1.

    Shapes: unchanged.
    Random: in training, unless drop_path_rate is 0.
    Mask: passed on.

    Reference: Huang, Sun, Liu, Sedra, Weinberger, Deep Networks with Stochastic Depth, 2016.
    """

    drop_path_rate: float

    amount: ClassVar[str] = "drop_path_rate"

    def check(self) -> None:
        check_fraction(self, "drop_path_rate")

    def noisy(self, key: Any, x: Any) -> Any:
        """One draw for each example."""
        return ops.dropout(key, x, self.drop_path_rate, (None, *(1 for _ in x.shape[1:])))


@layerclass
class SpatialDropout(Noise):
    """Dropout of whole channels. Base of SpatialDropout1D to 3D.

    Arguments:
        rate: the fraction of channels that is dropped, 0 to 1.
        seed: a number folded into the layer's key.

    Shapes: (batch, *space, channels) unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Tompson et al., Efficient Object Localization Using Convolutional Networks, 2015.
    """

    rate: float

    rank: ClassVar[int]
    data_format = None  # a field in 2-D and 3-D, before the seed that all have

    def check(self) -> None:
        """A share, and a known format."""
        check_fraction(self, "rate")

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))

    def noisy(self, key: Any, x: Any) -> Any:
        """One draw for each channel of each example."""
        space = (1,) * self.rank
        drawn = (None, None, *space) if channel_axis(self) == 1 else (None, *space, None)
        return ops.dropout(key, x, self.rate, drawn)


@layerclass
class SpatialDropout1D(SpatialDropout):
    """Dropout of whole channels of a sequence. See `SpatialDropout`."""

    seed: Seed = None

    rank: ClassVar[int] = 1


@layerclass
class SpatialDropout2D(SpatialDropout):
    """Dropout of whole channels of an image. See `SpatialDropout`.

    Arguments:
        data_format: "channels_last" (the default) or "channels_first".
    """

    data_format: DataFormat | None = None
    seed: Seed = None

    rank: ClassVar[int] = 2


@layerclass
class SpatialDropout3D(SpatialDropout):
    """Dropout of whole channels of a volume. See `SpatialDropout`.

    Arguments:
        data_format: "channels_last" (the default) or "channels_first".
    """

    data_format: DataFormat | None = None
    seed: Seed = None

    rank: ClassVar[int] = 3


@layerclass
class AlphaDropout(Noise):
    """Dropout that keeps mean 0 and variance 1, for SELU: dropped elements get its lower bound, then all are scaled.

    Arguments:
        rate: the fraction that is dropped, 0 to 1.
        noise_shape: as in Dropout.
        seed: a number folded into the layer's key.

    Shapes: unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Klambauer, Unterthiner, Mayr, Hochreiter, Self-Normalizing Neural Networks, 2017.
    """

    rate: float
    noise_shape: Sequence[int | None] | None = None
    seed: Seed = None

    def check(self) -> None:
        check_fraction(self, "rate")
        check_noise_sizes(self)

    def check_shape(self, shape: Shape) -> None:
        """A noise shape that broadcasts to the input."""
        check_noise_shape(self, shape)

    def noisy(self, key: Any, x: Any) -> Any:
        return ops.alpha_dropout(key, x, self.rate, self.noise_shape)


@layerclass
class GaussianDropout(Noise):
    """In training, y = x n, with n normal of mean 1 and standard deviation sqrt(rate / (1 - rate)).

    Arguments:
        rate: the fraction that Dropout would drop, 0 to 1.
        seed: a number folded into the layer's key.

    Shapes: unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, Dropout, 2014.
    """

    rate: float
    seed: Seed = None

    def check(self) -> None:
        check_fraction(self, "rate")

    def noisy(self, key: Any, x: Any) -> Any:
        return ops.gaussian_dropout(key, x, self.rate)


@layerclass
class GaussianNoise(Noise):
    """In training, y = x + n, with n normal of mean 0.

    Arguments:
        stddev: the standard deviation of the noise, in the units of x.
        seed: a number folded into the layer's key.

    Shapes: unchanged.
    Random: in training, unless stddev is 0.
    Mask: passed on.
    """

    stddev: float
    seed: Seed = None

    amount: ClassVar[str] = "stddev"

    def check(self) -> None:
        if isinstance(self.stddev, bool) or not isinstance(self.stddev, (int, float)) or not self.stddev >= 0:
            raise ConfigError(f"GaussianNoise: stddev={self.stddev!r} is wrong; give a number of at least 0")

    def noisy(self, key: Any, x: Any) -> Any:
        return ops.gaussian_noise(key, x, self.stddev)


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

    single_input: ClassVar[bool] = True
    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        """Factors that a regularizer takes."""
        configured(self, L1L2, self.l1, self.l2)

    @property
    def activity_regularizer(self) -> L1L2:
        """The rule that `Layer.run` applies to the output."""
        return L1L2(self.l1, self.l2)

    def call(self, params: Any, x: Any) -> Any:
        return x


def check_noise_sizes(layer: Any) -> None:
    """Raise ConfigError unless noise_shape is None, or a tuple of sizes and None."""
    sizes = layer.noise_shape
    if sizes is None:
        return
    whole = isinstance(sizes, tuple) and all(n is None or (type(n) is int and n > 0) for n in sizes)
    if not whole:
        raise ConfigError(
            f"{type(layer).__name__}: noise_shape={sizes!r} is wrong; give a size of at least 1, or None for the "
            "input's, for each axis, such as (None, 1, None)"
        )


def check_noise_shape(layer: Any, shape: Shape) -> None:
    """Raise ShapeError unless noise_shape, where given, broadcasts to the input's shape."""
    if layer.noise_shape is None or not is_shape(shape):
        return
    noise = layer.noise_shape[: len(shape)]
    noise = tuple(shape[axis] if n is None else n for axis, n in enumerate(noise))
    ends = zip(reversed(noise), reversed(shape), strict=False)
    if len(layer.noise_shape) > len(shape) or not all(n in (1, size) or None in (n, size) for n, size in ends):
        raise ShapeError(
            f"{layer!r}: noise_shape={layer.noise_shape} does not broadcast to its input {tuple(shape)}; give a size, "
            "1 or None for each axis"
        )
