"""Convolutions in one, two and three dimensions: output sizes, groups, both data formats, and causality.

A kernel of k taps with dilation d spans s = d (k - 1) + 1 elements. Of n positions, "valid" keeps the n - s + 1 where
it fits; "same" and "causal" pad with zeros and keep all n. The stride keeps every stride-th of these, rounded up.
"""

import math

import jax
import jax.numpy as jnp

import fnlayers as fl

print("Conv1D on 10 steps              valid   same causal")
for k, strides, dilation in ((3, 1, 1), (5, 1, 1), (3, 2, 1), (4, 3, 1), (3, 1, 2)):
    sizes = [
        fl.Conv1D(1, k, strides, padding, dilation_rate=dilation).out_shape((None, 10, 1))[1]
        for padding in ("valid", "same", "causal")
    ]
    positions = [10 - dilation * (k - 1), 10, 10]
    assert sizes == [math.ceil(n / strides) for n in positions]
    valid, same, causal = sizes
    print(f"  kernel {k}, stride {strides}, dilation {dilation} {valid:6} {same:6} {causal:6}")

print("\nin more dimensions")
for layer, shape in (
    (fl.Conv2D(32, 3), (None, 28, 28, 1)),
    (fl.Conv2D(32, 3, padding="same"), (None, 28, 28, 1)),
    (fl.Conv2D(32, (3, 5), strides=(2, 1)), (None, 28, 28, 3)),
    (fl.Conv3D(8, 3), (None, 16, 64, 64, 1)),
):
    kernel = layer.specs(shape)["kernel"].shape  # as declared; no array is made
    print(f"  {layer!r:<54} {shape} -> {layer.out_shape(shape)}\n    kernel {kernel}")

print("\ngroups: each convolves its own part of the channels")
for groups in (1, 2, 4):
    layer = fl.Conv2D(8, 3, groups=groups, use_bias=False)
    print(f"  groups={groups}: kernel {layer.specs((None, 9, 9, 4))['kernel'].shape}")

x = jax.random.normal(jax.random.key(1), (2, 7, 9, 3))
last, first = fl.Conv2D(4, 3), fl.Conv2D(4, 3, data_format="channels_first")
params = last.init(jax.random.key(0), x.shape)
y, transposed = last.apply(params, x), first.apply(params, jnp.moveaxis(x, -1, 1))
print(f"\nchannels last {y.shape}, first {transposed.shape}, from the same params;")
print(f"one is the other transposed: {bool(jnp.allclose(y, jnp.moveaxis(transposed, 1, -1), atol=1e-5))}")

signal = jax.random.normal(jax.random.key(2), (1, 10, 1))
print("\nstep 6 of 10 is changed; the output steps that depend on it, kernel 3:")
for padding in ("same", "causal"):
    layer = fl.Conv1D(1, 3, padding=padding)
    params = layer.init(jax.random.key(0), signal.shape)
    change = layer.apply(params, signal.at[0, 6].add(1)) - layer.apply(params, signal)
    print(f"  {padding:<7} {jnp.flatnonzero(change[0, :, 0]).tolist()}")
