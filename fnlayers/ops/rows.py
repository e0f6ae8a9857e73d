"""A row of a table: algorithms, for which problems they are taken, why, and what measures it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

# Forward in programs without derivatives, forward in those with, and the gradients by x and by the kernel
PASSES = ("forward", "training", "input_gradient", "kernel_gradient")


class Row(NamedTuple):
    """Algorithms, and the problems for which they are taken.

    Arguments:
        name: what `explain` calls it.
        when: whether it is taken, from the problem and the limits.
        because: what the reference does worse, with a figure.
        bench: the rule of `benchmarks/algorithms.py`, or the program in `benchmarks`, that measures it.
        every: the algorithm of all passes that are not named. As all others, a function of arrays and the call.
        forward, training, input_gradient, kernel_gradient: those of a pass. The first two give y; without a row for
            training it is what is taken forward. Gradients are transposed: these give what a tangent of x, or of the
            kernel, brings to y. Operations other than convolutions and pools are differentiated as `training` says.
        settings: keyword arguments of its algorithms, from the limits and the convolution for CPUs.
        until: the first version of jax that makes it needless: from that on it is not taken.
        device: whether this process has the device that its algorithms need; None: they need none.
    """

    name: str
    when: Callable[[Any, Any], bool]
    because: str
    bench: str
    every: Callable | None = None
    forward: Callable | None = None
    training: Callable | None = None
    input_gradient: Callable | None = None
    kernel_gradient: Callable | None = None
    settings: Callable[[Any, Callable], dict[str, Any]] | None = None
    until: tuple[int, ...] | None = None
    device: Callable[[], bool] | None = None

    @property
    def passes(self) -> dict[str, Callable]:
        """The algorithm of each pass that this row says something about."""
        by_pass = {which: getattr(self, which) or self.every for which in PASSES}
        return {which: algorithm for which, algorithm in by_pass.items() if algorithm is not None}

    def holds(self, problem: Any, limits: Any) -> bool:
        """Whether it is to be taken for that problem, with this version of jax."""
        return (self.until is None or jax.__version_info__ < self.until) and self.when(problem, limits)


def first_of_each_pass(rows: Iterable[Row]) -> dict[str, Row]:
    """For each pass the first of the rows that names an algorithm for it."""
    by_pass: dict[str, Row] = {}
    for row in rows:
        for which in row.passes:
            by_pass.setdefault(which, row)
    return by_pass
