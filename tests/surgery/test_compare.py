"""The first layer that differs: by its weights, its options, its shape; in models with other names; as plain data."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")


def model(activation="tanh", units=3, **names):
    base = fl.Sequential([fl.Dense(4, "relu"), fl.BatchNormalization(), fl.Dense(4, activation)], name="base")
    return fl.Sequential([base, fl.Dense(units, name=names.get("head", "head")), fl.ReLU()])


@pytest.fixture(scope="module")
def arrays():
    return model().init(KEY, X.shape), model().init_state(X.shape)


def against(arrays, other, params=None, state=None, **options):
    return fl.compare(
        model(), arrays[0], other, params or arrays[0], X, state_a=arrays[1], state_b=state or arrays[1], **options
    )


def test_equal_models(arrays):
    comparison = against(arrays, model())
    assert comparison and comparison.equal and comparison.first is None and not comparison.only_a + comparison.only_b
    assert [pair.a for pair in comparison.outputs][:2] == ["base/dense", "base/batch_normalization"]
    assert str(comparison) == "no output differs by more than 1e-05: 7 compared, at most 0"


def test_a_weight_and_a_tolerance(arrays):
    params = jax.tree.map(lambda a: a, arrays[0])
    params["base"]["dense_1"]["bias"] = params["base"]["dense_1"]["bias"].at[2].add(0.25)
    comparison = against(arrays, model(), params)
    assert (
        not comparison and comparison.first.a == comparison.first.b == "base/dense_1" and comparison.first.index[1] == 2
    )
    expected = np.tanh(
        0.25 + np.arctanh(fl.intermediates(model(), *arrays[:1], X, state=arrays[1])["base/dense_1"][:, 2])
    )
    expected -= fl.intermediates(model(), arrays[0], X, state=arrays[1])["base/dense_1"][:, 2]
    assert math.isclose(comparison.first.greatest, np.abs(expected).max(), rel_tol=1e-4)
    assert [(pair.a, pair.greatest) for pair in comparison.weights if pair.counts] == [("bias", 0.25)]
    text = str(comparison).splitlines()
    assert text[0] == "the first layer that differs: base/dense_1, after 2 whose outputs agree"
    assert text[2].startswith("  bias: 0.25 apart at (2,)") and text[3] == "  Dense(units=4, activation='tanh')"
    assert any(line.startswith("then head: ") for line in text)
    assert against(arrays, model(), params, tolerance=1.0)


def test_an_option_and_the_state(arrays):
    comparison = against(arrays, model(activation="sigmoid"))
    assert comparison.first.a == "base/dense_1" and not any(pair.counts for pair in comparison.weights)
    assert "  b: Dense(units=4, activation='sigmoid')" in str(comparison).splitlines()
    state = jax.tree.map(lambda a: a + 1, arrays[1])
    comparison = against(arrays, model(), state=state)
    assert comparison.first.a == "base/batch_normalization"
    assert {pair.a for pair in comparison.weights if pair.counts} == {"moving_mean", "moving_variance"}


def test_shapes_and_values_that_are_not_numbers(arrays):
    other = model(units=5)
    comparison = against(arrays, other, other.init(KEY, X.shape))
    assert (comparison.first.a, comparison.first.greatest, comparison.first.shape_b) == ("head", math.inf, ((2, 5),))
    assert "shapes (2, 3) and (2, 5)" in str(comparison)
    nan = jax.tree.map(lambda a: a * jnp.nan, arrays[0])
    assert against(arrays, model(), nan).first.greatest == math.inf
    assert fl.compare(model(), nan, model(), nan, X, state_a=arrays[1], state_b=arrays[1])


def test_models_with_other_names_and_one_more_layer(arrays):
    flat = fl.Sequential(
        [fl.Dense(4, "relu", name="a"), fl.BatchNormalization(name="b"), fl.Dropout(0.5), fl.Dense(4, "tanh", name="c"),
         fl.Dense(3, name="logits"), fl.ReLU()]
    )  # fmt: skip
    base, head = arrays[0]["base"], arrays[0]["head"]
    params = {"a": base["dense"], "b": base["batch_normalization"], "c": base["dense_1"], "logits": head}
    state = {"b": arrays[1]["base"]["batch_normalization"]}
    comparison = against(arrays, flat, params, state)
    assert comparison.equal and comparison.only_a == ("base",) and comparison.only_b == ("dropout",)
    pairs = [("base/dense", "a"), ("base/batch_normalization", "b"), ("base/dense_1", "c"), ("head", "logits")]
    assert [(pair.a, pair.b) for pair in comparison.outputs] == [*pairs, ("re_lu", "re_lu"), ("", "")]
    changed = params | {"logits": head | {"kernel": head["kernel"] * 2}}
    assert "head and logits, after 3" in str(against(arrays, flat, changed, state))


def test_layers_in_a_scan_and_several_outputs():
    steps = fl.Sequential([fl.Repeat(fl.Dense(4), 3), fl.LSTM(2, return_state=True)])
    x = jnp.ones((2, 3, 4))
    params = steps.init(KEY, x.shape)
    other = jax.tree.map(lambda a: a, params)
    other["repeat"]["layer"]["kernel"] = other["repeat"]["layer"]["kernel"].at[1].add(1)
    comparison = fl.compare(steps, params, steps, other, x)
    assert comparison.first.a == "repeat/layer" and comparison.first.index[0] in (1, 2)
    assert [pair.index[0] for pair in comparison.weights if pair.counts] == [1]
    assert len(comparison.outputs[2].shape_a) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [({"model_b": 3}, "compare: model_b takes a layer"), ({"tolerance": -1}, "tolerance=-1")],
)
def test_what_is_wrong(arrays, change, words):
    arguments = {"model_a": model(), "params_a": arrays[0], "model_b": model(), "params_b": arrays[0], "x": X} | change
    with pytest.raises(fl.ConfigError, match=words):
        fl.compare(**arguments)


def test_a_state_that_is_missing_is_asked_for_by_its_name():
    model, x = fl.Sequential([fl.BatchNormalization()]), np.ones((2, 3), "float32")
    params, state = model.init(jax.random.key(0), x.shape), model.init_state(x.shape)
    with pytest.raises(fl.MissingError, match="pass state_a=state"):
        fl.compare(model, params, model, params, x)
    with pytest.raises(fl.MissingError, match="pass state_b=state"):
        fl.compare(model, params, model, params, x, state_a=state)
