"""Merge layers, and a graph with two inputs and two outputs that share an encoder.

The task: of two points, is the first farther from 0, and how far are they apart?
"""

import jax
import jax.numpy as jnp
import optax

import fnlayers as fl

a, b = jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[10.0, 0.0, -1.0]])
print(f"a = {a[0].tolist()}, b = {b[0].tolist()}")
for layer in (
    fl.Add(),
    fl.Subtract(),
    fl.Multiply(),
    fl.Average(),
    fl.Maximum(),
    fl.Minimum(),
    fl.Concatenate(),
    fl.Dot(axes=1),
):
    print(f"  {layer!r:<14} {layer.apply({}, (a, b))[0].tolist()}")

first, second = fl.Input((2,), name="first"), fl.Input((2,), name="second")
encoder = fl.Dense(32, activation="relu", name="encoder")  # one object: one set of weights, called twice
left, right = encoder(first), encoder(second)
joined = fl.Concatenate()(left, right)
farther = fl.Dense(1, name="farther")(fl.Subtract()(left, right))
distance = fl.Dense(1, name="distance")(fl.Dense(32, activation="relu")(joined))
model = fl.functional({"first": first, "second": second}, {"farther": farther, "distance": distance})
print(f"\n{fl.summary(model)}")

points = jax.random.normal(jax.random.key(1), (2, 600, 2))
x = {"first": points[0], "second": points[1]}
lengths = jnp.linalg.norm(points, axis=-1, keepdims=True)
y = {
    "farther": (lengths[0] > lengths[1]).astype("float32"),
    "distance": jnp.linalg.norm(points[0] - points[1], axis=-1, keepdims=True),
}
result = fl.fit(
    model,
    (x, y),
    loss={"farther": optax.sigmoid_binary_cross_entropy, "distance": optax.squared_error},
    optimizer=optax.adam(1e-2),
    epochs=20,
    rng=jax.random.key(0),
    verbose=False,
)
print(f"\nloss {result.history['loss'][0]:.3f} -> {result.history['loss'][-1]:.3f}")
for one, other in (((3.0, 0.0), (0.0, 0.5)), ((0.1, 0.0), (-1.0, -1.0))):
    answer = model.apply(result.params, {"first": jnp.array([one]), "second": jnp.array([other])})
    true = jnp.linalg.norm(jnp.array(one) - jnp.array(other))
    chance, distance = jax.nn.sigmoid(answer["farther"])[0, 0], answer["distance"][0, 0]
    print(f"{one} and {other}: the first farther out: {chance:.2f}; distance {distance:.2f}, in truth {true:.2f}")
