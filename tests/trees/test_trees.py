"""Transforms of parameter trees."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
MODEL = fl.Sequential(
    [
        fl.Dense(4, kernel_regularizer=fl.regularizers.L2(0.1), bias_constraint="non_neg", name="body"),
        fl.BatchNormalization(gamma_regularizer="l1"),
        fl.PReLU(),
        fl.Dense(
            2, kernel_regularizer="l2", kernel_constraint=fl.constraints.MaxNorm(0.5), trainable=False, name="head"
        ),  # frozen: it has no penalty, as in Keras
    ]
)
SHAPE = (None, 3)
PARAMS = MODEL.init(KEY, SHAPE)


def test_penalty_sums_the_regularizers():
    want = 0.1 * np.sum(np.square(PARAMS["body"]["kernel"])) + 0.01 * 4
    assert fl.penalty(MODEL, SHAPE)(PARAMS).dtype == "float32"
    np.testing.assert_allclose(jax.jit(fl.penalty(MODEL, SHAPE))(PARAMS), want, rtol=1e-6)
    gradient = jax.grad(fl.penalty(MODEL, SHAPE))(PARAMS)
    np.testing.assert_allclose(gradient["body"]["kernel"], 0.2 * PARAMS["body"]["kernel"], rtol=1e-6)
    assert not np.any(gradient["head"]["kernel"])
    assert fl.penalty(fl.Dense(1), SHAPE)(fl.Dense(1).init(KEY, SHAPE)) == 0


def test_project_holds_the_constraints_and_touches_nothing_else():
    given = jax.tree.map(lambda p: p - 2.0, PARAMS)
    landed = jax.jit(fl.project(MODEL, SHAPE))(given)
    assert np.all(landed["body"]["bias"] == 0)
    assert np.all(np.linalg.norm(landed["head"]["kernel"], axis=0) <= 0.5 + 1e-6)
    np.testing.assert_array_equal(landed["body"]["kernel"], given["body"]["kernel"])


def test_projected_is_the_optimizer_with_constraints():
    optimizer = fl.projected(optax.adam(0.5), MODEL, SHAPE)
    plain = optax.adam(0.5)

    @jax.jit
    def step(params, state):
        gradients = jax.tree.map(jnp.ones_like, params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(3):
        params, state = step(params, state)
        assert np.all(np.asarray(params["body"]["bias"]) >= -1e-6)
        assert np.all(np.linalg.norm(params["head"]["kernel"], axis=0) <= 0.5 + 1e-5)
    updates, _ = plain.update(jax.tree.map(jnp.ones_like, PARAMS), plain.init(PARAMS), PARAMS)
    want = fl.project(MODEL, SHAPE)(optax.apply_updates(PARAMS, updates))
    got, _ = step(PARAMS, optimizer.init(PARAMS))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)
    with pytest.raises(fl.MissingError, match=r"write optimizer.update\(gradients, state, params\)"):
        optimizer.update(PARAMS, state)


def test_masks():
    trainable = fl.trainable_mask(MODEL, SHAPE)
    assert trainable["head"] == {"kernel": False, "bias": False} and all(trainable["body"].values())
    decay = fl.decay_mask(MODEL, SHAPE)
    assert decay["body"] == {"kernel": True, "bias": False}
    assert decay["batch_normalization"] == {"gamma": False, "beta": False} and decay["p_re_lu"] == {"alpha": False}
    assert jax.tree.structure(trainable) == jax.tree.structure(decay) == jax.tree.structure(PARAMS)
    optax.masked(optax.adamw(1e-3, mask=decay), trainable).init(PARAMS)


def test_labels():
    found = fl.labels(PARAMS, {"**": "all", "body/*": "body", "**/bias": "bias"})
    assert found["body"] == {"kernel": "body", "bias": "bias"} and found["head"] == {"kernel": "all", "bias": "bias"}
    assert fl.labels(PARAMS, {"b*/kernel": "x"})["batch_normalization"] == {"gamma": "default", "beta": "default"}
    with pytest.raises(
        fl.ConfigError, match=r"'encoder/\*\*' matches no path; the paths are batch_normalization/beta, "
    ):
        fl.labels(PARAMS, {"encoder/**": "frozen"})
    frozen = optax.partition({"f": optax.set_to_zero(), "default": optax.sgd(1.0)}, fl.labels(PARAMS, {"head/**": "f"}))
    updates, _ = frozen.update(PARAMS, frozen.init(PARAMS), PARAMS)
    assert not np.any(updates["head"]["kernel"]) and np.any(updates["body"]["kernel"])


def test_paths_and_counts():
    assert fl.weight_paths(MODEL, SHAPE)[:4] == [
        "body/kernel", "body/bias", "batch_normalization/gamma", "batch_normalization/beta",
    ]  # fmt: skip
    assert fl.weight_paths(MODEL, SHAPE, fl.State) == [
        "batch_normalization/moving_mean", "batch_normalization/moving_variance",
    ]  # fmt: skip
    assert set(fl.paths(PARAMS)) == set(fl.weight_paths(MODEL, SHAPE))
    assert fl.count(PARAMS) == 3 * 4 + 4 + 8 + 4 + 4 * 2 + 2


def test_params_of_another_model_are_named():
    with pytest.raises(
        fl.MissingError, match=r"penalty: these params are not the model's \(missing: .*body/bias.*unexp"
    ):
        fl.penalty(MODEL, SHAPE)({"other": PARAMS["body"]})
