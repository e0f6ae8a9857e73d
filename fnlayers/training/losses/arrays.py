"""What the losses share: arrays of one shape, at least float32."""

from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.values import check_values

EPSILON = 1e-7  # Keras's


def check_same(name: str, y_pred: Any, y_true: Any) -> None:
    """Raise ShapeError unless both have one shape."""
    if tuple(y_pred.shape) != tuple(y_true.shape):
        sparse = "; for class numbers use sparse_categorical_crossentropy" if name.startswith("categorical") else ""
        shapes = f"y_pred {tuple(y_pred.shape)} and y {tuple(y_true.shape)}"
        raise ShapeError(f"{name} takes two arrays of one shape, got {shapes}{sparse or '; reshape one of them'}")


def as_float(y_pred: Any) -> jax.Array:
    """At least float32, in which 1 - EPSILON is not 1."""
    return jnp.asarray(y_pred).astype(jnp.promote_types(y_pred.dtype, "float32"))


def as_labels(y_true: Any) -> jax.Array:
    """What should have been predicted, as jax's array; ConfigError for numbers of the host that it cannot hold."""
    check_values(y_true, "y")
    return jnp.asarray(y_true)


def as_pair(name: str, y_pred: Any, y_true: Any) -> tuple[jax.Array, jax.Array]:
    """Both in one floating dtype, checked to have one shape."""
    check_same(name, y_pred, y_true)
    y_pred = as_float(y_pred)
    return y_pred, as_labels(y_true).astype(y_pred.dtype)


def check_fraction(name: str, option: str, value: Any) -> None:
    """Raise ConfigError unless an option is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(f"{name}: {option}={value!r} is wrong; {option} must be a number from 0 to 1")
