"""The classifier as a functional graph: layers are called on an Input, and the shape is known at each node.

A graph is plain data, as a layer is. With the same names it draws the same params as the Sequential.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

image = fl.Input((28, 28))
flat = fl.Flatten()(image)
hidden = fl.Dense(128, activation="relu")(flat)
logits = fl.Dense(10)(hidden)
model = fl.functional(image, logits)

for symbol in (image, flat, hidden, logits):
    print(symbol)

sequential = fl.Sequential([fl.Flatten(), fl.Dense(128, activation="relu"), fl.Dense(10)])
x = jax.random.uniform(jax.random.key(1), (5, 28, 28))
params = model.init(jax.random.key(0), model.in_shape)
same = jax.tree.map(jnp.array_equal, params, sequential.init(jax.random.key(0), x.shape))
print(f"\nthe same params as the Sequential's: {all(jax.tree.leaves(same))}; {fl.count(params):,} numbers")
difference = jnp.abs(model.apply(params, x) - sequential.apply(params, x)).max()
print(f"the same answers: difference {difference:.0e}")

# every Symbol can be an output: another graph over the same layers, and the same params
both = fl.functional(image, {"hidden": hidden, "logits": logits})
y = both.apply(params, x)
print("\ntwo outputs:", {name: array.shape for name, array in y.items()})
middle = fl.functional(image, hidden)
part = middle.apply(params, x)
print(f"cut in the middle: {part.shape}, the same: {jnp.array_equal(part, y['hidden'])}")

# a graph is a layer: called on an Input, it is one node of another graph
pair = fl.Input((2, 28, 28))
outer = fl.functional(pair, fl.TimeDistributed(model)(pair))
print(f"inside another graph: {outer.in_shape} -> {outer.out_shape(outer.in_shape)}")

print("\nA wrong shape is an error at the line that wrote it:")
try:
    fl.Conv2D(8, 3)(hidden)
except fl.ShapeError as error:
    print(f"  {error}")
