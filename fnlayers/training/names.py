"""Keras's names of losses and metrics.

A name says nothing of what the model returns, so its end is looked at: where it ends in a softmax or sigmoid, a
crossentropy by name is that of probabilities, and anywhere else that of logits. Metrics by name follow the loss.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import optax

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import FrozenRecord, did_you_mean, recordclass
from fnlayers.training import losses, metrics
from fnlayers.training.ends import PROBABILITIES, ending
from fnlayers.training.known import takes_of

# Of logits, and of probabilities.
_CROSSENTROPIES = {
    "binary_crossentropy": (optax.sigmoid_binary_cross_entropy, losses.binary_crossentropy),
    "categorical_crossentropy": (optax.softmax_cross_entropy, losses.categorical_crossentropy),
    "sparse_categorical_crossentropy": (
        optax.softmax_cross_entropy_with_integer_labels,
        losses.sparse_categorical_crossentropy,
    ),
    **{
        function.__name__: (functools.partial(function, from_logits=True), function)
        for function in (losses.binary_focal_crossentropy, losses.categorical_focal_crossentropy)
    },
}
_LOSSES = {name: getattr(losses, name) for name in losses.__all__ if name[0].islower()} | {
    "dice": losses.ByExample(losses.dice),
    "tversky": losses.ByExample(losses.tversky),
}
_ABBREVIATIONS = {
    "mse": "meansquarederror",
    "mae": "meanabsoluteerror",
    "mape": "meanabsolutepercentageerror",
    "msle": "meansquaredlogarithmicerror",
    "rmse": "rootmeansquarederror",
    "bce": "binarycrossentropy",
    "kld": "kldivergence",
    "r2": "r2score",
    "f1": "f1score",
}


def _squashed(name: str) -> str:
    """A name by which "MeanIoU", "mean_iou" and Keras's "mean_io_u" are one."""
    name = name.replace("_", "").lower()
    return _ABBREVIATIONS.get(name, name)


_NEITHER = ("Metric", "FromLogits", "OnWholeSet", "TopKAccuracy")  # which need more than a name
CROSSENTROPIES = {_squashed(name): pair for name, pair in _CROSSENTROPIES.items()}
LOSSES = {_squashed(name): function for name, function in _LOSSES.items()}
METRICS = {_squashed(n): getattr(metrics, n) for n in metrics.__all__ if n[0].isupper() and n not in _NEITHER}
METRICS |= {"logcosh": metrics.LogCoshError}


@recordclass
class ShapedAccuracy(FrozenRecord):
    """The accuracy that fits the output, as Keras's "accuracy": of answers, of class numbers or of one-hot labels.

    Arguments:
        threshold: for one number an answer, above which it is 1.
    """

    threshold: float = 0.5
    better = "max"

    def __call__(self, y_pred: Any, y_true: Any) -> Any:
        """1 where the answer is right."""
        return self.fitting(y_pred, y_true)(y_pred, y_true)

    def fitting(self, y_pred: Any, y_true: Any) -> Callable:
        """The function that it is for arrays of these shapes."""
        if y_pred.shape[-1:] == (1,) or (y_pred.ndim == 1 and y_true.ndim == 1):
            return functools.partial(metrics.binary_accuracy, threshold=self.threshold)
        return metrics.accuracy if y_true.ndim < y_pred.ndim else metrics.categorical_accuracy


def loss_named(name: str, model: Any, key: Any) -> Callable:
    """The loss that Keras calls so, for what the model returns.

    Arguments:
        name: "sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", "mse", ...
        model: the model; None: nothing is known of it.
        key: which of several outputs.
    """
    squashed = _squashed(name)
    if squashed in CROSSENTROPIES:
        return CROSSENTROPIES[squashed][_end_of(model, key) in PROBABILITIES]
    if squashed in LOSSES:
        return LOSSES[squashed]
    raise ConfigError(
        f"loss {name!r} is unknown; {_near(name, list(_LOSSES), {**CROSSENTROPIES, **LOSSES})} a function (y_pred, "
        "y_true) -> a value for each example, such as optax.softmax_cross_entropy_with_integer_labels"
    )


def metric_named(name: str, model: Any, key: Any, loss: Callable) -> Any:
    """The metric that Keras calls so; of probabilities, where the loss takes logits, after the same activation.

    Arguments:
        name: "accuracy", "auc", "AUC", "f1_score", ...
        model: the model; None: nothing is known of it.
        key: which of several outputs.
        loss: that output's loss.
    """
    squashed, takes = _squashed(name), takes_of(loss)
    logits = takes is not None and takes.form == "logits" and _end_of(model, key) not in PROBABILITIES
    if squashed in ("accuracy", "acc"):
        return ShapedAccuracy(0.0 if logits else 0.5)
    metric = _made(name, squashed)
    what = metric.takes
    if takes is None or not logits or what is None or what.form != "probabilities":
        return metric
    activation = "sigmoid" if takes.labels == "binary" else "softmax"
    return metrics.FromLogits(metric, activation, takes.axis)


def _made(name: str, squashed: str) -> metrics.Metric:
    """An object of the metric's class with its defaults."""
    if squashed not in METRICS:
        names = [cls.name for cls in METRICS.values() if isinstance(cls.name, str)]
        raise ConfigError(
            f"metric {name!r} is unknown; {_near(name, [*names, 'accuracy'], METRICS)} an object of fnlayers.metrics, "
            "or a function (y_pred, y_true) -> a value for each example"
        )
    try:
        return METRICS[squashed]()
    except ConfigError as error:
        raise ConfigError(f"metric {name!r} needs options: {error}") from None


def _end_of(model: Any, key: Any) -> str | None:
    return None if model is None else ending(model, key)[0]


def _near(name: str, names: list[str], squashed: Mapping[str, Any]) -> str:
    """The names that a wrong one is a part of, such as "crossentropy" of several, or else those that are like it.

    `squashed`: the same as they are looked up, for which there are abbreviations, too. The sentence goes on with what
    else to give.
    """
    part = _squashed(name)
    longer = [each for each in names if part in _squashed(each)] if len(part) > 3 else []
    if longer:
        return f"did you mean {' or '.join(map(repr, longer[:6]))}? Or give"
    short = [each for each, long in _ABBREVIATIONS.items() if long in squashed]
    near = did_you_mean(name.lower(), [*names, *short], 4)
    return f"{near} Or give" if near else f"the names are {', '.join(sorted(names))}; or give"
