"""Attention: for each query the mean of the values, weighted by the softmax of its scores with their keys.

`attention` is the one operation of all attention layers. Its reference formulation is a product, a masked softmax and a
product, with scores and sums in float32. Beside it stands cuDNN's fused kernel, which never holds the scores; `FUSED`
says when it is taken.

Shapes: queries (..., queries, heads, features), keys and values (..., keys, heads, features), masks and weights
(..., heads, queries, keys).
"""

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.dense import matmul_in_float32
from fnlayers.ops.layout import sum_dtype

# What the fused kernel wants of (query, key, value); all else goes to the reference.
FUSED: dict[str, Callable[[Any, Any, Any], bool]] = {
    "float16 or bfloat16": lambda q, k, v: q.dtype == k.dtype == v.dtype and q.dtype in ("float16", "bfloat16"),
    "known sizes, none of them 0": lambda q, k, v: all(isinstance(n, int) and n for n in q.shape + k.shape),
    "one batch": lambda q, k, v: q.shape[:-3] == k.shape[:-3],
    "values of the keys' shape": lambda q, k, v: k.shape == v.shape,
    "heads of 8, 16, ... 128 features": lambda q, k, v: q.shape[-1] % 8 == 0 and q.shape[-1] <= 128,
}
# The score of a pair that the mask forbids, in float32, and so what a query gets that may attend to nothing.
EMPTY: dict[str, Callable[[jax.Array], Any]] = {
    "zeros": lambda scores: -jnp.inf,
    "mean": lambda scores: jnp.finfo(scores.dtype).min,  # of all values, forbidden ones included
    "shifted": lambda scores: scores - 1e9,  # nearly that mean, with a gradient to the scores
}


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
    query's own place, `window` those that are `window` places away or more; the first query's place is `start`.
    `score` replaces the scaled dot product: a function of (..., heads, queries, features) and (..., heads, keys,
    features) that gives (..., heads, queries, keys). `drop` is a function of the weights, such as dropout; those
    returned are the ones before it. `empty` names an entry of
    EMPTY. `fused` allows the fused kernel (None), forbids it (False), or makes it an error that it cannot be taken
    (True); on other platforms than CUDA the reference runs all the same. The fused kernel has no forward-mode and no
    second derivative.

    Shapes: query (..., queries, heads, features), key (..., keys, groups, features), value (..., keys, groups, any),
    where `groups` divides `heads`: neighboring heads share keys and values, and these are not repeated in memory.

    Reference: Vaswani et al., Attention Is All You Need, 2017; Ainslie et al., GQA: Training Generalized Multi-Query
    Transformer Models from Multi-Head Checkpoints, 2023; Dao, FlashAttention-2, 2023.
    """
    if query.shape[-2] % key.shape[-2]:
        raise ValueError(f"{query.shape[-2]} heads do not fall into {key.shape[-2]} groups of one size")
    queries, keys = query.shape[-3], key.shape[-3]
    reference = functools.partial(_reference, scale=scale, score=score, drop=drop, empty=empty)
    lacking = ["the plain dot product, without dropout, masks other than the causal one, and weights returned"]
    square = isinstance(start, int) and start == 0 and queries == keys  # the kernel has no other causal mask
    masked = mask is not None or (window is not None and not causal) or (causal and not square)
    if isinstance(scale, float) and score is None and drop is None and not masked and not return_weights:
        lacking = [name for name, holds in FUSED.items() if not holds(query, key, value)]
    if fused and lacking:
        raise ValueError(f"the fused kernel wants {'; '.join(lacking)}; with fused=None the reference runs instead")
    mask = all_of(mask, nearby(queries, keys, causal, window, start))
    if fused is not False and not lacking and _cudnn_is_here():
        kernel = functools.partial(_fused, causal=causal, window=window, scale=scale, implementation="cudnn")
        # by platform, so that a program exported from here to another one holds the reference
        y = lax.platform_dependent(query, key, value, mask, cuda=kernel, default=lambda *a: reference(*a)[0])
        return y, None
    y, weights = reference(query, key, value, mask)
    return y, weights if return_weights else None


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
    """(queries, keys): which keys a query may attend to by its place alone; None: all."""
    row = start + lax.broadcasted_iota("int32", (queries, keys), 0)
    column = lax.broadcasted_iota("int32", (queries, keys), 1)
    near = None if window is None else abs(row - column) < window
    return all_of(column <= row if causal else None, near)


def _reference(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    scale: jax.Array | float,
    score: Callable[[jax.Array, jax.Array], jax.Array] | None,
    drop: Callable[[jax.Array], jax.Array] | None,
    empty: str,
) -> tuple[jax.Array, jax.Array]:
    """Heads first, so that each product is one batched matmul: twice as fast on CPUs as contracting in place."""
    q, k, v = (jnp.moveaxis(a, -2, -3) for a in (query, key, value))
    few_keys = isinstance(k.shape[-2], int) and k.shape[-2] < min(q.shape[-1], v.shape[-1])
    if score is None:
        scale, k = jnp.asarray(scale, sum_dtype(q)), jnp.swapaxes(k, -1, -2)
        # queries are fewer than scores of many keys, but those of a half type would be rounded once more
        scores = scale * _grouped(q, k) if few_keys or q.dtype != sum_dtype(q) else _grouped(scale * q, k)
    else:
        scores = score(q, k).astype(sum_dtype(q))
    if mask is not None:
        scores = jnp.where(mask, scores, EMPTY[empty](scores))
    # the largest score, or with nothing to attend to a finite number, so that exp gives 0 and not NaN
    top = jnp.max(scores, axis=-1, keepdims=True, initial=jnp.finfo(scores.dtype).min)
    weights = jnp.exp(scores - lax.stop_gradient(top))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    total = jnp.where(total == 0, 1, total)
    if few_keys:  # else divided after the product, where there is less to divide
        weights, total = weights / total, 1
    y = _grouped((weights if drop is None else drop(weights)).astype(value.dtype), v) / total
    return jnp.moveaxis(y, -3, -2).astype(value.dtype), (weights / total).astype(value.dtype)


def _grouped(a: jax.Array, b: jax.Array) -> jax.Array:
    """The product of the last two axes, in float32 at least; neighboring heads of `a` share a head of `b`."""
    *batch, heads, rows, inner = a.shape
    stacked = a.reshape(*batch, b.shape[-3], heads // b.shape[-3] * rows, inner)
    product = matmul_in_float32(stacked, b)
    return product.reshape(*product.shape[:-3], heads, rows, b.shape[-1])


def _fused(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    causal: bool,
    window: int | None,
    scale: Any,
    implementation: Any,
) -> jax.Array:
    """The kernel, which wants one batch axis. It makes the causal mask itself, so it has no use for `mask`."""
    q, k, v = (a.reshape(math.prod(a.shape[:-3]), *a.shape[-3:]) for a in (query, key, value))
    near = None if window is None else (window - 1, 0)
    y = jax.nn.dot_product_attention(
        q, k, v, scale=scale, is_causal=causal, local_window_size=near, implementation=implementation
    )
    return y.reshape(query.shape)


def all_of(*masks: jax.Array | None) -> jax.Array | None:
    """Where every mask is True; None where there is none."""
    return functools.reduce(lambda a, b: b if a is None else a if b is None else a & b, masks)


def _cudnn_is_here() -> bool:
    """Whether this process has a CUDA device that cuDNN's kernel runs on: compute capability 8.0 or higher."""
    if jax.default_backend() != "gpu":
        return False
    found = re.fullmatch(r"(\d+)\.\d+", str(getattr(jax.local_devices()[0], "compute_capability", "")))
    return found is not None and int(found[1]) >= 8
