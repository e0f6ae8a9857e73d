"""The predictions of a whole set, gathered on the host for the functions that look at all of them at once."""

from typing import Any

import jax
import numpy as np

from fnlayers.core.errors import ConfigError, LayerError
from fnlayers.training.batch import Batch
from fnlayers.training.terms import Term, select_output


class WholeSet:
    """The outputs that some terms read, batch by batch.

    Arguments:
        terms: those whose function is an `OnWholeSet`.
    """

    def __init__(self, terms: tuple[Term, ...]) -> None:
        self.terms = terms
        self.rows: list[list] = [[] for _ in terms]

    def push(self, predictions: list, batch: Batch) -> None:
        """Take what one batch gave: for each term its output and its weight, of which the first rows are examples."""
        for term, rows, (y_pred, weight) in zip(self.terms, self.rows, predictions, strict=True):
            y_true = select_output(batch.y, term.key, "y")
            rows.append(jax.tree.map(lambda a: np.asarray(a)[: batch.count], (y_pred, y_true, weight)))

    def results(self) -> dict[str, Any]:
        """What the functions make of them, by name."""
        return {term.name: self._result(term, rows) for term, rows in zip(self.terms, self.rows, strict=True)}

    def _result(self, term: Term, rows: list) -> Any:
        weighted = any(weight is not None for *_, weight in rows)
        parts = [(p, t, np.ones(len(jax.tree.leaves(p)[0])) if weighted and w is None else w) for p, t, w in rows]
        y_pred, y_true, weight = jax.tree.map(lambda *each: np.concatenate(each), *parts)
        try:
            return np.asarray(term.function.of(term.name, y_pred, y_true, weight), "float64").tolist()  # type: ignore
        except LayerError:
            raise
        except Exception as error:
            shapes = jax.tree.map(np.shape, (y_pred, y_true))
            raise ConfigError(f"{term.name!r} failed ({type(error).__name__}: {error}), given {shapes}") from error
