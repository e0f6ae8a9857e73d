"""Rows of pooling."""

from fnlayers.ops.cpu import pooling
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import PoolProblem
from fnlayers.ops.rows import Row


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
