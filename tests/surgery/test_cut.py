"""Models that end earlier: with the numbers of the whole model's layers, by the whole model's params."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")


def chain():
    base = fl.Sequential([fl.Dense(4, "tanh", name="first"), fl.BatchNormalization(name="norm")], name="base")
    return fl.Sequential([fl.Input((4,)), base, fl.Dense(4, name="middle"), fl.Dense(3, name="head")], name="whole")


def graph():
    """Two inputs, a graph in a graph, a chain in that, and a layer that is called twice."""
    a, b = fl.Input((4,), name="a"), fl.Input((4,), name="b")
    inner_a = fl.Input((4,))
    hidden = chain()(inner_a)
    encoder = fl.functional(inner_a, fl.Dense(4, name="out")(hidden), name="encoder")
    one, two = encoder(a), encoder(b)
    joined = fl.Concatenate(name="joined")((one, two))
    side = fl.Dense(2, name="side")(b)
    return fl.functional((a, b), (fl.Dense(2, name="head")(joined), side))


def arrays(model):
    shape = model.in_shape
    return model.init(KEY, shape), model.init_state(shape)


def agrees(model, at, x, part_x=None):
    """The part's outputs are those that the whole has inside; returns the part."""
    params, state = arrays(model)
    part = fl.cut(model, at)
    outputs = fl.intermediates(model, params, x, state=state)
    expected = jax.tree.map(lambda path: outputs[path], at)
    x = x if part_x is None else part_x
    out = part.run(params, x, state=state)
    jax.tree.map(np.testing.assert_array_equal, out.y, tuple(expected) if isinstance(expected, list) else expected)
    left = fl.restrict(part, params), fl.restrict(part, state)
    jax.tree.map(np.testing.assert_array_equal, part.apply(left[0], x, state=left[1]), out.y)
    specs = part.specs(part.in_shape)
    assert {*fl.paths(left[0]), *fl.paths(left[1])} == {*fl.paths(specs, lambda s: isinstance(s, (fl.Param, fl.State)))}
    return part


def test_a_sequential_ends_at_a_layer():
    part = agrees(chain(), "middle", X)
    assert type(part) is fl.Sequential and [y.name for y in part.layers] == ["base", "middle"] and part.name == "whole"
    assert part.in_shape == (None, 4)
    assert agrees(chain(), "head", X) == chain()


def test_a_sequential_ends_inside_a_layer():
    part = agrees(chain(), "base/first", X)
    assert type(part) is type(part["base"]) is fl.Sequential and len(part["base"]) == 1


def test_several_outputs_of_a_sequential_are_a_graph():
    part = agrees(chain(), ["base/first", "head", "base"], X)
    assert type(part) is fl.Functional and part.name == "whole" and part.in_shape == (None, 4)
    agrees(chain(), {"early": "base/norm", "late": "middle"}, X)
    bare = fl.Sequential(chain().layers)
    with pytest.raises(fl.MissingError, match="shape=x.shape"):
        fl.cut(bare, ["base", "head"])
    assert fl.cut(bare, ["base", "head"], shape=X.shape).out_shape((2, 4)) == ((2, 4), (2, 3))


@pytest.mark.parametrize(
    ("at", "part_x", "layers"),
    [
        ("side", 2 * X, ["side"]),
        ("encoder#1", X, ["encoder"]),
        ("encoder#2/whole/base", 2 * X, ["encoder"]),
        (["encoder#1/whole/middle", "encoder#1/whole/base/first"], X, ["encoder"]),
        (["encoder#2/whole/base/norm", "joined"], None, ["encoder", "joined"]),
        ({"a": "head", "b": "encoder#1/out", "c": "side"}, None, ["encoder", "joined", "head", "side"]),
    ],
)
def test_a_graph_keeps_what_the_outputs_need(at, part_x, layers):
    part = agrees(graph(), at, (X, 2 * X), part_x)
    assert type(part) is fl.Functional and [*part.by_name] == layers


def test_a_graph_without_the_rest_of_an_inner_model():
    part = fl.cut(graph(), "encoder#1/whole/base")
    assert [*part["encoder"].by_name] == ["whole"] and [*part["encoder"]["whole"].by_name] == ["base"]


def test_inputs_that_stay_keep_their_names():
    a, b, c = (fl.Input((4,), name=name) for name in "abc")
    model = fl.functional({"a": a, "b": b, "c": c}, fl.Add()([fl.Dense(4, name="ab")(fl.Add(name="sum")([a, b])), c]))
    part = fl.cut(model, "ab")
    assert part.in_shape == {"a": (None, 4), "b": (None, 4)}
    assert agrees(model, "ab", {"a": X, "b": X, "c": X}, {"a": X, "b": X}) == part


def test_outputs_of_several_arrays_and_a_shared_chain():
    cell = fl.LSTM(3, return_state=True, name="lstm")
    x = fl.Input((5, 4))
    y, h, c = cell(x)
    model = fl.functional(x, fl.Add()([fl.Dense(3, name="d")(y), h]))
    part = agrees(model, ["lstm", "d"], jnp.ones((2, 5, 4)))
    assert part.out_shape((2, 5, 4)) == (((2, 3),) * 3, (2, 3))
    d = fl.Dense(4, name="d")
    twice = fl.Sequential([fl.Input((4,)), d, fl.ReLU(), d])
    assert len(agrees(twice, "d#1", X)) == 1 and len(agrees(twice, "d#2", X)) == 3
    with pytest.raises(fl.ConfigError, match="'d' is called 2 times; write d#1 or d#2"):
        fl.cut(twice, "d")


def test_the_inside_of_a_shared_model_called_before():
    base = fl.Sequential([fl.Dense(4, name="one"), fl.Dense(4, name="two")], name="base")
    model = fl.Sequential([fl.Input((4,)), base, fl.ReLU(), base, fl.Dense(1)])
    assert type(agrees(model, "base#2/one", X)) is fl.Functional


def test_options_of_the_model_stay():
    model = fl.Sequential([fl.Input((4,)), fl.Dense(4), fl.Dense(2)], trainable=False, dtype="mixed_bfloat16", name="m")
    for at in ("dense", ["dense", "dense_1"]):
        part = fl.cut(model, at)
        assert (part.trainable, part.dtype, part.name) == (False, "mixed_bfloat16", "m")
        assert jax.tree.leaves(part.apply(model.init(KEY), X))[0].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("model", "at", "words"),
    [
        (chain(), "hid", "no layer 'hid' in .*; its layers are base, middle, head"),
        (chain(), "base/x", "its layers are first, norm"),
        (chain(), "middel", "did you mean 'middle'"),
        (chain(), "norm", "did you mean 'base/norm'"),
        (chain(), "head/kernel", "Dense.*has no 'kernel' to cut at"),
        (chain(), [], "names no layer"),
        (chain(), 3, "at=3 is no path"),
        (graph(), "encoder", "write encoder#1 or encoder#2"),
        (graph(), "encoder#3", "its layers are encoder, joined"),
        (graph(), "encoder#1/whole/bas", "its layers are base, middle, head"),
        (fl.Dense(3), "dense", "only Sequentials and graphs"),
        (fl.Sequential([fl.Input((4,)), fl.Repeat(fl.Dense(4), 2)]), "repeat/layer", "fnlayers.intermediates"),
    ],
)
def test_what_is_wrong_names_what_is_there(model, at, words):
    with pytest.raises(fl.ConfigError, match=words):
        fl.cut(model, at)


def test_restrict_takes_a_tree():
    with pytest.raises(fl.ConfigError, match="restrict takes params or state"):
        fl.restrict(chain(), None)
