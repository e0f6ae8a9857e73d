"""Containers: sharing, structures, names, cutting; what a law over single layers cannot say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X = jnp.asarray(np.random.RandomState(0).randn(4, 3), "float32")


def test_one_object_twice_is_one_set_of_weights():
    layer = fl.Dense(3)
    shared, apart = fl.Sequential([layer, layer]), fl.Sequential([fl.Dense(3), fl.Dense(3)])
    assert list(shared.init(KEY, (None, 3))) == ["dense"] and list(apart.init(KEY, (None, 3))) == ["dense", "dense_1"]
    assert shared != apart and hash(shared) != hash(apart)
    params = shared.init(KEY, (None, 3))
    np.testing.assert_allclose(
        shared.apply(params, X), layer.apply(params["dense"], layer.apply(params["dense"], X)), 1e-5
    )


def test_a_shared_layer_with_state_sees_its_own_last_state():
    norm = fl.BatchNormalization(momentum=0.5)
    model, single = fl.Sequential([norm, norm]), norm
    params, state = model.init(KEY, X.shape), model.init_state(X.shape)
    out = model.run(params, X, state=state, train=True)
    first = single.run(params["batch_normalization"], X, state=state["batch_normalization"], train=True)
    second = single.run(params["batch_normalization"], first.y, state=first.state, train=True)
    jax.tree.map(np.testing.assert_array_equal, out.state["batch_normalization"], second.state)


def test_a_shared_layer_draws_other_numbers_in_each_call():
    drop = fl.Dropout(0.5)
    a = fl.Input((50,))
    model = fl.functional(a, (drop(a), drop(a)))
    first, second = model.run({}, jnp.ones((1, 50)), rng=KEY, train=True).y
    assert (first != second).any()


def test_a_shared_layer_must_want_the_same_weights():
    layer = fl.Dense(4)
    with pytest.raises(fl.ConfigError, match=r"dense: Dense\(.*\) is shared, but its weights for \(None, 3\) differ"):
        fl.Sequential([layer, layer]).init(KEY, (None, 3))


def test_inputs_are_bound_by_name_or_by_position_and_never_sorted():
    z, a = fl.Input((3,), name="z"), fl.Input((3,), name="a")
    y = fl.Subtract()(z, a)
    by_name, by_place = fl.functional({"z": z, "a": a}, y), fl.functional((z, a), y)
    one, two = jnp.ones((1, 3)), jnp.full((1, 3), 5.0)
    for model, x in ((by_name, {"a": two, "z": one}), (by_place, (one, two)), (by_place, {"a": two, "z": one})):
        assert model.apply({}, x).tolist() == [[-4.0] * 3]
    for wrong in ({"z": one}, {"z": one, "a": two, "b": two}, (one, two), one):
        with pytest.raises(fl.ShapeError, match="the model's input is structured as"):
            by_name.apply({}, wrong)
    with pytest.raises(fl.ShapeError, match=r"missing: a; unexpected: b"):
        by_name.apply({}, {"z": one, "b": two})
    with pytest.raises(fl.ShapeError, match=r"input 'z' was declared as \(None, 3\), got \(1, 4\)"):
        by_name.apply({}, {"z": jnp.ones((1, 4)), "a": two})


def test_integers_are_cast_to_a_declared_float_and_not_back():
    a, b = fl.Input((3,)), fl.Input((3,), dtype="int32")
    assert fl.functional(a, fl.Identity()(a)).apply({}, jnp.ones((1, 3), "uint8")).dtype == "float32"
    with pytest.raises(fl.ShapeError, match="was declared as int32, got float32; cast it yourself"):
        fl.functional(b, fl.Identity()(b)).apply({}, jnp.ones((1, 3)))


def test_a_graph_is_cut_at_an_inner_symbol():
    a = fl.Input((3,))
    hidden = fl.Dense(5, "tanh", name="body")(a)
    y = fl.Dense(2, name="head")(hidden)
    whole, body, head = fl.functional(a, y), fl.functional(a, hidden), fl.functional(hidden, y)
    params = whole.init(KEY, whole.in_shape)
    inner = body.apply({"body": params["body"]}, X)
    np.testing.assert_allclose(head.apply({"head": params["head"]}, inner), whole.apply(params, X), rtol=1e-6)
    assert head.in_shape == (None, 5)


def test_a_graph_is_plain_data():
    def build():
        a = fl.Input((3,), name="a")
        return fl.functional(a, {"y": fl.Dense(2)(a), "same": a})

    assert build() == build() and hash(build()) == hash(build())
    assert str(build()).splitlines()[1:] == [
        "  dense: Dense(units=2)", "  0: a float32(None, 3)", "  1: dense(%0)", "  returns {y: %1, same: %0}", ")",
    ]  # fmt: skip


def test_graph_errors():
    a, b = fl.Input((3,), name="a"), fl.Input((3,), name="b")
    with pytest.raises(fl.ConfigError, match="depends on <Symbol .*an input named b>, which is not among the inputs"):
        fl.functional(a, fl.Add()(a, b))
    with pytest.raises(fl.ConfigError, match="occurs twice among the inputs"):
        fl.functional((a, a), a)
    with pytest.raises(fl.ConfigError, match="inputs are Symbols"):
        fl.functional(X, a)
    with pytest.raises(fl.ConfigError, match="two inputs have one name"):
        fl.functional((a, fl.Input((3,), name="a")), a)


def test_deep_graphs_do_not_recurse():
    a = fl.Input((3,))
    y = a
    for _ in range(1500):
        y = fl.Identity()(y)
    assert len(fl.functional(a, y).nodes) == 1501


def test_names_are_numbered_like_keras_and_around_given_ones():
    model = fl.Sequential([fl.Dense(1), fl.Dense(1, name="dense_1"), fl.Dense(1), fl.PReLU(), fl.Conv2D(1, 1)])
    assert list(model.children((None, 2, 2, 1))) == ["dense", "dense_1", "dense_2", "p_re_lu", "conv2d"]


@pytest.mark.parametrize("remat", [False, True])
def test_repeat_is_the_stack_unrolled(remat):
    block = fl.Sequential([fl.Dense(3, "tanh", kernel_regularizer="l2", kernel_constraint=fl.constraints.UnitNorm(0))])
    stack = fl.Repeat(block, 3, remat=remat)
    params = stack.init(KEY, X.shape)
    slices = [jax.tree.map(lambda p, i=i: p[i], params["layer"]) for i in range(3)]

    def unrolled(slices, x):
        for p in slices:
            x = block.apply(p, x)
        return jnp.sum(x**2)

    np.testing.assert_allclose(jnp.sum(stack.apply(params, X) ** 2), unrolled(slices, X), rtol=1e-5)
    ours = jax.grad(lambda p: jnp.sum(stack.apply(p, X) ** 2))(params)["layer"]["dense"]["kernel"]
    theirs = jnp.stack([g["dense"]["kernel"] for g in jax.grad(unrolled)(slices, X)])
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    total = sum(fl.penalty(block, X.shape)(p) for p in slices)
    np.testing.assert_allclose(fl.penalty(stack, X.shape)(params), total, rtol=1e-6)
    landed = fl.project(stack, X.shape)(params)["layer"]["dense"]["kernel"]
    np.testing.assert_allclose(jnp.linalg.norm(landed, axis=1), 1, rtol=1e-5)
    assert len({float(p["dense"]["kernel"][0, 0]) for p in slices}) == 3


def test_repeat_threads_state_and_draws_for_each_layer():
    block = fl.Sequential([fl.BatchNormalization(momentum=0.5), fl.Dropout(0.5)])
    stack = fl.Repeat(block, 2)
    params, state = stack.init(KEY, X.shape), stack.init_state(X.shape)
    out = stack.run(params, X, state=state, rng=KEY, train=True)
    means = out.state["layer"]["batch_normalization"]["moving_mean"]
    assert means.shape == (2, 3) and (means[0] != means[1]).any()


def test_repeat_needs_equal_shapes():
    with pytest.raises(fl.ShapeError, match="Repeat needs a layer whose output is shaped like its input"):
        fl.Repeat(fl.Dense(5), 2).init(KEY, X.shape)


def test_pairs_of_other_libraries():
    stax = (lambda rng, shape: ((*shape[:-1], 2), (jnp.ones((shape[-1], 2)),)), lambda params, x: x @ params[0])
    model = fl.Sequential([fl.stax_pair(stax), fl.Dense(1)])
    params = model.init(KEY, (None, 3))
    assert params["pair"]["pair"][0].shape == (3, 2) and model.out_shape((None, 3)) == (None, 1)
    np.testing.assert_allclose(model.layers[0].apply(params["pair"], X), X @ np.ones((3, 2)), rtol=1e-5)

    class Module:  # as a Flax module is used
        def init(self, rng, x):
            return {"params": {"w": jnp.ones(x.shape[-1])}}

        def apply(self, variables, x):
            return x * variables["params"]["w"]

    flax = fl.flax_pair(Module())
    np.testing.assert_array_equal(flax.apply(flax.init(KEY, (None, 3)), X), X)
    assert fl.count(flax.init(KEY, (None, 3))) == 3


def test_a_frozen_container_freezes_statistics_inside():
    model = fl.Sequential([fl.Sequential([fl.BatchNormalization(), fl.Dense(2)])], trainable=False)
    params, state = model.init(KEY, X.shape), model.init_state(X.shape)
    out = model.run(params, X, state=state, train=True)
    jax.tree.map(np.testing.assert_array_equal, out.state, state)
    assert not any(jax.tree.leaves(fl.trainable_mask(model, X.shape)))
