"""Equinox: modules for one example, channels first, mapped over the batch."""

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox import nn

import kinds
from contenders import Passes
from contenders.jitted import passes
from workloads import Workload

GATE_BIASES = {"LSTM": 4, "GRU": 4}


def prepare(workload: Workload, channels_first: bool) -> Passes:
    keys = jax.random.split(jax.random.key(0), 1000)
    model, state = nn.make_with_state(Chain)(workload.chain, workload.shape, iter(keys))
    models = {True: model, False: nn.inference_mode(model)}
    params, _ = eqx.partition(model, eqx.is_inexact_array)
    fixed = {train: eqx.filter(model, eqx.is_inexact_array, inverse=True) for train, model in models.items()}

    def apply(params, state, x, train):
        run = jax.vmap(eqx.combine(params, fixed[train]), in_axes=(0, None), out_axes=(0, None), axis_name="batch")
        return run(x, state)

    return passes(workload, apply, params, state, channels_first=True)


class Chain(eqx.Module):
    """Layers one after the other, the state passed along."""

    layers: list

    def __init__(self, chain: tuple[kinds.Kind, ...], shape: kinds.Shape, keys) -> None:
        self.layers = []
        for kind in chain:
            self.layers.append(layer(kind, shape, keys))
            shape = kind.out(shape)

    def __call__(self, x, state):
        for layer in self.layers:
            if isinstance(layer, (nn.BatchNorm, Residual)):
                x, state = layer(x, state)
            else:
                x = layer(x)
        return x, state


def layer(kind: kinds.Kind, shape: kinds.Shape, keys) -> eqx.Module:
    channels, key = shape[-1], next(keys)
    match kind:
        case kinds.Dense(units):
            dense = nn.Linear(channels, units, key=key)
            return OverTime(dense) if len(shape) == 3 else dense
        case kinds.Conv(filters, kernel, strides, groups):
            return nn.Conv(len(kernel), channels, filters, kernel, strides, "SAME", groups=groups, key=key)
        case kinds.Depthwise(kernel):
            return nn.Conv2d(channels, channels, kernel, padding="SAME", groups=channels, key=key)
        case kinds.ConvTranspose(filters, kernel, strides):
            return nn.ConvTranspose2d(channels, filters, kernel, strides, padding="SAME", key=key)
        case kinds.BatchNorm():
            return nn.BatchNorm(channels, axis_name="batch", mode="batch")
        case kinds.LayerNorm():
            return OverTime(nn.LayerNorm(channels))
        case kinds.Relu():
            return nn.Lambda(jax.nn.relu)
        case kinds.MaxPool():
            return nn.MaxPool2d(2, 2)
        case kinds.Flatten():
            return nn.Lambda(jnp.ravel)
        case kinds.GlobalAverage():
            return nn.Lambda(averaged)
        case kinds.Attention(heads):
            return SelfAttention(heads, channels, key)
        case kinds.Recurrent(cell, units, bidirectional):
            make = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell}[cell]
            return LastOutput([make(channels, units, key=next(keys)) for _ in range(1 + bidirectional)])
        case kinds.Residual(body):
            return Residual(Chain(body, shape, keys))
        case kinds.Skip(body):
            return Skip(Chain(body, shape, keys))
    raise kinds.Missing(f"no {type(kind).__name__}")


def averaged(x: jax.Array) -> jax.Array:
    return x.mean(range(1, x.ndim))


class OverTime(eqx.Module):
    """A layer at each time step."""

    layer: eqx.Module

    def __call__(self, x):
        return jax.vmap(self.layer)(x)


class SelfAttention(eqx.Module):
    """nn.MultiheadAttention of x to itself."""

    attention: nn.MultiheadAttention

    def __init__(self, heads: int, channels: int, key: jax.Array) -> None:
        biases = dict.fromkeys(("use_query_bias", "use_key_bias", "use_value_bias", "use_output_bias"), True)
        self.attention = nn.MultiheadAttention(heads, channels, **biases, key=key)

    def __call__(self, x):
        return self.attention(x, x, x)


class LastOutput(eqx.Module):
    """The last output of a cell, and of a second one that runs backward in time."""

    cells: list

    def __call__(self, x):
        return jnp.concatenate([last_output(cell, x[::-1] if n else x) for n, cell in enumerate(self.cells)])


def last_output(cell: eqx.Module, x: jax.Array) -> jax.Array:
    zeros = jnp.zeros(cell.hidden_size)
    start = (zeros, zeros) if isinstance(cell, nn.LSTMCell) else zeros
    end, _ = jax.lax.scan(lambda carry, x: (cell(x, carry), None), start, x)
    return end[0] if isinstance(end, tuple) else end


class Residual(eqx.Module):
    """x + body(x)."""

    body: Chain

    def __call__(self, x, state):
        y, state = self.body(x, state)
        return x + y, state


class Skip(Residual):
    """x and body(x), side by side in the channels."""

    def __call__(self, x, state):
        y, state = self.body(x, state)
        return jnp.concatenate((x, y)), state
