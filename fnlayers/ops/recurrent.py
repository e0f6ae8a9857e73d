"""The gates of recurrent cells: one step in time, from what the weights made of x and of the carry.

Gates lie side by side, each of `units`. Activations are functions of an array.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnlayers.ops.loop import Loop

Activation = Callable[[jax.Array], jax.Array]
Carry = Any  # arrays (batch, units), the first of which is h, the output
Join = Callable[..., jax.Array]
Gates = Callable[..., tuple[Carry, jax.Array]]
ScanResult = tuple[Carry, jax.Array, jax.Array | None]  # the carry, the last output, all outputs


class DenseWeights(NamedTuple):
    """What x and h are multiplied by: matrices (features, gates) and (units, gates), and a bias (gates,) of each, or
    None.
    """

    kernel: jax.Array
    recurrent: jax.Array
    bias: jax.Array | None = None
    recurrent_bias: jax.Array | None = None


class DenseScan(NamedTuple):
    """What `scan_dense` does in a step, and the loop that it does it in."""

    join: Join
    gates: Gates
    loop: Loop


class Recurrence(NamedTuple):
    """A recurrent step of dense weights as plain data: (new carry, output) = gates(carry, combine(of x, of h)).

    Arguments:
        gates: (carry, preactivations, axis): the gates lie side by side along that axis. See `scan_dense`.
        combine: (of_x, of_h, axis): the preactivations, from those of x and of h. See `scan_dense`.
        weights: those among the params, as DenseWeights.
        is_lstm: whether gates and combine are those of `scan_lstm`.
    """

    gates: Callable[..., tuple[Any, Any]]
    combine: Callable[..., jax.Array]
    weights: Callable[[Any], Any]
    is_lstm: bool = False


class LinearRecurrence(NamedTuple):
    """A recurrent step of other weights: (new carry, output) = gates(carry, preactivate(params, carry, projected x)).

    Arguments:
        gates: (carry, preactivations). They read no params.
        preactivate: (params, carry, projected), linear in the carry, over any leading axes. See `scan_gates`.
    """

    gates: Callable[[Any, Any], tuple[Any, Any]]
    preactivate: Callable[[Any, Any, Any], Any]


def gru_gates(
    h: jax.Array,
    z: jax.Array,
    r: jax.Array,
    candidate: Activation,
    activation: Activation,
    recurrent_activation: Activation,
) -> tuple[jax.Array, jax.Array]:
    """(h', h'), with h' = z h + (1 - z) activation(candidate(r)), from h and the sums that enter the gates z and r.

    `candidate` says what the reset gate r resets: x_h + r u_h, of the recurrent product, or x_h + (r h) U, before it.

    Reference: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """
    z = recurrent_activation(z)
    h = z * h + (1 - z) * activation(candidate(recurrent_activation(r)))
    return h, h


def lstm_gates(
    c: jax.Array, gates: jax.Array, activation: Activation, recurrent_activation: Activation, axis: int = -1
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """((h', c'), h'), with c' = f c + i activation(candidate) and h' = o activation(c').

    From c and the sums that enter the gates i, f, candidate, o.

    Reference: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997.
    """
    i, f, candidate, o = jnp.split(gates, 4, axis)
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(candidate)
    h = recurrent_activation(o) * activation(c)
    return (h, c), h


def join_lstm(of_x: jax.Array, of_h: jax.Array, axis: int) -> jax.Array:
    """The sums that enter an LSTM's gates."""
    return of_x + of_h


def standard_lstm_gates(
    carry: tuple[jax.Array, jax.Array], preactivations: jax.Array, axis: int
) -> tuple[Carry, jax.Array]:
    """The gates of an LSTM whose activations are tanh and sigmoid."""
    return lstm_gates(carry[1], preactivations, jnp.tanh, jax.nn.sigmoid, axis)


def hidden(carry: Carry) -> jax.Array:
    """h, the output that came with a carry."""
    return carry[0] if isinstance(carry, tuple) else carry


def masked_hidden(carry: Carry, dropout_mask: jax.Array | None) -> jax.Array:
    """What the weights see of h, under the recurrent dropout's mask."""
    return hidden(carry) if dropout_mask is None else hidden(carry) * dropout_mask


def plus(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    """The bias added, where there is one."""
    return y if bias is None else y + bias
