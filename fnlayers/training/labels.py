"""Class numbers, looked at on the host: a label that is no class makes no error on a device, but a wrong gradient."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.training.batch import Batch
from fnlayers.training.objective import Objective, Term, pick, spread, takes_classes


def check_labels(objective: Objective, batch: Batch, out: Any) -> None:
    """Raise ConfigError where a loss takes class numbers and y holds something else.

    Arguments:
        objective: the losses; only those known to take class numbers are looked at.
        batch: examples. Arrays on a device are not fetched for this.
        out: the model's Out with the shapes of its output.
    """
    for term in objective.losses:
        if takes_classes(term.function):
            labels = pick(batch.y, term.key)
            if hasattr(labels, "dtype"):
                _check(term, labels, batch.weight, pick(out.y, term.key).shape[-1], _masked(out, term))


def _masked(out: Any, term: Term) -> bool:
    return out.mask is not None and bool(jax.tree.leaves(pick(out.mask, term.key)))


def _check(term: Term, labels: Any, weight: Any, classes: int, masked: bool) -> None:
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ConfigError(
            f"y is {labels.dtype}, but this {term.name} takes class numbers; write y.astype('int32'), or for one-hot "
            "labels use optax.softmax_cross_entropy"
        )
    # What a masked step is labelled with is nobody's business, and which steps are masked only the model knows
    if masked or not isinstance(labels, np.ndarray) or labels.size == 0:
        return
    if labels.min() >= 0 and labels.max() < classes:
        return
    wrong = (labels < 0) | (labels >= classes)
    if weight is not None:
        wrong &= np.asarray(spread(weight, labels, term.name, "sample weight")) != 0
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ConfigError(
            f"y[{', '.join(map(str, at))}] is {int(labels[at])}, but the model's output has {classes} classes, 0 to "
            f"{classes - 1} ({int(wrong.sum())} such labels); correct them, or give those examples the weight 0"
        )
