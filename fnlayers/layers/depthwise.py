"""Depthwise and separable convolutions: each channel by itself, then, in the separable ones, the channels mixed."""

from collections.abc import Sequence
from typing import Any, ClassVar

from fnlayers import ops
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import DataFormat, Padding
from fnlayers.core.shapes import known, per_axis
from fnlayers.core.spec import Param
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
    layout_of,
    option_param,
)

__all__ = [
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D",
    "SeparableConvolution2D",
]  # fmt: skip


@layerclass
class DepthwiseConv(Layer):
    """y = activation(x * depthwise_kernel + bias), where each channel is convolved by itself, depth_multiplier times.

    Arguments:
        kernel_size, strides, padding, data_format, dilation_rate: as in `Conv`.
        depth_multiplier: how many outputs each channel has.
        activation, use_bias, bias_initializer, bias_regularizer, bias_constraint, activity_regularizer: as in `Conv`.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: of the kernel.

    Shapes: (batch, *space, channels) -> (batch, *space', channels * depth_multiplier), or channels first.
    Weights: kernel (*kernel_size, channels, depth_multiplier), bias (channels * depth_multiplier,).
    Mask: refused; windows mix steps.
    """

    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = "valid"
    depth_multiplier: int = 1
    data_format: DataFormat | None = None
    dilation_rate: int | Sequence[int] = 1
    activation: Activation = None
    use_bias: bool = True
    depthwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    depthwise_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    depthwise_constraint: Constraint = None
    bias_constraint: Constraint = None

    rank: ClassVar[int]
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """Options that are wrong for every input."""
        _check_options(self)

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes, and at least one window."""
        _check_input(self, shape)

    def weights(self, shape: Shape) -> dict:
        kernel = _depthwise_kernel(self, shape)
        return {"kernel": kernel} | _bias(self, kernel.shape[-2] * kernel.shape[-1])

    def call(self, params: Any, x: Any) -> Any:
        y = ops.depthwise_conv(x, params["kernel"], *_options(self))
        return activate(self.activation, add_bias(self, params, y, self.data_format))


@layerclass
class DepthwiseConv1D(DepthwiseConv):
    """Depthwise convolution over time. See `DepthwiseConv`."""

    rank: ClassVar[int] = 1


@layerclass
class DepthwiseConv2D(DepthwiseConv):
    """Depthwise convolution over height and width. See `DepthwiseConv`."""

    rank: ClassVar[int] = 2


@layerclass
class SeparableConv(Layer):
    """y = activation((x * depthwise_kernel) @ pointwise_kernel + bias): channels by themselves, then mixed.

    Arguments:
        filters: the number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate: as in `Conv`.
        depth_multiplier: how many outputs each channel has before the channels are mixed.
        activation, use_bias, bias_initializer, bias_regularizer, bias_constraint, activity_regularizer: as in `Conv`.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint, pointwise_initializer,
            pointwise_regularizer, pointwise_constraint: of the kernels.

    Shapes: (batch, *space, channels) -> (batch, *space', filters), or channels first.
    Weights: depthwise_kernel (*kernel_size, channels, depth_multiplier), pointwise_kernel (*ones, channels *
        depth_multiplier, filters), bias (filters,).
    Mask: refused; windows mix steps.

    Reference: Chollet, Xception, 2017.
    """

    filters: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = "valid"
    data_format: DataFormat | None = None
    dilation_rate: int | Sequence[int] = 1
    depth_multiplier: int = 1
    activation: Activation = None
    use_bias: bool = True
    depthwise_initializer: Initializer = "glorot_uniform"
    pointwise_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    depthwise_regularizer: Regularizer = None
    pointwise_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    depthwise_constraint: Constraint = None
    pointwise_constraint: Constraint = None
    bias_constraint: Constraint = None

    rank: ClassVar[int]
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """Options that are wrong for every input."""
        check_count(self, "filters")
        _check_options(self)

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes, and at least one window."""
        _check_input(self, shape)

    def weights(self, shape: Shape) -> dict:
        """Two kernels and a bias."""
        depthwise = _depthwise_kernel(self, shape)
        mixed = (*(1,) * self.rank, depthwise.shape[-2] * depthwise.shape[-1], self.filters)
        pointwise = option_param(self, "pointwise", mixed, (*("space",) * self.rank, "in", "out"))
        return {"depthwise_kernel": depthwise, "pointwise_kernel": pointwise} | _bias(self, self.filters)

    def call(self, params: Any, x: Any) -> Any:
        y = ops.separable_conv(x, params["depthwise_kernel"], params["pointwise_kernel"], *_options(self))
        return activate(self.activation, add_bias(self, params, y, self.data_format))


@layerclass
class SeparableConv1D(SeparableConv):
    """Separable convolution over time. See `SeparableConv`."""

    rank: ClassVar[int] = 1


@layerclass
class SeparableConv2D(SeparableConv):
    """Separable convolution over height and width. See `SeparableConv`."""

    rank: ClassVar[int] = 2


def _check_options(layer: Any) -> None:
    check_count(layer, "depth_multiplier")
    check_activation(layer, "activation")
    check_window(layer, both=True)  # Keras: these take strides and dilation together, as Conv does not


def _check_input(layer: Any, shape: Shape) -> None:
    check_rank(layer, shape, layer.rank + 2, layout=layout_of(layer, layer.rank))
    known(shape, channel_axis(layer), "channels")
    check_fits(layer, shape, per_axis(layer.kernel_size, layer.rank), per_axis(layer.dilation_rate, layer.rank))


def _depthwise_kernel(layer: Any, shape: Shape) -> Param:
    window, channels = per_axis(layer.kernel_size, layer.rank), known(shape, channel_axis(layer), "channels")
    size = (*window, channels, layer.depth_multiplier)
    return option_param(layer, "depthwise", size, (*("space",) * layer.rank, "out", None))


def _bias(layer: Any, channels: int) -> dict[str, Param]:
    return {"bias": option_param(layer, "bias", (channels,), ("out",))} if layer.use_bias else {}


def _options(layer: Any) -> tuple[tuple[int, ...], Padding, tuple[int, ...], DataFormat]:
    """Strides, padding, dilation and format as `ops` takes them."""
    strides, dilation = per_axis(layer.strides, layer.rank), per_axis(layer.dilation_rate, layer.rank)
    return strides, layer.padding, dilation, layer.data_format or "channels_last"


# Keras's other names
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
