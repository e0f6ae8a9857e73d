"""A mask says which steps are valid. A recurrent layer skips the others, so padding changes nothing.

Masking makes a mask from steps that are all 0, Embedding(mask_zero=True) from zeros among the words; or you pass one.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

short = jax.random.normal(jax.random.key(1), (1, 4, 8))
long = jnp.pad(short, [(0, 0), (0, 6), (0, 0)])  # six more steps of zeros

masked, plain = fl.Sequential([fl.Masking(0.0), fl.LSTM(16)]), fl.Sequential([fl.LSTM(16)])
params = plain.init(jax.random.key(0), short.shape)
expected = plain.apply(params, short)


def error_of(y):
    return f"{jnp.abs(y - expected).max():.6f}"


print(f"4 valid steps, padded to 10; mask {masked.layers[0].run({}, long).mask[0].astype(int).tolist()}")
print(f"  LSTM alone:         {error_of(plain.apply(params, long))} from the 4 steps alone")
print(f"  Masking, then LSTM: {error_of(masked.apply(params, long))}")
print(f"  LSTM with a mask:   {error_of(plain.apply(params, long, mask=jnp.arange(10)[None] < 4))}")
print(f"  weights: {list(params)}; Masking has none")

slope = jax.grad(lambda x: masked.apply(params, x).sum())(long)
print(f"steps with a gradient: {jnp.flatnonzero(jnp.abs(slope).sum((0, 2))).tolist()}")

words, padded_words = jnp.array([[5, 2, 9]]), jnp.array([[5, 2, 9, 0, 0]])
reader = fl.Sequential([fl.Embedding(10, 8, mask_zero=True), fl.LSTM(16, return_sequences=True), fl.LSTM(16)])
params = reader.init(jax.random.key(0), (None, None))
difference = jnp.abs(reader.apply(params, padded_words) - reader.apply(params, words)).max()
print(f"\nwords {padded_words[0].tolist()} through two LSTMs, against {words[0].tolist()}: {difference:.6f}")

# a layer that does not support a mask refuses it; it never drops it silently
try:
    fl.Sequential([fl.Masking(), fl.Flatten()]).apply({}, long)
except fl.ConfigError as error:
    print(f"\nMasking, then Flatten: {error}")
unmasked = fl.Sequential([fl.Masking(), fl.DropMask(), fl.Flatten()]).apply({}, long)
print(f"with DropMask between them: {unmasked.shape}")
