"""Flax nnx: modules, split into arrays and structure around the compiled functions, as its guides advise."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

import kinds
from contenders import Passes
from contenders.jitted import passes
from workloads import Workload

GATE_BIASES = {"LSTM": 4, "GRU": 3}


def prepare(workload: Workload, channels_first: bool) -> Passes:
    model = Chain(workload.chain, workload.shape, nnx.Rngs(0))
    model.eval()
    inference = nnx.graphdef(model)
    model.train()
    training, params, state = nnx.split(model, nnx.Param, ...)

    def apply(params, state, x, train):
        model = nnx.merge(training if train else inference, params, state, copy=True)
        y = model(x)
        return y, nnx.state(model, nnx.Not(nnx.Param))

    return passes(workload, apply, params, state)


class Chain(nnx.Module):
    """Layers one after the other."""

    def __init__(self, chain: tuple[kinds.Kind, ...], shape: kinds.Shape, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List()
        for kind in chain:
            self.layers.append(layer(kind, shape, rngs))
            shape = kind.out(shape)

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def layer(kind: kinds.Kind, shape: kinds.Shape, rngs: nnx.Rngs):
    channels = shape[-1]
    match kind:
        case kinds.Dense(units):
            return nnx.Linear(channels, units, rngs=rngs)
        case kinds.Conv(filters, kernel, strides, groups):
            return nnx.Conv(channels, filters, kernel, strides, feature_group_count=groups, rngs=rngs)
        case kinds.Depthwise(kernel):
            return nnx.Conv(channels, channels, kernel, feature_group_count=channels, rngs=rngs)
        case kinds.ConvTranspose(filters, kernel, strides):
            return nnx.ConvTranspose(channels, filters, kernel, (strides, strides), rngs=rngs)
        case kinds.BatchNorm():
            return nnx.BatchNorm(channels, rngs=rngs)
        case kinds.LayerNorm():
            return nnx.LayerNorm(channels, rngs=rngs)
        case kinds.Relu():
            return nnx.relu
        case kinds.MaxPool():
            return functools.partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
        case kinds.Flatten():
            return flattened
        case kinds.GlobalAverage():
            return averaged
        case kinds.Attention(heads):
            return nnx.MultiHeadAttention(heads, channels, decode=False, rngs=rngs)
        case kinds.Recurrent(cell, units, bidirectional):
            make = {"LSTM": nnx.OptimizedLSTMCell, "GRU": nnx.GRUCell}[cell]
            runs = [nnx.RNN(make(channels, units, rngs=rngs)) for _ in range(1 + bidirectional)]
            return nnx.Bidirectional(*runs, merge_fn=last_of_both) if bidirectional else LastOutput(runs[0])
        case kinds.Residual(body):
            return Residual(Chain(body, shape, rngs))
        case kinds.Skip(body):
            return Skip(Chain(body, shape, rngs))
    raise kinds.Missing(f"no {type(kind).__name__}")


def flattened(x: jax.Array) -> jax.Array:
    return x.reshape(len(x), -1)


def averaged(x: jax.Array) -> jax.Array:
    return x.mean(range(1, x.ndim - 1))


def last_of_both(forward: jax.Array, backward: jax.Array) -> jax.Array:
    """The last output of each direction; the backward one's stands at the first time step."""
    return jnp.concatenate((forward[:, -1], backward[:, 0]), axis=-1)


class LastOutput(nnx.Module):
    """The last output of a recurrent module."""

    def __init__(self, run: nnx.RNN) -> None:
        self.run = run

    def __call__(self, x):
        return self.run(x)[:, -1]


class Residual(nnx.Module):
    """x + body(x)."""

    def __init__(self, body: Chain) -> None:
        self.body = body

    def __call__(self, x):
        return x + self.body(x)


class Skip(Residual):
    """x and body(x), side by side in the channels."""

    def __call__(self, x):
        return jnp.concatenate((x, self.body(x)), axis=-1)
