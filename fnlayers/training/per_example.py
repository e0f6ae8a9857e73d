"""Which losses and layers are known to treat each example by itself, so that a batch may be filled up with other rows.

A last batch that is smaller than the others is filled up with rows of no weight, so that no second program is compiled.
That is exact only where no example's numbers depend on another's. What is not known to be so runs at its own size.
"""

import functools
import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import jax

from fnlayers.catalog import LAYERS
from fnlayers.core.layer import Layer
from fnlayers.training import losses, metrics
from fnlayers.training.known import KNOWN
from fnlayers.training.names import ShapedAccuracy
from fnlayers.training.objective import Objective

# Layers that look across the batch, or hold a function that may. Batch statistics are of training alone.
ACROSS = frozenset({"Lambda", "Operation", "Pair"})
ACROSS_IN_TRAINING = frozenset({"BatchNormalization"})
_OF_WEIGHTS = ("_initializer", "_regularizer", "_constraint", "_config")  # fields whose functions see no example
_FUNCTIONS = frozenset(function for function, takes in KNOWN.items() if takes.per_example)
_OPTIONS = ("label_smoothing", "delta", "threshold", "alpha", "gamma", "epsilon")  # none of which is an axis


def is_per_example(function: Any) -> bool:
    """Whether each value of a loss or metric is known to be a function of its own example.

    >>> import optax
    >>> is_per_example(optax.squared_error), is_per_example(lambda y_pred, y_true: (y_pred - y_true) ** 2)
    (True, False)
    """
    if isinstance(function, functools.partial):
        known = set(function.keywords) <= set(_OPTIONS)
        return known and not function.args and is_per_example(function.func)
    if isinstance(function, (metrics.TopKAccuracy, metrics.Metric, losses.ByExample, ShapedAccuracy)):
        return True  # a Metric leaves out what has no weight
    return isinstance(function, (types.FunctionType, type(jax.jit(abs)))) and function in _FUNCTIONS


def may_pad(model: Layer, x: Any, out: Any, state: Any, train: bool, objective: Objective | None = None) -> bool:
    """Whether rows that are added to a batch are known to change nothing of the others.

    Arguments:
        model: the model.
        x: a batch of inputs.
        out: the shapes of what the model returns.
        state: the model's state.
        train: whether in training, where a state is made of the whole batch.
        objective: losses and metrics.
    """
    terms = () if objective is None else objective.terms
    return (
        not out.losses  # activity losses are means over the batch
        and not (train and jax.tree.leaves(state))
        and all(leaf.ndim > 1 or leaf.dtype.kind in "iub" for leaf in jax.tree.leaves(x))
        and all(is_per_example(term.function) for term in terms)
        and _is_known(model, train)
    )


def _is_known(value: Any, train: bool) -> bool:
    """Whether a layer, or what one of its fields holds, is known to treat each example by itself."""
    if isinstance(value, Layer):
        name = type(value).__name__
        if LAYERS.get(name) is not type(value) or name in ACROSS or (train and name in ACROSS_IN_TRAINING):
            return False
        options = {f.name: getattr(value, f.name) for f in fields(value) if not f.name.endswith(_OF_WEIGHTS)}
        return _keeps_batch_axis(value, options) and all(_is_known(item, train) for item in options.values())
    if isinstance(value, Mapping):
        return all(_is_known(item, train) for item in value.values())
    if isinstance(value, tuple):
        return all(_is_known(item, train) for item in value)
    return not callable(value) or _is_activation(value)


def _keeps_batch_axis(layer: Layer, options: Mapping[str, Any]) -> bool:
    """Whether the layer's options leave the first axis alone."""
    name = type(layer).__name__
    if name == "Reshape":
        return bool(options["target_shape"])  # to (), the features' axis would be the first
    if name == "EinsumDense":
        x, kernel, y = options["equation"].replace(" ", "").replace("->", ",").split(",")
        first = x[:3] if x.startswith("...") else x[:1]
        return y.startswith(first) and first not in kernel
    axes = options.get("axis", -1)
    return all(axis == -1 or axis > 0 for axis in (axes if isinstance(axes, tuple) else (axes,)) if axis is not None)


def _is_activation(function: Any) -> bool:
    """Whether a function is an activation of fnlayers or jax: over single numbers, or the last axis."""
    kind = type(function).__module__ if not hasattr(function, "__name__") else ""
    module = getattr(function, "__module__", None) or ""
    return module == "jax._src.nn.functions" or any(
        owner.startswith("fnlayers.functions.activations") for owner in (module, kind)
    )
