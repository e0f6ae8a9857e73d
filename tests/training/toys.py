"""Small data and models that the tests of training share."""

import jax.numpy as jnp
import numpy as np
import optax

import fnlayers as fl

CROSS_ENTROPY = optax.softmax_cross_entropy_with_integer_labels
SGD = optax.sgd(0.1)  # one object: a second fit of the same model compiles nothing


def classes(n=40, features=5, count=3, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, features)).astype("float32")
    return x, (x[:, :count].argmax(-1)).astype("int32")


def numbers(n=40, features=3, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, features)).astype("float32")
    return x, x @ np.arange(1.0, features + 1, dtype="float32")[:, None]


def mlp():
    return fl.Sequential([fl.Dense(8, "relu"), fl.Dense(3)])


def same(a, b):
    import jax

    return all(bool(jnp.array_equal(u, v)) for u, v in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
