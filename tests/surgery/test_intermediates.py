"""The outputs of layers by path: in containers, scans and shared layers, under jit, vmap and grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")


def nested():
    base = fl.Sequential([fl.Dense(4, "tanh", name="first"), fl.BatchNormalization(name="norm")], name="base")
    return fl.Sequential([base, fl.Dense(3, name="head")])


@pytest.fixture(scope="module")
def model_and_weights():
    model = nested()
    return model, model.init(KEY, X.shape), model.init_state(X.shape)


def test_each_output_is_what_the_layer_returns_for_the_one_before(model_and_weights):
    model, params, state = model_and_weights
    outputs = fl.intermediates(model, params, X, state=state)
    assert list(outputs) == ["base/first", "base/norm", "base", "head", ""]
    x = X
    for path in ("base/first", "base/norm", "head"):
        layer = model["head"] if path == "head" else model["base"][path.removeprefix("base/")]
        own = [tree.get("base", {}) if path != "head" else tree for tree in (params, state)]
        x = layer.apply(own[0][layer.name], x, state=own[1].get(layer.name))
        np.testing.assert_array_equal(outputs[path], x)
    np.testing.assert_array_equal(outputs[""], model.apply(params, X, state=state))
    np.testing.assert_array_equal(outputs["base"], outputs["base/norm"])


@pytest.mark.parametrize(
    ("at", "paths"),
    [("head", ["head"]), ("base/**", ["base/first", "base/norm", "base"]), (["*", "*/n*"], ["base/norm", "base", "head", ""])],
)  # fmt: skip
def test_patterns_choose(model_and_weights, at, paths):
    model, params, state = model_and_weights
    assert list(fl.intermediates(model, params, X, at=at, state=state)) == paths


def test_in_training_outputs_are_those_of_the_training_pass(model_and_weights):
    model, params, state = model_and_weights
    norm = fl.intermediates(model, params, X, state=state, train=True)["base/norm"]
    np.testing.assert_allclose(np.asarray(norm).mean(0), 0, atol=1e-6)


def test_jit_grad_and_vmap_take_it(model_and_weights):
    model, params, state = model_and_weights

    def outputs(params, x):
        return fl.intermediates(model, params, x, state=state)

    eager, compiled = outputs(params, X), jax.jit(outputs)(params, X)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), eager, dict(compiled))
    mapped = jax.vmap(outputs, (None, 0))(params, X[:, None])
    np.testing.assert_allclose(mapped["base"][:, 0], eager["base"], rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda params: outputs(params, X)["base/first"].sum())(params)
    assert gradient["base"]["first"]["kernel"].any() and not gradient["head"]["kernel"].any()


def test_a_gradient_by_an_output_is_asked_by_adding_zeros(model_and_weights):
    model, params, state = model_and_weights

    def loss(added):
        return (fl.intermediates(model, params, X, state=state, add={"base": added})[""] ** 2).sum()

    base = fl.intermediates(model, params, X, state=state)["base"]
    expected = jax.grad(lambda y: (model["head"].apply(params["head"], y) ** 2).sum())(base)
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(jnp.zeros((2, 4))), expected, rtol=1e-5)
    for add, words in [
        ({"bas": jnp.zeros((2, 4))}, "base/first"),
        ({"base": jnp.zeros(4)}, r"base.*\(2, 4\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            fl.intermediates(model, params, X, state=state, add=add)


def test_what_runs_in_a_scan_is_stacked():
    block = fl.Sequential([fl.Dense(4, "tanh"), fl.Repeat(fl.Dense(4), 2)])
    model = fl.Sequential([fl.Repeat(block, 3, remat=True), fl.Dense(1)])
    params = model.init(KEY, X.shape)
    outputs = fl.intermediates(model, params, X)
    assert {path: y.shape for path, y in outputs.items()} == {
        "repeat/layer/dense": (3, 2, 4), "repeat/layer/repeat/layer": (3, 2, 2, 4), "repeat/layer/repeat": (3, 2, 4),
        "repeat/layer": (3, 2, 4), "repeat": (2, 4), "dense": (2, 1), "": (2, 1),
    }  # fmt: skip
    np.testing.assert_array_equal(outputs["repeat/layer"][-1], outputs["repeat"])
    first = jax.tree.map(lambda a: a[0], params["repeat"]["layer"])
    np.testing.assert_allclose(outputs["repeat/layer/dense"][0], block[0].apply(first["dense"], X), rtol=1e-5)
    with pytest.raises(fl.ConfigError, match="'repeat/layer/dense', which runs in a scan"):
        fl.intermediates(model, params, X, add={"repeat/layer/dense": jnp.zeros((3, 2, 4))})


def test_steps_are_examples_in_time_distributed_and_cells_are_not_seen():
    model = fl.Sequential([fl.TimeDistributed(fl.Dense(2)), fl.Bidirectional(fl.GRU(3))])
    x = jnp.ones((2, 5, 4))
    outputs = fl.intermediates(model, model.init(KEY, x.shape), x)
    assert {path: y.shape for path, y in outputs.items()} == {
        "time_distributed/layer": (10, 2), "time_distributed": (2, 5, 2), "bidirectional/forward_layer": (2, 3),
        "bidirectional/backward_layer": (2, 3), "bidirectional": (2, 6), "": (2, 6),
    }  # fmt: skip


def test_calls_of_a_shared_layer_are_numbered():
    shared = fl.Sequential([fl.Dense(4, name="inner")], name="shared")
    a, b = fl.Input((4,)), fl.Input((4,))
    model = fl.functional((a, b), fl.Subtract()((shared(a), shared(b))))
    params = model.init(KEY)
    outputs = fl.intermediates(model, params, (X, 2 * X))
    assert list(outputs) == ["shared#1/inner", "shared#1", "shared#2/inner", "shared#2", "subtract", ""]
    np.testing.assert_allclose(outputs["shared#1"], shared.apply(params["shared"], X), rtol=1e-5)
    np.testing.assert_allclose(outputs["shared#2/inner"], shared.apply(params["shared"], 2 * X), rtol=1e-5)
    changed = fl.intermediates(model, params, (X, 2 * X), add={"shared#2": jnp.ones((2, 4))})[""]
    np.testing.assert_allclose(changed, outputs[""] - 1, rtol=1e-5, atol=1e-5)


def test_models_that_layers_run_by_themselves_do_not_mix_in():
    inner = fl.Dense(4)
    inner_params = inner.init(KEY, X.shape)
    model = fl.Sequential([fl.Lambda(lambda x: inner.apply(inner_params, x)), fl.LSTM(2, return_state=True)])
    x = jnp.ones((2, 3, 4))
    outputs = fl.intermediates(model, model.init(KEY, x.shape), x)
    assert list(outputs) == ["lambda", "lstm", ""] and len(outputs["lstm"]) == 3


def test_what_is_wrong_names_what_is_there(model_and_weights):
    model, params, state = model_and_weights
    with pytest.raises(
        fl.ConfigError, match="'bass/.*' matches no layer; .*the paths are base/first, base/norm, base, head"
    ):
        fl.intermediates(model, params, X, at="bass/**", state=state)
    for wrong, words in (({"at": 3}, "at=3 is no pattern"), ({"at": [None]}, "is no pattern"), ({"add": 3}, "add=3")):
        with pytest.raises(fl.ConfigError, match=words):
            fl.intermediates(model, params, X, state=state, **wrong)
    with pytest.raises(fl.MissingError, match="base/norm"):
        fl.intermediates(model, params, X)
