"""Convolutions over one to three spatial axes: plain, depthwise, separable and transposed.

All share Keras's layouts: x is (batch, *space, channels) or (batch, channels, *space), a kernel is (*window, ...) in
both. The rank is x.ndim - 2; strides and dilation are tuples of that length, counted in elements. "same" gives
ceil(size / stride) positions and puts the odd zero of padding at the end; "causal" pads at the start only, so that a
step sees no later one.
"""

import functools
import math
from typing import Any, get_args

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.kinds import CausalPadding, DataFormat, Padding
from fnlayers.ops import reference
from fnlayers.ops.dispatch import dispatch
from fnlayers.ops.layout import channel_axis, check_choice, check_space, space_axes
from fnlayers.ops.problem import ConvProblem, ConvTransposeProblem
from fnlayers.ops.reference import TransposedWindow, Window


def conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, ...],
    padding: CausalPadding,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: DataFormat = "channels_last",
) -> jax.Array:
    """y[p, o] = sum over taps q and channels i of x[p stride + q dilation - pad, i] kernel[q, i, o].

    Shapes: kernel (*window, in / groups, out), y (batch, *new_space, out). With `groups` the channels in and out are
    cut into that many runs, each of which sees only its own.
    """
    window = Window(strides, _padding(x, kernel, strides, padding, dilation, data_format), dilation, groups)
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    problem = ConvProblem.of(x, kernel, window, channel_axis(data_format)) if floating else None
    plain = functools.partial(reference.conv, window=window, data_format=data_format)
    return dispatch(plain, problem, x, kernel)


def depthwise_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, ...],
    padding: CausalPadding,
    dilation: tuple[int, ...],
    data_format: DataFormat = "channels_last",
) -> jax.Array:
    """Each channel convolved by itself, with `multiplier` kernels.

    Output channel i * multiplier + m is channel i under its m-th kernel.

    Shapes: kernel (*window, channels, multiplier), y (batch, *new_space, channels * multiplier).
    """
    channels, multiplier = kernel.shape[-2:]
    kernel = kernel.reshape(kernel.shape[:-2] + (1, channels * multiplier))
    return conv(x, kernel, strides, padding, dilation, channels, data_format)


def separable_conv(
    x: jax.Array,
    depthwise_kernel: jax.Array,
    pointwise_kernel: jax.Array,
    strides: tuple[int, ...],
    padding: CausalPadding,
    dilation: tuple[int, ...],
    data_format: DataFormat = "channels_last",
) -> jax.Array:
    """A depthwise convolution over the spatial axes, then a convolution of window 1 over channels.

    Shapes: depthwise_kernel (*window, channels, multiplier), pointwise_kernel (1, ..., channels * multiplier, out).
    """
    ones = (1,) * (x.ndim - 2)
    y = depthwise_conv(x, depthwise_kernel, strides, padding, dilation, data_format)
    return conv(y, pointwise_kernel, ones, "valid", ones, 1, data_format)


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, ...],
    padding: Padding,
    output_padding: tuple[int, ...] | None,
    dilation: tuple[int, ...],
    data_format: DataFormat = "channels_last",
) -> jax.Array:
    """The transpose of `conv`: each element of x adds x * kernel to the window that starts at its index times stride.

    Shapes: kernel (*window, out, in). With w = (window - 1) dilation + 1, the new size is, for each spatial axis,
    "valid": (size - 1) stride + max(w, stride), or (size - 1) stride + w + output_padding;
    "same": size * stride, or (size - 1) stride + w % 2 + output_padding.
    """
    rank = _rank(x)
    check_choice("padding", padding, get_args(Padding))
    check_space("strides", strides, rank)
    check_space("dilation", dilation, rank)
    extra = (None,) * rank if output_padding is None else output_padding
    check_space("output_padding", extra, rank)
    pads = tuple(_transpose_padding(*a, padding) for a in zip(_spans(kernel, dilation), strides, extra, strict=True))
    window = TransposedWindow(strides, pads, dilation)
    problem = ConvTransposeProblem.of(x, kernel, window, channel_axis(data_format))
    plain = functools.partial(reference.conv_transpose, window=window, data_format=data_format)
    return dispatch(plain, problem, x, kernel)


def conv_output_size(size: int, window: int, stride: int, padding: CausalPadding, dilation: int) -> int:
    """The number of output positions of `conv`, or of a pooling, along one axis; 0 where the window does not fit."""
    check_choice("padding", padding, get_args(CausalPadding))
    span = (window - 1) * dilation + 1 if padding == "valid" else 1
    return max(math.ceil((size - span + 1) / stride), 0)


def _rank(x: jax.Array) -> int:
    """The number of spatial axes."""
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"a convolution has 1 to 3 spatial axes, not {x.ndim - 2}; x is (batch, *space, channels)")
    return x.ndim - 2


def _spans(kernel: jax.Array, dilation: tuple[int, ...]) -> tuple[int, ...]:
    """How many elements a dilated window covers, for each spatial axis."""
    return tuple((n - 1) * d + 1 for n, d in zip(kernel.shape[:-2], dilation, strict=True))


def _padding(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, ...],
    padding: CausalPadding,
    dilation: tuple[int, ...],
    data_format: DataFormat,
) -> Any:
    """The zeros before and after each spatial axis; lax's word for them, where sizes are not known."""
    rank = _rank(x)
    check_choice("padding", padding, get_args(CausalPadding if rank == 1 else Padding))
    check_space("strides", strides, rank)
    check_space("dilation", dilation, rank)
    if padding == "causal":
        return tuple((span - 1, 0) for span in _spans(kernel, dilation))
    space = [x.shape[axis] for axis in space_axes(x.ndim, data_format)]
    if not all(isinstance(size, int) for size in space):
        return padding.upper()
    return tuple(lax.padtype_to_pads(space, _spans(kernel, dilation), strides, padding.upper()))


def _transpose_padding(span: int, stride: int, extra: int | None, padding: Padding) -> tuple[int, int]:
    """How many zeros stand before and after the stretched input, so that a plain convolution gives Keras's numbers."""
    if padding == "valid":
        return span - 1, span - 1 + (max(stride - span, 0) if extra is None else extra)
    total = stride + span - 2 if extra is None else span + span % 2 - 2 + extra
    before = min((total + 1) // 2, span - 1)  # Keras: the odd zero stands before, which crops the output at its start
    return before, total - before
