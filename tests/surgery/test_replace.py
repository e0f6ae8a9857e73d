"""Another layer in the place of one: its weights are drawn, all others are the same arrays."""

import jax
import numpy as np
import pytest

import fnlayers as fl

KEY, OTHER = jax.random.key(0), jax.random.key(1)
X = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")


def chain():
    base = fl.Sequential([fl.Dense(4, "tanh"), fl.BatchNormalization(name="norm")], name="base")
    return fl.Sequential([base, fl.Dense(4), fl.Dense(3, name="head")])


def replaced(model, at, new, shape=X.shape, **options):
    """The result, checked: only what is under the new path is new, and that is what init draws."""
    params, state = model.init(KEY, shape), model.init_state(shape)
    result = fl.replace_layer(model, params, at, new, OTHER, state=state, **options)
    fresh = result.model.init(OTHER, shape), result.model.init_state(shape)
    for before, after, drawn in zip((params, state), result[1:], fresh, strict=True):
        assert fl.paths(after).keys() == fl.paths(drawn).keys()
        old = fl.paths(before)
        for path, array in fl.paths(after).items():
            if path.startswith(at):
                np.testing.assert_array_equal(array, fl.paths(drawn)[path])
            else:
                assert array is old[path]
    assert model.init(KEY, shape).keys() == params.keys()
    return result


def test_a_head_and_a_layer_inside():
    result = replaced(chain(), "head", fl.Dense(5, use_bias=False))
    assert list(result.params) == ["base", "dense", "head"] and result.params["head"]["kernel"].shape == (4, 5)
    assert result.model.apply(result.params, X, state=result.state).shape == (2, 5)
    result = replaced(chain(), "base/dense", fl.Dense(4))
    assert result.model["base"].layers[0] == fl.Dense(4, name="dense")


def test_layers_with_state_without_weights_and_with_names_of_their_own():
    result = replaced(chain(), "base/norm", fl.LayerNormalization())
    assert result.state == {}
    assert "base" in replaced(chain(), "base/norm", fl.ReLU()).params
    assert replaced(chain(), "dense", fl.BatchNormalization()).state["dense"].keys() == {
        "moving_mean",
        "moving_variance",
    }
    assert "dense" not in replaced(chain(), "dense", fl.ReLU()).params
    params, state = chain().init(KEY, X.shape), chain().init_state(X.shape)
    result = fl.replace_layer(chain(), params, "head", fl.Dense(5, name="logits"), OTHER, state=state)
    assert list(result.params) == ["base", "dense", "logits"] and "logits" in result.model
    with pytest.raises(fl.ConfigError, match="two layers are named 'base'"):
        fl.replace_layer(chain(), params, "head", fl.Dense(5, name="base"), OTHER, state=state)


def test_a_graph_with_a_shared_layer():
    a, b = fl.Input((4,)), fl.Input((4,))
    shared = fl.Dense(4, name="shared")
    model = fl.functional((a, b), fl.Dense(2, name="head")(fl.Add(name="sum")([shared(a), shared(b)])))
    params = model.init(KEY)
    new = fl.Dense(4, "relu", use_bias=False, name="both")
    result = fl.replace_layer(model, params, "shared", new, OTHER)
    assert result.params["head"] is params["head"] and list(result.params) == ["both", "head"]
    y = new.apply(result.params["both"], X) + new.apply(result.params["both"], 2 * X)
    np.testing.assert_allclose(
        result.model.apply(result.params, (X, 2 * X)), model["head"].apply(params["head"], y), rtol=1e-5
    )
    d = fl.Dense(4, name="d")
    result = replaced(fl.Sequential([d, fl.ReLU(), d]), "d", fl.Dense(4, "tanh"))
    assert result.model[0] is result.model[2]


def test_wrappers_and_repeated_layers():
    shape = (2, 3, 4)
    model = fl.Sequential([fl.TimeDistributed(fl.Dense(4)), fl.Repeat(fl.Sequential([fl.Dense(4), fl.Dense(4)]), 2)])
    replaced(model, "time_distributed/layer", fl.Dense(4, "relu"), shape)
    result = replaced(model, "repeat/layer/dense_1", fl.EinsumDense("abc,cd->abd", (None, 4)), shape)
    assert result.params["repeat"]["layer"]["dense_1"]["kernel"].shape == (2, 4, 4)
    replaced(fl.Sequential([fl.Bidirectional(fl.GRU(2))]), "bidirectional", fl.LSTM(3), shape)


def test_the_shape_is_the_models_or_given_or_suggested_by_the_weights():
    images = fl.Sequential([fl.Conv2D(2, 3), fl.Flatten(), fl.Dense(3, name="head")])
    params = images.init(KEY, (None, 5, 5, 1))
    assert fl.replace_layer(images, params, "head", fl.Dense(2), OTHER, shape=(None, 5, 5, 1)).params["head"]
    with pytest.raises(fl.MissingError, match="give shape=x.shape"):
        fl.replace_layer(images, params, "head", fl.Dense(2), OTHER)


@pytest.mark.parametrize(
    ("at", "new", "error", "words"),
    [
        ("hat", fl.Dense(2), fl.ConfigError, "its layers are base, dense, head"),
        ("haed", fl.Dense(2), fl.ConfigError, "did you mean 'head'"),
        ("norm", fl.Dense(2), fl.ConfigError, "did you mean 'base/norm'"),
        ("base/hat", fl.Dense(2), fl.ConfigError, "its layers are dense, norm"),
        ("head/kernel", fl.Dense(2), fl.ConfigError, "its layers are none"),
        ("dense", fl.Dense(7), fl.ShapeError, r"head/kernel has shape \(7, 3\), and the params hold \(4, 3\)"),
        ("dense", fl.Conv2D(2, 3), fl.ShapeError, "with the new layer at 'dense'"),
        ("dense", fl.Dense, fl.ConfigError, "got the class Dense"),
        (3, fl.Dense(2), fl.ConfigError, "at=3 is no path"),
    ],
)
def test_what_is_wrong(at, new, error, words):
    params, state = chain().init(KEY, X.shape), chain().init_state(X.shape)
    with pytest.raises(error, match=words):
        fl.replace_layer(chain(), params, at, new, OTHER, state=state)


def test_state_and_params_that_are_missing():
    params = chain().init(KEY, X.shape)
    with pytest.raises(fl.MissingError, match="base/norm/moving_mean is not in the state"):
        fl.replace_layer(chain(), params, "head", fl.Dense(2), OTHER)
    with pytest.raises(fl.MissingError, match="takes params and state.*got None and None"):
        fl.replace_layer(chain(), None, "head", fl.Dense(2), OTHER)
    with pytest.raises(fl.MissingError, match="random key"):
        fl.replace_layer(chain(), params, "head", fl.Dense(2), 3)
    del params["dense"]
    with pytest.raises(fl.MissingError, match=r"dense/kernel is not in the params"):
        fl.replace_layer(chain(), params, "head", fl.Dense(2), OTHER, state=chain().init_state(X.shape), shape=X.shape)
