"""Which algorithm is taken for which problem, why, and what measures it: all that is known of "when".

A row names an algorithm for one or several passes. For each pass the first row that holds and names one is taken; where
none does, the reference. Rows look at problems and limits alone, algorithms at arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fnlayers.ops.cpu import pooling
from fnlayers.ops.cpu.problem import PoolProblem

# Forward in programs without derivatives, forward in those with, and the gradients by x and by the kernel
PASSES = ("forward", "training", "input_gradient", "kernel_gradient")


@dataclass(frozen=True)
class Limits:
    """Where one algorithm becomes faster than another; measured with jax 0.10 on x86-64, in float32 unless said."""

    # Windows
    unrolled_taps: int = 64  # a window of more is left to the reference: each tap is a slice of x
    # Pooling
    compared_taps: int = 16  # a window of more has its maximum's gradient by the reference
    looped_taps: int = 4  # XLA's own loop sums a window of no more as fast backward, and where padded forward
    summed_elements: int = 1 << 20  # of a larger x, XLA's gradient of a sum is the faster one, for strides of 1


@dataclass(frozen=True)
class Row:
    """Algorithms, and the problems for which they are taken.

    Arguments:
        name: what `explain` calls it.
        when: whether it is taken, from the problem and the limits.
        because: what the reference does worse, with a figure.
        bench: the rule of `benchmarks/algorithms.py` that measures it.
        every: the algorithm of all passes that are not named. As all others, a function of arrays and the window;
            REFERENCE: the reference, whatever the rows below say.
        forward, training, input_gradient, kernel_gradient: those of a pass. The first two give y. Gradients are
            transposed: these give what a tangent of x, or of the kernel, brings to y.
        until: the first version of jax that makes it needless.
    """

    name: str
    when: Callable[[Any, Limits], bool]
    because: str
    bench: str
    every: Callable | None = None
    forward: Callable | None = None
    training: Callable | None = None
    input_gradient: Callable | None = None
    kernel_gradient: Callable | None = None
    until: str | None = None

    @property
    def passes(self) -> dict[str, Callable]:
        """The algorithm of each pass that this row says something about."""
        found = {which: getattr(self, which) or self.every for which in PASSES}
        return {which: algorithm for which, algorithm in found.items() if algorithm is not None}


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

TABLES = {"max_pool": MAX_POOL, "sum_pool": SUM_POOL}
