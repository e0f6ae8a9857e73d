"""What is known of losses and metrics, in one table: what they take, which way is better, what they look at.

The functions say it nowhere in a form that can be read, and given logits for probabilities, or class numbers for
one-hot labels, most of them return numbers all the same. A function that is not in the table is taken as it is.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import optax

from fnlayers.training import losses, metrics


@dataclass(frozen=True)
class Takes:
    """What a loss or metric takes.

    Arguments:
        name: what it is called in errors.
        labels: of y: "classes" (numbers, an axis less than y_pred), "one-hot" (or probabilities of classes), "binary"
            (0 to 1), "signs" (-1 or 1), "numbers"; all but the first have y_pred's shape.
        form: "logits" or "probabilities", where y_pred must be one of them.
        other_form, other_labels: what to use for y_pred in the other form, for labels of the other kind.
        axis: that of the classes.
        better: "min" or "max", None where nothing says so.
        per_example: whether each value is known to be a function of its own example.
    """

    name: str
    labels: str
    form: str | None = None
    other_form: str = ""
    other_labels: str = ""
    axis: int = -1
    better: str | None = "min"
    per_example: bool = True

    def bounds(self, classes: int) -> tuple[int, int | None] | None:
        """The least and the largest label, None for no limit; None where any number is a label."""
        if self.labels == "classes":
            return 0, classes - 1
        return {"binary": (0, 1), "one-hot": (0, None), "signs": (-1, 1)}.get(self.labels)

    def is_wrong(self, y: Any, classes: int) -> Any:
        """Which labels the loss cannot take, as booleans; None where it takes any. `y`: of NumPy or JAX."""
        bounds = self.bounds(classes)
        if bounds is None:
            return None
        least, most = bounds
        right = y >= least
        if most is not None:
            right &= y <= most
        if self.labels == "signs":
            right &= abs(y) == 1
        return ~right

    def expected(self, shape: tuple) -> tuple:
        """The shape of y for y_pred of that shape."""
        if self.labels != "classes":
            return tuple(shape)
        axis = self.axis % len(shape)
        return (*shape[:axis], *shape[axis + 1 :])


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
    "sigmoid_focal_loss": Takes("optax.sigmoid_focal_loss", "binary", "logits", "fnlayers.losses.binary_crossentropy"),
    "hinge_loss": Takes("optax.hinge_loss", "signs"),
    **{
        name: Takes(f"optax.{name}", "numbers")
        for name in ("squared_error", "l2_loss", "huber_loss", "log_cosh", "cosine_distance")
    },
    "cosine_similarity": Takes("optax.cosine_similarity", "numbers", better="max"),
}

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
        function: Takes(f"fnlayers.metrics.{function.__name__}", "numbers")
        for function in (
            metrics.mean_absolute_error,
            metrics.mean_squared_error,
            metrics.mean_absolute_percentage_error,
        )
    },
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
        elif _is_jitted(function):
            function = inspect.unwrap(function)
        else:
            break
    if isinstance(function, metrics.TopKAccuracy):
        return Takes("fnlayers.metrics.top_k_accuracy", "classes", better="max")
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
    return replace(takes, form=form, axis=axis)


def _is_jitted(function: Any) -> bool:
    return hasattr(function, "lower") and hasattr(function, "__wrapped__")
