"""Flax linen: one compact module."""

import flax.linen as nn
import jax
import jax.numpy as jnp

import kinds
from contenders import Passes
from contenders.jitted import chained, inputs_of, passes
from workloads import Workload

GATE_BIASES = {"LSTM": 4, "GRU": 4, "ConvLSTM": 8}


def prepare(workload: Workload, channels_first: bool) -> Passes:
    model = Model(workload.chain)
    x, _ = inputs_of(workload)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    state = {name: tree for name, tree in variables.items() if name != "params"}

    def apply(params, state, x, train):
        y = model.apply({"params": params, **state}, x, train, mutable=list(state) if train else False)
        return y if train else (y, state)

    return passes(workload, apply, variables["params"], state)


class Model(nn.Module):
    """A chain."""

    chain: tuple[kinds.Kind, ...]

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        return chained(self.chain, x, train, called)


def called(kind: kinds.Kind, x: jax.Array, train: bool) -> jax.Array:
    match kind:
        case kinds.Dense(units):
            return nn.Dense(units)(x)
        case kinds.Conv(filters, kernel, strides, groups):
            return nn.Conv(filters, kernel, strides, feature_group_count=groups)(x)
        case kinds.Depthwise(kernel):
            return nn.Conv(x.shape[-1], kernel, feature_group_count=x.shape[-1])(x)
        case kinds.ConvTranspose(filters, kernel, strides):
            return nn.ConvTranspose(filters, kernel, (strides, strides))(x)
        case kinds.BatchNorm():
            return nn.BatchNorm(use_running_average=not train)(x)
        case kinds.LayerNorm():
            return nn.LayerNorm()(x)
        case kinds.Relu():
            return nn.relu(x)
        case kinds.MaxPool():
            return nn.max_pool(x, (2, 2), (2, 2))
        case kinds.Flatten():
            return x.reshape(len(x), -1)
        case kinds.GlobalAverage():
            return x.mean(range(1, x.ndim - 1))
        case kinds.Attention(heads):
            return nn.MultiHeadDotProductAttention(heads)(x)
        case kinds.Recurrent(cell, units, bidirectional):
            make = {"LSTM": nn.OptimizedLSTMCell, "GRU": nn.GRUCell}[cell]
            if bidirectional:
                return nn.Bidirectional(nn.RNN(make(units)), nn.RNN(make(units)), merge_fn=last_of_both)(x)
            return nn.RNN(make(units))(x)[:, -1]
        case kinds.ConvLSTM(filters, kernel):
            return nn.RNN(nn.ConvLSTMCell(filters, kernel))(x)[:, -1]
    raise TypeError(kind)


def last_of_both(forward: jax.Array, backward: jax.Array) -> jax.Array:
    """The last output of each direction; the backward one's stands at the first time step."""
    return jnp.concatenate((forward[:, -1], backward[:, 0]), axis=-1)
