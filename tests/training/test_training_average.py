"""fit(ema=...): what is validated, chosen and returned is the average of the params."""

import jax
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, classes, mlp, numbers, same

import fnlayers as fl
from fnlayers.training import KeepBest, averaged, evaluate, fit

ADAM = optax.adam(0.05)


def fitted(model=None, data=None, **more):
    options = {"loss": CROSS_ENTROPY, "optimizer": ADAM, "batch_size": 10, "verbose": False, "ema": 0.7, **more}
    return fit(model or mlp(), classes() if data is None else data, **options)


def test_the_average_is_of_the_params_after_each_update():
    plain = [fitted(epochs=n, ema=None, batch_size=40).train_state.params for n in (1, 2)]  # each epoch is one update
    result = fitted(epochs=2, batch_size=40)
    start = mlp().init(jax.random.key(0), (None, 5))
    expected = jax.tree.map(lambda a, b, c: 0.7 * (0.7 * a + 0.3 * b) + 0.3 * c, start, *plain)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), result.params, expected)
    assert same(result.train_state.params, plain[1]) and same(averaged(result), result.params)


def test_validation_the_best_epoch_and_the_result_are_of_the_average():
    model, held_out = mlp(), classes(seed=1)
    result = fitted(model, epochs=3, validation_data=held_out, callbacks=[KeepBest()])
    best = int(np.argmin(result.history["val_loss"]))
    figures = evaluate(model, result.params, held_out, loss=CROSS_ENTROPY)
    assert figures["loss"] == pytest.approx(result.history["val_loss"][best], rel=1e-6)
    raw = evaluate(model, result.train_state.params, held_out, loss=CROSS_ENTROPY)
    assert raw["loss"] != pytest.approx(figures["loss"], rel=1e-3)
    assert int(result.train_state.step) == 4 * (best + 1)


def test_going_on_is_the_same_as_not_stopping():
    model = fl.Sequential([fl.Dense(8), fl.Dropout(0.3), fl.Dense(3)])
    half = fitted(model, epochs=1)
    assert same(fitted(model, train_state=half.train_state).train_state, fitted(model, epochs=2).train_state)


def test_constraints_frozen_layers_and_gathered_gradients():
    kernel = fl.Dense(2, kernel_constraint="non_neg", kernel_initializer="ones", name="b")
    model = fl.freeze(fl.Sequential([fl.Dense(3, name="a"), kernel]), "a")
    x, y = numbers(16)
    gathered = optax.MultiSteps(optax.sgd(0.5), 2)
    result = fitted(model, (x, np.tile(-y, 2)), loss="mse", optimizer=gathered, batch_size=4, shuffle=False)
    assert (np.asarray(result.params["b"]["kernel"]) >= 0).all()
    assert same(result.params["a"], result.train_state.params["a"])
    inside = fl.optimizer("sgd", 0.5, model=model, shape=x.shape, project=True, ema=0.7, accumulate=2)
    other = fitted(model, (x, np.tile(-y, 2)), loss="mse", optimizer=inside, batch_size=4, shuffle=False, ema=None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), result.params, averaged(other))


def test_errors():
    for ema in (1.0, -0.1, True, "0.9"):
        with pytest.raises(fl.ConfigError, match=f"fit: ema={ema!r}: give a number from 0 to below 1"):
            fitted(ema=ema)
    with pytest.raises(fl.ConfigError, match="keeps an average already; give ema= to fit or to fnlayers.optimizer"):
        fitted(optimizer=fl.optimizer("sgd", 0.1, ema=0.9))
    with pytest.raises(fl.ConfigError, match="expected EvaluatedAverageState"):
        fitted(train_state=fitted(ema=None).train_state)
