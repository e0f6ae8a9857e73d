"""Gradients in float16: of the loss times a power of two, so that a small loss trains as a large one does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, classes

import fnlayers as fl
from fnlayers.training.gradients import computes_in_float16, value_and_gradients

X, Y = classes()


def model(policy):
    return fl.Sequential([fl.Dense(8, "tanh", dtype=policy), fl.Dense(3, dtype=policy)])


PARAMS = model(None).init(jax.random.key(0), X.shape)


def gradients(policy, scale, squared=False):
    layer = model(policy)

    def loss_at(params):
        y = layer.apply(params, X).astype("float32")
        return scale * jnp.mean(jnp.square(y) if squared else CROSS_ENTROPY(y, Y)), "others"

    (loss, others), gradients = value_and_gradients(layer, loss_at, PARAMS)
    assert others == "others" and np.isfinite(loss)
    return gradients


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("scale", [1e-12, 1e6])  # with the last they are beyond float16
def test_gradients_of_losses_of_any_size(scale, squared):
    expected, actual = gradients(None, scale, squared), gradients("mixed_float16", scale, squared)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(actual), strict=True):
        assert np.abs(a - b).max() < 5e-3 * np.abs(a).max()


def test_a_scale_changes_no_bit_where_nothing_is_rounded_to_zero():
    layer, x = fl.Dense(2, dtype="mixed_float16"), jnp.eye(4)
    params = layer.init(jax.random.key(0), x.shape)

    def loss_at(params):
        return jnp.mean(jnp.square(layer.apply(params, x)).astype("float32")), None

    plain, actual = jax.grad(lambda p: loss_at(p)[0])(params), value_and_gradients(layer, loss_at, params)[1]
    assert all(map(np.array_equal, jax.tree.leaves(plain), jax.tree.leaves(actual)))


def test_gradients_that_are_not_finite_with_any_scale_stay_so():
    layer = fl.Dense(2, dtype="mixed_float16")
    params = layer.init(jax.random.key(0), (4, 3))
    (loss, _), gradients = value_and_gradients(layer, lambda p: (jnp.sum(p["bias"]) * jnp.inf, None), params)
    assert not np.isfinite(loss) and not np.isfinite(gradients["bias"]).any()
    (loss, _), gradients = value_and_gradients(layer, lambda p: (jnp.sum(jnp.sqrt(p["bias"])), None), params)
    assert loss == 0 and not np.isfinite(gradients["bias"]).any()


def test_a_small_loss_trains():
    def loss(y_pred, y_true):
        return 1e-8 * CROSS_ENTROPY(y_pred, y_true)

    options = {"loss": loss, "optimizer": optax.sgd(1e7), "params": PARAMS, "verbose": False}
    half, whole = (fl.fit(model(policy), (X, Y), **options).params for policy in ("mixed_float16", None))
    updates = jax.tree.map(lambda a, b: np.abs(a - b).max(), whole, PARAMS)
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), whole, half)
    assert all(m > 1e-3 for m in jax.tree.leaves(updates)) and all(a < 1e-3 for a in jax.tree.leaves(differences))


def test_which_models_compute_in_float16():
    assert computes_in_float16(fl.Sequential([fl.Dense(2), fl.Bidirectional(fl.LSTM(2, dtype="mixed_float16"))]))
    assert not computes_in_float16(model("mixed_bfloat16")) and not computes_in_float16(model(None))
