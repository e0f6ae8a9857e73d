"""Boundaries between equally many numbers, from a summary that is merged batch by batch: Keras's algorithm and digits.

A summary is (2, n): values in rising order, and how many numbers each stands for.
"""

import numpy as np


def summary_of(numbers: np.ndarray, epsilon: float) -> np.ndarray:
    """Every so-manieth of some numbers, 1 / epsilon of them; all where they are fewer.

    >>> summary_of(np.array([3.0, 1.0, 2.0], "float32"), 0.01).tolist()
    [[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]
    """
    ordered = np.sort(numbers, axis=None)
    step = max(ordered.size / (1.0 / epsilon), 1)
    values = ordered[int(step - 1) :: int(step)]
    return np.stack([values, np.ones_like(values) * step])


def merged(first: np.ndarray, second: np.ndarray, epsilon: float) -> np.ndarray:
    """The summary of the numbers of both."""
    both = np.concatenate((first, second), axis=1)
    return _compressed(np.take(both, np.argsort(both[0]), axis=1), epsilon)


def boundaries_of(summary: np.ndarray, bins: int) -> np.ndarray:
    """The boundaries between so many bins; fewer where the summary holds fewer values."""
    return _compressed(summary, 1.0 / bins)[0, :-1]


def _compressed(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """1 / epsilon values at equal distances in the count of numbers, interpolated; all where they are fewer."""
    if summary.shape[1] * epsilon < 1:
        return summary
    fractions = epsilon + np.arange(0.0, 1.0, epsilon)
    counts = summary[1].cumsum()
    values = np.interp(fractions, counts / counts[-1], summary[0])
    counts = np.interp(fractions, counts / counts[-1], counts)
    return np.stack((values, np.diff(counts, prepend=0))).astype("float32")
