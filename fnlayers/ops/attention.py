"""Attention: for each query the mean of the values, weighted by the softmax of its scores with their keys.

`attention` is the one operation of all attention layers.

Shapes: queries (..., queries, heads, features), keys and values (..., keys, heads, features), masks and weights
(..., heads, queries, keys).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from fnlayers.ops import reference
from fnlayers.ops.cuda.attention import missing
from fnlayers.ops.dispatch import dispatch
from fnlayers.ops.problem import AttentionProblem
from fnlayers.ops.reference import Attention


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    mask: jax.Array | None = None,
    causal: bool = False,
    window: int | None = None,
    start: jax.Array | int = 0,
    scale: jax.Array | float = 1.0,
    score: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    drop: Callable[[jax.Array], jax.Array] | None = None,
    empty: str = "zeros",
    fused: bool | None = None,
    return_weights: bool = False,
) -> tuple[jax.Array, jax.Array | None]:
    """(y, weights): y = softmax(scale query . key) value, in value's dtype, and the weights where they are asked for.

    A query that may attend to nothing gets zeros, and no gradient flows through it.

    Arguments: `mask` is True where a query may attend to a key; its axes broadcast. `causal` forbids the keys after the
    query's own position, `window` those that are `window` positions away or more; the first query stands at `start`.
    `score` replaces the scaled dot product: a function of (..., heads, queries, features) and (..., heads, keys,
    features) that gives (..., heads, queries, keys). `drop` is a function of the weights, such as dropout; those
    returned are the ones before it. `empty` names an entry of `reference.EMPTY`. `fused` allows cuDNN's fused kernel
    (None), forbids it (False), or makes it an error that it cannot be taken (True); on other platforms than CUDA the
    reference runs all the same. The fused kernel has no forward-mode and no second derivative.

    Shapes: query (..., queries, heads, features), key (..., keys, groups, features), value (..., keys, groups, any),
    where `groups` divides `heads`: neighboring heads share keys and values, and these are not repeated in memory.

    Reference: Vaswani et al., Attention Is All You Need, 2017; Ainslie et al., GQA: Training Generalized Multi-Query
    Transformer Models from Multi-Head Checkpoints, 2023; Dao, FlashAttention-2, 2023.
    """
    if query.shape[-2] % key.shape[-2]:
        raise ValueError(f"{query.shape[-2]} heads do not fall into {key.shape[-2]} groups of one size")
    queries, keys = query.shape[-3], key.shape[-3]
    square = isinstance(start, int) and start == 0 and queries == keys  # the fused kernel has no other causal mask
    masked = mask is not None or (window is not None and not causal) or (causal and not square)
    call = Attention(scale, score, drop, empty, causal, window, return_weights)
    problem = AttentionProblem(
        *(array.shape for array in (query, key, value)),
        dtypes=tuple(array.dtype.name for array in (query, key, value)),
        is_plain=isinstance(scale, float) and score is None and drop is None and not masked and not return_weights,
        allows_fused=fused is not False,
        is_traced=isinstance(query, Tracer),
        call=call,
    )
    if fused and (needs := missing(problem)):
        raise ValueError(f"the fused kernel needs {'; '.join(needs)}; with fused=None the reference runs instead")
    mask = all_of(mask, nearby(queries, keys, causal, window, start))
    result = dispatch(lambda q, k, v, m: reference.attention(q, k, v, m, call), problem, query, key, value, mask)
    return result if return_weights else (result, None)


def additive_score(
    query: jax.Array, key: jax.Array, inner: jax.Array | float = 1.0, outer: jax.Array | float = 1.0
) -> jax.Array:
    """The sum over features of outer tanh(inner (query + key)), for each pair of a query and a key.

    Shapes: query (..., queries, features), key (..., keys, features), inner and outer () or (features,); scores (...,
    queries, keys).

    Reference: Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, 2015.
    """
    return jnp.sum(outer * jnp.tanh(inner * (query[..., :, None, :] + key[..., None, :, :])), axis=-1)


def nearby(queries: int, keys: int, causal: bool, window: int | None, start: jax.Array | int = 0) -> jax.Array | None:
    """(queries, keys): which keys a query may attend to by its position alone; None: all."""
    row = start + lax.broadcasted_iota("int32", (queries, keys), 0)
    column = lax.broadcasted_iota("int32", (queries, keys), 1)
    near = None if window is None else abs(row - column) < window
    return all_of(column <= row if causal else None, near)


def all_of(*masks: jax.Array | None) -> jax.Array | None:
    """Where every mask is True; None where there is none."""
    return functools.reduce(lambda a, b: b if a is None else a if b is None else a & b, masks)
