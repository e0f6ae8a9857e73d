"""Rows of transposed convolutions."""

import math

from fnlayers.ops.cpu import conv_transpose
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import ConvTransposeProblem
from fnlayers.ops.rows import Row


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
        because="of few channels one product for both gradients is 2 to 4 times as fast as those of the phases",
        bench="transposed",
    ),
    Row(
        "overlap_add_of_fewer_outputs",
        when=lambda p, t: is_stretched(p, t) and not p.is_half_precision and 4 * p.out <= p.channels,
        kernel_gradient=conv_transpose.overlap_add,
        because="of few channels one product for the gradient is 2 to 4 times as fast as those of the phases",
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
