"""Lambda makes a layer of a pure function of arrays. It has no weights, and it is saved by its name alone.

Nothing in a file is ever run: whoever loads a model passes the functions that it names.
"""

import functools

import jax.numpy as jnp

import fnlayers as fl
from fnlayers.saving import from_config, to_config


def standardized(x, axis=-1):
    """Mean 0 and variance 1 along an axis."""
    return (x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True)


x = jnp.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
layer = fl.Lambda(standardized)
print(f"{layer}: {[[round(n, 3) for n in row] for row in layer.apply({}, x).tolist()]}")
columns = fl.Lambda(standardized, arguments={"axis": 0})
print(f"with axis 0: {[[round(n, 3) for n in row] for row in columns.apply({}, x).tolist()]}")

shapes = fl.Sequential([layer, fl.Lambda(lambda x: jnp.concatenate([x, x**2], axis=-1))])
print(f"shapes are traced: (None, 3) -> {shapes.out_shape((None, 3))}")

ahead, behind = fl.Input((3,)), fl.Input((3,))
distance = fl.functional((ahead, behind), fl.Lambda(lambda pair: abs(pair[0] - pair[1]).sum(-1))(ahead, behind))
print(f"of several inputs: {distance.apply({}, (x, x + 1)).tolist()}")

model = fl.Sequential([layer])
config = to_config(model)
print(f"\nsaved: {config['fields']['layers'][0]['fields']['function']}")
print(f"read with the function at hand, it is equal: {from_config(config, layers=[standardized]) == model}")
print("and what cannot be:")
for what, attempt in (
    ("without it", lambda: from_config(config)),
    ("a lambda", lambda: to_config(fl.Lambda(lambda x: x + 1))),
    ("a partial", lambda: to_config(fl.Lambda(functools.partial(standardized, axis=0)))),
):
    try:
        attempt()
    except fl.ConfigError as error:
        print(f"  {what}: {error}")
