"""fnlayers: a functional graph, trained by `fnlayers.make_step`."""

import jax
import optax

import fnlayers as fl
import kinds
from contenders import LEARNING_RATE, Passes
from contenders.jitted import inputs_of, size
from workloads import Workload


def prepare(workload: Workload, channels_first: bool) -> Passes:
    model = built(workload)
    x, target = inputs_of(workload)
    optimizer = optax.adam(LEARNING_RATE)
    params, state = model.init(jax.random.key(0), x.shape), model.init_state(x.shape)
    # no peer's step looks for NaN, so ours does not either
    step = fl.make_step(model, optax.squared_error, optimizer, guard=False)
    train_state = fl.TrainState.create(model, x.shape, optimizer, params=params, state=state)
    forward = fl.jit(lambda params, state, x: model.apply(params, x, state=state))

    def train() -> dict:
        nonlocal train_state
        train_state, logs = step(train_state, (x, target))
        return jax.block_until_ready(logs)

    return Passes(
        lambda: jax.block_until_ready(forward(params, state, x)), train, size(params), model.out_shape(x.shape)
    )


def built(workload: Workload) -> fl.Functional:
    start = fl.Input(workload.shape[1:])
    return fl.functional(start, chained(workload.chain, start))


def chained(chain: tuple[kinds.Kind, ...], x: fl.Symbol) -> fl.Symbol:
    """The chain's output as a node of the graph."""
    for kind in chain:
        match kind:
            case kinds.Residual(body):
                x = fl.add((x, chained(body, x)))
            case kinds.Skip(body):
                x = fl.concatenate((x, chained(body, x)))
            case kinds.Attention(heads):
                x = fl.MultiHeadAttention(heads, x.shape[-1] // heads)(x, x)
            case _:
                x = layer(kind)(x)
    return x


def layer(kind: kinds.Kind) -> fl.Layer:
    match kind:
        case kinds.Dense(units):
            return fl.Dense(units)
        case kinds.Conv(filters, kernel, strides, groups):
            cls = {1: fl.Conv1D, 2: fl.Conv2D, 3: fl.Conv3D}[len(kernel)]
            return cls(filters, kernel, strides, padding="same", groups=groups)
        case kinds.Depthwise(kernel):
            return fl.DepthwiseConv2D(kernel, padding="same")
        case kinds.ConvTranspose(filters, kernel, strides):
            return fl.Conv2DTranspose(filters, kernel, strides, padding="same")
        case kinds.BatchNorm():
            return fl.BatchNormalization()
        case kinds.LayerNorm():
            return fl.LayerNormalization()
        case kinds.Relu():
            return fl.ReLU()
        case kinds.MaxPool():
            return fl.MaxPooling2D()
        case kinds.Flatten():
            return fl.Flatten()
        case kinds.GlobalAverage(rank):
            return {1: fl.GlobalAveragePooling1D, 2: fl.GlobalAveragePooling2D, 3: fl.GlobalAveragePooling3D}[rank]()
        case kinds.Recurrent(cell, units, bidirectional):
            recurrent = {"LSTM": fl.LSTM, "GRU": fl.GRU}[cell](units)
            return fl.Bidirectional(recurrent) if bidirectional else recurrent
        case kinds.ConvLSTM(filters, kernel):
            return fl.ConvLSTM2D(filters, kernel, padding="same")
    raise TypeError(kind)
