"""One time step of the recurrent cells. Each is a step for `scan_time`: (carry, projected) -> (carry, y).

`projected` is x @ kernel + bias, which the caller computes, for all times at once or step by step: its gates lie side
by side, each of `units`. Activations are functions of an array. Matrix products sum half types in float32.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fnlayers.ops.dense import dot

Activation = Callable[[jax.Array], jax.Array]


def simple_rnn_step(
    carry: jax.Array, projected: jax.Array, recurrent_kernel: jax.Array, activation: Activation
) -> tuple[jax.Array, jax.Array]:
    """(h', h'), with h' = activation(projected + h U).

    Shapes: carry h (batch, units), projected (batch, units), recurrent_kernel U (units, units).
    """
    h = activation(projected + dot(carry, recurrent_kernel))
    return h, h


def gru_step(
    carry: jax.Array,
    projected: jax.Array,
    recurrent_kernel: jax.Array,
    recurrent_bias: jax.Array | None,
    activation: Activation,
    recurrent_activation: Activation,
    reset_after: bool,
    seen: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """(h', h'), with h' = z h + (1 - z) activation(candidate); the gates stand in the order z, r, candidate.

    The reset gate r works after the recurrent product, r (h U + b), or before it, (r h) U; only the first has a
    recurrent bias. `seen` is what the recurrent kernel sees in place of h, which is h under dropout.

    Shapes: carry h (batch, units), projected (batch, 3 units), recurrent_kernel U (units, 3 units), recurrent_bias
    (3 units,) or None.

    Reference: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """
    units = recurrent_kernel.shape[0]
    seen = carry if seen is None else seen
    x_z, x_r, x_h = jnp.split(projected, 3, axis=-1)
    if reset_after:
        inner = dot(seen, recurrent_kernel)
        inner = inner if recurrent_bias is None else inner + recurrent_bias
        u_z, u_r, u_h = jnp.split(inner, 3, axis=-1)
    elif recurrent_bias is not None:
        raise ValueError("reset_after=False has no recurrent bias; give recurrent_bias=None")
    else:
        u_z, u_r = jnp.split(dot(seen, recurrent_kernel[:, : 2 * units]), 2, axis=-1)
    z, r = recurrent_activation(x_z + u_z), recurrent_activation(x_r + u_r)
    u_h = r * u_h if reset_after else dot(r * seen, recurrent_kernel[:, 2 * units :])
    h = z * carry + (1 - z) * activation(x_h + u_h)
    return h, h


def lstm_step(
    carry: tuple[jax.Array, jax.Array],
    projected: jax.Array,
    recurrent_kernel: jax.Array,
    activation: Activation,
    recurrent_activation: Activation,
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """((h', c'), h'), with c' = f c + i activation(candidate) and h' = o activation(c').

    The gates stand in the order i, f, candidate, o.

    Shapes: carry (h, c), each (batch, units), projected (batch, 4 units), recurrent_kernel (units, 4 units).

    Reference: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997.
    """
    h, c = carry
    return lstm_gates(c, projected + dot(h, recurrent_kernel), activation, recurrent_activation)


def lstm_gates(
    c: jax.Array, gates: jax.Array, activation: Activation, recurrent_activation: Activation, axis: int = -1
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """((h', c'), h') of `lstm_step`, from c and the sums that enter the four gates, which stand beside each other."""
    i, f, candidate, o = jnp.split(gates, 4, axis)
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(candidate)
    h = recurrent_activation(o) * activation(c)
    return (h, c), h
