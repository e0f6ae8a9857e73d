"""The gradients of a loss; in float16 those of the loss times a number, so that small ones do not become 0."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.layer import Layer
from fnlayers.training.guard import finite

Tree = Any

_MIDDLE = 12  # the exponent of the scale for a loss of 1: gradients from 2e-11 to 16 are represented
_RETRY = 6  # how much smaller the exponent is at the next try
_LEAST = -24  # the last try's, for gradients that are too large for float16 themselves
_SMALLEST, _LARGEST = 2.0**-80, 2.0**24  # losses that the scale follows


def value_and_gradients(model: Layer, loss_at: Callable, trained: Tree) -> tuple[tuple[jax.Array, Any], Tree]:
    """((loss, what else loss_at returns), gradients), as `jax.value_and_grad(loss_at, has_aux=True)(trained)`.

    Where a layer computes in float16, the backward pass is that of the loss times a power of two, and the gradients are
    divided by it in float32: a gradient below 3e-8 would be 0 in float16. The scale follows the loss. One that is too
    large shows in gradients that are not finite, and they are computed again with a smaller one. Nothing is remembered
    from step to step, and where nothing is rounded to 0 no bit changes.

    Arguments:
        model: what is trained.
        loss_at: trained params -> (loss, anything).
        trained: the params that are trained.
    """
    if not computes_in_float16(model):
        return jax.value_and_grad(loss_at, has_aux=True)(trained)
    loss, backward, others = jax.vjp(loss_at, trained, has_aux=True)

    def overflows(tried: tuple) -> Any:
        exponent, gradients = tried
        return (exponent > _LEAST) & jnp.isfinite(loss) & ~finite(gradients)

    def at(exponent: jax.Array) -> Tree:
        return backward(jnp.ldexp(jnp.ones_like(loss), exponent))[0]

    def again(tried: tuple) -> tuple:
        exponent = jnp.maximum(tried[0] - _RETRY, _LEAST)
        return exponent, at(exponent)

    # Before the loop, though that compiles the backward pass twice: as the loop's first turn it takes a tenth longer
    first = _exponent(loss)
    exponent, gradients = jax.lax.while_loop(overflows, again, (first, at(first)))
    return (loss, others), jax.tree.map(lambda g: _divided(g, exponent), gradients)


def computes_in_float16(value: Any) -> bool:
    """Whether a layer, or one inside it, has a dtype policy that computes in float16.

    >>> from fnlayers.layers.dense import Dense
    >>> computes_in_float16(Dense(2, dtype="mixed_float16")), computes_in_float16(Dense(2, dtype="mixed_bfloat16"))
    (True, False)
    """
    if isinstance(value, Layer):
        return value.dtype in ("float16", "mixed_float16") or any(map(computes_in_float16, vars(value).values()))
    if isinstance(value, Mapping):
        return any(map(computes_in_float16, value.values()))
    return type(value) is tuple and any(map(computes_in_float16, value))


def _exponent(loss: jax.Array) -> jax.Array:
    """The exponent of the scale to begin with."""
    # Between 1 / loss, which a loss multiplied by a small number needs, and a constant: near its minimum a squared
    # error is far smaller than its gradient
    size = jnp.clip(jnp.abs(loss), _SMALLEST, _LARGEST)
    half = jnp.where(loss == 0, 0, jnp.round(jnp.log2(size) / 2))
    return jnp.where(jnp.isfinite(loss), _MIDDLE - half, _LEAST).astype("int32")


def _divided(gradient: jax.Array, exponent: jax.Array) -> jax.Array:
    return jnp.ldexp(gradient.astype("float32"), -exponent).astype(gradient.dtype)
