"""What fit's `validation_split` and `class_weight` make of the data."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.training.batch import Batch, batch_of
from fnlayers.training.data import Source
from fnlayers.training.known import takes_of
from fnlayers.training.named import Named
from fnlayers.training.objective import Objective
from fnlayers.training.placing import rows_of


def split_off(data: Any, fraction: Any, names: Named | None = None) -> tuple[Any, Any]:
    """(the first examples, the last ones) of arrays as tuples: as they lie, before anything is shuffled.

    Arguments:
        data: (x, y) or (x, y, weight), of arrays; with names also a dict.
        fraction: how much of them the last ones are, above 0 and below 1.
        names: where data is a dict: what its entries are.

    Raises:
        ConfigError: for data that are no arrays, for a fraction that leaves no example on one side.
    """
    number = isinstance(fraction, (int, float, np.floating)) and not isinstance(fraction, bool)
    if not (number and 0 < fraction < 1):
        raise ConfigError(f"fit: validation_split={fraction!r}: give a number above 0 and below 1")
    if names is not None and isinstance(data, Mapping):
        data = names.unpacked(data)
    if not isinstance(data, tuple):
        raise ConfigError(
            f"fit: validation_split cuts arrays, and data is {type(data).__name__}; give validation_data="
        )
    whole = batch_of(data)
    at = math.floor(whole.count * (1 - fraction))
    if at in (0, whole.count):
        raise ConfigError(
            f"fit: validation_split={fraction} of {whole.count} examples leaves none on one side; give more "
            "examples, or another fraction"
        )
    parts = whole[:3] if whole.weight is not None else whole[:2]
    return tuple(jax.tree.map(lambda a, part=part: rows_of(a, part), parts) for part in (slice(0, at), slice(at, None)))  # type: ignore


def weighted_by_class(source: Source, class_weight: Any, objective: Objective) -> Source:
    """The data with each example's weight by its class, as Keras's class_weight.

    Arguments:
        source: the data, without sample weights.
        class_weight: {class number: weight}; classes that are not in it weigh 1.
        objective: whose loss says whether y are class numbers or one-hot.
    """
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise ConfigError(f"fit: class_weight={class_weight!r}: give a dict, {{class number: weight}}")
    for number, weight in class_weight.items():
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 0:
            raise ConfigError(f"fit: class_weight: {number!r} is no class number; give whole numbers of at least 0")
        good = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not (good and 0 <= weight < math.inf):
            raise ConfigError(f"fit: class_weight: that of class {number} is {weight!r}; give a number of at least 0")
    loss, *others = objective.losses
    if others or loss.key is not None:
        raise ConfigError("fit: class_weight is for a model with one output; give sample weights for each output")
    takes = takes_of(loss.function)

    def weigh(batch: Batch) -> Batch:
        if batch.weight is not None:
            raise ConfigError("fit: the data have sample weights, and there is class_weight; give one of the two")
        if not hasattr(batch.y, "shape"):
            raise ConfigError("fit: class_weight reads the classes from y, which is no array; give sample weights")
        classes = _classes(
            np.asarray(batch.y), "" if takes is None else takes.labels, -1 if takes is None else takes.axis
        )
        weight = np.ones(classes.shape, "float32")
        for number, each in class_weight.items():
            weight[classes == number] = each
        return batch._replace(weight=weight)

    def epoch(*args: Any) -> Any:
        return map(weigh, source.epoch(*args))

    dataset = None if source.dataset is None else weigh(source.dataset)
    return replace(source, first=weigh(source.first), dataset=dataset, epoch=epoch)


def check_classes(class_weight: Mapping[int, float], objective: Objective, out: Any) -> None:
    """Raise ConfigError for a class that the model has no output for, `out` being the shapes of what it returns."""
    loss = objective.losses[0]
    takes = takes_of(loss.function)
    if takes is not None and takes.labels in ("classes", "one-hot"):
        classes = out.y.shape[takes.axis]
        if max(class_weight) >= classes:
            raise ConfigError(
                f"fit: class_weight: {max(class_weight)} is none of the {classes} classes of the model's output, 0 to "
                f"{classes - 1}"
            )


def _classes(y: np.ndarray, labels: str, axis: int) -> np.ndarray:
    """The class numbers that labels stand for: numbers themselves, a column of them, or one-hot."""
    if labels == "classes" or y.ndim == 1:
        return np.round(y).astype("int32")
    if y.shape[axis] == 1:
        return np.round(y).astype("int32").squeeze(axis)
    return np.argmax(y, axis)
