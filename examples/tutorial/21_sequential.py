"""A convolutional net as a Sequential: the shape after each layer, parts of it, and the same under jit and vmap."""

import jax
import jax.numpy as jnp

import fnlayers as fl

model = fl.Sequential(
    [
        fl.Conv2D(32, (3, 3), activation="relu"),
        fl.MaxPooling2D(2),
        fl.Flatten(),
        fl.Dense(10, activation="softmax"),
    ]
)
shape = (None, 28, 28, 1)
print(f"{'input':<24} {shape}")
for row in fl.summary(model, shape).rows:
    print(f"{row.layer:<24} {row.output.shape!s:<24} {row.params:>6,} numbers")

params = model.init(jax.random.key(0), shape)
x = jax.random.uniform(jax.random.key(1), (5, 28, 28, 1))
y = model.apply(params, x)
print(f"\n{x.shape} -> {y.shape}; each row sums to {y.sum(axis=1).min():.4f}; {fl.count(params):,} numbers in all")

# a part of the layers is a model too; names are counted from the left, so it finds its weights among the params
first, last = fl.Sequential(model.layers[:2]), fl.Sequential(model.layers[2:])
maps = first.apply(params, x)
print(f"the first two layers: {maps.shape}")
print(f"the others on their output: difference from the whole model {jnp.abs(last.apply(params, maps) - y).max():.0e}")
longer = fl.Sequential([*model.layers[:3], fl.Dense(64, activation="relu"), fl.Dropout(0.5), *model.layers[3:]])
print(f"with two more layers: {[type(layer).__name__ for layer in longer.layers]}")

# pure functions: compile them, or map them over one more axis
fast = jax.jit(model.apply)
print(f"\njit: difference {jnp.abs(fast(params, x) - y).max():.0e}")
ensemble = jax.vmap(lambda key: model.init(key, shape))(jax.random.split(jax.random.key(2), 3))
print(f"three models at once: kernel {ensemble['dense']['kernel'].shape}, ", end="")
print(f"answers {jax.vmap(model.apply, in_axes=(0, None))(ensemble, x).shape}")
sensitivity = jax.grad(lambda image: model.apply(params, image[None])[0, 3])(x[0])
print(f"the slope of class 3 at each pixel: {sensitivity.shape}")
