"""Constraints move weights to where they are allowed, after each update. They are functions of params, like penalties.

`fl.project` gathers those of a model; `fl.projected` puts them behind an optimizer.
"""

import jax
import jax.numpy as jnp
import optax

import fnlayers as fl

rules = fl.constraints
w = jnp.array([[3.0, 0.375, -1.0], [4.0, 0.5, 1.0]])
print(f"w = {w.tolist()}; its columns, each a unit's incoming weights, have the lengths 5, 0.62 and 1.41")
for rule in (
    rules.NonNeg(),
    rules.MaxNorm(2),
    rules.UnitNorm(),
    rules.MinMaxNorm(1, 2),
    rules.MinMaxNorm(1, 2, rate=0.5),
):
    projected = rule(w)
    lengths = [round(float(n), 2) for n in jnp.linalg.norm(projected, axis=0)]
    print(f"  {rule!r:<46} lengths {lengths!s:<19} first column {[round(float(n), 2) for n in projected[:, 0]]}")

kernel = jnp.ones((3, 3, 4, 2))
length = jnp.linalg.norm(rules.UnitNorm(axis=(0, 1, 2))(kernel).reshape(-1, 2), axis=0)
print(f"a Conv2D kernel {kernel.shape} with axis=(0, 1, 2): each filter of length {length[0]:.2f}")

# y = 2 a - b: a weight that may not be negative cannot follow, and one of length 1 at most follows only so far
x = jax.random.normal(jax.random.key(1), (64, 2))
y = x @ jnp.array([[2.0], [-1.0]])

print("\na fit of y = 2 a - b: the kernel after so many steps, and the loss at the end")
print(f"{'':<22}" + "".join(f"{n:<16}" for n in (1, 3, 9, 60)))
for rule in (None, rules.NonNeg(), rules.MaxNorm(1), rules.UnitNorm()):
    model = fl.Dense(1, use_bias=False, kernel_constraint=rule)
    optimizer = fl.projected(optax.sgd(0.1), model, x.shape)

    def step(carry, _, model=model, optimizer=optimizer):
        params, state = carry
        loss, slopes = jax.value_and_grad(lambda params: jnp.mean((model.apply(params, x) - y) ** 2))(params)
        updates, state = optimizer.update(slopes, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params["kernel"][:, 0], loss)

    params = {"kernel": jnp.array([[0.1], [0.1]])}
    _, (kernels, losses) = jax.lax.scan(step, (params, optimizer.init(params)), None, length=60)
    shown = "  ".join(f"[{a:5.2f}, {b:5.2f}]" for a, b in kernels[jnp.array([0, 2, 8, 59])].tolist())
    print(f"  {rule!s:<20} {shown}   {losses[-1]:.3f}")
