"""Embedding looks up a learned row for each integer: a vocabulary of 1000 words into 64 numbers each.

The length of a sequence is not part of the weights, so one set of params serves sequences of any length.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

layer = fl.Embedding(1000, 64)
params = layer.init(jax.random.key(0), (None, None))
table = params["embeddings"]
print(f"{layer}: a table {table.shape}, {fl.count(params):,} numbers from {table.min():.2f} to {table.max():.2f}")
print(f"sequences of unknown length: (None, None) -> {layer.out_shape((None, None))}")
for length in (3, 7):
    words = jax.random.randint(jax.random.key(length), (32, length), 0, 1000)
    print(f"  {words.shape} -> {layer.apply(params, words).shape}")

words = jnp.array([[4, 2, 4]])
one_hot = jax.nn.one_hot(words, 1000)
print(f"\n{words[0].tolist()}: rows of the table: {bool(jnp.array_equal(layer.apply(params, words), table[words]))}")
difference = jnp.abs(one_hot @ table - layer.apply(params, words)).max()
print(f"a Dense(64) without bias on one-hot words {one_hot.shape} gives the same: difference {difference:.0e}")

slopes = jax.grad(lambda params: layer.apply(params, words).sum())(params)["embeddings"]
print("rows that this sentence trains:", {int(row): int(slopes[row, 0]) for row in jnp.flatnonzero(slopes[:, 0])})

# a wrong id shows: its row is NaN, and it trains nothing
outside = jnp.array([[999, 1000, -1]])
print(f"\n{outside[0].tolist()}: NaN: {jnp.isnan(layer.apply(params, outside)).any(-1)[0].tolist()}")

padded = fl.Embedding(1000, 64, mask_zero=True).run(params, jnp.array([[4, 2, 0, 0]]))
print(f"with mask_zero=True, [4, 2, 0, 0] comes with the mask {padded.mask[0].tolist()}")
