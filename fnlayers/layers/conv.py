"""Convolutions. All options and the maths stand once, in `Conv`; the others fix the number of axes."""

from typing import Any, ClassVar

from fnlayers import ops
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import known, per_axis
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.bases import (
    FORMATS,
    activate,
    add_bias,
    channel_axis,
    check_activation,
    check_choice,
    check_count,
    check_fits,
    check_rank,
    kernel_and_bias,
    layout_of,
)


@layerclass
class Conv(Layer):
    """y = activation(x * kernel + bias), where * slides the kernel over the space axes without flipping it.

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
    kernel_size: int | tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    padding: str = "valid"
    data_format: str | None = None
    dilation_rate: int | tuple[int, ...] = 1
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
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """Options that no input could make sense of."""
        check_count(self, "filters")
        check_count(self, "groups")
        check_choice(self, "padding", self.paddings)
        check_choice(self, "data_format", FORMATS)
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
        """Kernel and bias."""
        channels = known(shape, channel_axis(self), "channels") // self.groups
        window = per_axis(self.kernel_size, self.rank)
        return kernel_and_bias(self, (*window, channels, self.filters), (*("space",) * self.rank, "in", "out"))

    def call(self, params: Any, x: Any) -> Any:
        """One convolution."""
        strides, dilation = per_axis(self.strides, self.rank), per_axis(self.dilation_rate, self.rank)
        data_format = self.data_format or "channels_last"
        y = ops.conv(x, params["kernel"], strides, self.padding, dilation, self.groups, data_format)
        return activate(self.activation, add_bias(params, y, data_format))


@layerclass
class Conv1D(Conv):
    """Convolution over time. See `Conv`."""

    rank: ClassVar[int] = 1
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same", "causal")


@layerclass
class Conv2D(Conv):
    """Convolution over height and width. See `Conv`."""

    rank: ClassVar[int] = 2


@layerclass
class Conv3D(Conv):
    """Convolution over depth, height and width. See `Conv`."""

    rank: ClassVar[int] = 3


def check_window(layer: Any) -> None:
    """Raise ConfigError unless kernel_size, strides and dilation_rate fit the number of axes and each other."""
    window = {name: per_axis(getattr(layer, name), layer.rank, f"{type(layer).__name__}: {name}")
              for name in ("kernel_size", "strides", "dilation_rate")}  # fmt: skip
    if max(window["strides"]) > 1 and max(window["dilation_rate"]) > 1:
        raise ConfigError(f"{layer!r}: strides and dilation_rate cannot both be above 1; use one of them")
