"""How layers adapt: what is counted batch by batch, and the vocabularies and weights that come of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from fnlayers.layers.preprocessing.host import Flat, batches_of, is_ragged


class Learner(Protocol):
    """What a layer has learned from the batches so far: its `learner()` makes one, and `adapt` fills it."""

    def add(self, batch: np.ndarray, whole: bool) -> None:
        """Learn from a batch, which is all the data or a part of it."""
        ...

    def learned(self) -> Any:
        """The layer with what was learned as its options."""
        ...


def adapted(layer: Any, data: Any, verbose: bool, steps: int | None, lists_are_arrays: bool = True) -> Any:
    """The layer with what its learner learns from data that are read once: see `batches_of`."""
    learner: Learner = layer.learner()
    for batch, whole in batches_of(layer, data, verbose, steps, lists_are_arrays):
        learner.add(batch, whole)
    return learner.learned()


class TokenCounts:
    """How often each token of a lookup occurs, and for weights in how many documents: a Learner.

    Arguments:
        lookup: the layer.
    """

    def __init__(self, lookup: Any) -> None:
        self.lookup, self.counts, self.documents, self.rows = lookup, Counter(), Counter(), 0

    def add(self, batch: np.ndarray, whole: bool) -> None:
        """Each element of an array with one axis is a document; such a batch is one document."""
        one_axis = whole and batch.ndim == 1 and not is_ragged(batch)
        self.add_tokens(self.lookup.flat(batch[:, None] if one_axis else batch))

    def add_tokens(self, flat: Flat) -> None:
        """Count tokens that stand one after the other."""
        self.counts.update(_occurrences(flat))
        if self.lookup.output_mode == "tf_idf":
            self.rows += document_frequencies(flat, self.documents)

    def learned(self) -> Any:
        """The lookup with a vocabulary, and weights."""
        return self.lookup.learned(self.counts, self.documents, self.rows)


def _occurrences(flat: Flat) -> Any:
    """What a Counter counts: the tokens, or how often each number is there."""
    if not isinstance(flat.items, np.ndarray):
        return flat.items
    numbers, counts = np.unique(flat.items, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def document_frequencies(flat: Flat, documents: Counter) -> int:
    """Add for each token in how many rows it is; how many rows there are. An array with one axis is one row."""
    items = flat.items.tolist() if isinstance(flat.items, np.ndarray) else flat.items
    if flat.lengths is not None:
        lengths = flat.lengths
    else:
        rows = flat.shape[0] if len(flat.shape) > 1 else 1
        lengths = np.full(rows, len(items) // max(rows, 1))
    numbers: dict[Any, int] = defaultdict()
    numbers.default_factory = numbers.__len__  # type: ignore[attr-defined]  # each new token has the next number
    ids = np.fromiter(map(numbers.__getitem__, items), np.int64, len(items))
    size = max(len(numbers), 1)
    pairs = np.unique(np.repeat(np.arange(len(lengths)), lengths) * size + ids)  # of a row and a token in it
    documents.update(dict(zip(numbers, np.bincount(pairs % size, minlength=size).tolist(), strict=False)))
    return len(lengths)


def ordered_tokens(counts: Counter, most: int | None) -> list:
    """The tokens by how often they are, the most frequent first; of equals the largest first, as bytes or numbers."""
    pairs = sorted(((count, token) for token, count in counts.items()), reverse=True)
    return [token for _, token in pairs[:most]]


def learned_weights(tokens: Iterable, documents: Counter, rows: int) -> tuple[float, ...]:
    """The inverse document frequency of each token, log(1 + rows / (1 + rows with it)), in the digits of float32."""
    frequencies = np.array([documents[token] for token in tokens], np.float64)
    return tuple(np.log(1 + rows / (1 + frequencies)).astype(np.float32).tolist())
