"""Warnings of losses that do not fit what the model ends in: with a softmax before it a loss on logits misleads."""

import warnings

from fnlayers.core.layer import Layer
from fnlayers.training.ends import OTHERS, PROBABILITIES, ending
from fnlayers.training.known import takes_of
from fnlayers.training.objective import Objective
from fnlayers.training.terms import Term


def warn_of_endings(model: Layer, objective: Objective, stacklevel: int = 3) -> None:
    """Warn where a loss on logits is given probabilities, or one on probabilities something else.

    Arguments:
        model: what is trained.
        objective: its losses and metrics.
        stacklevel: whose line the warning names, as for `warnings.warn`.
    """
    for term in objective.terms:
        if text := _warning(model, term):
            warnings.warn(text, UserWarning, stacklevel=stacklevel)


def _warning(model: Layer, term: Term) -> str | None:
    """The warning for one loss or metric, None if nothing is."""
    takes = takes_of(term.function)
    if takes is None or isinstance(term.key, tuple):  # of several outputs only functions of one's own
        return None
    name, layer = ending(model, term.key)
    where = f"the output {term.key!r}" if term.key is not None else "the model"
    if name == "softmax" and getattr(layer, "units", None) == 1:
        return f"{where} ends in a softmax over one number, which is always 1: {layer!r}; write activation='sigmoid'"
    if takes.form == "logits" and name in PROBABILITIES:
        return (
            f"{where} ends in a {name} ({layer!r}), but {takes.name} takes logits and applies one itself: it trains "
            f"slowly, and its numbers are wrong; leave out the activation, or use {takes.other_form}"
        )
    if takes.form == "probabilities" and name in OTHERS:
        activation = "sigmoid" if takes.labels == "binary" else "softmax"
        return (
            f"{where} ends in {layer!r}, which gives no probabilities, but {takes.name} takes them; write "
            f"activation={activation!r}, or use {takes.other_form}"
        )
    return None
