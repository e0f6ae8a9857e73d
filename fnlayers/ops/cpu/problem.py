"""Problems: what the choice of an algorithm depends on, as plain data. A size that is not known counts as 0."""

import math
from typing import NamedTuple

import jax

from fnlayers.ops.reference import PoolWindow


class PoolProblem(NamedTuple):
    """A pooling, "max_pool" or "sum_pool"."""

    operation: str
    window: PoolWindow
    elements: int  # of x
    is_known: bool  # whether the sizes of all axes are that have windows

    @classmethod
    def of(cls, operation: str, x: jax.Array, window: PoolWindow) -> "PoolProblem":
        """For that x."""
        known = all(isinstance(n, int) for n, size in zip(x.shape, window.sizes, strict=True) if size > 1)
        return cls(operation, window, math.prod(x.shape) if all(isinstance(n, int) for n in x.shape) else 0, known)

    @property
    def taps(self) -> int:
        """Elements in a window."""
        return self.window.taps

    @property
    def is_stepwise(self) -> bool:
        """Whether windows go in steps of one."""
        return max(self.window.strides) == 1

    @property
    def is_padded(self) -> bool:
        """Whether windows reach past x."""
        return any(map(any, self.window.padding))


Problem = PoolProblem
