"""Batches as dicts: which entries are inputs, targets and sample weights."""

import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, same

import fnlayers as fl
from fnlayers.training import evaluate, fit, predict

NAMES = {"inputs": "image", "targets": "label"}


def dicts(n=40, size=10):
    x, y = classes(n)
    return [{"image": x[at : at + size], "label": y[at : at + size], "path": ["a"] * size} for at in range(0, n, size)]


def fitted(data, model=None, loss=CROSS_ENTROPY, **more):
    return fit(model or mlp(), data, loss=loss, optimizer=SGD, batch_size=10, shuffle=False, verbose=False, **more)


def test_arrays_and_iterables_by_name_give_what_tuples_give():
    x, y = classes()
    plain = fitted((x, y), epochs=2, validation_data=(x, y))
    arrays = fitted({"image": x, "label": y, "id": None}, epochs=2, validation_data={"image": x, "label": y}, **NAMES)
    batches = fitted(dicts, epochs=2, validation_data=dicts(), **NAMES)
    mixed = fitted(dicts(), epochs=2, validation_data=(x, y), **NAMES)
    for result in (arrays, batches, mixed):
        assert same(result.params, plain.params)
        assert result.history["val_loss"] == pytest.approx(plain.history["val_loss"], rel=1e-6)
    split = fitted({"image": x, "label": y}, validation_split=0.25, **NAMES)
    assert split.history["val_loss"] == fitted((x, y), validation_split=0.25).history["val_loss"]


def test_evaluate_and_predict_by_name():
    model, (x, y) = mlp(), classes()
    params = fitted((x, y)).params
    by_name = evaluate(model, params, dicts(), loss=CROSS_ENTROPY, **NAMES)
    assert by_name == pytest.approx(evaluate(model, params, (x, y), loss=CROSS_ENTROPY), rel=1e-6)
    expected = predict(model, params, x, batch_size=10)
    for data in (dicts(), {"image": x, "label": y}):
        np.testing.assert_array_equal(predict(model, params, data, inputs="image", batch_size=10), expected)


def test_sample_weights_and_several_inputs_by_name():
    a, b, out = fl.Input((3,), name="a"), fl.Input((2,), name="b"), fl.Dense(1)
    model = fl.functional({"left": a, "right": b}, out(fl.Concatenate()([a, b])))
    draw = np.random.default_rng(0)
    rows = {"l": draw.normal(size=(8, 3)), "r": draw.normal(size=(8, 2)), "y": draw.normal(size=(8, 1))}
    rows["w"] = np.arange(8.0)
    names = {"inputs": {"left": "l", "right": "r"}, "targets": "y", "sample_weights": "w"}
    plain = fitted(({"left": rows["l"], "right": rows["r"]}, rows["y"], rows["w"]), model, optax.squared_error)
    assert same(fitted(rows, model, optax.squared_error, **names).params, plain.params)
    assert fl.training.named.Named(("l", "r"), "y").unpacked(rows)[0][1] is rows["r"]


@pytest.mark.parametrize(
    ("data", "names", "text"),
    [
        (dicts(), {}, "got a dict with the keys 'image', 'label', 'path'; write .*inputs='image', targets='label'"),
        (dicts()[0], {}, "data is dict; .*inputs='image', targets='label': its keys are 'image', 'label', 'path'"),
        (dicts()[0], NAMES | {"inputs": "img"}, "inputs: the data set has no 'img'; its keys are 'image', 'label'"),
        (dicts(), NAMES | {"targets": "y"}, "targets: the first batch has no 'y'; its keys are 'image', 'label'"),
        ([dicts()[0], {"image": 0}], NAMES, "targets: batch 2 of the epoch has no 'label'; its keys are 'image'"),
        (dicts(), NAMES | {"sample_weights": "w"}, "sample_weights: the first batch has no 'w'"),
        (classes(), NAMES, "inputs='image' names an entry of a dict, and the data set is tuple; give dicts"),
        (dicts(), {"inputs": "image"}, "fit: inputs= was given without targets=; name both"),
        (dicts(), {"targets": "label"}, "fit: targets= was given without inputs="),
        (dicts(), NAMES | {"inputs": ()}, r"fit: inputs=\(\): give the name of an entry"),
        (dicts(), NAMES | {"inputs": np.ones(3)}, "fit: inputs=array"),
    ],
)
def test_names_that_are_not_there(data, names, text):
    with pytest.raises(fl.ConfigError, match=text):
        fitted(data, **names)
    if "inputs" in names:
        return
    with pytest.raises(fl.ConfigError, match=text.replace("fit", "evaluate")):
        model = mlp()
        evaluate(model, model.init(fl.training.state.as_key(0), (None, 5)), data, loss=CROSS_ENTROPY, **names)
