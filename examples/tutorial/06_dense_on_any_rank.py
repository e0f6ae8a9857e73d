"""Dense acts on the last axis, whatever stands before it: a matrix, sequences, images.

The same is had in two longer ways: by flattening, applying and shaping back, and by TimeDistributed.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

layer = fl.Dense(128)
params = layer.init(jax.random.key(0), (None, 64))
print(f"{layer} with a kernel {params['kernel'].shape}, the same for all of these:")

for shape in ((32, 64), (32, 10, 64), (32, 10, 10, 64)):
    x = jax.random.normal(jax.random.key(1), shape)
    y = layer.apply(params, x)
    long_way = layer.apply(params, x.reshape(-1, 64)).reshape(*shape[:-1], 128)
    print(f"  {shape!s:<17} -> {y.shape!s:<18} flatten, apply, reshape: difference {jnp.abs(y - long_way).max():.0e}")

x = jax.random.normal(jax.random.key(1), (32, 10, 64))
steps = fl.TimeDistributed(layer)
y = steps.apply({"layer": params}, x)
print(f"\n{steps}: {y.shape}, difference {jnp.abs(y - layer.apply(params, x)).max():.0e}")

# where TimeDistributed is needed: a layer that would take the time axis for one of its own
frames, images = (None, 10, 28, 28, 1), fl.Sequential([fl.Conv2D(4, 3), fl.GlobalAveragePooling2D()])
print(f"\na film {frames} through {[type(layer).__name__ for layer in images.layers]}")
print(f"  TimeDistributed: {fl.TimeDistributed(images).out_shape(frames)}")

flat = fl.Sequential([fl.Flatten(), fl.Dense(128)])
print(f"\nFlatten before Dense is another layer: {flat.out_shape((32, 10, 64))}, one answer for all ten steps, with")
print(f"{fl.count(flat.init(jax.random.key(0), (32, 10, 64))):,} numbers instead of {fl.count(params):,}")
