"""Mean and variance of data that are read batch by batch."""

import math
from typing import Any, NamedTuple

import numpy as np


class Moments(NamedTuple):
    """How many numbers there were at each position, their mean, and their variance."""

    count: int
    mean: Any
    variance: Any

    @classmethod
    def of(cls, x: np.ndarray, axes: tuple[int, ...]) -> "Moments":
        """Of an array over some of its axes, in its own dtype."""
        count = math.prod(x.shape[axis] for axis in axes)
        if not count:
            zeros = np.zeros([n for axis, n in enumerate(x.shape) if axis not in axes])
            return cls(0, zeros, zeros)
        return cls(count, np.mean(x, axis=axes), np.var(x, axis=axes))

    def joined(self, other: "Moments") -> "Moments":
        """Of the numbers of both."""
        count = self.count + other.count
        if not count:
            return self
        ours, theirs = self.count / count, other.count / count
        mean = self.mean * ours + other.mean * theirs
        variance = (self.variance + (self.mean - mean) ** 2) * ours + (
            other.variance + (other.mean - mean) ** 2
        ) * theirs
        return Moments(count, mean, variance)
