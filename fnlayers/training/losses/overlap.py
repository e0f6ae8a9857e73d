"""Losses of how much two sets overlap, for segmentation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.plain_data import FrozenRecord, recordclass
from fnlayers.training.losses.arrays import EPSILON, as_pair

Axis = int | tuple[int, ...] | None


def dice(y_pred: Any, y_true: Any, axis: Axis = None) -> jax.Array:
    """1 - 2 (what both hold) / (what each holds).

    Arguments:
        y_pred: probabilities.
        y_true: 0 to 1, of the same shape.
        axis: the axes that are summed over; None: all, as in Keras. As a loss of `fit` it needs a value for each
            example: write `fnlayers.losses.ByExample(fnlayers.losses.dice)` (which is what "dice" means there), or
            functools.partial(dice, axis=(1, 2)) for a value for each class.

    Returns:
        The shape without those axes.

    Example:
        >>> round(float(dice(jnp.array([[1.0, 0.5]]), jnp.array([[1, 0]]))), 4)
        0.2
    """
    y_pred, y_true = as_pair("dice", y_pred, y_true)
    both = jnp.sum(y_true * y_pred, axis)
    return 1 - 2 * both / (jnp.sum(y_true, axis) + jnp.sum(y_pred, axis) + EPSILON)


def tversky(y_pred: Any, y_true: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> jax.Array:
    """1 - (what both hold) / (that + alpha (of y_true alone) + beta (of y_pred alone)); `dice` with both 0.5.

    Arguments:
        y_pred: probabilities.
        y_true: 0 to 1, of the same shape.
        alpha: how much counts what y_pred leaves out.
        beta: how much counts what it holds too much.
        axis: as for `dice`.
    """
    y_pred, y_true = as_pair("tversky", y_pred, y_true)
    both = jnp.sum(y_true * y_pred, axis)
    missed, too_much = jnp.sum((1 - y_pred) * y_true, axis), jnp.sum(y_pred * (1 - y_true), axis)
    return 1 - both / (both + missed * alpha + too_much * beta + EPSILON)


@recordclass
class ByExample(FrozenRecord):
    """A loss of arrays as a whole, taken of each example by itself: a function (y_pred, y_true) -> one value for each.

    Arguments:
        function: a function of (y_pred, y_true) without their batch axis that returns one number.

    Example:
        >>> ByExample(dice)(jnp.array([[1.0, 0.0], [0.0, 0.0]]), jnp.array([[1, 0], [0, 1]])).round(4).tolist()
        [0.0, 1.0]
    """

    function: Callable[[Any, Any], Any]

    def __call__(self, y_pred: Any, y_true: Any) -> jax.Array:
        """A value for each example."""
        return jax.vmap(self.function)(y_pred, y_true)
