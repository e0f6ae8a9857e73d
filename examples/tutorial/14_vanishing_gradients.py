"""Gradients that vanish: back through 200 steps of a recurrent layer, and back through 30 layers.

On the way back a gradient is multiplied at each step, or layer, by a slope. Slopes below 1 leave nothing of it.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

BACK = (1, 10, 50, 100, 199)
x = 0.1 * jax.random.normal(jax.random.key(1), (8, 200, 4))


def felt(layer, change=lambda params: params):
    """How much the last output feels each step of x, as a share of what it feels of the last one."""
    params = change(layer.init(jax.random.key(0), x.shape))
    slopes = jax.jit(jax.grad(lambda x: layer.apply(params, x).sum()))(x)
    sizes = jnp.linalg.norm(slopes, axis=(0, 2))
    return [float(sizes[-1 - n] / sizes[-1]) for n in BACK]


def remembering(params):
    """An LSTM's params with gates that keep sigmoid(5) = 0.993 of the memory at each step, and write sigmoid(-5)."""
    bias = params["cell"]["bias"].at[:32].set(-5.0).at[32:64].set(5.0)  # the gates: input, forget, candidate, output
    return {"cell": params["cell"] | {"bias": bias}}


time = {
    "SimpleRNN, recurrent kernel of random numbers": felt(fl.SimpleRNN(32, recurrent_initializer="random_normal")),
    "SimpleRNN, orthogonal recurrent kernel": felt(fl.SimpleRNN(32)),
    "GRU": felt(fl.GRU(32)),
    "LSTM, which starts with keeping 0.73": felt(fl.LSTM(32)),
    "LSTM with gates that keep 0.993": felt(fl.LSTM(32), remembering),
}
print(f"{'the gradient so many steps back, the last being 1':<51}" + "".join(f"{n:>9}" for n in BACK))
for name, shares in time.items():
    print(f"  {name:<49}" + "".join(f"{share:9.0e}" for share in shares))

print("\nthe gradient of the input, back through 30 layers of 64 units, that of the output being 1")
inputs = jax.random.normal(jax.random.key(2), (32, 64))
for activation, initializer in (
    ("sigmoid", "glorot_uniform"),
    ("tanh", "glorot_uniform"),
    ("relu", "glorot_uniform"),
    ("relu", "he_normal"),
    ("selu", "lecun_normal"),
):
    model = fl.Repeat(fl.Dense(64, activation, kernel_initializer=initializer), 30)
    params = model.init(jax.random.key(0), inputs.shape)
    slopes = jax.jit(jax.grad(lambda x, model=model, params=params: model.apply(params, x).sum()))(inputs)
    size = jnp.linalg.norm(slopes) / inputs.size**0.5
    print(f"  {activation:<8} {initializer:<15} {size:.0e}")
