"""Losses: functions (y_pred, y_true) -> values, for examples, steps or numbers; whoever calls them takes the mean.

They are those of Keras that optax lacks, and those that it has, by Keras's names and with Keras's numbers. Where Keras
returns the mean along the last axis, these return a value for each number, so that weights and masks count right.
"""

from fnlayers.training.losses.crossentropy import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    kl_divergence,
    sparse_categorical_crossentropy,
)
from fnlayers.training.losses.hinge import categorical_hinge, hinge, squared_hinge
from fnlayers.training.losses.overlap import ByExample, dice, tversky
from fnlayers.training.losses.regression import (
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
)
from fnlayers.training.losses.sequence import circle, ctc

__all__ = [
    "ByExample",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "dice",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
