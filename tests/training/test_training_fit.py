import os
import signal

import chex
import jax
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, classes, mlp, numbers, same

import fnlayers as fl
from fnlayers.training import Fitted, TrainState, clear_cache, epoch_means, evaluate, fit, metrics, predict
from fnlayers.training.interrupts import Interrupts
from fnlayers.training.objective import objective_of

ADAM = optax.adam(1e-2)


def fitted(model, data, **more):
    return fit(model, data, **{"loss": CROSS_ENTROPY, "optimizer": ADAM, "verbose": False, **more})


def test_the_result_is_plain_data():
    x, y = classes()
    result = fitted(mlp(), (x, y), epochs=2, metrics={"accuracy": metrics.accuracy}, validation_data=(x, y))
    assert isinstance(result, Fitted) and result.stopped is None
    assert list(result.history) == ["loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert all(type(v) is float for values in result.history.values() for v in values)
    assert {len(values) for values in result.history.values()} == {2}
    assert result.params is result.train_state.params and result.state == {}
    assert result.history["loss"][1] < result.history["loss"][0]


def test_equals_a_loop_written_by_hand():
    model, (x, y) = mlp(), classes(n=40)
    key = jax.random.key(5)
    result = fitted(model, (x, y), epochs=2, batch_size=8, shuffle=False, rng=key)
    params = model.init(key, x.shape)
    opt_state, losses = ADAM.init(params), []

    @jax.jit
    def step(params, opt_state, x, y):
        value, gradients = jax.value_and_grad(lambda p: CROSS_ENTROPY(model.apply(p, x), y).mean())(params)
        updates, opt_state = ADAM.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    for _ in range(2):
        for at in range(0, 40, 8):
            params, opt_state, value = step(params, opt_state, x[at : at + 8], y[at : at + 8])
            losses.append(float(value))
    chex.assert_trees_all_close(result.params, params, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.history["loss"], np.reshape(losses, (2, 5)).mean(1), rtol=1e-5)


def test_a_seed_decides_everything():
    model, data = fl.Sequential([fl.Dense(8), fl.Dropout(0.3), fl.Dense(3)]), classes()
    first, again, other = (fitted(model, data, epochs=2, rng=seed) for seed in (1, jax.random.key(1), 2))
    assert same(first.train_state, again.train_state)
    assert first.history["loss"] == again.history["loss"] != other.history["loss"]


def test_going_on_is_the_same_as_not_stopping():
    model, data = fl.Sequential([fl.Dense(8), fl.Dropout(0.3), fl.Dense(3)]), classes()
    whole = fitted(model, data, epochs=3)
    half = fitted(model, data, epochs=2)
    rest = fitted(model, data, epochs=1, train_state=half.train_state)
    assert same(whole.train_state, rest.train_state)
    assert whole.history["loss"][2:] == rest.history["loss"]


def test_nothing_given_changes():
    model, (x, y) = fl.Sequential([fl.BatchNormalization(), fl.Dense(3)]), classes()
    params, state = model.init(jax.random.key(0), x.shape), model.init_state(x.shape)
    train_state = TrainState.create(model, x.shape, ADAM)
    before = jax.tree.map(np.array, (x, y, params, state, train_state))
    fitted(model, (x, y), params=params, state=state)
    fitted(model, (x, y), train_state=train_state)
    assert same(before, (x, y, params, state, train_state))


def test_shuffling_sees_each_example_once_an_epoch():
    x = np.arange(10.0, dtype="float32")[:, None]
    seen = []

    def keep(p, t):
        jax.debug.callback(lambda t: seen.append(np.ravel(t)), t, ordered=True)
        return optax.squared_error(p, t)

    fitted(fl.Dense(1), (x, x), loss=keep, epochs=2, batch_size=5)
    jax.effects_barrier()
    epochs = np.concatenate(seen).reshape(2, 10)
    assert (np.sort(epochs) == np.arange(10)).all() and (epochs[0] != epochs[1]).any()


RAGGED = {
    "plain": lambda: mlp(),
    "regularized": lambda: fl.Dense(3, kernel_regularizer="l2"),
    "activity": lambda: fl.Dense(3, activity_regularizer="l2"),
    "statistics": lambda: fl.Sequential([fl.BatchNormalization(), fl.Dense(3)]),
}


@pytest.mark.parametrize("kind", RAGGED)
def test_a_ragged_last_batch_counts_as_what_it_is(kind):
    model, (x, y) = RAGGED[kind](), classes(n=10)
    result = fitted(model, (x, y), batch_size=4, shuffle=False, metrics={"accuracy": metrics.accuracy})
    params, state = model.init(jax.random.key(0), x.shape), model.init_state(x.shape)
    opt_state, losses, right, penalty = ADAM.init(params), 0.0, 0.0, fl.penalty(model, x.shape)

    @jax.jit
    def step(params, state, opt_state, x, y):
        def objective(p):
            out = model.run(p, x, state=state, train=True)
            return CROSS_ENTROPY(out.y, y).mean() + penalty(p) + sum(out.losses), out

        (value, out), gradients = jax.value_and_grad(objective, has_aux=True)(params)
        updates, opt_state = ADAM.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), out.state, opt_state, value, (out.y.argmax(-1) == y).sum()

    for at in (0, 4, 8):
        rows = slice(at, at + 4)
        params, state, opt_state, value, hits = step(params, state, opt_state, x[rows], y[rows])
        losses, right = losses + float(value) * len(x[rows]), right + float(hits)
    chex.assert_trees_all_close((result.params, result.state), (params, state), rtol=1e-4, atol=1e-6)
    assert result.history["accuracy"] == [pytest.approx(right / 10)]
    if kind != "regularized":  # there the penalty, which changes from step to step, is averaged by steps
        assert result.history["loss"] == [pytest.approx(losses / 10, rel=1e-5)]


@pytest.mark.parametrize("kind", RAGGED)
def test_evaluation_does_not_depend_on_the_batch_size(kind):
    model, (x, y) = RAGGED[kind](), classes(n=10)
    params, state = model.init(jax.random.key(0), x.shape), model.init_state(x.shape)
    weight = np.linspace(0.5, 2, 10).astype("float32")

    def results(data, batch_size):
        more = {"loss": CROSS_ENTROPY, "metrics": {"accuracy": metrics.accuracy}, "state": state}
        return evaluate(model, params, data, batch_size=batch_size, **more)

    for data in ((x, y), (x, y, weight)):
        whole = results(data, 10)
        assert results(data, 4) == pytest.approx(whole, rel=1e-6)
        assert results([tuple(a[at : at + 3] for a in data) for at in (0, 3, 6, 9)], 1) == pytest.approx(
            whole, rel=1e-6
        )


def test_evaluation_averages_over_real_steps():
    model = fl.Sequential([fl.Masking(), fl.TimeDistributed(fl.Dense(3))])
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(7, 5, 2)).astype("float32"), draw.integers(0, 3, (7, 5))
    x[np.arange(5) >= draw.integers(1, 6, 7)[:, None]] = 0
    params = model.init(jax.random.key(0), x.shape)
    real = (x != 0).any(-1)
    expected = np.asarray(CROSS_ENTROPY(model.apply(params, x), y))[real].mean()
    assert evaluate(model, params, (x, y), loss=CROSS_ENTROPY, batch_size=3)["loss"] == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize(("count", "kind", "programs"), [(8, "plain", 2), (10, "plain", 2), (10, "statistics", 3)])
def test_compiles_as_often_as_it_must(count, kind, programs, compilations):
    model, data = RAGGED[kind](), classes(n=count)
    clear_cache()
    for number in range(2):  # the second time nothing is compiled at all
        before = len(compilations("step", "evaluation"))
        result = fitted(model, data, epochs=3, batch_size=4)
        for _ in range(2):
            evaluate(model, result.params, data, loss=CROSS_ENTROPY, state=result.state, batch_size=4)
        assert len(compilations("step", "evaluation")) - before == (0 if number else programs)


def test_predict():
    model, (x, _) = mlp(), classes(n=10)
    params = model.init(jax.random.key(0), x.shape)
    expected = np.asarray(model.apply(params, x))
    for data in (x, lambda: (x[at : at + 4] for at in (0, 4, 8)), [x[:5], x[5:]], iter([x])):
        y = predict(model, params, data, batch_size=4)
        assert isinstance(y, np.ndarray)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    a, b = fl.Input((5,)), fl.Input((5,))
    two = fl.functional((a, b), {"sum": fl.Add()((a, b)), "first": fl.Identity()(a)})
    y = predict(two, {}, (x, x), batch_size=3)
    np.testing.assert_allclose(y["sum"], 2 * x)
    np.testing.assert_allclose(y["first"], x)
    with pytest.raises(fl.ShapeError, match="outputs of different shapes"):
        predict(fl.Identity(), {}, [np.ones((2, 3)), np.ones((2, 4))])


def test_several_inputs_and_outputs():
    a, b = fl.Input((3,), name="a"), fl.Input((3,), name="b")
    joined = fl.Concatenate()((a, b))
    model = fl.functional({"a": a, "b": b}, {"value": fl.Dense(1)(joined), "class": fl.Dense(2)(joined)})
    x, y = numbers(n=10)
    data = ({"a": x, "b": x}, {"value": y, "class": (y[:, 0] > 0).astype(int)})
    loss = {"value": optax.squared_error, "class": CROSS_ENTROPY}
    result = fitted(model, data, loss=loss, metrics={"class": {"accuracy": metrics.accuracy}}, batch_size=4)
    assert list(result.history) == ["loss", "value_loss", "class_loss", "class_accuracy", "seconds"]
    figures = evaluate(model, result.params, data, loss=loss, batch_size=3)
    assert figures["loss"] == pytest.approx(figures["value_loss"] + figures["class_loss"])
    for wrong in ({"value": optax.squared_error}, {**loss, "other": None}):
        with pytest.raises(fl.ConfigError, match="loss speaks of the outputs .*, but the model's are 'class', 'value'"):
            fitted(model, data, loss=wrong)
    fitted(model, data, loss={"value": optax.squared_error, "class": None})


def interrupting(times):
    """A callback, or an iterable's step, that is Ctrl-C."""

    def act(_=None):
        act.calls += 1
        if act.calls == times:
            raise KeyboardInterrupt

    act.calls = 0
    return act


def test_an_interrupt_returns_what_was_reached():
    (x, y), stop = classes(), interrupting(3)

    def batches():
        for at in range(0, 40, 10):
            stop()
            yield x[at : at + 10], y[at : at + 10]

    result = fitted(mlp(), batches, epochs=5)
    assert result.stopped == "interrupted after step 2" and int(result.train_state.step) == 2
    assert not any(a.is_deleted() for a in jax.tree.leaves(result.train_state))
    result = fitted(mlp(), (x, y), epochs=5, callbacks=[interrupting(2)])
    assert len(result.history["loss"]) == 2 and int(result.train_state.step) == 4


@pytest.fixture
def interruptible():
    """A process in the background of a shell ignores Ctrl-C from the start; here it is handled."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_waits_for_the_step_to_be_stored():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        interrupts.hold()
        os.kill(os.getpid(), signal.SIGINT)
        waited = True
        interrupts.release()
        waited = False
    assert waited and signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), Interrupts():
        os.kill(os.getpid(), signal.SIGINT)


def test_options_that_are_wrong():
    data = classes()
    with pytest.raises(fl.ConfigError, match="epochs=0: give a whole number of at least 1"):
        fitted(mlp(), data, epochs=0)
    with pytest.raises(fl.ConfigError, match="batch_size=0: give a whole number"):
        fitted(mlp(), data, batch_size=0)
    done = fitted(mlp(), data)
    with pytest.raises(fl.ConfigError, match="give train_state, or params and state, not both"):
        fitted(mlp(), data, train_state=done.train_state, params=done.params)


def test_the_loop_never_waits_for_the_step_it_has_just_started():
    fetched, started = [], []

    class Packed:
        def __init__(self, number):
            self.number = number
            started.append(number)

        def copy_to_host_async(self):
            pass

        def is_ready(self):
            return False

        def __array__(self, dtype=None, copy=None):
            fetched.append((self.number, len(started)))
            return np.array([1.0, 0.0, 1.0, 1.0, 1.0])

    gauge = epoch_means.EpochMeans(objective_of(CROSS_ENTROPY))
    for number in range(6):
        gauge.push(Packed(number), number)
        gauge.collect(3)
    assert fetched == [(0, 4), (1, 5), (2, 6)]
