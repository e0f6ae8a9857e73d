"""JAX written by hand, with the plain calls of jax.lax: no library at all."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import kinds
from contenders import GATE_BIASES, Passes
from contenders.jitted import passes
from workloads import Workload

DIMENSIONS = {1: ("NHC", "HIO", "NHC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NHWDC", "HWDIO", "NHWDC")}
Tree = Any


def prepare(workload: Workload, channels_first: bool) -> Passes:
    params, state = initialized(workload.chain, workload.shape, np.random.default_rng(0))

    def apply(params: Tree, state: Tree, x: jax.Array, train: bool) -> tuple[jax.Array, Tree]:
        new_moments: list = []
        y = chained(workload.chain, iter(params), iter(state), new_moments, x, train)
        return y, new_moments

    return passes(workload, apply, params, state)


def initialized(chain: tuple[kinds.Kind, ...], shape: kinds.Shape, rng: np.random.Generator) -> tuple[list, list]:
    """The params of each layer that has some, and the moments of each BatchNorm, in order."""
    params, state = [], []
    for kind in chain:
        if isinstance(kind, (kinds.Residual, kinds.Skip)):
            inner, moments = initialized(kind.body, shape, rng)
            params, state = params + inner, state + moments
        elif kind.count(shape, GATE_BIASES):
            params.append(weights(kind, shape, rng))
        if isinstance(kind, kinds.BatchNorm):
            state.append((jnp.zeros(shape[-1]), jnp.ones(shape[-1])))
        shape = kind.out(shape)
    return params, state


def weights(kind: kinds.Kind, shape: kinds.Shape, rng: np.random.Generator) -> tuple:
    """A layer's kernels and biases."""

    def kernel(*size: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(size, np.float32) / np.sqrt(np.prod(size[:-1])))

    channels = shape[-1]
    match kind:
        case kinds.Dense(units):
            return kernel(channels, units), jnp.zeros(units)
        case kinds.Conv(filters, window, _, groups):
            return kernel(*window, channels // groups, filters), jnp.zeros(filters)
        case kinds.Depthwise(window):
            return kernel(*window, 1, channels), jnp.zeros(channels)
        case kinds.ConvTranspose(filters, window):
            return kernel(*window, channels, filters), jnp.zeros(filters)
        case kinds.BatchNorm() | kinds.LayerNorm():
            return jnp.ones(channels), jnp.zeros(channels)
        case kinds.Attention():
            return tuple((kernel(channels, channels), jnp.zeros(channels)) for _ in range(4))
        case kinds.Recurrent("LSTM", units, bidirectional):
            return tuple(
                (kernel(channels, 4 * units), kernel(units, 4 * units), jnp.zeros(4 * units))
                for _ in range(1 + bidirectional)
            )
    raise kinds.Missing("not written by hand")


def chained(chain: tuple, params: Iterator, state: Iterator, new_moments: list, x: jax.Array, train: bool) -> jax.Array:
    """The chain's output; the new moments are appended to `new_moments`."""
    for kind in chain:
        match kind:
            case kinds.Residual(body):
                x = x + chained(body, params, state, new_moments, x, train)
            case kinds.Skip(body):
                x = jnp.concatenate((x, chained(body, params, state, new_moments, x, train)), axis=-1)
            case kinds.BatchNorm():
                x, moments = batch_norm(next(params), next(state), x, train)
                new_moments.append(moments)
            case kinds.Relu():
                x = jax.nn.relu(x)
            case kinds.MaxPool():
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            case kinds.Flatten():
                x = x.reshape(len(x), -1)
            case kinds.GlobalAverage():
                x = x.mean(range(1, x.ndim - 1))
            case _:
                x = called(kind, next(params), x)
    return x


def called(kind: kinds.Kind, params: tuple, x: jax.Array) -> jax.Array:
    """The output of a layer with params."""
    match kind:
        case kinds.Dense():
            return x @ params[0] + params[1]
        case kinds.Conv(_, _, strides, groups):
            return convolved(params, x, strides, groups)
        case kinds.Depthwise():
            return convolved(params, x, 1, x.shape[-1])
        case kinds.ConvTranspose(_, _, strides):
            spread = (strides, strides)
            return jax.lax.conv_transpose(x, params[0], spread, "SAME", dimension_numbers=DIMENSIONS[2]) + params[1]
        case kinds.LayerNorm():
            return normalized(params, x, x.mean(-1, keepdims=True), x.var(-1, keepdims=True))
        case kinds.Attention(heads):
            return attended(params, x, heads)
        case kinds.Recurrent():
            return jnp.concatenate([lstm(p, x[:, ::-1] if n else x) for n, p in enumerate(params)], axis=-1)
    raise TypeError(kind)


def convolved(params: tuple, x: jax.Array, strides: int, groups: int) -> jax.Array:
    kernel, bias = params
    rank = x.ndim - 2
    steps, numbers = (strides,) * rank, DIMENSIONS[rank]
    y = jax.lax.conv_general_dilated(x, kernel, steps, "SAME", dimension_numbers=numbers, feature_group_count=groups)
    return y + bias


def batch_norm(params: tuple, state: tuple, x: jax.Array, train: bool) -> tuple[jax.Array, tuple]:
    if not train:
        return normalized(params, x, *state), state
    axes = range(x.ndim - 1)
    statistics = x.mean(axes), x.var(axes)
    averages = tuple(0.99 * old + 0.01 * new for old, new in zip(state, statistics, strict=True))
    return normalized(params, x, *statistics), averages


def normalized(params: tuple, x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
    scale, offset = params
    return (x - mean) * (scale * jax.lax.rsqrt(variance + 1e-3)) + offset


def attended(params: tuple, x: jax.Array, heads: int) -> jax.Array:
    """Self-attention."""
    batch, time, width = x.shape
    q, k, v = ((x @ kernel + bias).reshape(batch, time, heads, -1) for kernel, bias in params[:3])
    y = jax.nn.dot_product_attention(q, k, v)
    return y.reshape(batch, time, width) @ params[3][0] + params[3][1]


def lstm(params: tuple, x: jax.Array) -> jax.Array:
    """The last output."""
    inner, recurrent, bias = params

    def step(carry: tuple, x: jax.Array) -> tuple:
        h, c = carry
        i, f, g, o = jnp.split(x @ inner + h @ recurrent + bias, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((len(x), len(recurrent)))
    return jax.lax.scan(step, (zeros, zeros), x.swapaxes(0, 1))[0][0]
