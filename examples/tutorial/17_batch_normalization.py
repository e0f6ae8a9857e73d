"""BatchNormalization: the batch's own mean and variance in training, the running ones in inference.

The running ones are state: `run` returns the new one, and the old one stays as it was.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

layer = fl.BatchNormalization(momentum=0.9)
shape = (None, 2)
params, state = layer.init(jax.random.key(0), shape), layer.init_state(shape)
x = jnp.array([5.0, -1.0]) + jnp.array([2.0, 0.5]) * jax.random.normal(jax.random.key(1), (256, 2))


def shown(array):
    return "[" + ", ".join(f"{n:6.3f}" for n in array.tolist()) + "]"


print(f"params {list(params)}, state {list(state)}")
print(f"the data: mean {shown(x.mean(0))}, variance {shown(x.var(0))}")

out = layer.run(params, x, state=state, train=True)
print(f"\ntraining: y has mean {shown(abs(out.y.mean(0)))}, variance {shown(out.y.var(0))}")
print("running mean and variance: old * 0.9 + batch's * 0.1")
for steps in (0, 1, 10, 100):
    now = state
    for _ in range(steps):
        now = layer.run(params, x, state=now, train=True).state
    y = layer.apply(params, x, state=now)
    print(f"  after {steps:>3} steps {shown(now['moving_mean'])} {shown(now['moving_variance'])}", end="")
    print(f", inference: mean {shown(y.mean(0))}, variance {shown(y.var(0))}")

one = x[:1]
alone, among = layer.apply(params, one, state=now), layer.apply(params, x, state=now)[:1]
by_hand = (one - now["moving_mean"]) / jnp.sqrt(now["moving_variance"] + layer.epsilon)
print(f"\nan example alone and among others, in inference: difference {jnp.abs(alone - among).max():.0e}")
print(
    f"y = gamma (x - mean) / sqrt(variance + epsilon) + beta, by hand: difference {jnp.abs(alone - by_hand).max():.0e}"
)

print("\nWhat must not be forgotten is asked for:")
for attempt in (
    lambda: layer.apply(params, x),
    lambda: layer.apply(params, x, state=state, train=True),
):
    try:
        attempt()
    except fl.MissingError as error:
        print(f"  {error}")

frozen = fl.BatchNormalization(trainable=False).run(params, x, state=now, train=True)
unchanged = jnp.array_equal(frozen.state["moving_mean"], now["moving_mean"])
print(f"\nfrozen, it keeps its state in training: {unchanged}")
