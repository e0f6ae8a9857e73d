"""Categories by number as vectors: one-hot, multi-hot, counted. The same on the host (NumPy) and under jit (jax)."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

CategoryMode = Literal["int", "one_hot", "multi_hot", "count"]


def encode_categories(ids: Any, depth: int, mode: CategoryMode, dtype: Any, weights: Any = None) -> jax.Array:
    """Ids as vectors of `depth`; those below 0, or of `depth` and more, count nowhere.

    Arguments:
        ids: integers. A scalar counts as one in a sequence.
        depth: how many categories there are.
        mode: "one_hot": a vector for each id, in the place of a last axis of size 1, else in a new one. "multi_hot" and
            "count": a vector for each row, over axis 1 (over axis 0 where there is no other): 1 for each id that is
            there, or how often it is. "int": the ids.
        dtype: of the vectors.
        weights: how much each id counts, in the mode "count".

    Example:
        >>> encode_categories(jnp.array([[0, 2, 2]]), 4, "count", "float32").tolist()
        [[1.0, 0.0, 2.0, 0.0]]
    """
    if mode == "int":
        return jnp.asarray(ids, dtype)
    ids = jnp.atleast_1d(ids)
    if mode == "one_hot":
        ids = ids[..., 0] if ids.ndim > 1 and ids.shape[-1] == 1 else ids
        return jax.nn.one_hot(ids, depth, dtype=dtype)
    vectors = jax.nn.one_hot(ids, depth, dtype=dtype)
    axis = min(ids.ndim - 1, 1)
    if mode == "count":
        return jnp.sum(vectors if weights is None else vectors * weights[..., None], axis=axis, dtype=dtype)
    return jnp.max(vectors, axis=axis, initial=0)


def encode_rows(
    ids: np.ndarray, rows: np.ndarray, shape: tuple[int, int], count: bool = True, weights: np.ndarray | None = None
) -> np.ndarray:
    """Vectors of rows of any lengths, on the host; ids outside of the vectors count nowhere.

    Nothing of the vectors' size is made besides them, and what stays 0 is not written.

    Arguments:
        ids: of all rows, one after the other.
        rows: the row of each id.
        shape: (rows, categories).
        count: whether to count, or to say whether an id is there.
        weights: how much each category counts; the vectors are of their dtype. None: 1, and int64.

    Example:
        >>> encode_rows(np.array([0, 2, 2]), np.array([0, 0, 1]), (2, 3)).tolist()
        [[1, 0, 1], [0, 0, 1]]
    """
    inside = (ids >= 0) & (ids < shape[1])
    at, counts = np.unique(rows[inside] * shape[1] + ids[inside], return_counts=True)
    encoded = np.zeros(shape[0] * shape[1], np.int64 if weights is None else weights.dtype)
    encoded[at] = counts if count else 1
    if weights is not None:
        encoded[at] *= weights[at % shape[1]]
    return encoded.reshape(shape)


def encode_each(ids: np.ndarray, depth: int) -> np.ndarray:
    """A one-hot vector of integers for each id, on the host, in a new last axis; zeros for ids outside of it.

    Example:
        >>> encode_each(np.array([1, -1]), 2).tolist()
        [[0, 1], [0, 0]]
    """
    encoded = np.zeros((ids.size, depth), np.int64)
    inside = np.flatnonzero((ids.ravel() >= 0) & (ids.ravel() < depth))
    encoded[inside, ids.ravel()[inside]] = 1
    return encoded.reshape(*ids.shape, depth)
