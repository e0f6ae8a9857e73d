"""A cached program is used again for what it was compiled for, and for nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, numbers

import fnlayers as fl
from fnlayers.training import clear_cache, evaluate, fit, metrics, predict
from fnlayers.training.programs import fingerprint, is_settled

FACTOR = 1.0
WEIGHTS = np.ones(1, "float32")


class Scaled:
    def __init__(self):
        self.factor = 1.0

    def __call__(self, y_pred, y_true):
        return self.factor * optax.squared_error(y_pred, y_true)

    def method(self, y_pred, y_true):
        return self(y_pred, y_true)


def by_object():
    loss = Scaled()
    return loss, lambda factor: setattr(loss, "factor", factor)


def by_method():
    loss = Scaled()
    return loss.method, lambda factor: setattr(loss, "factor", factor)


def by_closure():
    scale = 1.0

    def change(factor):
        nonlocal scale
        scale = factor

    return lambda p, t: scale * optax.squared_error(p, t), change


def by_global():
    return lambda p, t: FACTOR * optax.squared_error(p, t), lambda factor: globals().update(FACTOR=factor)


def by_array():
    return lambda p, t: WEIGHTS * optax.squared_error(p, t), lambda factor: WEIGHTS.fill(factor)


@pytest.mark.parametrize("make", [by_object, by_method, by_closure, by_global, by_array])
def test_a_loss_whose_value_has_changed_is_the_new_one(make, compilations):
    loss, change = make()
    model, data = fl.Dense(1, use_bias=False), numbers(n=8)
    params = model.init(jax.random.key(0), (None, 3))

    def results():
        more = {"loss": loss, "metrics": {"same": loss}, "optimizer": SGD, "params": params, "verbose": False}
        result = fit(model, data, **more, remainder="pad")
        moved = float(jnp.abs(result.params["kernel"] - params["kernel"]).max())
        evaluated = evaluate(model, params, data, loss=loss, remainder="pad")["loss"]
        return np.array([moved, result.history["loss"][0], result.history["same"][0], evaluated])

    once = results()
    change(10.0)
    np.testing.assert_allclose(results(), 10 * once, rtol=1e-5)
    change(1.0)
    before = compilations("step", "evaluation")
    np.testing.assert_array_equal(results(), once)
    assert compilations("step", "evaluation") == before  # the first programs are there still


def test_predict_is_apply_for_functions_that_change():
    outside = {"offset": 1.0}
    model, x = fl.Sequential([fl.Lambda(lambda x: x + outside["offset"])]), np.zeros((3, 2), "float32")
    for offset in (1.0, -2.0, 1.0):
        outside["offset"] = offset
        np.testing.assert_array_equal(predict(model, {}, x), model.apply({}, x))


def test_equal_functions_share_a_program(compilations):
    for _ in range(2):
        before = len(compilations("step"))
        loss, optimizer = (lambda p, t: jnp.abs(p - t)), optax.adam(lambda step: 0.1 / (step + 1))
        fit(fl.Dense(1), numbers(n=8), loss=loss, optimizer=optimizer, verbose=False, batch_size=8)
    assert len(compilations("step")) == before


def test_clear_cache(compilations):
    def run():
        evaluate(mlp(), mlp().init(jax.random.key(0), (None, 5)), classes(), loss=CROSS_ENTROPY)
        return len(compilations("evaluation"))

    clear_cache()
    assert run() == run() == 1
    clear_cache()
    assert run() == 2


@pytest.mark.parametrize(
    ("value", "settled"),
    [
        (optax.adam(1e-3), True),
        (optax.chain(optax.clip(1.0), optax.sgd(optax.cosine_decay_schedule(0.1, 10))), True),
        (optax.sgd(lambda step: 0.1), False),
        (metrics.top_k_accuracy(3), True),
        (CROSS_ENTROPY, True),
        (jax.jit(lambda p, t: p), False),
        (fl.Sequential([fl.Dense(3, "relu"), fl.Dense(3, jax.nn.gelu)]), True),
        (fl.Sequential([fl.Dense(3), fl.Lambda(lambda x: x)]), False),
        (fl.Dense(3, activation=lambda x: x), False),
        (Scaled(), False),
        ([1.0], False),
    ],
    # not str: addresses differ between the processes of a test run
    ids=[
        "adam",
        "chain",
        "schedule of the user's",
        "top k",
        "loss",
        "jitted",
        "model",
        "Lambda",
        "activation",
        "object",
        "list",
    ],
)
def test_what_cannot_have_changed(value, settled):
    assert is_settled(value) == settled


def test_programs_differ_where_a_number_does():
    def traced(function):
        return fingerprint(jax.jit(function).trace(np.ones(3, "float32")).jaxpr)

    functions = [
        lambda x: x * 0.0, lambda x: x * -0.0, lambda x: x * 1.0, lambda x: x + 1.0, lambda x: x * np.ones(3, "float32"),
        lambda x: x * np.arange(3, dtype="float32"), lambda x: jax.lax.cond(x[0] > 0, lambda: x, lambda: x + 1),
        lambda x: jax.lax.cond(x[0] > 0, lambda: x, lambda: x + 2), jax.nn.relu, jax.nn.relu6,
    ]  # fmt: skip
    assert len({traced(function) for function in functions}) == len(functions)
    assert [traced(function) for function in functions] == [traced(lambda x, f=f: f(x)) for f in functions]
