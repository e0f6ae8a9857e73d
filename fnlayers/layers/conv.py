"""Convolutions. All options and the maths are in `Conv`; the others fix the number of axes."""

from collections.abc import Sequence
from typing import Any, ClassVar

from fnlayers import ops
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import CausalPadding, DataFormat, Padding
from fnlayers.core.shapes import known, per_axis
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.common import (
    activate,
    add_bias,
    channel_axis,
    check_activation,
    check_count,
    check_fits,
    check_rank,
    check_window,
    kernel_and_bias,
    layout_of,
)

__all__ = [
    "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Convolution1D",
    "Convolution2D", "Convolution3D", "Convolution1DTranspose", "Convolution2DTranspose", "Convolution3DTranspose",
]  # fmt: skip


@layerclass
class Conv(Layer):
    """y = activation(x * kernel + bias), where * slides the kernel over the spatial axes without flipping it.

    Arguments:
        filters: the number of output channels.
        kernel_size: the window, one number for all axes or one for each.
        strides: the step of the window; likewise.
        padding: "valid" (no padding), "same" (as many outputs as inputs / strides, zeros around, the odd one at the
            end), and in 1-D "causal" (zeros before, so that no output sees what comes after it).
        data_format: "channels_last" (the default) or "channels_first".
        dilation_rate: the distance between the window's taps; not together with strides.
        groups: channels are cut into this many groups, each convolved by itself.
        activation: a name, a function, or None.
        use_bias: whether to add a bias to each channel.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint: as in Dense.

    Shapes: (batch, *space, channels) -> (batch, *space', filters), or (batch, channels, *space) -> (batch, filters,
        *space'); space' = (space - dilation_rate (kernel_size - 1) - 1) // strides + 1 under valid, ceil(space /
        strides) under same and causal.
    Weights: kernel (*kernel_size, channels / groups, filters), bias (filters,).
    Mask: refused; windows mix steps.
    """

    filters: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: CausalPadding = "valid"
    data_format: DataFormat | None = None
    dilation_rate: int | Sequence[int] = 1
    groups: int = 1
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    rank: ClassVar[int]
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """Options that are wrong for every input."""
        check_count(self, "filters")
        check_count(self, "groups")
        check_activation(self, "activation")
        check_window(self)
        if self.filters % self.groups:
            raise ConfigError(f"{self!r}: groups={self.groups} does not divide filters={self.filters}")

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes, whole groups, and at least one window."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))
        channels = known(shape, channel_axis(self), "channels")
        if channels % self.groups:
            divisors = [n for n in range(1, channels + 1) if channels % n == 0 and self.filters % n == 0]
            raise ShapeError(
                f"{self!r}: groups={self.groups} does not divide the {channels} input channels; choose groups from "
                f"{', '.join(map(str, divisors))}"
            )
        check_fits(self, shape, per_axis(self.kernel_size, self.rank), per_axis(self.dilation_rate, self.rank))

    def weights(self, shape: Shape) -> dict:
        channels = known(shape, channel_axis(self), "channels") // self.groups
        window = per_axis(self.kernel_size, self.rank)
        return kernel_and_bias(self, (*window, channels, self.filters), (*("space",) * self.rank, "in", "out"))

    def call(self, params: Any, x: Any) -> Any:
        strides, dilation = per_axis(self.strides, self.rank), per_axis(self.dilation_rate, self.rank)
        data_format = self.data_format or "channels_last"
        y = ops.conv(x, params["kernel"], strides, self.padding, dilation, self.groups, data_format)
        return activate(self.activation, add_bias(self, params, y, data_format))


@layerclass
class Conv1D(Conv):
    """Convolution over time. See `Conv`."""

    rank: ClassVar[int] = 1


@layerclass
class Conv2D(Conv):
    """Convolution over height and width. See `Conv`."""

    padding: Padding = "valid"

    rank: ClassVar[int] = 2


@layerclass
class Conv3D(Conv):
    """Convolution over depth, height and width. See `Conv`."""

    padding: Padding = "valid"

    rank: ClassVar[int] = 3


@layerclass
class ConvTranspose(Layer):
    """The transpose of a convolution: each input element adds its value times the kernel to the output, strides apart.

    Arguments:
        filters: the number of output channels.
        kernel_size: the window, one number for all axes or one for each.
        strides: how many output positions apart neighboring input positions are; likewise.
        padding: "valid" (the output covers all that the kernel reaches) or "same" (space' = space * strides).
        output_padding: positions added at the end of each spatial axis, below strides; None: what padding says.
        data_format: "channels_last" (the default) or "channels_first".
        dilation_rate: the distance between the kernel's taps; not together with strides.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as in `Conv`.

    Shapes: (batch, *space, channels) -> (batch, *space', filters), or channels first.
    Weights: kernel (*kernel_size, filters, channels), bias (filters,).
    Mask: refused; windows mix steps.

    Reference: Zeiler, Krishnan, Taylor, Fergus, Deconvolutional Networks, 2010.
    """

    filters: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = "valid"
    output_padding: int | Sequence[int] | None = None
    data_format: DataFormat | None = None
    dilation_rate: int | Sequence[int] = 1
    activation: Activation = None
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    rank: ClassVar[int]
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """Options that are wrong for every input."""
        check_count(self, "filters")
        check_activation(self, "activation")
        check_window(self)
        if self.output_padding is not None:
            extra = per_axis(self.output_padding, self.rank, f"{type(self).__name__}: output_padding", least=0)
            if any(e >= s for e, s in zip(extra, per_axis(self.strides, self.rank), strict=True)):
                raise ConfigError(f"{self!r}: output_padding must be below strides")

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))
        known(shape, channel_axis(self), "channels")

    def weights(self, shape: Shape) -> dict:
        """Kernel, with its output channels before its input channels as in Keras, and bias."""
        channels = known(shape, channel_axis(self), "channels")
        window, axes = per_axis(self.kernel_size, self.rank), (*("space",) * self.rank, "out", "in")
        return kernel_and_bias(self, (*window, self.filters, channels), axes, bias_axis=-2)

    def call(self, params: Any, x: Any) -> Any:
        rank, data_format = self.rank, self.data_format or "channels_last"
        extra = None if self.output_padding is None else per_axis(self.output_padding, rank, least=0)
        strides, dilation = per_axis(self.strides, rank), per_axis(self.dilation_rate, rank)
        y = ops.conv_transpose(x, params["kernel"], strides, self.padding, extra, dilation, data_format)
        return activate(self.activation, add_bias(self, params, y, data_format))


@layerclass
class Conv1DTranspose(ConvTranspose):
    """Transposed convolution over time. See `ConvTranspose`."""

    rank: ClassVar[int] = 1


@layerclass
class Conv2DTranspose(ConvTranspose):
    """Transposed convolution over height and width. See `ConvTranspose`."""

    rank: ClassVar[int] = 2


@layerclass
class Conv3DTranspose(ConvTranspose):
    """Transposed convolution over depth, height and width. See `ConvTranspose`."""

    rank: ClassVar[int] = 3


# Keras's other names
Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
