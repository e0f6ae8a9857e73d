"""What initializers share: checks of the key, the shape and the dtype that they are called with."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.functions import draws
from fnlayers.functions.options import Options, shown
from fnlayers.kinds import Seed

Key = draws.Key
Shape = tuple[int, ...]


class BaseInitializer(Options):
    """Base of all initializers; a subclass writes `_values`. All of them take both kinds of keys."""

    takes_host_key: ClassVar = True

    def __call__(self, key: Key, shape: Sequence[int], dtype: Any = "float32") -> jax.Array:
        """The initial values of a weight: an array of that shape and dtype. Only random ones look at the key."""
        return self._values(key, self._sizes(shape), self._dtype(dtype))

    def _sizes(self, shape: Any) -> Shape:
        """The shape as a tuple of sizes."""
        sizes = shape if isinstance(shape, (tuple, list)) else (None,)
        if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and 0 <= n < 2**63 for n in sizes):
            raise ValueError(
                f"{self} takes the shape of the weight, got {shown(shape)}; give a tuple of sizes, as (3, 4)"
            )
        return tuple(int(n) for n in shape)

    def _dtype(self, dtype: Any) -> np.dtype:
        """The dtype of the weight."""
        try:
            resolved = jnp.dtype(dtype)
        except TypeError:
            resolved = np.dtype("O")
        if dtype is None or not (jnp.issubdtype(resolved, jnp.number) or resolved.kind == "b"):
            raise ValueError(f"{self}: dtype={shown(dtype)} is not a dtype of numbers; give one, such as 'float32'")
        return resolved

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        raise NotImplementedError


class RandomInitializer(BaseInitializer):
    """Base of the random initializers; a subclass writes `_sample`, for a dtype of floats."""

    seed: Seed  # not a field here: a subclass declares it among its fields

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        if key is None:
            raise ValueError(f"{self} draws random numbers and got no key; pass one, as jax.random.key(0)")
        if not draws.is_key(key):
            raise ValueError(f"{self} draws from a random key, got {shown(key)}; pass one, as jax.random.key(0)")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"{self} draws floats, and the weight is {dtype}; choose zeros, ones, constant or a float dtype"
            )
        if self.seed is not None:
            key = draws.fold_in(key, self.seed & 0xFFFFFFFF)  # fold_in takes 32 bits
        return self._sample(key, shape, dtype)

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        raise NotImplementedError
