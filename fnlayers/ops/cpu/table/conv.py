"""Rows of convolutions."""

import math
import operator
from collections.abc import Callable
from typing import Any

import jax

from fnlayers.ops import reference
from fnlayers.ops.cpu import conv, conv_kernel_gradient
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import HAS_YNNPACK, ConvProblem
from fnlayers.ops.rows import Row

# jax 0.6 cannot transpose a scan whose body is computed again in the backward pass
TRANSPOSES_SCANS = jax.__version_info__ >= (0, 10)


def is_pointwise(p: ConvProblem, t: Limits) -> bool:
    """Whether the kernel has one tap."""
    return p.taps == p.groups == 1 and not p.is_padded


def is_light(p: ConvProblem, t: Limits) -> bool:
    """Whether a product takes longer than the plain call: of few channels, or of rows that must be gathered for it."""
    most: float = t.thin_multiplications if p.uses_ynnpack and p.channels <= t.thin_channels else 0
    if p.is_strided:
        always = math.inf if p.channels >= t.strided_channels else 0
        most = t.strided_multiplications if p.uses_ynnpack else always
    return not p.is_half_precision and 0 < p.multiplications < most


def fits_half_products(p: ConvProblem, t: Limits) -> bool:
    """Whether the gradient of a matrix is faster as two products."""
    sizes = p.channels == t.half_product_channels and p.out <= t.half_product_outputs
    return sizes and p.positions <= t.half_product_rows and p.positions * p.out >= t.half_product_elements


def is_depthwise(p: ConvProblem, t: Limits) -> bool:
    """Whether each channel is by itself: of several, or one that makes one along a line."""
    several = 1 < p.channels == p.groups and p.taps <= t.unrolled_taps
    return several or (p.rank == p.out == 1 and has_single_channel(p, t))


def has_single_channel(p: ConvProblem, t: Limits) -> bool:
    """Whether a single channel makes few, at positions enough."""
    few = p.channels == 1 and p.out <= t.single_channel_outputs and 1 < p.taps <= t.unrolled_taps
    return few and not 0 < p.positions <= t.few_positions


def is_large(p: ConvProblem, t: Limits) -> bool:
    """Whether YNNPACK would take it and be the slower one, and would not if y had one element more along an axis."""
    slow = HAS_YNNPACK and not p.is_half_precision and p.rank == 2 and p.window.strides == (1, 1)
    slow = slow and max(p.channels, p.out) > t.padded_channels and not any(map(operator.gt, p.sizes, p.space))
    least = t.padded_multiplications_an_output * (1 if p.uses_ynnpack else 4)
    return slow and p.multiplications >= t.padded_multiplications and p.channels * p.taps >= least


def is_thin(p: ConvProblem, t: Limits) -> bool:
    """Whether x has so few channels that a convolution is slow, and im2col's matrix stays in the cache."""
    if p.rank > 2 or (p.rank == 2 and p.uses_ynnpack):
        return False
    return p.channels <= t.thin_channels and stays_in_cache(p, t)


def stays_in_cache(p: ConvProblem, t: Limits) -> bool:
    """Whether im2col's matrix does, for a kernel of several taps."""
    return 0 < p.positions * p.taps * p.channels <= t.im2col_elements and 1 < p.taps <= t.unrolled_taps


def is_line(p: ConvProblem, t: Limits) -> bool:
    """Whether x has one spatial axis, and few examples or channels."""
    if p.rank != 1 or p.taps > t.unrolled_taps:
        return False
    thin = p.channels <= (t.line_channels if p.out > t.line_channels else t.thin_channels)
    few = t.few_line_examples if p.uses_ynnpack else t.few_examples
    return is_small(p, few, t) or (thin and stays_in_cache(p, t))


def is_small(p: ConvProblem, examples: int, t: Limits) -> bool:
    """Whether there are fewer examples than that, and copies stay in the cache."""
    copied = 0 < p.elements <= t.copied_elements and 0 < p.positions * p.out <= 2 * t.copied_elements
    return 0 < p.batch < examples and copied


def has_many_positions(p: ConvProblem, t: Limits) -> bool:
    """Whether YNNPACK sums the gradient of a kernel over so many that it is slow. It takes no half precision."""
    if not p.uses_ynnpack or p.rank != 2 or p.taps > t.unrolled_taps:
        return False
    worth = not p.is_half_precision or p.channels * p.out > t.im2col_half_elements
    return p.out >= t.im2col_outputs and p.positions >= t.im2col_positions and worth


def is_narrow(p: ConvProblem, t: Limits) -> bool:
    """Whether a kernel of several taps, stride 1, makes few channels of not many more."""
    least, most = t.narrow_channels
    return p.taps > 1 and p.window.strides == (1, 1) and p.out <= t.narrow_outputs and least <= p.channels <= most


def has_few_examples(p: ConvProblem, t: Limits) -> bool:
    """Whether XLA's own code sums the gradient of a kernel over few examples of two spatial axes."""
    return not p.uses_ynnpack and p.rank == 2 and is_small(p, t.few_examples, t)


def im2col_settings(t: Limits, conv: Callable) -> dict[str, Any]:
    """The settings of `conv.im2col`."""
    return {"elements": t.im2col_elements, "tile_elements": t.im2col_tile_elements}


CONV = (
    Row(
        "light_product",
        when=lambda p, t: is_pointwise(p, t) and is_light(p, t),
        forward=reference.conv,
        because="a product of few channels, or of rows gathered from a strided x, takes 1.1 to 3 times as long forward",
        bench="pointwise",
    ),
    Row(
        "half_products",
        when=lambda p, t: is_pointwise(p, t) and fits_half_products(p, t),
        kernel_gradient=conv_kernel_gradient.half_products,
        because="rows of 64 channels, 256 bytes, conflict in the cache: products of 32 take 0.5 to 0.8 of the time",
        bench="pointwise",
    ),
    Row(
        "pointwise",
        when=is_pointwise,
        every=conv.pointwise,
        because="XLA's CPU backend runs a 1x1 window as a convolution, 1.5 to 12 times as long as the product",
        bench="pointwise",
    ),
    Row(
        "depthwise_by_rows",
        when=lambda p, t: is_depthwise(p, t) and TRANSPOSES_SCANS,
        kernel_gradient=conv_kernel_gradient.depthwise_by_rows,
        because="sums of whole arrays take 10 times as long as those that stay in the cache",
        bench="depthwise",
    ),
    Row(
        "depthwise",
        when=is_depthwise,
        forward=conv.depthwise,
        training=conv.depthwise,
        input_gradient=conv.depthwise_by_taps,
        kernel_gradient=conv.depthwise_by_taps,
        because="XLA's grouped convolution takes 35 ms for (8, 56, 56, 64), a sum of what taps meet 0.7 ms",
        bench="depthwise",
    ),
    Row(
        "grouped",
        when=lambda p, t: p.groups > 1,
        every=conv.grouped,
        settings=lambda t, conv: {
            "conv": conv,
            "channels": t.instruction_channels,
            "convolutions": t.grouped_convolutions,
        },
        because="XLA's grouped convolution takes most of a second for a step of two layers of 16 groups",
        bench="grouped",
    ),
    Row(
        "conv3d_as_conv2d",
        when=lambda p, t: p.rank == 3,
        every=conv.conv3d_as_conv2d,
        settings=lambda t, conv: {"conv": conv},
        because="XLA runs three spatial axes by a generic loop, 3 to 10 times as long",
        bench="conv3d_as_conv2d",
    ),
    Row(
        "single_channel",
        when=has_single_channel,
        forward=conv.depthwise,
        because="a convolution of one channel takes 1.6 to 20 times as long as a sum of what taps meet in it",
        bench="direct",
    ),
    Row(
        "thin_line",
        when=lambda p, t: p.rank == 1 and is_thin(p, t),
        forward=conv.im2col,
        settings=im2col_settings,
        because="a convolution along one axis takes as long for 1 to 4 channels as for 16: a product 0.3 to 0.9 of it",
        bench="line",
    ),
    Row(
        "pad_past_input",
        when=is_large,
        forward=conv.pad_past_input,
        because="YNNPACK has 145 GFLOP/s where XLA's own code has 260, and absorbs convolutions that a mean follows",
        bench="direct",
    ),
    Row(
        "thin_im2col",
        when=lambda p, t: is_thin(p, t) or (is_line(p, t) and p.window.strides[0] > 1),
        training=conv.im2col,
        input_gradient=conv.im2col,
        settings=im2col_settings,
        because="the gradient of an x of 1 to 4 channels, or strided along one axis, is slow: by im2col 0.3 to 0.85",
        bench="line",
    ),
    Row(
        "xla_convolution",
        when=lambda p, t: not p.uses_ynnpack,
        training=reference.conv,
        because="XLA's own convolutions need no barrier against YNNPACK: padding x takes 1.0 to 1.1 of a step's time",
        bench="direct",
    ),
    Row(
        "line_im2col",
        when=is_line,
        kernel_gradient=conv.im2col,
        settings=im2col_settings,
        because="along one axis, of few examples or channels, the gradient by im2col takes 0.7 to 0.9 of the time",
        bench="line",
    ),
    Row(
        "im2col",
        when=has_many_positions,
        kernel_gradient=conv.im2col,
        settings=im2col_settings,
        because="YNNPACK has 36 GFLOP/s for the gradient of a kernel of 64 channels, im2col and a product 60 to 110",
        bench="direct",
    ),
    Row(
        "thin_im2col_to_many",
        when=lambda p, t: not p.uses_ynnpack and is_thin(p, t) and p.out >= t.thin_outputs,
        kernel_gradient=conv.im2col,
        settings=im2col_settings,
        because="XLA's own gradient of a kernel of 1 to 4 channels is slow where they make many: 0.3 to 0.85 of a step",
        bench="direct",
    ),
    Row(
        "half_im2col",
        when=lambda p, t: has_few_examples(p, t) and is_narrow(p, t) and not p.is_half_precision,
        kernel_gradient=conv_kernel_gradient.half_im2col,
        because="XLA's own code sums the gradient along the batch: of few examples one product takes 0.3 to 0.6",
        bench="direct",
    ),
    Row(
        "row_tiles",
        when=lambda p, t: has_few_examples(p, t) and not is_narrow(p, t) and p.sizes[0] > 1,
        kernel_gradient=conv_kernel_gradient.row_tiles,
        settings=lambda t, conv: {"examples": t.few_examples},
        because="XLA's own code sums the gradient along the batch: tiles take 0.4 of it for one or two examples",
        bench="direct",
    ),
)
