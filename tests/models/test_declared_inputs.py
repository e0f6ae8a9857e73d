"""Models that know their input: a Sequential that begins with an Input, a graph; and layers with the names of weights."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl

KEY = jax.random.key(0)


def sequential(first=None):
    return fl.Sequential(
        [
            fl.Input((3,)) if first is None else first,
            fl.Dense(4, "relu", kernel_regularizer="l2"),
            fl.BatchNormalization(),
        ]
    )


def test_a_sequential_with_an_input_needs_no_shape():
    model, bare = sequential(), fl.Sequential(sequential().layers)
    jax.tree.map(np.testing.assert_array_equal, model.init(KEY), bare.init(KEY, (None, 3)))
    assert list(model.init_state()["batch_normalization"]) == list(bare.init_state((None, 3))["batch_normalization"])
    assert model.out_shape() == (None, 4) and model.in_shape == (None, 3) and len(model) == 2
    assert str(fl.summary(model)) == str(fl.summary(bare, (None, 3)))
    assert fl.show.graph(model).svg == fl.show.graph(bare, (None, 3)).svg
    assert fl.Sequential([model, fl.Dense(1)]).out_shape() == (None, 1)


def test_what_takes_a_shape_knows_it():
    model = sequential()
    params = model.init(KEY)
    assert float(fl.penalty(model)(params)) > 0
    jax.tree.map(np.testing.assert_array_equal, fl.project(model)(params), params)
    assert fl.weight_paths(model)[0] == "dense/kernel"
    assert jax.tree.all(fl.trainable_mask(model)) and fl.decay_mask(model)["dense"]["kernel"]
    fl.projected(optax.sgd(0.1), model)


def test_it_is_plain_data(tmp_path):
    model = fl.Sequential([fl.Input((3,), batch_size=2, dtype="int32", name="ids"), fl.Embedding(5, 2)])
    assert repr(model) == (
        "Sequential([Input((3,), batch_size=2, dtype='int32', name='ids'), Embedding(input_dim=5, output_dim=2)])"
    )
    same = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), dataclasses.replace(model, name="m")]
    assert same[0] == same[1] == model and hash(same[0]) == hash(model) and same[2].input == model.input
    assert model != fl.Sequential(model.layers)
    params = model.init(KEY)
    fl.save(tmp_path / "m.safetensors", model, params)
    assert fl.load(tmp_path / "m.safetensors")[0] == model


@pytest.mark.parametrize("first", [fl.Input((3,)), fl.InputLayer(shape=(3,)), fl.InputLayer(batch_shape=(None, 3))])
def test_a_shape_that_disagrees_is_an_error(first):
    model = sequential(first)
    for act in (
        lambda: model.init(KEY, (None, 4)),
        lambda: model.apply({}, jnp.ones((2, 4))),
        lambda: model.specs((2,)),
    ):
        with pytest.raises(fl.ShapeError, match=r"declared as \(None, 3\), got"):
            act()


def test_the_declared_dtype_holds():
    model = fl.Sequential([fl.Input((3,), dtype="int32"), fl.Embedding(5, 2)])
    with pytest.raises(fl.ShapeError, match="declared as int32, got float32"):
        model.apply(model.init(KEY), jnp.ones((1, 3)))
    assert fl.Sequential([fl.Input((2,)), fl.Flatten()]).apply({}, jnp.ones((1, 2), "int32")).dtype == jnp.float32


def test_unknown_sizes_take_the_declared_ones():
    graph = fl.functional(a := fl.Input((3,), batch_size=2), fl.Dense(4)(a))
    for model in (fl.Sequential([fl.Input((3,), batch_size=2), fl.Dense(4)]), graph):
        assert model.out_shape((None, None)) == model.out_shape() == (2, 4)
        assert model.init(KEY)["dense"]["kernel"].shape == (3, 4)


def test_a_slice_keeps_its_weights():
    model = fl.Sequential([fl.Dense(3), fl.Dense(3), fl.Dense(3)])
    params, x = model.init(KEY, (1, 3)), jnp.ones((1, 3))
    tail = fl.Sequential(model[1:])
    assert [layer.name for layer in tail.layers] == ["dense_1", "dense_2"]
    expected = model.apply(params, x)
    head = model["dense"].apply(params["dense"], x)
    np.testing.assert_array_equal(tail.apply(params, head), expected)
    graph = fl.functional(a := fl.Input((3,)), fl.Dense(3)(fl.Dense(3)(a)))
    assert [layer.name for layer in graph.layers] == ["dense", "dense_1"] and graph["dense_1"] is graph[1]
    for key in ("dens", 7):
        with pytest.raises(fl.ConfigError, match="dense_1|2 layers"):
            graph[key]


def both():
    inner = fl.Dense(2)
    a = fl.Input((2,))
    left, right = (fl.functional(a, fl.Dense(1)(inner(a))) for _ in range(2))
    return fl.functional(a, (left(a), right(a)))


D = fl.Dense(2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.Sequential([D, fl.Sequential([D])]),
        lambda: fl.Sequential([fl.Sequential([D, D]), D]),
        lambda: fl.Sequential([fl.TimeDistributed(D), D]),
        both,
    ],
)
def test_one_object_in_two_containers_is_an_error(make):
    with pytest.raises(fl.ConfigError, match="one layer is in two containers"):
        make()


def test_templates_and_layers_without_weights_may_stand_anywhere():
    block, relu = fl.Dense(2), fl.ReLU()
    model = fl.Sequential([fl.Repeat(block, 2), relu, fl.Sequential([relu]), fl.Repeat(block, 2), block])
    assert len(model.init(KEY, (1, 2))) == 3
