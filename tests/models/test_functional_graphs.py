"""Graphs are plain data: bound by name or by structure, cut where one likes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X, Z = jnp.arange(6.0).reshape(2, 3), jnp.ones((2, 2))


def two_inputs(tree):
    """A model of an input named z, declared first, and one named a: sorted order would swap them."""
    z, a = fl.Input((2,), name="z"), fl.Input((3,), name="a")
    y = fl.Concatenate()(z, a)
    return fl.functional((z, a) if tree is tuple else {"z": z, "a": a}, y)


def test_inputs_are_bound_by_position_or_by_name_and_never_by_sorted_order():
    expected = jnp.concatenate([Z, X], -1)
    for model, x in (
        (two_inputs(tuple), (Z, X)),
        (two_inputs(tuple), [Z, X]),
        (two_inputs(tuple), {"a": X, "z": Z}),
        (two_inputs(dict), {"a": X, "z": Z}),
    ):
        np.testing.assert_array_equal(model.apply({}, x), expected)


def test_a_dict_s_keys_bind_its_inputs_whatever_their_names():
    a, b = fl.Input((2,), name="a"), fl.Input((3,), name="b")
    model = fl.functional({"left": a, "right": b}, fl.Concatenate()(b, a))
    np.testing.assert_array_equal(model.apply({}, {"right": X, "left": Z}), jnp.concatenate([X, Z], -1))


def test_masks_are_bound_like_inputs():
    model = fl.functional((a := fl.Input((4, 2)), b := fl.Input((4, 2))), fl.Add()(a, b))
    x, one = jnp.ones((1, 4, 2)), jnp.array([[True, False, False, False]])
    out = model.run({}, (x, x), mask=(one, jnp.array([[False, True, False, False]])))
    assert out.mask.tolist() == [[True, True, False, False]]
    assert model.run({}, (x, x), mask=(one, None)).mask.tolist() == one.tolist()


def test_outputs_keep_their_structure():
    a = fl.Input((3,))
    b = fl.Activation("relu")(a)
    model = fl.functional(a, {"b": b, "pair": (a, b)})
    y = model.apply({}, X)
    assert list(y) == ["b", "pair"] and y["pair"][0] is X and model.out_shape((None, 3))["pair"] == ((None, 3),) * 2


def test_a_graph_is_cut_at_an_inner_symbol():
    """The tail alone takes what the head gave, with the same weights by name."""
    a = fl.Input((3,))
    b = fl.Dense(4, "relu", name="head")(a)
    y = fl.Dense(2, name="tail")(b)
    whole, head, tail = fl.functional(a, y), fl.functional(a, b), fl.functional(b, y)
    params = whole.init(KEY, X.shape)
    assert list(tail.init(KEY, (None, 4))) == ["tail"] and tail.in_shape == (None, 4)
    inner = head.apply({"head": params["head"]}, X)
    np.testing.assert_allclose(tail.apply({"tail": params["tail"]}, inner), whole.apply(params, X), rtol=1e-6)


def test_what_no_output_needs_is_left_out():
    a = fl.Input((3,))
    fl.Dense(7)(a)
    assert fl.functional(a, fl.Dense(2)(a)).init(KEY, X.shape)["dense"]["kernel"].shape == (3, 2)


def test_an_input_may_be_an_output_and_a_layer_may_be_fed_the_same_twice():
    a = fl.Input((3,))
    assert fl.functional(a, a).apply({}, X) is X
    np.testing.assert_array_equal(fl.functional(a, fl.Add()(a, a)).apply({}, X), 2 * X)


def test_a_graph_prints_compares_and_hashes_as_data():
    def build():
        a = fl.Input((3,), name="a")
        return fl.functional(a, fl.Add()(a, fl.Dense(3)(a)))

    one, other = build(), build()
    assert one == other and hash(one) == hash(other)
    assert repr(one).splitlines() == [
        "Functional(",
        "  dense: Dense(units=3)",
        "  add: Add()",
        "  0: a float32(None, 3)",
        "  1: dense(%0)",
        "  2: add((%0, %1))",
        "  returns %2",
        ")",
    ]


def test_several_outputs_of_one_layer_are_told_apart():
    a = fl.Input((4, 2))
    y, h, c = fl.LSTM(3, return_state=True)(a)
    model, x = fl.functional(a, (c, y, h)), jnp.ones((2, 4, 2))
    params = model.init(KEY, x.shape)
    expected = fl.LSTM(3, return_state=True).apply(params["lstm"], x)
    for got, index in zip(model.apply(params, x), (2, 0, 1), strict=True):
        np.testing.assert_array_equal(got, expected[index])


def test_integers_for_a_float_input_are_cast():
    a = fl.Input((3,))
    assert fl.functional(a, fl.Activation("relu")(a)).apply({}, np.arange(3)[None]).dtype == jnp.float32


def test_deep_graphs_are_built_without_recursion():
    a = y = fl.Input((1,))
    layer = fl.Activation("tanh")
    for _ in range(1500):
        y = layer(y)
    model = fl.functional(a, y)
    assert len(model.nodes) == 1501 and model.layers == (dataclasses.replace(layer, name="activation"),)


def test_a_model_in_a_model_is_a_layer():
    inner = fl.functional(a := fl.Input((3,)), fl.Dense(2)(a))
    model = fl.Sequential([inner, fl.functional(b := fl.Input((2,)), fl.BatchNormalization()(b))])
    params, state = model.init(KEY, (None, 3)), model.init_state((None, 3))
    assert fl.weight_paths(model, (None, 3)) == [
        "functional/dense/kernel",
        "functional/dense/bias",
        "functional_1/batch_normalization/gamma",
        "functional_1/batch_normalization/beta",
    ]
    out = model.run(params, X, state=state, train=True)
    assert jax.tree.structure(out.state) == jax.tree.structure(state)


@pytest.mark.parametrize("bad", [jnp.ones((2, 4)), jnp.ones((3,))])
def test_an_array_of_another_size_is_refused(bad):
    model = fl.functional(a := fl.Input((3,), name="a"), fl.Activation("relu")(a))
    with pytest.raises(fl.ShapeError, match=r"input 'a' was declared as \(None, 3\)"):
        model.apply({}, bad)


def test_one_array_is_not_taken_apart_into_several_inputs():
    a, b = fl.Input((4, 1)), fl.Input((4, 1))
    with pytest.raises(fl.ShapeError, match="bind by name or by position"):
        fl.functional((a, b), fl.Add()(a, b)).apply({}, jnp.ones((2, 2, 4, 1)))
