"""Metrics of clu's protocol, as google-metrax's: classes with `from_model_output`, `merge` and `compute`.

They are taken as they are. Their arguments are called differently from class to class. Those of google-metrax multiply
by sample weights without a look at the shapes, so they are given weights of their labels' shape, and its areas take
vectors.
"""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError

# What such classes call their arguments.
_PREDICTIONS = ("predictions", "logits", "y_pred", "values", "preds", "outputs")
_LABELS = ("labels", "targets", "y_true", "target")
_WEIGHTS = ("sample_weights", "sample_weight", "weights", "weight", "mask")
# Of google-metrax, whose classes do not say it.
_LESS_IS_BETTER = ("MAE", "MSE", "RMSE", "Perplexity", "WER")
_NEITHER = ("Average",)
_OF_VECTORS = ("AUCPR", "AUCROC")


def merging_class(metric: Any) -> Any:
    """The class of clu's protocol that this is, is an object of, wraps or makes; None for anything else."""
    if isinstance(metric, functools.partial):
        metric = metric.func
    if inspect.ismethod(metric) and metric.__name__ == "from_model_output":
        metric = metric.__self__
    metric = getattr(metric, "clu_metric", metric)  # metrax.nnx's objects hold one
    cls = metric if inspect.isclass(metric) else type(metric)
    methods = (getattr(cls, name, None) for name in ("from_model_output", "merge", "compute"))
    return cls if all(map(callable, methods)) else None


def better_of_class(cls: type) -> str | None:
    """Which way is better, of a class of google-metrax or one that inherits from it; None for any other."""
    name = _name_in_metrax(cls)
    if name is None or name in _NEITHER:
        return None
    return "min" if name in _LESS_IS_BETTER else "max"


def from_model_output(name: str, metric: Any, y_pred: Any, y_true: Any, weight: Any) -> Any:
    """The sums of one batch, an object of the metric's class.

    Arguments:
        name: what the metric is called in errors.
        metric: the class, an object of it, or a functools.partial of its from_model_output.
        y_pred, y_true: the batch's.
        weight: sample weights, and masks, over the first axes; None for 1.

    Raises:
        ConfigError: where it cannot be called with these.
    """
    cls = merging_class(metric)
    make = metric if isinstance(metric, functools.partial) else cls.from_model_output
    parameters = inspect.signature(make).parameters
    predictions, labels, weights = (_named(parameters, names) for names in (_PREDICTIONS, _LABELS, _WEIGHTS))
    if predictions is None:
        raise ConfigError(
            f"the metric {name!r}: from_model_output takes {', '.join(parameters)}, none of which is called "
            f"{' or '.join(_PREDICTIONS)}; write a class whose init, update and result call it"
        )
    if weight is not None and weights is None:
        raise ConfigError(
            f"the metric {name!r}: from_model_output takes no sample_weights, and there are some, or a mask; leave "
            "them out, or give a metric of fnlayers.metrics"
        )
    if _name_in_metrax(cls) is not None and hasattr(y_pred, "shape") and hasattr(y_true, "shape"):
        y_pred, y_true, weight = _for_metrax(name, cls, y_pred, y_true, weight)
    arguments = {predictions: y_pred}
    if labels is not None:
        arguments[labels] = y_true
    if weights is not None and weight is not None:
        arguments[weights] = weight
    _check_complete(name, cls, parameters, arguments)
    return make(**arguments)


def check_merge(name: str, metric: Any, sums: Any) -> None:
    """Raise ConfigError for a class that inherits `merge` without writing it, as metrax.FBetaScore (0.2.4) does.

    Arguments:
        sums: anything of the structure, shapes and dtypes of one batch's sums.
    """
    nothing = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), sums)
    try:
        nothing.merge(nothing)
    except NotImplementedError:
        cls = merging_class(metric).__name__
        raise ConfigError(
            f"the metric {name!r}: {cls} has no merge of its own, so it cannot be of more than one batch; give a "
            f"metric of fnlayers.metrics, or fnlayers.metrics.OnWholeSet(lambda y_pred, y_true: "
            f"{cls}.from_model_output(y_pred, y_true).compute())"
        ) from None


def _named(parameters: Any, choices: tuple[str, ...]) -> str | None:
    return next((name for name in choices if name in parameters), None)


def _name_in_metrax(cls: type) -> str | None:
    """What google-metrax calls this class, or the one that it inherits from; None for any other."""
    return next((base.__name__ for base in cls.__mro__ if base.__module__.startswith("metrax.")), None)


def _for_metrax(name: str, cls: type, y_pred: Any, y_true: Any, weight: Any) -> tuple[Any, Any, Any]:
    """The batch as google-metrax's code can take it: the weight of the shape of the labels, vectors for areas."""
    if weight is not None:
        if weight.shape != y_true.shape[: weight.ndim]:
            raise ShapeError(
                f"{name!r}: y has shape {y_true.shape}, which the sample weight or mask of shape {weight.shape} does "
                "not fit; a weight is given for each example, or for each step of one"
            )
        weight = weight.reshape(*weight.shape, *[1] * (y_true.ndim - weight.ndim))
        weight = jnp.broadcast_to(weight, y_true.shape)
    if _name_in_metrax(cls) in _OF_VECTORS and y_pred.shape == y_true.shape:
        y_pred, y_true = y_pred.ravel(), y_true.ravel()
        weight = None if weight is None else weight.ravel()
    return y_pred, y_true, weight


def _check_complete(name: str, cls: type, parameters: Any, arguments: Any) -> None:
    """Raise ConfigError for arguments without a default that nothing is given for."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters.values() if p.default is p.empty and p.kind not in variadic]
    missing = [each for each in needed if each not in arguments]
    if "references" in missing:
        raise ConfigError(
            f"the metric {name!r}: {cls.__name__} compares texts, and a step has arrays; call it where the texts are: "
            "in fnlayers.metrics.OnWholeSet(function), which decodes the predictions"
        )
    if missing:
        options = ", ".join(f"{each}=..." for each in missing)
        raise ConfigError(
            f"the metric {name!r}: {cls.__name__} needs {', '.join(missing)}; write "
            f"functools.partial({cls.__name__}.from_model_output, {options})"
        )
