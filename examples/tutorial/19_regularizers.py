"""Regularizers add a penalty on large weights, or large outputs, to the loss: l1 sum |w|, l2 sum w^2.

They are functions of params: `fl.penalty` gathers those of all weights, `run` returns those of outputs in `out.losses`.
"""

import jax
import jax.numpy as jnp
import optax

import fnlayers as fl

L1, L2, L1L2 = fl.regularizers.L1, fl.regularizers.L2, fl.regularizers.L1L2
w = jnp.array([[1.0, -2.0], [0.5, 0.0]])
print(f"w = {w.tolist()}: sum |w| = {jnp.abs(w).sum()}, sum w^2 = {(w**2).sum()}")
for regularizer in (L1(0.01), L2(0.01), L1L2(1e-5, 1e-4)):
    slopes = jax.grad(regularizer)(w)
    print(f"  {regularizer!r:<25} {regularizer(w):.6f}, slope at 1: {slopes[0, 0]:.6f}, at 0.5: {slopes[1, 0]:.6f}")

layer = fl.Dense(2, kernel_regularizer=L1(0.01), bias_regularizer=L2(0.01), activity_regularizer=L2(0.01))
params, x = {"kernel": w, "bias": jnp.array([3.0, 0.0])}, jnp.ones((8, 2))
out = layer.run(params, x)
print(f"\nkernel and bias: {fl.penalty(layer, x.shape)(params):.4f} = 0.01 * 3.5 + 0.01 * 9")
print(f"output {out.y[0].tolist()}, 8 times: {out.losses[0]:.4f} = 0.01 * 8 * (4.5^2 + 2^2) / 8: divided by the batch")

# ten features, of which only the first three matter
x = jax.random.normal(jax.random.key(1), (100, 10))
y = x[:, :3] @ jnp.array([[2.0], [-1.0], [0.5]]) + 0.5 * jax.random.normal(jax.random.key(2), (100, 1))


def train(regularizer, steps=300):
    """The kernel after training, and sum |w| at each step."""
    model = fl.Dense(1, kernel_regularizer=regularizer)
    penalty, optimizer = fl.penalty(model, x.shape), optax.sgd(0.05)

    def step(carry, _):
        params, optimizer_state = carry
        gradients = jax.grad(lambda params: jnp.mean((model.apply(params, x) - y) ** 2) + penalty(params))(params)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state)
        return (optax.apply_updates(params, updates), optimizer_state), jnp.abs(params["kernel"]).sum()

    params = model.init(jax.random.key(3), x.shape)
    (params, _), sizes = jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)
    return params["kernel"][:, 0], sizes


print("\na fit of 10 features, 3 of which count: the kernel, how many weights are near 0, and sum |w| while it trains")
for rule in (None, L1(0.1), L1(0.3), L2(0.1), L2(1.0)):
    kernel, sizes = train(rule)
    shown = " ".join(f"{n:5.2f}" for n in kernel.tolist())
    print(f"  {rule!s:<10} {shown}   {jnp.sum(jnp.abs(kernel) < 0.02)}   {' '.join(f'{n:.2f}' for n in sizes[::60])}")
print("L1 shrinks all weights by the same amount, to 0 where they do not help; L2 each by the same fraction")
