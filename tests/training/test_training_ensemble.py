"""fl.ensemble and fl.per_example_grad equal what they replace: trainings and gradients one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 3)).astype("float32"), RNG.integers(0, 2, 8)
LOSS, ADAM = optax.softmax_cross_entropy_with_integer_labels, optax.inject_hyperparams(optax.adam)(learning_rate=0.01)


def network():
    return fl.Sequential(
        [fl.Dense(4, use_bias=False, kernel_regularizer="l2"), fl.BatchNormalization(), fl.Dropout(0.5), fl.Dense(2)]
    )


def close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **(tolerance or dict(rtol=1e-5, atol=1e-6))), a, b)


@pytest.fixture(scope="module")
def trained():
    members = fl.ensemble(network(), 3)
    train_state = members.create((None, 3), ADAM, rng=5)
    train_state.opt_state.hyperparams["learning_rate"] = jnp.array([0.01, 0.1, jnp.inf])
    step = members.make_step(LOSS, ADAM, metrics={"accuracy": fl.metrics.accuracy})
    logs = []
    for _ in range(2):
        train_state, figures = step(train_state, (X, Y))
        logs.append(figures)
    return members, train_state, logs


def test_members_are_trained_as_if_alone(trained):
    members, train_state, logs = trained
    step = fl.make_step(network(), LOSS, ADAM, metrics={"accuracy": fl.metrics.accuracy})
    for i, rate in enumerate([0.01, 0.1]):
        alone = fl.TrainState.create(network(), (None, 3), ADAM, jax.random.fold_in(jax.random.key(5), i))
        alone.opt_state.hyperparams["learning_rate"] = jnp.float32(rate)
        for figures in logs:
            alone, wanted = step(alone, (X, Y))
            close({name: value[i] for name, value in figures.items()}, wanted)
        close(members.member(train_state, i), alone)


def test_a_member_that_diverges_stops_alone(trained):
    members, train_state, logs = trained
    assert logs[0]["finite"].tolist() == [True, True, False]
    assert train_state.step.tolist() == [2, 2, 0]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((train_state.params, train_state.state)))


def test_all_members_answer(trained):
    members, train_state, _ = trained
    y = members.apply(train_state.params, X, state=train_state.state)
    one = members.member(train_state, 1)
    assert y.shape == (3, 8, 2)
    np.testing.assert_allclose(y[1], network().apply(one.params, X, state=one.state), rtol=1e-5, atol=1e-6)
    with pytest.raises(fl.ConfigError, match="give 0 to 2"):
        members.member(train_state.params, 3)


def test_members_start_apart_or_alike():
    model = fl.Dense(2)
    apart, alike = (fl.ensemble(model, 2).create((None, 3), optax.sgd(1.0), same=same) for same in (False, True))
    assert not np.array_equal(*apart.params["kernel"]) and np.array_equal(*alike.params["kernel"])
    np.testing.assert_array_equal(
        alike.params["kernel"][0], fl.TrainState.create(model, (None, 3), optax.sgd(1.0)).params["kernel"]
    )


def test_batches_of_their_own():
    members, optimizer = fl.ensemble(fl.Dense(2), 2), optax.sgd(0.1)
    start = members.create((None, 3), optimizer, same=True)
    step = members.make_step(LOSS, optimizer, own_batches=True)
    after, _ = step(start, (np.stack([X, -X]), np.stack([Y, Y])))
    assert not np.array_equal(*after.params["kernel"])


@pytest.mark.parametrize("n", [0, True, 2.0, "3"])
def test_a_number_of_members(n):
    with pytest.raises(fl.ConfigError, match="1 or more"):
        fl.ensemble(fl.Dense(1), n)


@pytest.mark.parametrize("dtype", [None, "mixed_float16"])
def test_gradients_of_examples_are_those_of_batches_of_one(dtype):
    model = fl.Sequential([fl.Dense(4, "tanh", dtype=dtype), fl.Dense(2, dtype=dtype, trainable=False)])
    params, weight = model.init(jax.random.key(0), (None, 3)), np.arange(8.0, dtype="float32")
    gradients = jax.jit(lambda p: fl.per_example_grad(model, p, (X, Y, weight), LOSS))(params)
    assert gradients["dense_1"] == {"bias": None, "kernel": None}

    def loss(trained, i):
        logits = model.apply(params | trained, X[i : i + 1]).astype("float32")
        return weight[i] * LOSS(logits, Y[i : i + 1])[0]

    wanted = [jax.grad(loss)({"dense": params["dense"]}, i) for i in range(8)]
    tolerance = dict(rtol=1e-5, atol=1e-6) if dtype is None else dict(rtol=3e-3, atol=3e-3)
    close({"dense": gradients["dense"]}, jax.tree.map(lambda *rows: jnp.stack(rows), *wanted), **tolerance)


def test_examples_have_keys_of_their_own():
    model = fl.Sequential([fl.Dropout(0.5), fl.Dense(1, use_bias=False, kernel_initializer="ones")])
    params = model.init(jax.random.key(0), (None, 64))
    batch = np.ones((2, 64), "float32"), np.zeros((2, 1), "float32")
    kernel = fl.per_example_grad(model, params, batch, optax.l2_loss, rng=0, train=True)["dense"]["kernel"]
    assert not np.array_equal(kernel[0] == 0, kernel[1] == 0)


def test_what_has_no_gradient_of_its_own():
    model = network()
    params, state = model.init(jax.random.key(0), (None, 3)), model.init_state((None, 3))
    with pytest.raises(fl.ConfigError, match="new state of its batch"):
        fl.per_example_grad(model, params, (X, Y), LOSS, state=state, rng=0, train=True)
    with pytest.raises(fl.MissingError, match="no trainable params"):
        fl.per_example_grad(fl.ReLU(), {}, (X, X), optax.l2_loss)
    with pytest.raises(fl.ShapeError, match="a number for each example"):
        fl.per_example_grad(fl.Dense(2), fl.Dense(2).init(jax.random.key(0), (1, 3)), (X, Y, np.ones((8, 2))), LOSS)
