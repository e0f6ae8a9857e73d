"""Weights are a plain dict of arrays, separate from the layers: look at them, count them, change them, train them.

The model: ten features, 32 hidden units, one probability.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

model = fl.Sequential([fl.Dense(32, activation="relu"), fl.Dense(1, activation="sigmoid")])
params = model.init(jax.random.key(0), (None, 10))

print(f"{fl.count(params)} numbers:")
for path in fl.weight_paths(model, (None, 10)):
    print(f"  {path:<16} {fl.paths(params)[path].shape}")

kernel, bias = params["dense"]["kernel"], params["dense"]["bias"]
limit = (6 / (10 + 32)) ** 0.5
print(f"\nkernel {kernel.shape}: from {kernel.min():.3f} to {kernel.max():.3f}; glorot_uniform's limit is {limit:.3f}")
print(f"bias {bias.shape}: all zero: {not bias.any()}")

x = jax.random.normal(jax.random.key(1), (4, 10))
by_hand = jax.nn.relu(x @ kernel + bias) @ params["dense_1"]["kernel"] + params["dense_1"]["bias"]
y = model.apply(params, x)
print(f"\nprobabilities {[round(n, 3) for n in y[:, 0].tolist()]}")
print(f"by hand, from the same arrays: the same {jnp.allclose(y, jax.nn.sigmoid(by_hand), atol=1e-6)}")

# nothing is written into a model: other params are another dict
surer = params | {"dense_1": params["dense_1"] | {"bias": jnp.array([2.0])}}
print(f"with a bias of 2 at the end {[round(n, 3) for n in model.apply(surer, x)[:, 0].tolist()]}")
print(f"the old params give the old answers: {jnp.array_equal(model.apply(params, x), y)}")

slopes = jax.grad(lambda params: -jnp.log(model.apply(params, x)).mean())(params)
print(f"a gradient has the same paths: {list(fl.paths(slopes)) == list(fl.paths(params))}")
