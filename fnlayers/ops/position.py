"""Positions in a sequence as numbers: waves added to the element there, or angles by which it is rotated."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def waves(
    steps: int, features: int, start: jax.Array | int = 0, wavelength: float = 10000.0, dtype: Any = "float32"
) -> jax.Array:
    """y[t, 2i] = sin(a), y[t, 2i + 1] = cos(a), with a = (start + t) / wavelength^(2i / features), in float32.

    Shapes: (steps, features).

    Reference: Vaswani et al., Attention Is All You Need, 2017.
    """
    feature = lax.iota("int32", features)
    angle = _angles(steps, start, 2 * (feature // 2) / features, wavelength)
    return jnp.where(feature % 2 == 0, jnp.sin(angle), jnp.cos(angle)).astype(dtype)


def rotate(
    x: jax.Array,
    start: jax.Array | int = 0,
    wavelength: float = 10000.0,
    scaling: float = 1.0,
    step_axis: int = 1,
    feature_axis: int = -1,
) -> jax.Array:
    """Each pair of features (x[i], x[i + features / 2]) rotated by position / scaling / wavelength^(2i / features).

    So the product of two rotated vectors depends on how far apart they stand, not on where. Positions count from
    `start`; angles and products are in float32 at least.

    Shapes: unchanged; the number of features is even.

    Reference: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.
    """
    steps, features = x.shape[step_axis], x.shape[feature_axis]
    if features % 2:
        raise ValueError(f"{features} features do not fall into pairs; an even number of them does")
    angle = _angles(steps, start, jnp.arange(0, features, 2) / features, wavelength, scaling)
    at = step_axis % x.ndim, feature_axis % x.ndim
    angle = jnp.expand_dims(angle if at[0] < at[1] else angle.T, [axis for axis in range(x.ndim) if axis not in at])
    dtype = x.dtype if jnp.finfo(x.dtype).bits > 32 else "float32"
    sin, cos = jnp.sin(angle).astype(dtype), jnp.cos(angle).astype(dtype)
    one, other = jnp.split(x.astype(dtype), 2, axis=feature_axis)
    return jnp.concatenate([one * cos - other * sin, other * cos + one * sin], feature_axis).astype(x.dtype)


def _angles(
    steps: int, start: jax.Array | int, exponent: jax.Array, wavelength: float, scaling: float = 1.0
) -> jax.Array:
    """(steps, exponents), in float32: position / scaling / wavelength^exponent."""
    position = (start + lax.iota("int32", steps)).astype("float32") / scaling
    return position[:, None] / jnp.float32(wavelength) ** exponent.astype("float32")
