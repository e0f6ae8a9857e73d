import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, same

import fnlayers as fl
from fnlayers.training import NonFiniteError, epoch_means, fit


def fails(model, data, **more):
    with pytest.raises(NonFiniteError) as caught:
        fit(model, data, **{"loss": CROSS_ENTROPY, "optimizer": SGD, "verbose": False, **more})
    return caught.value


def log_at(limit):
    """The logarithm of what is below zero once x passes the limit."""
    return fl.Lambda(lambda x: jnp.where(x[:, :1] > limit, jnp.log(-jnp.abs(x) - 1), x))


def test_says_the_step_and_the_layer_and_keeps_the_last_good_state():
    x, y = classes(n=40)
    x[33, 0] = 100.0
    model = fl.Sequential([log_at(50), fl.Sequential([fl.Dense(4), fl.Dense(3)])])
    good = fit(model, (x[:24], y[:24]), loss=CROSS_ENTROPY, optimizer=SGD, batch_size=8, shuffle=False,
               verbose=False)  # fmt: skip
    error = fails(model, (x, y), batch_size=8, shuffle=False, epochs=3)
    # batch 5 holds row 33, so four updates were made
    assert error.step == 5 and int(error.train_state.step) == 4 and error.history == {}
    text = str(error)
    assert "step 5 (epoch 1, batch 5) is not finite, and was not taken" in text
    assert "the output of layer lambda, Lambda(" in text and "5 of 40 numbers, the first at [1, 0]" in text
    assert "error.train_state" in text
    np.testing.assert_array_equal(error.batch[0], x[32:])
    more = fit(model, (x[24:32], y[24:32]), loss=CROSS_ENTROPY, optimizer=SGD, batch_size=8, shuffle=False,
               train_state=good.train_state, verbose=False)  # fmt: skip
    assert same(error.train_state, more.train_state)


def test_is_exact_however_late_it_is_seen(monkeypatch):
    x, y = classes(n=40)
    x[9] = np.inf
    monkeypatch.setattr(epoch_means.EpochMeans, "collect", lambda self, ahead=8, real=epoch_means.EpochMeans.collect: (
        real(self, ahead) if ahead == 0 else None))  # fmt: skip
    error = fails(fl.Dense(3), (x, y), batch_size=4, shuffle=False)
    assert error.step == 3 and int(error.train_state.step) == 2
    assert all(np.isfinite(a).all() for a in jax.tree.leaves(error.train_state.params))


def test_the_first_of_nested_layers_is_named_by_its_path():
    x, y = classes()
    block = fl.Sequential([fl.Dense(4), fl.Lambda(lambda x: jnp.log(-jnp.abs(x)), name="log")], name="block")
    a = fl.Input((5,))
    model = fl.functional(a, fl.Dense(3, name="head")(block(a)))
    assert "the output of layer block/log, Lambda(" in str(fails(model, (x, y)))


def test_bad_data_are_named():
    x, y = classes()
    x[17, 2] = np.nan
    assert "the data set itself is not finite: x holds nan (1 of 200 numbers, the first at [17, 2])" in str(
        fails(fl.Dense(3), (x, y))
    )
    assert "the batch itself is not finite: x holds nan" in str(fails(fl.Dense(3), [(x, y)]))
    x, _ = classes()
    t = np.ones((40, 1), "float32")
    t[3] = np.inf
    assert "y/a holds inf (1 of 40" in str(fails(fl.Dense(1), (x, {"a": t}), loss=lambda p, t: (p - t["a"]) ** 2))


def test_bad_params_are_named():
    x, y = classes()
    params = fl.Dense(3).init(jax.random.key(0), x.shape)
    params["kernel"] = params["kernel"].at[0, 0].set(jnp.nan)
    text = str(fails(fl.Sequential([fl.Dense(3)]), (x, y), params={"dense": params}))
    assert "params dense/kernel was not finite before the step: it holds nan (1 of 15 numbers" in text
    assert "or training began with it" in text


def test_a_loss_that_overflows_is_named():
    x, _ = classes()
    text = str(fails(fl.Dense(1, "sigmoid"), (x * 1e4, np.zeros((40, 1))), loss=lambda p, t: -jnp.log(1 - p)))
    assert "every layer's output is finite, but 'loss' of it is inf" in text and "optax's" in text


def test_a_penalty_that_overflows_is_named():
    x, y = classes()
    model = fl.Dense(3, kernel_regularizer=lambda w: jnp.sum(w) * jnp.inf)
    assert "a regularizer's penalty or an activity loss is not" in str(fails(model, (x, y)))


def test_a_gradient_is_named():
    x = np.ones((8, 3), "float32")
    model = fl.Sequential([fl.Dense(2, kernel_initializer="zeros"), fl.Lambda(lambda y: jnp.sqrt(y * y)), fl.Dense(2)])
    text = str(fails(model, (x, np.zeros((8, 2), "float32")), loss=optax.squared_error))
    assert "the gradient of dense/bias is the first, from the end, that is not: it holds nan" in text
    assert "(2 of 4 gradients are not finite)" in text


def test_a_model_of_one_layer_and_layers_in_loops():
    x, y = classes()
    assert "the output of the model, Lambda(" in str(fails(fl.Lambda(lambda x: jnp.log(-jnp.abs(x))), (x, y)))
    x = np.full((4, 3, 5), 1e38, "float32")
    model = fl.Sequential([fl.Repeat(fl.Dense(5, kernel_initializer="ones"), 3), fl.Flatten(), fl.Dense(3)])
    assert "the output of layer repeat/layer, Dense(" in str(fails(model, (x, np.zeros(4, int))))


def test_training_goes_on_from_the_last_good_state():
    x, y = classes()
    bad = x.copy()
    bad[30:] = np.nan
    error = fails(fl.Dense(3), (bad, y), batch_size=10, shuffle=False)
    after = fit(fl.Dense(3), (x, y), loss=CROSS_ENTROPY, optimizer=SGD, train_state=error.train_state,
                verbose=False)  # fmt: skip
    assert int(after.train_state.step) == 3 + 2


def all_finite(tree):
    return all(np.isfinite(np.asarray(leaf, "float32")).all() for leaf in jax.tree.leaves(tree))


def test_an_update_that_is_not_finite_is_not_kept():
    x, y = classes()
    schedule = optax.sgd(lambda step: 0.1 * jnp.asarray(step, "float32") ** -0.5)
    error = fails(fl.Dense(3), (x, y), optimizer=schedule)
    assert error.step == 1 and int(error.train_state.step) == 0 and all_finite(error.train_state)
    assert "the update is not: in params, ['bias'] holds" in str(error) and "is asked for step 0" in str(error)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_half_precision_params_where_epsilon_is_nothing(platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)  # a branch, or a select
    x, y = np.zeros((8, 5), "float32"), np.zeros(8, int)
    error = fails(fl.Dense(3, dtype="float16"), (x, y), optimizer=optax.adam(1e-3))
    assert all_finite(error.train_state) and "epsilon" in str(error)


def test_moments_that_overflow_are_not_kept():
    x, y = np.full((8, 1), 1e20, "float32"), np.zeros((8, 1), "float32")
    model, step = fl.Dense(1, use_bias=False), 0.0
    error = fails(model, (x, y), loss=lambda p, t: p - t, optimizer=optax.adam(step))
    assert all_finite(error.train_state) and "in the optimizer's state, [0].nu['kernel'] holds inf" in str(error)


def test_what_starts_infinite_may_stay_so():
    x, y = classes()
    optimizer = optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau())  # its best value starts at infinity
    result = fit(fl.Dense(3), (x, y), loss=CROSS_ENTROPY, optimizer=optimizer, verbose=False)
    assert int(result.train_state.step) == 2
