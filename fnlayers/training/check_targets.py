"""Labels, looked at on the host: one that a loss cannot take makes no error on a device, but a wrong gradient."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.training.batch import Batch
from fnlayers.training.data import Source
from fnlayers.training.known import takes_of
from fnlayers.training.objective import Objective, check_outputs
from fnlayers.training.outputs import select_output
from fnlayers.training.pairing import check_pair
from fnlayers.training.takes import Takes
from fnlayers.training.terms import Term
from fnlayers.training.weighting import expand_weight, select_weight

# What to say of labels that a loss cannot take
_EXPECTED = {
    "binary": "takes labels from 0 to 1; for -1 and 1 write (y + 1) / 2, for class numbers use "
    "optax.softmax_cross_entropy_with_integer_labels",
    "answers": "takes labels of 0 and 1, or of -1 and 1",
    "one-hot": "takes one-hot labels, or probabilities, which are not negative",
    "signs": "takes labels of -1 and 1; for 0 and 1 write 2 * y - 1",
}


def check_data(objective: Objective, source: Source, out: Any) -> None:
    """Raise for all that can be known to be wrong before the first step: in the data set, or in its first batch.

    Arguments:
        objective: the losses and metrics.
        source: the data.
        out: the model's Out with the shapes of its output for the first batch.
    """
    weights = [] if source.dataset is None else jax.tree.leaves(source.dataset.weight)
    if weights and not any(weight.any() for weight in weights):
        raise ConfigError("all sample weights are 0, so nothing can be learned or measured; give some examples weight")
    check_labels(objective, source.first if source.dataset is None else source.dataset, out, fetch=True)


def check_labels(objective: Objective, batch: Batch, out: Any, fetch: bool = False) -> None:
    """Raise where y is nothing that a loss can take: shapes that do not pair, classes that there are not.

    Arguments:
        objective: the losses and metrics; those that are not known (see `takes`) take what they like.
        batch: examples.
        out: the model's Out with the shapes of its output.
        fetch: whether labels on a device are looked at, too, which waits for them; in training the step itself does.
    """
    if fetch:
        batch = batch._replace(y=jax.tree.map(_fetched, batch.y))
    check_outputs(objective, out.y)
    # What a loss leaves out may stand among the labels of metrics, too
    ignored = {getattr(takes_of(term.function), "ignore", None) for term in objective.losses} - {None}
    looked_at: set[tuple] = set()
    for term in objective.terms:
        takes, y = takes_of(term.function), select_output(batch.y, term.key, "y")
        y_pred = jax.tree.map(lambda a: _of_rows(a, batch.count), select_output(out.y, term.key, "the output"))
        _check_real(term, y, y_pred)
        if takes is not None:
            check_pair(term.name, term.function, y_pred, y, exact=False)
            if takes.labels == "classes":
                _check_integers(term, takes, y)
        # What a masked step is labelled with is ignored, and which steps are masked only the model knows
        if not isinstance(y, np.ndarray) or not y.size or _masked(out, term):
            continue
        takes, is_loss = takes or _takes_of_fitting(term, y_pred, y), term in objective.losses
        if takes is None or not (is_loss or takes.are_classes):  # a metric may compare any scores, or -1 and 1
            continue
        classes = y_pred.shape[takes.axis] if takes.labels == "classes" else 0
        if takes.classes is not None and classes > takes.classes:  # which the metric itself refuses
            continue
        kind = (term.key, takes.labels, takes.bounds(classes), takes.ignore)
        if kind not in looked_at:
            looked_at.add(kind)
            _check_numbers(term, takes, y, select_weight(batch.weight, term), classes, None if is_loss else ignored)


def _fetched(a: Any) -> Any:
    """An array on the host, but for one of which other processes have a part."""
    return a if isinstance(a, jax.Array) and not a.is_fully_addressable else np.asarray(a)


def _of_rows(a: Any, count: int) -> jax.ShapeDtypeStruct:
    """The output for so many examples, its shape having been found for others."""
    return jax.ShapeDtypeStruct((count, *a.shape[1:]), a.dtype)


def _takes_of_fitting(term: Term, y_pred: Any, y: np.ndarray) -> Takes | None:
    """What is taken by the function that a metric is for arrays of these shapes, as of "accuracy"."""
    fitting = getattr(term.function, "fitting", None)
    return takes_of(fitting(y_pred, y)) if isinstance(y_pred, jax.ShapeDtypeStruct) and fitting is not None else None


def _masked(out: Any, term: Term) -> bool:
    return out.mask is not None and bool(jax.tree.leaves(select_output(out.mask, term.key)))


def _check_real(term: Term, y: Any, y_pred: Any) -> None:
    """Complex labels, of which a real output would learn half, are for complex outputs."""
    if _complex(y) and not _complex(y_pred):
        raise ConfigError(
            f"{_named(term)} is complex, and the model's output is real: the imaginary part would be lost; give it as "
            "further numbers, numpy.stack([y.real, y.imag], -1)"
        )


def _complex(nest: Any) -> bool:
    return any(jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in jax.tree.leaves(nest))


def _check_integers(term: Term, takes: Takes, y: Any) -> None:
    if not jnp.issubdtype(y.dtype, jnp.integer):
        other = f", or for one-hot labels use {takes.other_labels}" if takes.other_labels else ""
        named = _named(term)
        raise ConfigError(
            f"{named} is {y.dtype}, but this {term.name} takes class numbers; write {named}.astype('int32'){other}"
        )


def _check_numbers(term: Term, takes: Takes, y: np.ndarray, weight: Any, classes: int, ignored: set | None) -> None:
    """Each label must be one that the loss or metric can take, those without weight excepted.

    `ignored`: of a metric, further labels that may be there; None for a loss.
    """
    wrong = takes.is_wrong(y, classes)
    if wrong is None or not wrong.any():
        return
    for label in ignored or ():
        wrong &= y != label
    if weight is not None:
        wrong &= np.asarray(expand_weight(weight, y, term.name, "sample weight")) != 0
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        what = "" if ignored is None else f"metric {term.name!r}: "
        raise ConfigError(
            f"{what}{_named(term)}[{', '.join(map(str, at))}] is {y[at]}, but {_expected(takes, classes)} "
            f"({int(wrong.sum())} such labels); correct them, or give those examples the weight 0"
        )


def _expected(takes: Takes, classes: int) -> str:
    if takes.classes is not None:
        return f"{takes.name} has num_classes={takes.classes}, 0 to {takes.classes - 1}"
    if takes.labels == "classes":
        kinds = f"has {classes} classes, 0 to {classes - 1}" if classes > 1 else "is one number, not one for each class"
        return f"the model's output {kinds}"
    return f"{takes.name} {_EXPECTED[takes.labels]}"


def _named(term: Term) -> str:
    return "y" if term.key is None else f"y[{term.key!r}]"
