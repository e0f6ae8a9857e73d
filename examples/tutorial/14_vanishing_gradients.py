"""Gradients that vanish: back through 200 steps of a recurrent layer, and back through 30 layers.

On the way back a gradient is multiplied at each step, or layer, by a slope. Slopes below 1 leave nothing of it.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

BACK = (1, 10, 50, 100, 199)
x = jax.random.normal(jax.random.key(1), (8, 200, 4))


def felt(layer, change=lambda params: params):
    """How much the last output feels each step of x, as a share of what it feels of the last one."""
    params = change(layer.init(jax.random.key(0), x.shape))
    slopes = jax.jit(jax.grad(lambda x: layer.apply(params, x).sum()))(x)
    sizes = jnp.linalg.norm(slopes, axis=(0, 2))
    return [float(sizes[-1 - n] / sizes[-1]) for n in BACK]


def remembering(params):
    """An LSTM's params with the forget gate, the second of four, at sigmoid(6), which keeps 0.998 a step."""
    return {"cell": params["cell"] | {"bias": params["cell"]["bias"].at[32:64].set(6.0)}}


time = {
    "SimpleRNN, recurrent kernel of random numbers": felt(fl.SimpleRNN(32, recurrent_initializer="random_normal")),
    "SimpleRNN, orthogonal recurrent kernel": felt(fl.SimpleRNN(32)),
    "GRU": felt(fl.GRU(32)),
    "LSTM, forget gate at sigmoid(1), which keeps 0.73": felt(fl.LSTM(32)),
    "LSTM, forget gate at sigmoid(6)": felt(fl.LSTM(32), remembering),
}
print(f"{'the gradient so many steps back, the last being 1':<51}" + "".join(f"{n:>9}" for n in BACK))
for name, shares in time.items():
    print(f"  {name:<49}" + "".join(f"{share:9.0e}" for share in shares))

print("\n30 layers of 64 units: the gradient of the first layer's kernel, that of the last being 1")
for activation, initializer in (
    ("sigmoid", "glorot_uniform"),
    ("tanh", "glorot_uniform"),
    ("relu", "glorot_uniform"),
    ("relu", "he_normal"),
    ("selu", "lecun_normal"),
):
    layer = fl.Dense(64, activation, kernel_initializer=initializer)
    model = fl.Repeat(layer, 30)
    params = model.init(jax.random.key(0), (None, 64))
    inputs = jax.random.normal(jax.random.key(2), (32, 64))
    slopes = jax.jit(jax.grad(lambda params, model=model: (model.apply(params, inputs) ** 2).sum()))(params)
    sizes = jnp.linalg.norm(slopes["layer"]["kernel"], axis=(1, 2))
    print(f"  {activation:<8} {initializer:<15} {sizes[0] / sizes[-1]:.0e}")
