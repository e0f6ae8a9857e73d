"""What training starts from: params, state and train states that belong to the model and to each other."""

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
    "a layer less": ({"params": {"dense": PARAMS["dense"]}, "state": STATE}, "missing: batch_normalization/beta, "),
    "a layer more": ({"params": {**PARAMS, "b": {"w": X}}, "state": STATE}, "unexpected: b/w"),
    "empty state": ({"params": PARAMS, "state": {}}, "missing: batch_normalization/moving_mean"),
    "other sizes": (
        {"params": {**PARAMS, "dense": {"kernel": X, "bias": X[0, :2]}}, "state": STATE},
        r"dense/kernel is \(4, 3\), declared \(3, 2\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_start_that_is_not_whole_is_an_error(name):
    given, text = WRONG[name]
    with pytest.raises(LayerError, match=text):
        fl.TrainState.create(MODEL, SHAPE, SGD, **given)
    with pytest.raises(LayerError, match=text):
        fl.fit(MODEL, (X, Y), loss=optax.squared_error, optimizer=SGD, verbose=False, **given)


def test_all_that_is_wrong_stands_in_one_error():
    params = {"dense": {"kernel": X, "bias": X[0, :2]}, "other": X}
    with pytest.raises(LayerError) as found:
        fl.TrainState.create(MODEL, SHAPE, SGD, params=params, state=STATE)
    assert all(
        word in str(found.value) for word in ("missing: ", "unexpected: other", "of another shape: dense/kernel")
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
