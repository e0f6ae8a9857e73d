"""Keras on JAX: a functional model, run by its `stateless_call`."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras

import kinds
from contenders import Passes
from contenders.jitted import passes
from workloads import Workload

layers = keras.layers


def prepare(workload: Workload, channels_first: bool) -> Passes:
    start = keras.Input(batch_shape=workload.shape)
    model = keras.Model(start, chained(workload.chain, start))

    def apply(params, state, x, train):
        return model.stateless_call(params, state, x, training=train)

    params, state = (
        [v.value for v in variables] for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return passes(workload, apply, params, state)


def chained(chain: tuple[kinds.Kind, ...], x: keras.KerasTensor) -> keras.KerasTensor:
    """The chain's output as a node of the graph."""
    for kind in chain:
        match kind:
            case kinds.Residual(body):
                x = layers.add((x, chained(body, x)))
            case kinds.Skip(body):
                x = layers.concatenate((x, chained(body, x)))
            case kinds.Attention(heads):
                x = layers.MultiHeadAttention(heads, x.shape[-1] // heads)(x, x)
            case _:
                x = layer(kind)(x)
    return x


def layer(kind: kinds.Kind) -> keras.Layer:
    match kind:
        case kinds.Dense(units):
            return layers.Dense(units)
        case kinds.Conv(filters, kernel, strides, groups):
            cls = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}[len(kernel)]
            return cls(filters, kernel, strides, padding="same", groups=groups)
        case kinds.Depthwise(kernel):
            return layers.DepthwiseConv2D(kernel, padding="same")
        case kinds.ConvTranspose(filters, kernel, strides):
            return layers.Conv2DTranspose(filters, kernel, strides, padding="same")
        case kinds.BatchNorm():
            return layers.BatchNormalization()
        case kinds.LayerNorm():
            return layers.LayerNormalization()
        case kinds.Relu():
            return layers.ReLU()
        case kinds.MaxPool():
            return layers.MaxPooling2D()
        case kinds.Flatten():
            return layers.Flatten()
        case kinds.GlobalAverage(rank):
            pools = layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D
            return pools[rank - 1]()
        case kinds.Recurrent(cell, units, bidirectional):
            recurrent = {"LSTM": layers.LSTM, "GRU": layers.GRU}[cell](units)
            return layers.Bidirectional(recurrent) if bidirectional else recurrent
        case kinds.ConvLSTM(filters, kernel):
            return layers.ConvLSTM2D(filters, kernel, padding="same")
    raise TypeError(kind)
