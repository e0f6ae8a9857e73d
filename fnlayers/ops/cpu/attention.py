"""Attention, as CPUs run it fast."""

import jax

from fnlayers.half_precision import divide
from fnlayers.ops.reference import Attention, attended, attention_scores, softmax_terms, sum_of_values


def divided_weights(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None, call: Attention
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Scores are scaled, and weights divided: of few keys both are smaller than queries and y."""
    terms, total = softmax_terms(attention_scores(query, key, mask, call, scales_queries=False), value.dtype)
    weights = divide(terms, total, value.dtype)
    return attended(sum_of_values(weights, value, call), weights, value, call)
