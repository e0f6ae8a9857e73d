"""validation_split and class_weight have Keras's meaning, a sample weight may be given for each output, and errors say what to write."""

import jax
import numpy as np
import pytest
from toys import CROSS_ENTROPY, SGD, classes, same

import fnlayers as fl
from fnlayers.training import evaluate, fit

X, Y = classes(n=10)
ONE_HOT = np.eye(3, dtype="float32")[Y]
MODEL = fl.Dense(3)


def fitted(data, model=MODEL, loss=CROSS_ENTROPY, **more):
    return fit(model, data, loss=loss, optimizer=SGD, batch_size=4, verbose=False, **more)


def test_a_split_takes_the_last_examples_before_shuffling():
    weight = np.arange(1, 11, dtype="float32")
    result = fitted((X, Y, weight), validation_split=0.25)  # floor(7.5) are trained on
    apart = fitted((X[:7], Y[:7], weight[:7]), validation_data=(X[7:], Y[7:], weight[7:]))
    assert same(result.params, apart.params) and result.history["val_loss"] == apart.history["val_loss"]


@pytest.mark.parametrize(
    ("y", "loss"), [(Y, CROSS_ENTROPY), (ONE_HOT, "categorical_crossentropy")], ids=["numbers", "one-hot"]
)
def test_classes_are_weighted(y, loss):
    """For arrays, a list of batches and a function; the validation data are not."""
    by_class = {0: 3.0, 2: 0.5}
    weight = np.array([by_class.get(int(c), 1.0) for c in Y], "float32")
    cuts = [slice(0, 4), slice(4, 8), slice(8, 10)]
    expected = fitted((X, y, weight), loss=loss, shuffle=False, validation_data=(X, y))
    for data in ((X, y), [(X[c], y[c]) for c in cuts], lambda: ((X[c], y[c]) for c in cuts)):
        result = fitted(data, loss=loss, shuffle=False, class_weight=by_class, validation_data=(X, y))
        np.testing.assert_allclose(result.params["kernel"], expected.params["kernel"], rtol=1e-5, atol=1e-7)
        assert result.history["val_loss"] == pytest.approx(expected.history["val_loss"])


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"validation_split": 1.5}, "validation_split=1.5: give a number above 0 and below 1"),
        ({"validation_split": 0.95}, "of 10 examples leaves none on one side"),
        ({"validation_split": 0.5, "validation_data": (X, Y)}, "validation_split or validation_data, not both"),
        ({"data": [(X, Y)], "validation_split": 0.5}, "cuts arrays, and data is list; give validation_data="),
        ({"class_weight": [1, 2]}, "give a dict"),
        ({"class_weight": {"a": 1.0}}, "'a' is no class number"),
        ({"class_weight": {0: -1.0}}, "that of class 0 is -1.0; give a number of at least 0"),
        ({"data": (X, Y, Y), "class_weight": {0: 1.0}}, "have sample weights, and there is class_weight"),
        ({"data": (X, Y, {"a": Y})}, "sample weights are a nest, and y is one array"),
    ],
)
def test_errors(more, text):
    with pytest.raises(fl.LayerError, match=text):
        fitted(**{"data": (X, Y), **more})


def two():
    a = fl.Input((5,))
    return fl.functional(a, {"a": fl.Dense(3)(a), "b": fl.Dense(1)(a)})


def test_a_weight_for_each_output():
    """One that is not given is 1, also where the last batch is filled up; a loss of both reads no weights."""
    model, weight = two(), np.arange(10, dtype="float32")
    params, y = model.init(jax.random.key(0)), {"a": Y, "b": X[:, :1]}
    losses = {"a": CROSS_ENTROPY, "b": "mse"}
    logs = evaluate(model, params, (X, y, {"a": weight}), loss=losses, batch_size=4, remainder="pad")
    assert logs["a_loss"] == pytest.approx(evaluate(model, params, (X, y, weight), loss=losses, batch_size=4)["a_loss"])
    assert logs["b_loss"] == pytest.approx(evaluate(model, params, (X, y), loss=losses, batch_size=10)["b_loss"])

    def both(y_pred, y_true):
        return y_pred["b"][:, 0] * y_pred["a"][:, 0]

    assert evaluate(model, params, (X, y, weight), loss=both)["loss"] != 0
    for data, loss, text in (
        ((X, y, {"a": weight}), both, "reads all outputs, and the sample weights are a nest"),
        ((X, y, {"c": weight}), losses, "sample weights speak of 'c', and y has"),
        ((X, y, {"a": -weight}), losses, "sample weights are finite numbers of at least 0"),
    ):
        with pytest.raises(fl.ConfigError, match=text):
            evaluate(model, params, data, loss=loss)
