"""Initializers whose distribution does not depend on the weight's shape, and orthogonal matrices."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnlayers.functions import draws
from fnlayers.functions.initializers.base import Key, RandomInitializer, Shape
from fnlayers.functions.options import is_number
from fnlayers.half_precision import accumulation_dtype
from fnlayers.kinds import Seed
from fnlayers.plain_data import recordclass


@recordclass
class _Normal(RandomInitializer):
    """Base of the two normal initializers."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: Seed = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.mean), "mean", "a finite number")
        self._check(is_number(self.stddev, least=0), "stddev", "a number, 0 or more")


@recordclass
class RandomNormal(_Normal):
    """Normal numbers of the given mean and standard deviation.

    Arguments:
        mean, stddev: of the distribution.
        seed: an integer folded into the key, or None.
    """

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        return draws.normal(key, shape, dtype, lambda x: self.mean + self.stddev * x)


@recordclass
class TruncatedNormal(_Normal):
    """Normal numbers, those more than two standard deviations from the mean drawn again.

    The standard deviation of what is left is 0.88 * stddev.

    Arguments:
        mean, stddev: of the normal distribution before it is cut.
        seed: an integer folded into the key, or None.
    """

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        return draws.truncated_normal(key, shape, dtype, lambda x: self.mean + self.stddev * x)


@recordclass
class RandomUniform(RandomInitializer):
    """Uniform numbers over [minval, maxval).

    Arguments:
        minval, maxval: the bounds.
        seed: an integer folded into the key, or None.
    """

    minval: float = -0.05
    maxval: float = 0.05
    seed: Seed = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.minval), "minval", "a finite number")
        self._check(is_number(self.maxval, least=self.minval), "maxval", f"a number, minval={self.minval} or more")

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        return draws.uniform(key, shape, dtype, self.minval, self.maxval)


@recordclass
class Orthogonal(RandomInitializer):
    """gain times a random matrix with orthonormal columns (rows, where there are fewer rows than columns).

    A weight of higher rank is that matrix with all axes but the last flattened into its rows. Drawing takes 36 bytes of
    memory a number, whatever the weight's dtype: it is a QR decomposition in float64.

    Arguments:
        gain: the factor.
        seed: an integer folded into the key, or None.

    Reference: A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014.
    """

    gain: float = 1.0
    seed: Seed = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.gain), "gain", "a finite number")

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal fills weights of rank 2 or more, and this one has shape {shape}; choose another one"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        if rows * columns == 0:
            return jnp.zeros(shape, dtype)
        values = draws.normal(key, (max(rows, columns), min(rows, columns)), accumulation_dtype(dtype))
        xp: Any = np if isinstance(values, np.ndarray) else jnp
        q, r = xp.linalg.qr(values)
        del values
        q *= xp.sign(xp.diagonal(r))  # QR alone favors some rotations; with these signs all are equally likely
        q *= self.gain
        return (q if rows >= columns else q.T).reshape(shape).astype(dtype, copy=False)
