"""What becomes of steps that are not finite: the training ends, goes on without them, or takes them."""

import jax
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, same

import fnlayers as fl
from fnlayers.training import TrainState, fit, make_step

ADAM = optax.adam(0.1)


def batches(bad=(1,)):
    x, y = classes(n=32)
    return [(x[i : i + 8] * (np.nan if i // 8 in bad else 1), y[i : i + 8]) for i in range(0, 32, 8)]


def fitted(data, model=None, optimizer=ADAM, **more):
    return fit(model or mlp(), data, loss=CROSS_ENTROPY, optimizer=optimizer, verbose=False, **more)


def test_skipped_steps_change_nothing_as_with_apply_if_finite():
    events = []

    class Seen:
        def on_step(self, event):
            events.append((event.batch, event.logs["skipped"]))

    result = fitted(batches(), epochs=2, guard="skip", callbacks=[Seen()])
    whole = fitted([batch for i, batch in enumerate(batches()) if i != 1], epochs=2)
    assert same(result.params, whole.params) and same(result.train_state.opt_state, whole.train_state.opt_state)
    plain = fitted(batches(), epochs=2, guard=False, optimizer=optax.apply_if_finite(ADAM, 9))
    assert same(result.params, plain.params)
    assert result.history["skipped"] == [1, 1] and result.history["loss"] == whole.history["loss"]
    assert np.isnan(plain.history["loss"]).all() and "skipped" not in plain.history
    assert int(result.train_state.step) == 8
    assert events == [(1, 0), (2, 1), (3, 0), (4, 0)] * 2


def test_a_skipped_step_leaves_the_models_state_and_its_key_behind():
    model = fl.Sequential([fl.BatchNormalization(), fl.Dropout(0.5), fl.Dense(3)])
    (x, y), step = classes(n=8), make_step(model, CROSS_ENTROPY, ADAM, guard="skip")
    train_state = TrainState.create(model, x.shape, ADAM)
    before = jax.tree.map(np.array, train_state)
    after, logs = step(train_state, (x * np.inf, y))
    assert same(before[1:], after[1:]) and int(after.step) == 1 and not bool(logs["finite"])


def test_an_epoch_of_skipped_steps_alone_is_an_error():
    with pytest.raises(
        fl.NonFiniteError, match="none of the 4 steps of epoch 1 is finite, and none was taken; the last"
    ):
        fitted(batches(bad=range(4)), guard="skip")


def test_without_a_guard_what_is_not_finite_stays():
    result = fitted(batches(), guard=False)
    assert np.isnan(result.params["dense_1"]["bias"]).all() and np.isnan(result.history["loss"]).all()
    good = fitted(batches(bad=()), guard=False)
    assert same(good.params, fitted(batches(bad=())).params)


@pytest.mark.parametrize("guard", [True, "Skip", None, 0])
def test_guards_that_are_none(guard):
    with pytest.raises(fl.ConfigError, match=f"fit: guard={guard!r} is unknown; choose from raise, skip, False"):
        fitted(batches(), guard=guard)


def test_the_name_of_the_count_is_taken():
    with pytest.raises(fl.ConfigError, match="'skipped' is taken with guard='skip'"):
        fitted(batches(), guard="skip", metrics={"skipped": fl.metrics.accuracy})
    with pytest.raises(fl.ConfigError, match="make_step: guard='raise' is unknown; choose from True, skip, False"):
        make_step(mlp(), CROSS_ENTROPY, SGD, guard="raise")
