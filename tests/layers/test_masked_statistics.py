"""Masked steps of a TimeDistributed are in no batch statistics, at whatever depth a BatchNormalization stands in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

INNER = {
    "alone": fl.BatchNormalization(),
    "chain": fl.Sequential([fl.Dense(3, kernel_initializer="identity"), fl.BatchNormalization()]),
    "behind a layer that takes no mask": fl.Sequential([fl.Reshape((3, 1)), fl.Flatten(), fl.BatchNormalization()]),
    "nested": fl.Sequential([fl.Sequential([fl.BatchNormalization()])]),
    "repeated": fl.Repeat(fl.BatchNormalization(), 1),
}


def means(layer, x, mask=None):
    state = layer.init_state(x.shape)
    out = layer.run(layer.init(jax.random.key(0), x.shape), x, state=state, mask=mask, train=True)
    return next(np.ravel(value) for path, value in fl.paths(out.state).items() if path.endswith("moving_mean"))


@pytest.mark.parametrize("name", INNER)
def test_masked_steps_are_in_no_statistics(name):
    x = jnp.arange(24.0).reshape(2, 4, 3)
    mask = jnp.array([[1, 1, 0, 0], [1, 0, 1, 1]], bool)
    moving = means(fl.TimeDistributed(INNER[name]), x, mask)
    np.testing.assert_allclose(moving, 0.01 * x[mask].mean(0), rtol=1e-5)


def test_of_sequences_of_sequences():
    """Words in sentences in documents: a step counts if its word and its sentence do."""
    x = jnp.arange(24.0).reshape(2, 2, 2, 3)
    sentences = jnp.array([[1, 0], [1, 1]], bool)
    layer = fl.TimeDistributed(fl.TimeDistributed(fl.Sequential([fl.Activation("relu"), fl.BatchNormalization()])))
    np.testing.assert_allclose(means(layer, x, sentences), 0.01 * x[sentences].mean((0, 1)), rtol=1e-5)
