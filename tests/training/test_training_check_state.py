"""What training starts from: params, state and train states that belong to the model and to each other."""

from typing import Any

import jax
import numpy as np
import optax
import pytest
from toys import SGD

import fnlayers as fl
from fnlayers.core.errors import LayerError

MODEL = fl.Sequential([fl.Dense(2), fl.BatchNormalization()])
SHAPE = (None, 3)
PARAMS, STATE = MODEL.init(jax.random.key(0), SHAPE), MODEL.init_state(SHAPE)
X = np.ones((4, 3), "float32")
Y = np.ones((4, 2), "float32")

WRONG = {
    "no state": ({"params": PARAMS}, r"state=model.init_state\(shape\)"),
    "no params": ({"state": STATE}, "would draw params to which that state does not belong"),
    "a layer less": (
        {"params": {"dense": PARAMS["dense"]}, "state": STATE},
        "missing: batch_normalization/gamma, batch_normalization/beta",
    ),
    "a layer more": ({"params": {**PARAMS, "b": {"w": X}}, "state": STATE}, "unexpected: b/w"),
    "empty state": ({"params": PARAMS, "state": {}}, "missing: batch_normalization/moving_mean"),
    "other sizes": (
        {"params": {**PARAMS, "dense": {"kernel": X, "bias": X[0, :2]}}, "state": STATE},
        r"dense/kernel is \(4, 3\), declared \(3, 2\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_start_that_is_not_whole_is_an_error(name):
    start, text = WRONG[name]
    with pytest.raises(LayerError, match=text):
        fl.TrainState.create(MODEL, SHAPE, SGD, **start)
    with pytest.raises(LayerError, match=text):
        fl.fit(MODEL, (X, Y), loss=optax.squared_error, optimizer=SGD, verbose=False, **start)


def test_all_that_is_wrong_stands_in_one_error():
    params = {"dense": {"kernel": X, "bias": X[0, :2]}, "other": X}
    with pytest.raises(LayerError) as error:
        fl.TrainState.create(MODEL, SHAPE, SGD, params=params, state=STATE)
    assert all(
        word in str(error.value) for word in ("missing: ", "unexpected: other", "of another shape: dense/kernel")
    )


@pytest.mark.parametrize(
    "params, state", [(PARAMS, None), (PARAMS, {"x": X}), ({}, STATE), ({**PARAMS, "x": X}, STATE)]
)
def test_evaluate_and_predict_compare_with_the_declaration(params, state):
    with pytest.raises(LayerError, match="declares; .*(missing|unexpected): "):
        fl.predict(MODEL, params, X, state=state)
    with pytest.raises(LayerError, match="declares; .*(missing|unexpected): "):
        fl.evaluate(MODEL, params, (X, Y), loss=optax.squared_error, state=state)


def test_a_model_without_state_starts_from_params_alone():
    params = fl.Dense(2).init(jax.random.key(0), SHAPE)
    assert fl.TrainState.create(fl.Dense(2), SHAPE, SGD, params=params).state == {}


OTHERS = {
    "adam's into sgd": (MODEL, optax.adam(0.1), "ScaleByAdamState"),
    "momentum's into sgd": (MODEL, optax.sgd(0.1, momentum=0.9), "TraceState"),
    "another model": (fl.Sequential([fl.Dense(3), fl.BatchNormalization()]), SGD, "of another shape: "),
    "deeper": (fl.Sequential([fl.Dense(3), fl.Dense(2)]), SGD, "missing: .*unexpected: "),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_train_state_of_another_model_or_optimizer_is_an_error_before_the_first_step(name):
    model, optimizer, text = OTHERS[name]
    train_state = fl.TrainState.create(model, SHAPE, optimizer)
    with pytest.raises(LayerError, match=text):
        fl.fit(MODEL, (X, Y), loss=optax.squared_error, optimizer=SGD, verbose=False, train_state=train_state)
    with pytest.raises(LayerError, match=text):
        fl.make_step(MODEL, optax.squared_error, SGD)(train_state, (X, Y))
    assert not any(a.is_deleted() for a in jax.tree.leaves(train_state.params))


def test_an_optimizer_state_of_other_dtypes_and_of_other_frozen_layers_is_an_error():
    half, adam = optax.adam(0.1, mu_dtype="bfloat16"), optax.adam(0.1)
    step = fl.make_step(MODEL, optax.squared_error, adam)
    with pytest.raises(LayerError, match=r"mu/dense/kernel is bfloat16\[3, 2\], expected float32\[3, 2\]"):
        step(fl.TrainState.create(MODEL, SHAPE, half), (X, Y))
    with pytest.raises(LayerError, match="missing: .*mu/dense/"):
        step(fl.TrainState.create(fl.freeze(MODEL, "dense"), SHAPE, adam), (X, Y))


def test_what_fit_returns_is_no_train_state():
    train_state = fl.TrainState.create(MODEL, SHAPE, SGD)
    result = fl.training.Fitted(train_state, {"loss": [1.0]})
    wrong: list[tuple[Any, str]] = [(result, "give result.train_state"), (PARAMS, "got dict")]
    for start, text in wrong:
        with pytest.raises(LayerError, match=text):
            fl.fit(MODEL, (X, Y), loss=optax.squared_error, optimizer=SGD, verbose=False, train_state=start)
        with pytest.raises(LayerError, match=text):
            fl.make_step(MODEL, optax.squared_error, SGD)(start, (X, Y))


def test_a_train_state_without_a_shape():
    model = fl.Sequential([fl.Input((3,)), fl.Dense(2)])
    assert fl.TrainState.create(model, None, SGD).params["dense"]["kernel"].shape == (3, 2)
    with pytest.raises(fl.MissingError, match="does not know the shape of its input"):
        fl.TrainState.create(fl.Dense(2), None, SGD)
