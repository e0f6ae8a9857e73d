"""Pooling: windows over space reduced to their maximum or mean, and whole maps reduced to one number a channel."""

from collections.abc import Sequence
from typing import Any, ClassVar

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import DataFormat, Padding
from fnlayers.core.shapes import known, per_axis
from fnlayers.layers.common import check_fits, check_rank, layout_of, space_of

__all__ = [
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D", "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    "MaxPool1D", "MaxPool2D", "MaxPool3D", "AvgPool1D", "AvgPool2D", "AvgPool3D", "GlobalMaxPool1D",
    "GlobalMaxPool2D", "GlobalMaxPool3D", "GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D",
]  # fmt: skip


@layerclass
class Pool(Layer):
    """Each window of the spatial axes reduced to one number a channel.

    Arguments:
        pool_size: the window, one number for all axes or one for each.
        strides: the step of the window; None: its size.
        padding: "valid" (whole windows only) or "same" (ceil(space / strides) outputs; padding counts neither in
            a maximum nor in a mean).
        data_format: "channels_last" (the default) or "channels_first".

    Shapes: (batch, *space, channels) -> (batch, *space', channels), or channels first; space' = (space - pool_size) //
        strides + 1 under valid, ceil(space / strides) under same.
    Mask: refused; windows mix steps.
    """

    pool_size: int | Sequence[int]
    strides: int | Sequence[int] | None = None
    padding: Padding = "valid"
    data_format: DataFormat | None = None

    rank: ClassVar[int]
    takes: ClassVar[str] = "ordered"

    def check(self) -> None:
        """Options that are wrong for every input."""
        per_axis(self.pool_size, self.rank, f"{type(self).__name__}: pool_size")
        if self.strides is not None:
            per_axis(self.strides, self.rank, f"{type(self).__name__}: strides")

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes, and at least one window."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))
        check_fits(self, shape, per_axis(self.pool_size, self.rank), (1,) * self.rank)

    def options(self) -> tuple[tuple[int, ...], tuple[int, ...], Padding, DataFormat]:
        """Window, strides, padding and format as `ops` takes them."""
        window = per_axis(self.pool_size, self.rank)
        strides = window if self.strides is None else per_axis(self.strides, self.rank)
        return window, strides, self.padding, self.data_format or "channels_last"


@layerclass
class MaxPool(Pool):
    """The maximum of each window. See `Pool`."""

    pool_size: int | Sequence[int] = 2

    def call(self, params: Any, x: Any) -> Any:
        return ops.max_pool(x, *self.options())


@layerclass
class AveragePool(Pool):
    """The mean of each window, summed in float32. See `Pool`."""

    def call(self, params: Any, x: Any) -> Any:
        return ops.average_pool(x, *self.options())


@layerclass
class MaxPooling1D(MaxPool):
    """The maximum of each window of steps. See `Pool`."""

    rank: ClassVar[int] = 1


@layerclass
class MaxPooling2D(MaxPool):
    """The maximum of each window of height and width. See `Pool`."""

    rank: ClassVar[int] = 2


@layerclass
class MaxPooling3D(MaxPool):
    """The maximum of each window of depth, height and width. See `Pool`."""

    rank: ClassVar[int] = 3


@layerclass
class AveragePooling1D(AveragePool):
    """The mean of each window of steps. See `Pool`."""

    rank: ClassVar[int] = 1


@layerclass
class AveragePooling2D(AveragePool):
    """The mean of each window of height and width. See `Pool`."""

    rank: ClassVar[int] = 2


@layerclass
class AveragePooling3D(AveragePool):
    """The mean of each window of depth, height and width. See `Pool`."""

    rank: ClassVar[int] = 3


@layerclass
class GlobalPool(Layer):
    """Each channel's whole map reduced to one number.

    Arguments:
        data_format: "channels_last" (the default) or "channels_first".
        keepdims: whether to keep the spatial axes, with size 1.

    Shapes: (batch, *space, channels) -> (batch, channels), or (batch, 1, ..., channels) with
        keepdims; or channels first.
    Mask: refused, but used and ended by GlobalAveragePooling1D.
    """

    data_format: DataFormat | None = None
    keepdims: bool = False

    rank: ClassVar[int]
    takes: ClassVar[str] = "ordered"

    def check(self) -> None:
        """A known format."""

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))
        check_not_empty(self, shape)


@layerclass
class GlobalMaxPool(GlobalPool):
    """The maximum of each channel. See `GlobalPool`."""

    def call(self, params: Any, x: Any) -> Any:
        return ops.global_max_pool(x, self.keepdims, self.data_format or "channels_last")


@layerclass
class GlobalAveragePool(GlobalPool):
    """The mean of each channel, summed in float32. See `GlobalPool`."""

    def call(self, params: Any, x: Any) -> Any:
        return ops.global_average_pool(x, self.keepdims, self.data_format or "channels_last")


@layerclass
class GlobalMaxPooling1D(GlobalMaxPool):
    """The maximum over steps. See `GlobalPool`."""

    rank: ClassVar[int] = 1


@layerclass
class GlobalMaxPooling2D(GlobalMaxPool):
    """The maximum over height and width. See `GlobalPool`."""

    rank: ClassVar[int] = 2


@layerclass
class GlobalMaxPooling3D(GlobalMaxPool):
    """The maximum over depth, height and width. See `GlobalPool`."""

    rank: ClassVar[int] = 3


@layerclass
class GlobalAveragePooling1D(GlobalPool):
    """The mean over steps. See `GlobalPool`.

    Mask: used and ended: the mean is over the valid steps; of a sequence without any it is 0 (Keras: NaN).
    """

    rank: ClassVar[int] = 1

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """One reduction over the valid steps."""
        return Out(ops.global_average_pool(x, self.keepdims, self.data_format or "channels_last", ctx.mask))


@layerclass
class GlobalAveragePooling2D(GlobalAveragePool):
    """The mean over height and width. See `GlobalPool`."""

    rank: ClassVar[int] = 2


@layerclass
class GlobalAveragePooling3D(GlobalAveragePool):
    """The mean over depth, height and width. See `GlobalPool`."""

    rank: ClassVar[int] = 3


@layerclass
class AdaptivePool(Layer):
    """Each channel's map reduced to a map of a given size, whatever the input's: windows that cover it evenly.

    Arguments:
        output_size: the size of the output, one number for all spatial axes or one for each.
        data_format: "channels_last" (the default) or "channels_first".

    Shapes: (batch, *space, channels) -> (batch, *output_size, channels), or channels first; output position i covers
        the input from floor(i space / size) to ceil((i + 1) space / size). The spatial axes must be known.
    Mask: refused; windows mix steps.
    """

    output_size: int | Sequence[int]
    data_format: DataFormat | None = None

    rank: ClassVar[int]
    takes: ClassVar[str] = "ordered"

    def check(self) -> None:
        """Positive sizes, a known format."""
        per_axis(self.output_size, self.rank, f"{type(self).__name__}: output_size")

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes, known where windows depend on them."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))
        first = 2 if self.data_format == "channels_first" else 1
        for axis in range(first, first + self.rank):
            known(shape, axis, "space")
        check_not_empty(self, shape)

    def options(self) -> tuple[tuple[int, ...], DataFormat]:
        """Size and format as `ops` takes them."""
        return per_axis(self.output_size, self.rank), self.data_format or "channels_last"


@layerclass
class AdaptiveMaxPool(AdaptivePool):
    """The maximum of each window. See `AdaptivePool`."""

    def call(self, params: Any, x: Any) -> Any:
        return ops.adaptive_max_pool(x, *self.options())


@layerclass
class AdaptiveAveragePool(AdaptivePool):
    """The mean of each window, summed in float32. See `AdaptivePool`."""

    def call(self, params: Any, x: Any) -> Any:
        return ops.adaptive_average_pool(x, *self.options())


@layerclass
class AdaptiveMaxPooling1D(AdaptiveMaxPool):
    """The maximum of even windows of steps. See `AdaptivePool`."""

    rank: ClassVar[int] = 1


@layerclass
class AdaptiveMaxPooling2D(AdaptiveMaxPool):
    """The maximum of even windows of height and width. See `AdaptivePool`."""

    rank: ClassVar[int] = 2


@layerclass
class AdaptiveMaxPooling3D(AdaptiveMaxPool):
    """The maximum of even windows of depth, height and width. See `AdaptivePool`."""

    rank: ClassVar[int] = 3


@layerclass
class AdaptiveAveragePooling1D(AdaptiveAveragePool):
    """The mean of even windows of steps. See `AdaptivePool`."""

    rank: ClassVar[int] = 1


@layerclass
class AdaptiveAveragePooling2D(AdaptiveAveragePool):
    """The mean of even windows of height and width. See `AdaptivePool`."""

    rank: ClassVar[int] = 2


@layerclass
class AdaptiveAveragePooling3D(AdaptiveAveragePool):
    """The mean of even windows of depth, height and width. See `AdaptivePool`."""

    rank: ClassVar[int] = 3


# Keras's other names
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D


def check_not_empty(layer: Layer, shape: Shape) -> None:
    """Raise ShapeError for an input without elements to take the mean or the maximum of."""
    if 0 in space_of(layer, shape):
        raise ShapeError(f"{layer!r} was given an input of shape {shape}, without elements to pool; give one with some")
