"""What stands in for the kernels of cuDNN: JAX's own reference of its LSTM, with its layout of weights and its gradient."""

import jax
import jax.numpy as jnp
from jax.experimental import rnn

SAVED = 7  # elements that the stand-in saves for its gradient


def lstm(x, h, c, weights, lengths, **sizes):
    sizes = {name: sizes[name] for name in ("input_size", "hidden_size", "num_layers", "bidirectional")}
    split = rnn.unpack_lstm_weights(weights, **sizes)
    return rnn.lstm_ref(x, h, c, *split, lengths, *list(sizes.values())[:3], 0.0, sizes["bidirectional"])


def lstm_forward(*arrays, **options):
    results = lstm(*arrays, **options)
    return results, (*arrays, results[0], jnp.full(SAVED, 3.0))


def lstm_backward(*, residuals, gradients, **options):
    *arrays, lengths, ys, saved = residuals
    results, pull = jax.vjp(lambda *arrays: lstm(*arrays, lengths, **options), *arrays)
    # The kernel needs what it gave before; without it its gradients are wrong
    right = jnp.all(saved == 3) & jnp.all(ys == results[0])
    return (*(jnp.where(right, g, jnp.nan) for g in pull(gradients)), jnp.zeros_like(lengths))
