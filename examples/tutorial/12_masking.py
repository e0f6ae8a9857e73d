"""A mask says which steps are real. A recurrent layer passes over the others, so padding changes nothing.

Masking makes a mask from steps that are all 0, Embedding(mask_zero=True) from zeros among the words; or you give one.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

short = jax.random.normal(jax.random.key(1), (1, 4, 8))
long = jnp.pad(short, [(0, 0), (0, 6), (0, 0)])  # six steps of zeros more

masked, plain = fl.Sequential([fl.Masking(0.0), fl.LSTM(16)]), fl.Sequential([fl.LSTM(16)])
params = plain.init(jax.random.key(0), short.shape)
wanted = plain.apply(params, short)


def apart(y):
    return f"{jnp.abs(y - wanted).max():.6f}"


print(f"4 real steps, padded to 10; mask {masked.layers[0].run({}, long).mask[0].astype(int).tolist()}")
print(f"  LSTM alone:         {apart(plain.apply(params, long))} from the 4 steps alone")
print(f"  Masking, then LSTM: {apart(masked.apply(params, long))}")
print(f"  LSTM, mask given:   {apart(plain.apply(params, long, mask=jnp.arange(10)[None] < 4))}")
print(f"  weights: {list(params)}; Masking has none")

slope = jax.grad(lambda x: masked.apply(params, x).sum())(long)
print(f"steps with a gradient: {jnp.flatnonzero(jnp.abs(slope).sum((0, 2))).tolist()}")

words, padded_words = jnp.array([[5, 2, 9]]), jnp.array([[5, 2, 9, 0, 0]])
reader = fl.Sequential([fl.Embedding(10, 8, mask_zero=True), fl.LSTM(16, return_sequences=True), fl.LSTM(16)])
params = reader.init(jax.random.key(0), (None, None))
difference = jnp.abs(reader.apply(params, padded_words) - reader.apply(params, words)).max()
print(f"\nwords {padded_words[0].tolist()} through two LSTMs, against {words[0].tolist()}: {difference:.6f}")

# a layer that can do nothing with a mask does not drop it in silence
try:
    fl.Sequential([fl.Masking(), fl.Flatten()]).apply({}, long)
except fl.ConfigError as error:
    print(f"\nMasking, then Flatten: {error}")
opened = fl.Sequential([fl.Masking(), fl.DropMask(), fl.Flatten()]).apply({}, long)
print(f"with DropMask between them: {opened.shape}")
