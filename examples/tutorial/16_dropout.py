"""Dropout sets a fraction of the elements to 0 in training and scales the others by 1 / (1 - rate).

In inference it does nothing. What is dropped depends on the key alone: the same key drops the same, no key is an error.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

x, key = jnp.ones((4, 1000)), jax.random.key(0)

print("rate   dropped   the others   mean   in inference")
for rate in (0.0, 0.2, 0.5, 0.9):
    layer = fl.Dropout(rate)
    y = layer.apply({}, x, rng=key, train=True)
    others = y[y > 0]
    inference = "x as it is" if jnp.array_equal(layer.apply({}, x), x) else "changed"
    print(f"{rate:.1f}    {(y == 0).mean():7.3f}   {others.min():10.3f}   {y.mean():.3f}   {inference}")

layer = fl.Dropout(0.5)
first, again = (layer.apply({}, x, rng=key, train=True) for _ in range(2))
other = layer.apply({}, x, rng=jax.random.key(1), train=True)
print(f"\nthe same key drops the same: {jnp.array_equal(first, again)}")
print(f"another key, another draw: {(first == other).mean():.0%} alike")
try:
    layer.apply({}, x, train=True)
except fl.MissingError as error:
    print(f"no key: {error}")

twice = fl.Sequential([fl.Dropout(0.5), fl.Dropout(0.5)]).apply({}, x, rng=key, train=True)
print(f"two in a row draw independently: {(twice > 0).mean():.0%} are left, times {twice.max():.0f}")

image = jnp.ones((1, 2, 2, 6))
spatial = fl.SpatialDropout2D(0.5).apply({}, image, rng=key, train=True)
print(f"\nSpatialDropout2D drops whole channels: {spatial[0].reshape(4, 6).astype(int).tolist()}")
by_channel = fl.Dropout(0.5, noise_shape=(None, 1, 1, 6)).apply({}, image, rng=key, train=True)
print(f"so does a noise_shape of 1 for rows and columns: {by_channel[0].reshape(4, 6).astype(int).tolist()}")

normal = jax.random.normal(jax.random.key(2), (4, 1000))
for layer in (fl.GaussianNoise(0.5), fl.GaussianDropout(0.2), fl.AlphaDropout(0.2)):
    y = layer.apply({}, normal, rng=key, train=True)
    print(f"{layer!r:<26} on mean {normal.mean():5.2f}, deviation {normal.std():.2f}: {y.mean():5.2f}, {y.std():.2f}")
