"""Which algorithm is taken for which problem on CPUs, why, and what measures it: all that is known of "when".

For each pass the first row that holds and names an algorithm for it is taken; where none does, the reference. Rows look
at problems and limits alone, algorithms at arrays.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import jax

from fnlayers.ops import reference
from fnlayers.ops.cpu import attention, conv, conv_kernel_gradient, conv_transpose, dense, fusion, pooling, scan
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import (
    HAS_YNNPACK,
    AttentionProblem,
    ConvProblem,
    ConvTransposeProblem,
    DenseScanProblem,
    PoolProblem,
)
from fnlayers.ops.program import Program
from fnlayers.ops.rows import Row

# jax 0.6 cannot transpose a scan whose body is computed again in the backward pass
TRANSPOSES_SCANS = jax.__version_info__ >= (0, 10)


# Products


def prefers_xla_products(program: Program, t: Limits) -> bool:
    """Whether XLA's own code is faster than YNNPACK for most multiplications of a program's products."""
    large = sum(count for rows, count in program.products.items() if rows >= t.product_rows)
    return program.wants_xla_products or large > program.products.total() - large


DOT = (
    Row(
        "one_matrix_product",
        when=lambda p, t: not p.is_of_matrices,
        every=dense.one_matrix_product,
        because="a product over (batch, steps, features) copies both arrays for the kernel's gradient: 0.5 to 0.6",
        bench="dense",
    ),
)


# Attention


def divides_weights(p: AttentionProblem, t: Limits) -> bool:
    """Whether keys are fewer than features, in a program: a call by itself would compile one."""
    return p.is_traced and p.has_few_keys


ATTENTION = (
    Row(
        "divided_weights",
        when=divides_weights,
        every=attention.divided_weights,
        because="of few keys weights are smaller than y, and so to divide: a training step of 16 steps takes 0.85",
        bench="attention",
    ),
)


# Recurrent layers


def has_large_steps(p: DenseScanProblem, t: Limits) -> bool:
    """Whether a step is large enough to train faster with the features before the batch.

    Of GRUs those whose last output alone is returned, since all outputs must be transposed again.
    """
    if not p.is_known or p.length == 1 or p.batch < t.least_scanned_batch:
        return False
    if p.features < t.least_scanned_features or p.units < t.least_scanned_units:
        return False
    if p.has_four_gates:
        return p.batch * p.units >= t.least_scanned_elements and not p.has_many_features
    return not p.call.loop.return_all


def has_few_rows(p: DenseScanProblem, t: Limits) -> bool:
    """Whether there are so few that reading the weights of x in each step takes longer than the step."""
    if not p.is_known:
        return False
    if p.has_four_gates:
        return p.batch == 1 or (p.has_many_features and p.batch < t.few_scanned_rows)
    return p.batch <= 2 and p.features * p.gates * p.units >= t.large_input_kernel


SCAN = (
    Row(
        "projected_inside",
        when=lambda p, t: p.before is None,
        every=reference.scan_projecting_inside,
        because="all steps' projections of x leave the cache, one step's stays: 0.75 of the time, 0.57 of the memory",
        bench="simple_rnn",
    ),
)
SCAN_DENSE = (
    Row(
        "single_gate",
        when=lambda p, t: p.gates == 1,
        every=scan.projected_before,
        because="the projection of x for a single gate is read as it lies, and need not be made in each step",
        bench="simple_rnn",
    ),
    Row(
        "features_major_forward",
        when=lambda p, t: has_large_steps(p, t) and p.batch >= t.large_scanned_batch,
        forward=scan.features_major,
        because="gates of the batch before the features lie apart, and each step packs its weights: 0.65 of the time",
        bench="lstm",
    ),
    Row(
        "features_major",
        when=has_large_steps,
        training=scan.features_major,
        because="each step sums the weights' gradients: one of 128 units on (64, 100, 64) trains in 0.65",
        bench="lstm",
    ),
    Row(
        "few_rows",
        when=has_few_rows,
        forward=scan.projected_before,
        because="each step of few rows reads the weights of x again: 0.4 to 0.9 of the time with one product before",
        bench="lstm",
    ),
    Row(
        "half_precision_steps",
        when=lambda p, t: p.has_four_gates and p.is_half_precision and p.features >= t.half_precision_features,
        forward=scan.projected_before,
        because="a product in half precision is slow in each step, its weights converted again: one before is faster",
        bench="lstm",
    ),
    Row(
        "small_steps",
        when=lambda p, t: p.is_known and (p.has_many_features or p.elements <= t.few_gate_elements),
        training=scan.projected_before,
        because="each small step sums the gradient of x's weights: 0.4 to 0.9 of the time with one product before",
        bench="lstm",
    ),
    Row(
        "few_rows_in_training",
        when=lambda p, t: p.is_known and p.batch <= t.few_scanned_rows and not p.has_four_gates,
        training=scan.projected_before,
        because="each step of few rows sums the gradient of x's weights: 0.4 to 0.9 with one product before",
        bench="gru",
    ),
    Row(
        "projected_inside",
        when=lambda p, t: True,
        every=scan.projected_inside,
        because="all steps' projections of x leave the cache, one step's stays: 0.75 of the time, 0.57 of the memory",
        bench="lstm",
    ),
)


# Convolutions


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


def has_halves(p: ConvProblem, t: Limits) -> bool:
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
    taken = HAS_YNNPACK and not p.is_half_precision and p.rank == 2 and p.window.strides == (1, 1)
    taken = taken and max(p.channels, p.out) > t.padded_channels and not any(map(operator.gt, p.sizes, p.space))
    least = t.padded_multiplications_an_output * (1 if p.uses_ynnpack else 4)
    return taken and p.multiplications >= t.padded_multiplications and p.channels * p.taps >= least


def is_thin(p: ConvProblem, t: Limits) -> bool:
    """Whether x has so few channels that a convolution can do little with them, and its columns stay in the cache."""
    if p.rank > 2 or (p.rank == 2 and p.uses_ynnpack):
        return False
    return p.channels <= t.thin_channels and stays_in_cache(p, t)


def stays_in_cache(p: ConvProblem, t: Limits) -> bool:
    """Whether all columns of a kernel of several taps do."""
    return 0 < p.positions * p.taps * p.channels <= t.column_elements and 1 < p.taps <= t.unrolled_taps


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
    worth = not p.is_half_precision or p.channels * p.out > t.column_half_elements
    return p.out >= t.column_outputs and p.positions >= t.column_positions and worth


def is_narrow(p: ConvProblem, t: Limits) -> bool:
    """Whether a kernel of several taps, stride 1, makes few channels of not many more."""
    least, most = t.narrow_channels
    return p.taps > 1 and p.window.strides == (1, 1) and p.out <= t.narrow_outputs and least <= p.channels <= most


def has_few_examples(p: ConvProblem, t: Limits) -> bool:
    """Whether XLA's own code sums the gradient of a kernel over few examples of two spatial axes."""
    return not p.uses_ynnpack and p.rank == 2 and is_small(p, t.few_examples, t)


def of_columns(t: Limits, conv: Callable) -> dict[str, Any]:
    """The settings of `conv.im2col`."""
    return {"elements": t.column_elements, "tile_elements": t.column_tile_elements}


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
        when=lambda p, t: is_pointwise(p, t) and has_halves(p, t),
        kernel_gradient=conv_kernel_gradient.half_products,
        because="rows of 64 channels, 256 bytes, conflict in the cache: two halves take 0.5 to 0.8 of the time",
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
        because="sums of whole arrays take ten times as long as those that stay in the cache",
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
        "small_groups",
        when=lambda p, t: p.groups > 1 and not p.is_half_precision and 0 < p.positions <= t.few_positions,
        forward=reference.conv,
        because="of few positions the plain call is as fast forward, and has nothing to cut",
        bench="grouped",
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
        settings=of_columns,
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
        "thin_columns",
        when=lambda p, t: is_thin(p, t) or (is_line(p, t) and p.window.strides[0] > 1),
        training=conv.im2col,
        input_gradient=conv.im2col,
        settings=of_columns,
        because="the gradient of an x of 1 to 4 channels, or strided along one axis, is slow: by columns 0.3 to 0.85",
        bench="line",
    ),
    Row(
        "xla_convolution",
        when=lambda p, t: not p.uses_ynnpack,
        training=reference.conv,
        because="no mean of a training step absorbs XLA's own convolutions, so they need not be kept away from YNNPACK",
        bench="direct",
    ),
    Row(
        "line_columns",
        when=is_line,
        kernel_gradient=conv.im2col,
        settings=of_columns,
        because="along one axis, of few examples or channels, the gradient by columns takes 0.7 to 0.9 of the time",
        bench="line",
    ),
    Row(
        "columns",
        when=has_many_positions,
        kernel_gradient=conv.im2col,
        settings=of_columns,
        because="YNNPACK has 36 GFLOP/s for the gradient of a kernel of 64 channels, a product with columns 60 to 110",
        bench="direct",
    ),
    Row(
        "wide_columns",
        when=lambda p, t: not p.uses_ynnpack and is_thin(p, t) and p.out >= t.thin_outputs,
        kernel_gradient=conv.im2col,
        settings=of_columns,
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


# Transposed convolutions


def is_stretched(p: ConvTransposeProblem, t: Limits) -> bool:
    """Whether the plain call puts zeros between the elements of x, for no more phases than can be gone through."""
    return 1 < math.prod(p.window.strides) <= t.unrolled_taps and max(p.window.dilation) == 1


def adds_windows(p: ConvTransposeProblem, t: Limits) -> bool:
    """Whether few windows meet in an element, or phases would be uneven or, of few channels, narrow."""
    # If no windows overlap, XLA's own convolution is as fast
    if not is_stretched(p, t) or p.is_half_precision or not (p.overlaps or p.uses_ynnpack):
        return False
    taps, *others = p.kernel
    if others:
        return max(p.kernel) <= 3 and max(p.window.strides) <= 2 and p.channels >= t.added_channels
    if not p.is_even:
        return taps <= t.added_taps
    return max(p.window.strides) <= 2 and (p.out < p.channels or taps <= 4)


def has_subpixels(p: ConvTransposeProblem, t: Limits) -> bool:
    """Whether phases are even, and there are not so few positions that one more of each costs too much."""
    tiny = min(p.space) < t.subpixel_space and p.channels >= t.subpixel_channels
    return is_stretched(p, t) and p.is_even and (p.overlaps or not p.uses_ynnpack) and not tiny


CONV_TRANSPOSE = (
    Row(
        "overlap_add",
        when=adds_windows,
        forward=conv_transpose.overlap_add,
        because="the plain call multiplies zeros: small windows that are added take 0.3 to 0.95 of the time",
        bench="transposed",
    ),
    Row(
        "subpixel",
        when=has_subpixels,
        forward=conv_transpose.subpixel,
        because="the plain call multiplies zeros: all phases as channels of one convolution take 0.6 of the time",
        bench="transposed",
    ),
    Row(
        "overlap_add_of_few_outputs",
        when=lambda p, t: is_stretched(p, t) and not p.is_half_precision and p.out <= t.added_outputs,
        input_gradient=conv_transpose.overlap_add,
        kernel_gradient=conv_transpose.overlap_add,
        because="of few channels one product for both gradients is two to four times as fast as those of the phases",
        bench="transposed",
    ),
    Row(
        "overlap_add_of_fewer_outputs",
        when=lambda p, t: is_stretched(p, t) and not p.is_half_precision and 4 * p.out <= p.channels,
        kernel_gradient=conv_transpose.overlap_add,
        because="of few channels one product for the gradient is two to four times as fast as those of the phases",
        bench="transposed",
    ),
    Row(
        "subpixel_by_row_tiles",
        when=lambda p, t: (
            is_stretched(p, t)
            and not p.uses_ynnpack
            and 0 < p.batch < t.few_examples
            and p.is_even
            and p.out <= 2 * p.channels
        ),
        kernel_gradient=conv_transpose.subpixel_by_row_tiles,
        settings=lambda t, conv: {"examples": t.few_examples},
        because="XLA's own code sums the gradient along the batch: of few examples it takes 2.5 times as long",
        bench="transposed",
    ),
    Row(
        "phase_by_phase",
        when=is_stretched,
        kernel_gradient=conv_transpose.phase_by_phase,
        because="the plain call's gradient multiplies zeros: 30 ms for (8, 16, 16, 64), a convolution a phase 1.5 ms",
        bench="transposed",
    ),
)


# Pooling


def is_unrolled(p: PoolProblem, t: Limits) -> bool:
    """Whether taps can be gone through one by one."""
    return p.is_known and 1 < p.taps <= t.unrolled_taps


def overlaps(p: PoolProblem, t: Limits) -> bool:
    """Whether windows overlap so that XLA's loop is slow: not those of few taps that reach past x."""
    if not is_unrolled(p, t) or not p.window.overlaps:
        return False
    return not (p.is_stepwise and p.is_padded and p.taps <= t.looped_taps)


MAX_POOL = (
    Row(
        "max_by_taps",
        when=overlaps,
        forward=pooling.max_by_taps,
        because="reduce_window loops over each window: 1.1 to 8 times as long where windows overlap",
        bench="max",
    ),
    Row(
        "max_tangent_by_taps",
        when=lambda p, t: is_unrolled(p, t) and p.taps <= t.compared_taps,
        input_gradient=pooling.max_tangent_by_taps,
        because="the gradient of reduce_window is select_and_scatter: 36 ms for (64, 28, 28, 32), by comparisons 1 ms",
        bench="max",
    ),
)
SUM_POOL = (
    Row(
        "sum_by_taps",
        when=overlaps,
        forward=pooling.sum_by_taps,
        because="reduce_window loops over each window: 1.1 to 8 times as long where windows overlap",
        bench="sum",
    ),
    Row(
        "sum_tangent_by_taps",
        when=lambda p, t: (
            overlaps(p, t) and not (p.is_stepwise and (p.elements > t.summed_elements or p.taps <= t.looped_taps))
        ),
        input_gradient=pooling.sum_tangent_by_taps,
        because="the gradient of reduce_window is a loop over padded windows: a training step takes 1.2 to 2.9 times",
        bench="sum",
    ),
)

# Arrays that XLA shall compute by themselves

MEAN_OPERAND = (
    Row(
        "fusion_barrier",
        when=lambda p, t: True,
        every=fusion.fusion_barrier,
        because="YNNPACK takes convolutions along into a mean that follows: four layers of 64 channels 39 ms, apart 20",
        bench="direct",
    ),
)
GRADIENT_ONCE = (
    Row(
        "materialized_gradient",
        when=lambda p, t: True,
        every=fusion.materialized_gradient,
        because="XLA computes a gradient of many terms again in each loop that reads it: ResNet blocks train in 0.92",
        bench="moments",
    ),
)

TABLES = {
    "dot": DOT,
    "attention": ATTENTION,
    "scan": SCAN,
    "scan_dense": SCAN_DENSE,
    "conv": CONV,
    "conv_transpose": CONV_TRANSPOSE,
    "max_pool": MAX_POOL,
    "sum_pool": SUM_POOL,
    "mean_operand": MEAN_OPERAND,
    "gradient_once": GRADIENT_ONCE,
}
