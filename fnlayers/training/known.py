"""What is known of losses and metrics, in one table: what they take, which way is better, what they look at.

The functions say it nowhere in a form that can be read, and given logits for probabilities, or class numbers for
one-hot labels, most of them return numbers all the same. A function that is not in the table is taken as it is.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optax

from fnlayers.training import losses, metrics
from fnlayers.training.takes import Takes

_OPTAX = {
    "softmax_cross_entropy_with_integer_labels": Takes(
        "optax.softmax_cross_entropy_with_integer_labels",
        "classes",
        "logits",
        "fnlayers.losses.sparse_categorical_crossentropy",
        "optax.softmax_cross_entropy",
    ),
    "softmax_cross_entropy": Takes(
        "optax.softmax_cross_entropy",
        "one-hot",
        "logits",
        "fnlayers.losses.categorical_crossentropy",
        "optax.softmax_cross_entropy_with_integer_labels",
    ),
    "sigmoid_binary_cross_entropy": Takes(
        "optax.sigmoid_binary_cross_entropy", "binary", "logits", "fnlayers.losses.binary_crossentropy"
    ),
    **{
        name: Takes(
            f"optax.{name}",
            "one-hot",
            "logits",
            "fnlayers.losses.categorical_crossentropy",
            "optax.softmax_cross_entropy_with_integer_labels",
            better=None,
            per_example=name == "safe_softmax_cross_entropy",
        )
        for name in ("safe_softmax_cross_entropy", "poly_loss_cross_entropy")
    },
    "sigmoid_focal_loss": Takes(
        "optax.sigmoid_focal_loss", "binary", "logits", "fnlayers.losses.binary_focal_crossentropy"
    ),
    "hinge_loss": Takes("optax.hinge_loss", "signs"),
    **{
        name: Takes(f"optax.{name}", "numbers")
        for name in ("squared_error", "l2_loss", "huber_loss", "log_cosh", "cosine_distance")
    },
    "cosine_similarity": Takes("optax.cosine_similarity", "numbers", better="max"),
}

_WITH_LOGITS = "functools.partial of it with from_logits=True"
_OURS = {
    losses.sparse_categorical_crossentropy: Takes(
        "fnlayers.losses.sparse_categorical_crossentropy",
        "classes",
        "probabilities",
        "optax.softmax_cross_entropy_with_integer_labels",
        "fnlayers.losses.categorical_crossentropy",
    ),
    losses.categorical_crossentropy: Takes(
        "fnlayers.losses.categorical_crossentropy",
        "one-hot",
        "probabilities",
        "optax.softmax_cross_entropy",
        "fnlayers.losses.sparse_categorical_crossentropy",
    ),
    losses.binary_crossentropy: Takes(
        "fnlayers.losses.binary_crossentropy", "binary", "probabilities", "optax.sigmoid_binary_cross_entropy"
    ),
    metrics.accuracy: Takes(
        "fnlayers.metrics.accuracy", "classes", other_labels="fnlayers.metrics.categorical_accuracy", better="max"
    ),
    metrics.categorical_accuracy: Takes(
        "fnlayers.metrics.categorical_accuracy", "one-hot", other_labels="fnlayers.metrics.accuracy", better="max"
    ),
    metrics.binary_accuracy: Takes(
        "fnlayers.metrics.binary_accuracy",
        "binary",
        "probabilities",
        "functools.partial(fnlayers.metrics.binary_accuracy, threshold=0.0)",
        better="max",
    ),
    **{
        function: Takes(f"fnlayers.losses.{function.__name__}", "numbers")
        for function in (
            losses.mean_absolute_error,
            losses.mean_squared_error,
            losses.mean_absolute_percentage_error,
            losses.mean_squared_logarithmic_error,
            losses.huber,
            losses.log_cosh,
            losses.poisson,
            losses.cosine_similarity,
        )
    },
    losses.hinge: Takes("fnlayers.losses.hinge", "answers"),
    losses.squared_hinge: Takes("fnlayers.losses.squared_hinge", "answers"),
    losses.categorical_hinge: Takes("fnlayers.losses.categorical_hinge", "one-hot"),
    losses.dice: Takes("fnlayers.losses.dice", "binary", per_example=False),
    losses.tversky: Takes("fnlayers.losses.tversky", "binary", per_example=False),
    losses.kl_divergence: Takes(
        "fnlayers.losses.kl_divergence", "one-hot", "probabilities", "optax.softmax_cross_entropy"
    ),
    losses.categorical_focal_crossentropy: Takes(
        "fnlayers.losses.categorical_focal_crossentropy", "one-hot", "probabilities", _WITH_LOGITS
    ),
    losses.binary_focal_crossentropy: Takes(
        "fnlayers.losses.binary_focal_crossentropy", "binary", "probabilities", _WITH_LOGITS
    ),
    metrics.cosine_similarity: Takes("fnlayers.metrics.cosine_similarity", "numbers", better="max"),
}
# By name, since the oldest optax that we take does not have them all
KNOWN: dict[Callable, Takes] = {getattr(optax, name): takes for name, takes in _OPTAX.items() if hasattr(optax, name)}
KNOWN |= _OURS


def takes_of(function: Any) -> Takes | None:
    """What a loss or metric takes, seen through functools.partial and jit; None where we do not know it.

    >>> takes_of(functools.partial(optax.softmax_cross_entropy, axis=1)).axis
    1
    """
    options: dict[str, Any] = {}
    while True:
        if isinstance(function, functools.partial):
            if function.args:
                return None
            options, function = {**function.keywords, **options}, function.func
        elif isinstance(function, losses.ByExample):
            function = function.function
        elif _is_jitted(function):
            function = inspect.unwrap(function)
        else:
            break
    if isinstance(function, metrics.TopKAccuracy):
        return Takes("fnlayers.metrics.top_k_accuracy", "classes", better="max")
    if isinstance(function, metrics.Metric):
        return function.takes
    try:
        takes = KNOWN.get(function)
    except TypeError:  # an object that does not hash
        return None
    if takes is None:
        return None
    axis = options.get("axis", -1)
    if not isinstance(axis, int) or options.get("where") is not None:
        return None
    form = takes.form
    if "threshold" in options:  # whoever gives it knows of which form y_pred is
        form = None
    other = takes.other_form
    if options.get("from_logits"):
        form, other = "logits", f"{takes.name} as it is"
    return replace(takes, form=form, other_form=other, axis=axis, ignore=options.get("ignore_class"))


def _is_jitted(function: Any) -> bool:
    return hasattr(function, "lower") and hasattr(function, "__wrapped__")
