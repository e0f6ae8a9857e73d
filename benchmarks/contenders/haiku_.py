"""Haiku: one transformed function."""

import haiku as hk
import jax
import jax.numpy as jnp

import kinds
from contenders import Passes
from contenders.jitted import chained, inputs_of, passes
from workloads import Workload

GATE_BIASES = {"LSTM": 4, "GRU": 3, "ConvLSTM": 8}


def prepare(workload: Workload, channels_first: bool) -> Passes:
    model = hk.without_apply_rng(hk.transform_with_state(lambda x, train: chained(workload.chain, x, train, called)))
    x, _ = inputs_of(workload)
    params, state = jax.jit(model.init, static_argnums=2)(jax.random.key(0), x, True)
    return passes(workload, model.apply, params, state)


def called(kind: kinds.Kind, x: jax.Array, train: bool) -> jax.Array:
    match kind:
        case kinds.Dense(units):
            return hk.Linear(units)(x)
        case kinds.Conv(filters, kernel, strides, groups):
            if groups == 1:
                return {1: hk.Conv1D, 2: hk.Conv2D, 3: hk.Conv3D}[len(kernel)](filters, kernel, strides)(x)
            return hk.ConvND(len(kernel), filters, kernel, strides, feature_group_count=groups)(x)
        case kinds.Depthwise(kernel):
            return hk.DepthwiseConv2D(1, kernel)(x)
        case kinds.ConvTranspose(filters, kernel, strides):
            return hk.Conv2DTranspose(filters, kernel, strides)(x)
        case kinds.BatchNorm():
            return hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=0.99)(x, train)
        case kinds.LayerNorm():
            return hk.LayerNorm(-1, create_scale=True, create_offset=True)(x)
        case kinds.Relu():
            return jax.nn.relu(x)
        case kinds.MaxPool():
            return hk.MaxPool((2, 2, 1), (2, 2, 1), "SAME")(x)
        case kinds.Flatten():
            return hk.Flatten()(x)
        case kinds.GlobalAverage():
            return x.mean(range(1, x.ndim - 1))
        case kinds.Attention(heads):
            width, drawn = x.shape[-1], hk.initializers.VarianceScaling()
            return hk.MultiHeadAttention(heads, width // heads, w_init=drawn, model_size=width)(x, x, x)
        case kinds.Recurrent(cell, units, bidirectional):
            make = {"LSTM": hk.LSTM, "GRU": hk.GRU}[cell]
            ends = [last_output(make(units), x)]
            if bidirectional:
                ends.append(last_output(make(units), x[:, ::-1]))
            return jnp.concatenate(ends, axis=-1)
        case kinds.ConvLSTM(filters, kernel):
            return last_output(hk.Conv2DLSTM(x.shape[2:-1], filters, kernel), x)
    raise TypeError(kind)


def last_output(cell: hk.RNNCore, x: jax.Array) -> jax.Array:
    y, _ = hk.dynamic_unroll(cell, x, cell.initial_state(len(x)), time_major=False)
    return y[:, -1]
