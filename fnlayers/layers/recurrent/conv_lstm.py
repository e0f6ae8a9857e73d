"""LSTMs whose products are convolutions, over one to three spatial axes. All maths stands once, in `ConvLSTMCell`."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.layer import Shape, layerclass
from fnlayers.core.options import DataFormat, Padding, Seed
from fnlayers.core.shapes import known, per_axis
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.common import (
    activate,
    channel_axis,
    check_activation,
    check_choice,
    check_count,
    check_fits,
    check_fraction,
    check_rank,
    check_window,
    layout_of,
    space_of,
)
from fnlayers.layers.recurrent.base import FlatRecurrent
from fnlayers.layers.recurrent.cell import Cell, dropped, first_shape, recurrent_weights

__all__ = ["ConvLSTMCell", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]


@layerclass
class ConvLSTMCell(Cell):
    """c' = f c + i activation(g), h' = o activation(c'), with i, f, g, o from x * kernel + h * recurrent_kernel + bias.

    Here * slides a kernel over space: over x as the options say, over h with stride 1 and zeros around it, so that it
    keeps its size.

    Arguments:
        rank: the number of spatial axes, 1 to 3.
        filters: the number of channels of the state.
        kernel_size, strides, padding, data_format, dilation_rate: of the convolution of x, as in `Conv`; "valid" or
            "same". kernel_size is the recurrent kernel's too.
        activation: of g and c'; recurrent_activation: of the gates i, f, o.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: where the weights start.
        unit_forget_bias: whether the forget gate's bias starts at 1, so that the cell remembers.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint: of the weights.
        dropout, recurrent_dropout: the fractions of x and of h (before recurrent_kernel) dropped in training, the same
            elements at all steps.
        seed: a number folded into the layer's key.

    Shapes: (batch, *space, channels) -> (batch, *space', filters), or channels before space; space' as in `Conv`. The
        carry is (h, c), each of y's shape.
    Weights: kernel (*kernel_size, channels, 4 filters), recurrent_kernel (*kernel_size, filters, 4 filters), bias
        (4 filters,), in the order i, f, g, o.
    Random: in training, where a dropout is above 0.
    Mask: refused; the layer that scans the cell uses it.

    Reference: Shi et al., Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting, 2015.
    """

    rank: int
    filters: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = "valid"
    data_format: DataFormat | None = None
    dilation_rate: int | Sequence[int] = 1
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: Seed = None

    projects_before: ClassVar[bool | None] = True

    def check(self) -> None:
        """Options that are wrong for every input."""
        check_choice(self, "rank", (1, 2, 3))
        check_count(self, "filters")
        check_activation(self, "activation", "recurrent_activation")
        check_fraction(self, "dropout")
        check_fraction(self, "recurrent_dropout")
        check_window(self)

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes, and at least one window."""
        shape = first_shape(shape)
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))
        check_fits(self, shape, per_axis(self.kernel_size, self.rank), per_axis(self.dilation_rate, self.rank))

    def weights(self, shape: Shape) -> dict:
        """Four gates side by side in the channels out."""
        channels = known(first_shape(shape), channel_axis(self), "channels")
        return recurrent_weights(self, per_axis(self.kernel_size, self.rank), channels, self.filters, gates=4)

    def start(self, shape: Shape, dtype: Any) -> Any:
        """Zeros, in the size that the convolution of x leaves."""
        space = tuple(
            ops.conv_output_size(size, window, stride, self.padding, dilation)
            for size, window, stride, dilation in zip(space_of(self, shape), *self._options(), strict=True)
        )
        full = (shape[0], self.filters, *space) if channel_axis(self) == 1 else (shape[0], *space, self.filters)
        return jnp.zeros(full, dtype), jnp.zeros(full, dtype)

    def project(self, params: Any, xs: Any) -> Any:
        """Of x: x * kernel + bias."""
        _, strides, dilation = self._options()
        return self._conv(xs, params["kernel"], strides, self.padding, dilation, params.get("bias"))

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        return self.gates(carry, self.preactivate(params, carry, projected))

    def recurrence(self) -> ops.LinearRecurrence:
        return ops.LinearRecurrence(self.gates, self.preactivate)

    def preactivate(self, params: Any, carry: Any, projected: Any) -> Any:
        """What was projected + h * recurrent_kernel."""
        ones, h = (1,) * self.rank, dropped(params, "recurrent_dropout_mask", carry[0])
        return projected + self._conv(h, params["recurrent_kernel"], ones, "same", ones)

    def gates(self, carry: Any, preactivations: Any) -> tuple[Any, Any]:
        act, gate = partial(activate, self.activation), partial(activate, self.recurrent_activation)
        return ops.lstm_gates(carry[1], preactivations, act, gate, channel_axis(self))

    def _conv(self, xs: Any, kernel: Any, strides: Any, padding: Padding, dilation: Any, bias: Any = None) -> Any:
        """The convolution, and the bias where there is one, with all leading axes as one batch."""
        steps = xs.shape[: -self.rank - 1]
        x = xs.reshape(math.prod(steps), *xs.shape[-self.rank - 1 :])
        y = ops.conv(x, kernel, strides, padding, dilation, data_format=self._format)
        y = y if bias is None else ops.add_bias(y, bias, self._format)
        return y.reshape(*steps, *y.shape[1:])

    def output(self, carry: Any) -> Any:
        return carry[0]

    @property
    def _format(self) -> DataFormat:
        return self.data_format or "channels_last"

    def _options(self) -> tuple[tuple[int, ...], ...]:
        """Window, strides and dilation for each spatial axis."""
        options = (self.kernel_size, self.strides, self.dilation_rate)
        return tuple(per_axis(value, self.rank) for value in options)


@layerclass
class ConvLSTM(FlatRecurrent):
    """Base of the convolutional LSTMs over time. See `ConvLSTMCell` for the maths, `FlatRecurrent` for the rest.

    Arguments:
        activity_regularizer: a loss on the outputs, divided by the batch size.

    Shapes: (batch, time, *space, channels) -> (batch, *space', filters), or (batch, time, *space', filters) with
        return_sequences, or channels before space.
    """

    filters: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = "valid"
    data_format: DataFormat | None = None
    dilation_rate: int | Sequence[int] = 1
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: Seed = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool | int = False
    zero_output_for_mask: bool = False

    rank: ClassVar[int]
    cell_class: ClassVar[type] = ConvLSTMCell


@layerclass
class ConvLSTM1D(ConvLSTM):
    """Convolutional LSTM over time, for steps with one spatial axis. See `ConvLSTM`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = ConvLSTM1D(8, 3, padding="same")
        >>> params = layer.init(jax.random.key(0), (None, None, 16, 2))
        >>> layer.apply(params, jnp.ones((2, 5, 16, 2))).shape
        (2, 16, 8)
    """

    rank: ClassVar[int] = 1


@layerclass
class ConvLSTM2D(ConvLSTM):
    """Convolutional LSTM over time, for images. See `ConvLSTM`."""

    rank: ClassVar[int] = 2


@layerclass
class ConvLSTM3D(ConvLSTM):
    """Convolutional LSTM over time, for volumes. See `ConvLSTM`."""

    rank: ClassVar[int] = 3
