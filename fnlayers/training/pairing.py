"""Whether a loss or metric, the model's output and y go together, and what to write where they do not.

Most functions return numbers for things that do not pair: class numbers broadcast to one-hot labels, (n, 1) to (n, n).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from fnlayers.core.errors import ConfigError, LayerError, ShapeError
from fnlayers.training.known import takes_of
from fnlayers.training.takes import Takes

_OTHERS = ("keras", "tensorflow", "tf_keras", "torch")


def function_of(what: str, function: Any) -> Callable[[Any, Any], Any]:
    """A loss or metric as given, checked to be a function of two arguments.

    Arguments:
        what: "loss" or "metric".
        function: what should be one.

    Raises:
        ConfigError: for a name, a class, another library's loss, a function of other arguments.
    """
    such = "give a function (y_pred, y_true) -> a value for each example, such as"
    if inspect.isclass(function):
        raise ConfigError(
            f"{what} {function.__name__} is a class; give an object of it, {function.__name__}(...), or a function"
        )
    if not callable(function):
        hint = "optax.softmax_cross_entropy_with_integer_labels or optax.squared_error, or Keras's name of one"
        raise ConfigError(f"{what} {function!r} is not a function; {such} {hint}")
    origin = (getattr(function, "__module__", None) or "").split(".")[0]
    if origin in _OTHERS:
        raise ConfigError(
            f"{what} {function!r} is of {origin}, and takes its arguments in another order; {such} optax's, or those "
            "of fnlayers.losses"
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # which says of itself not what it takes
        return function
    try:
        signature.bind(None, None)
    except TypeError:
        name = getattr(function, "__name__", repr(function))
        raise ConfigError(
            f"{what} {name} takes {signature}, not (y_pred, y_true); give a function of these two"
        ) from None
    return function


def check_pair(name: str, function: Any, y_pred: Any, y_true: Any, exact: bool = True) -> None:
    """Raise where y_pred and y do not pair: a broadcast of one to the other would give numbers all the same.

    Arguments:
        name: the loss or metric's name in the logs.
        function: itself; if it is known what it takes, the shape of y follows from it.
        y_pred, y_true: what it is given, or anything with their shapes.
        exact: whether all sizes are those of one batch; else rank and last axis alone are compared.
    """
    takes = takes_of(function)
    if takes is None:
        pred, true = getattr(y_pred, "shape", None), getattr(y_true, "shape", None)
        if pred is not None and true is not None and (pred == (*true, 1) or true == (*pred, 1)):
            raise ShapeError(f"{name!r}: y_pred has shape {pred} and y has shape {true}; reshape y to {pred}")
        return
    if not hasattr(y_pred, "shape"):
        raise ConfigError(
            f"{name!r} is {takes.name}, which takes one array, but the model's outputs are {shapes_in(y_pred)}; give a "
            f"function for each: {_example(y_pred)}"
        )
    if not hasattr(y_true, "shape"):
        got = "None" if y_true is None else f"a nest of arrays, {shapes_in(y_true)}"
        raise ConfigError(
            f"{name!r}: y is {got}, but {takes.name} compares y_pred {shapes_in(y_pred)} with one array; give labels "
            "(for a model that restores its input: (x, x))"
        )
    pred, true = tuple(y_pred.shape), tuple(y_true.shape)
    expected = takes.expected(pred)
    sized = true == expected if exact else takes.labels == "classes" or true[-1:] == expected[-1:]
    if len(true) != len(expected) or not sized:
        raise ShapeError(
            f"{name!r}: y_pred has shape {pred} and y has shape {true}{_remedy(takes, pred, true, expected)}"
        )


def _remedy(takes: Takes, pred: tuple, true: tuple, expected: tuple) -> str:
    """What the shape of y tells about it, and what to write."""
    other = f", or use {takes.other_labels}" if takes.other_labels else ""
    axis = takes.axis % max(len(pred), 1)
    column = len(true) == len(pred) and true[axis] == 1  # as CIFAR-10's labels come
    row = "y[..., 0]" if axis == len(pred) - 1 else f"y.squeeze({axis})"
    if takes.labels == "classes" and pred[axis:] == (1,):
        return (
            f", but {takes.name} takes one output for each class; for answers of 0 and 1 use "
            "optax.sigmoid_binary_cross_entropy and fnlayers.metrics.binary_accuracy, for numbers a loss of numbers"
        )
    if takes.labels == "classes" and column:
        return f", but {takes.name} takes class numbers of shape {expected}; write {row}"
    if takes.labels == "classes" and true == pred:
        return f", one-hot labels, but {takes.name} takes class numbers; write y.argmax({takes.axis}){other}"
    if takes.labels == "one-hot" and pred[axis] > 1 and (column or len(true) == len(pred) - 1):
        numbers = row if column else "y"
        written = f"jax.nn.one_hot({numbers}, {pred[axis]})"
        return f", class numbers, but {takes.name} takes one-hot labels; write {written}{other}"
    if pred == (*true, 1) or true == (*pred, 1):
        return f"; reshape y to {pred}"
    return f", but {takes.name} takes y of shape {expected}; give the model as many outputs as y has, or mend y"


def explained(name: str, error: Exception, y_pred: Any, y_true: Any) -> LayerError | None:
    """An error of ours for a loss or metric that failed because of what it was given; None for one that has its own."""
    failure = f"{name!r} failed ({type(error).__name__}: {error})"
    if isinstance(error, LayerError):
        return None
    if not hasattr(y_pred, "shape"):
        return ConfigError(
            f"{failure}: it was given all outputs of the model at once, {shapes_in(y_pred)}; if it takes one, give a "
            f"function for each: {_example(y_pred)}"
        )
    if y_true is None:
        return ConfigError(f"{failure}: y is None; give labels with each batch")
    if isinstance(error, (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)):
        return ConfigError(
            f"{name!r} failed: it asks for numbers while jax compiles it, when there are none yet; compute with "
            "jax.numpy in place of NumPy, with jnp.where in place of if, and without float() and .item()"
        )
    if isinstance(error, (TypeError, ValueError)) and "shape" in str(error):
        shapes = f"y_pred {shapes_in(y_pred)} and y {shapes_in(y_true)}"
        return ShapeError(f"{failure}, given {shapes}; give y of the shape that it takes")
    return None


def shapes_in(nest: Any) -> str:
    """The shapes of the arrays in a nest, as text."""
    return str(jax.tree.map(lambda a: tuple(np.shape(a)), nest))


def _example(y_pred: Any) -> str:
    """How a function for each output is written."""
    if isinstance(y_pred, Mapping):
        return "loss={" + ", ".join(f"{key!r}: ..." for key in y_pred) + "}"
    return f"loss=({', '.join('...' for _ in y_pred)})"
