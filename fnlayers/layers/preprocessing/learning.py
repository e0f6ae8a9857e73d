"""What `adapt` counts, and the vocabularies and weights that come of it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from fnlayers.layers.preprocessing.host import Flat


def tokens_of(flat: Flat) -> Any:
    """The tokens as Python objects, which a Counter counts."""
    return flat.items.tolist() if isinstance(flat.items, np.ndarray) else flat.items


def document_frequencies(flat: Flat, documents: Counter) -> int:
    """Add for each token in how many rows it is; how many rows there are. An array with one axis is one row."""
    items, shape = tokens_of(flat), flat.shape
    if flat.lengths is None:
        rows = shape[0] if len(shape) > 1 else 1
        lengths = [len(items) // max(rows, 1)] * rows
    else:
        rows, lengths = len(flat.lengths), flat.lengths.tolist()
    start = 0
    for length in lengths:
        documents.update(set(items[start : start + length]))
        start += length
    return rows


def ordered_tokens(counts: Counter, most: int | None) -> list:
    """The tokens by how often they are, the most frequent first; of equals the largest first, as bytes or numbers."""
    pairs = sorted(((count, token) for token, count in counts.items()), reverse=True)
    return [token for _, token in pairs[:most]]


def learned_weights(tokens: Iterable, documents: Counter, rows: int) -> tuple[float, ...]:
    """The inverse document frequency of each token, log(1 + rows / (1 + rows with it)), in the digits of float32."""
    frequencies = np.array([documents[token] for token in tokens], np.float64)
    return tuple(np.log(1 + rows / (1 + frequencies)).astype(np.float32).tolist())
