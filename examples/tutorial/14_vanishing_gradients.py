"""Vanishing gradients: backward through 200 steps of a recurrent layer, and through 30 layers.

The backward pass multiplies a gradient at each step, or layer, by a slope. Slopes below 1 leave nothing of it.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

BACK = (1, 10, 50, 100, 199)
x = 0.1 * jax.random.normal(jax.random.key(1), (8, 200, 4))


def gradient_sizes(layer, change=lambda params: params):
    """The gradient of the last output by some steps of x, as a fraction of its gradient by the last step."""
    params = change(layer.init(jax.random.key(0), x.shape))
    gradients = jax.jit(jax.grad(lambda x: layer.apply(params, x).sum()))(x)
    sizes = jnp.linalg.norm(gradients, axis=(0, 2))
    return [float(sizes[-1 - n] / sizes[-1]) for n in BACK]


def remember(params):
    """An LSTM's params with gates that keep sigmoid(5) = 0.993 of the memory at each step, and write sigmoid(-5)."""
    bias = params["cell"]["bias"].at[:32].set(-5.0).at[32:64].set(5.0)  # the gates: input, forget, candidate, output
    return {"cell": params["cell"] | {"bias": bias}}


time = {
    "SimpleRNN, recurrent kernel of random numbers": gradient_sizes(
        fl.SimpleRNN(32, recurrent_initializer="random_normal")
    ),
    "SimpleRNN, orthogonal recurrent kernel": gradient_sizes(fl.SimpleRNN(32)),
    "GRU": gradient_sizes(fl.GRU(32)),
    "LSTM, whose forget gates start at 0.73": gradient_sizes(fl.LSTM(32)),
    "LSTM with gates that keep 0.993": gradient_sizes(fl.LSTM(32), remember),
}
print(f"{'gradient by the step so many steps before the last':<51}" + "".join(f"{n:>9}" for n in BACK))
for name, sizes in time.items():
    print(f"  {name:<49}" + "".join(f"{size:9.0e}" for size in sizes))

print("\nthe gradient by the input of 30 layers of 64 units; by the output it is 1")
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
