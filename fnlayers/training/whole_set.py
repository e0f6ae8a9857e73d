"""The predictions of a whole set, gathered on the host for the functions that look at all of them at once."""

from typing import Any

import jax
import numpy as np

from fnlayers.core.errors import ConfigError, LayerError
from fnlayers.training.batch import Batch
from fnlayers.training.outputs import select_output
from fnlayers.training.placing import rows_here
from fnlayers.training.terms import Term


class WholeSet:
    """The outputs that some terms read, batch by batch.

    Arguments:
        terms: those whose function is an `OnWholeSet`.
        processes: among how many processes the examples are shared out.
    """

    def __init__(self, terms: tuple[Term, ...], processes: int = 1) -> None:
        self.terms, self.processes = terms, processes
        self.rows: list[list] = [[] for _ in terms]

    def push(self, predictions: list, batch: Batch) -> None:
        """Take what one batch gave: for each term its output and its weight, of which the first rows are examples."""
        for term, rows, (y_pred, weight) in zip(self.terms, self.rows, predictions, strict=True):
            y_true = select_output(batch.y, term.key, "y")
            rows.append(jax.tree.map(lambda a: rows_here(a)[: batch.count], (y_pred, y_true, weight)))

    def _of_all(self, rows: np.ndarray) -> np.ndarray:
        """The rows of all processes among which the examples are shared out."""
        if self.processes == 1:
            return rows
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(rows, tiled=True))

    def results(self) -> dict[str, Any]:
        """What the functions make of them, by name."""
        return {term.name: self._result(term, rows) for term, rows in zip(self.terms, self.rows, strict=True)}

    def _result(self, term: Term, rows: list) -> Any:
        weighted = any(weight is not None for *_, weight in rows)
        parts = [(p, t, np.ones(len(jax.tree.leaves(p)[0])) if weighted and w is None else w) for p, t, w in rows]
        y_pred, y_true, weight = jax.tree.map(lambda *each: self._of_all(np.concatenate(each)), *parts)
        try:
            return np.asarray(term.function.of(term.name, y_pred, y_true, weight), "float64").tolist()  # type: ignore
        except LayerError:
            raise
        except Exception as error:
            shapes = jax.tree.map(np.shape, (y_pred, y_true))
            raise ConfigError(f"{term.name!r} failed ({type(error).__name__}: {error}), given {shapes}") from error
