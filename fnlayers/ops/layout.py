"""Where the axes are, and which dtype an average has: what all files of `ops` share.

An array is (batch, *space, channels) under "channels_last" and (batch, channels, *space) under "channels_first".
"""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.kinds import DataFormat
from fnlayers.plain_data import choices

_DATA_FORMATS = get_args(DataFormat)


def channel_axis(data_format: str) -> int:
    """The axis of the channels: -1 or 1."""
    check_choice("data_format", data_format, _DATA_FORMATS)
    return -1 if data_format == "channels_last" else 1


def space_axes(ndim: int, data_format: str) -> tuple[int, ...]:
    """The spatial axes of an array of `ndim` axes: all but batch and channels."""
    return tuple(range(1, ndim - 1)) if channel_axis(data_format) == -1 else tuple(range(2, ndim))


def over_space(values: tuple, fill: object, data_format: str) -> tuple:
    """One value for each spatial axis, `fill` for batch and channels, in the array's order of axes."""
    return (fill, *values, fill) if channel_axis(data_format) == -1 else (fill, fill, *values)


def expand_trailing(mask: jax.Array, rank: int) -> jax.Array:
    """The mask with axes of size 1 at its end until it has `rank` axes: it broadcasts over an array's elements."""
    return mask.reshape(mask.shape + (1,) * (rank - mask.ndim))


def mean_dtype(x: jax.Array) -> jnp.dtype:
    """The dtype of an average: that of x, or float32 where x holds integers."""
    return x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.dtype(jnp.float32)


def lowest(dtype: jnp.dtype) -> np.ndarray:
    """The value below all others: -inf for floats, the least integer for integers."""
    return np.array(-np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min, dtype)


def check_choice(what: str, value: object, allowed: tuple[str, ...]) -> None:
    """A ValueError that names what is allowed, where `value` is none of them."""
    if value not in allowed:
        raise ValueError(choices(what, value, allowed))


def check_space(what: str, values: tuple, rank: int) -> None:
    """A ValueError where `values` are not one for each spatial axis."""
    if not isinstance(values, tuple) or len(values) != rank:
        raise ValueError(f"{what}={values!r} is wrong; give a tuple of {rank}, one for each spatial axis")
