"""Recurrent layers: stacked, on sequences of any length with one set of params, with a state to go on from.

SimpleRNN has one product a step, GRU three, LSTM four; so have their weights.
"""

import time

import jax
import jax.numpy as jnp

import fnlayers as fl

# return_sequences gives every step's output, which the next recurrent layer needs; without it, only the last one's
model = fl.Sequential([fl.LSTM(64, return_sequences=True), fl.LSTM(32), fl.Dense(1, activation="sigmoid")])
shape = (None, None, 10)
print(fl.summary(model, shape))
params = model.init(jax.random.key(0), shape)
for length in (5, 50):
    x = jax.random.normal(jax.random.key(length), (4, length, 10))
    y = model.apply(params, x)
    print(f"{length:>3} steps {x.shape} -> {y.shape}")

print("\n64 units on 10 features: n gates of 64 * (10 + 64 + 1) numbers, forward and backward over 50 steps")
for layer, gates in ((fl.SimpleRNN(64), 1), (fl.GRU(64), 3), (fl.LSTM(64), 4)):
    params = layer.init(jax.random.key(0), x.shape)
    step = jax.jit(jax.grad(lambda params, layer=layer: layer.apply(params, x).sum()))
    jax.block_until_ready(step(params))  # compiled
    start = time.perf_counter()
    jax.block_until_ready(step(params))
    milliseconds = 1000 * (time.perf_counter() - start)
    numbers = fl.count(params)
    more = numbers - gates * 64 * (10 + 64 + 1)
    print(f"  {type(layer).__name__:<10} {gates} x 4800 + {more:>3} = {numbers:>6,} numbers, {milliseconds:6.1f} ms")
print("  (GRU's 192 more: a second bias, for the product with the state)")

layer = fl.GRU(8, return_state=True)
params = layer.init(jax.random.key(0), (None, None, 10))
whole, _ = layer.apply(params, x)
_, carry = layer.apply(params, x[:, :30])
rest, _ = layer.apply(params, (x[:, 30:], carry))  # the state is one more input
print(f"\n30 steps, then 20 from the state they left: {jnp.abs(whole - rest).max():.0e} from 50 at once")
both = fl.Bidirectional(fl.GRU(8)).out_shape((None, None, 10))
print(f"Bidirectional(GRU(8)) reads both ways: {both}")
