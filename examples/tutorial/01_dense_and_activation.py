"""An activation is an argument of a layer, or a layer of its own; the numbers are the same.

Also: what a layer prints, what a container calls it, and its options as a plain dict, which makes an equal layer.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl
from fnlayers.saving import from_config, to_config

x = jax.random.normal(jax.random.key(1), (5, 8))

as_argument = fl.Sequential([fl.Dense(32, activation="relu")])
as_layer = fl.Sequential([fl.Dense(32), fl.Activation("relu")])

# Each weight's key is folded from its path. Both models have a "dense/kernel", so both draw the same one.
first = as_argument.apply(as_argument.init(jax.random.key(0), x.shape), x)
second = as_layer.apply(as_layer.init(jax.random.key(0), x.shape), x)
print("as an argument:", as_argument)
print("as a layer:    ", as_layer)
print(f"same numbers: {bool(jnp.array_equal(first, second))}; the smallest is {first.min():.1f}, as relu has it")

layer = fl.Dense(32, activation="relu", name="hidden")
print(f"\nclass: {type(layer).__name__}, name: {layer.name!r}, without one: {fl.Dense(32).name}")
unnamed = fl.Sequential([fl.Dense(8), fl.Dense(8), layer])
print("names in a container:", *unnamed.init(jax.random.key(0), x.shape))

config = to_config(layer)
changed = {name: value for name, value in config["fields"].items() if value != getattr(fl.Dense(1), name)}
print(f"\nconfig: {config['layer']} with {len(config['fields'])} fields, those that are not the default: {changed}")
print(f"a layer made from it is equal: {from_config(config) == layer}")
