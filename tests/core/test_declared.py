"""Params and state of other sizes than the layer declares are refused, on every path; nothing is computed for that."""

import jax
import jax.numpy as jnp
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
OTHERS = [
    (fl.Dense(3), fl.Dense(7), (2, 4)),
    (fl.Conv2D(2, 3), fl.Conv2D(3, 3), (1, 6, 6, 2)),
    (fl.Conv2D(2, 3), fl.Conv2D(2, 5), (1, 6, 6, 2)),
    (fl.MultiHeadAttention(2, 4), fl.MultiHeadAttention(2, 5), ((1, 3, 4), (1, 3, 4))),
    (fl.GRU(3), fl.GRU(5), (2, 3, 4)),
    (fl.Sequential([fl.Dense(3), fl.Dense(2)]), fl.Sequential([fl.Dense(3), fl.Dense(7)]), (2, 4)),
]


@pytest.mark.parametrize("layer, other, shape", OTHERS)
def test_params_of_another_size_are_refused(layer, other, shape):
    several = isinstance(shape[0], tuple)
    x = tuple(map(jnp.ones, shape)) if several else jnp.ones(shape)
    params = jax.eval_shape(lambda: other.init(KEY, shape))
    with pytest.raises(fl.ShapeError, match="init and apply need the same"):
        jax.eval_shape(layer.apply, params, x)


def test_state_of_another_size_is_refused():
    layer, x = fl.BatchNormalization(), jnp.ones((2, 4))
    with pytest.raises(fl.ShapeError, match=r"moving_mean has shape \(4,\), but the state holds \(1,\)"):
        layer.apply(layer.init(KEY, x.shape), x, state=layer.init_state((2, 1)))


def test_params_of_a_vmap_and_of_other_dtypes_run():
    layer, x = fl.Dense(3), jnp.ones((2, 4))
    several = jax.vmap(lambda key: layer.init(key, x.shape))(jax.random.split(KEY, 5))
    assert jax.vmap(layer.apply, (0, None))(several, x).shape == (5, 2, 3)
    half = jax.tree.map(lambda a: a[0].astype("float16"), several)
    assert layer.apply(half, x).shape == (2, 3)


LAYERS = [
    fl.Dense(3),
    fl.LSTM(3),
    fl.MultiHeadAttention(1, 2),
    fl.BatchNormalization(),
    fl.Conv1D(2, 1),
    fl.TransformerEncoder(4, 1),
]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("deep", [False, True])
def test_params_that_a_layer_does_not_have_are_refused(layer, deep):
    x = jnp.ones((2, 3, 4))
    params, state = layer.init(KEY, x.shape), layer.init_state(x.shape)
    inner = next(value for value in params.values()) if deep else params
    if not isinstance(inner, dict):
        return
    inner["extra"] = jnp.ones(3)
    with pytest.raises(fl.ConfigError, match="params with '[a-z_/]*extra', which it does not have; it has"):
        jax.eval_shape(lambda p, s: layer.apply(p, x, state=s), params, state)


def test_an_array_among_the_layers_of_a_container_is_refused_and_other_layers_are_left_alone():
    model = fl.Sequential([fl.Dense(3), fl.Dense(2)])
    params, x = model.init(KEY, (2, 4)), jnp.ones((2, 4))
    with pytest.raises(fl.ConfigError, match="params with 'extra': .*a dict for each layer; pass what init returned"):
        model.apply(params | {"extra": jnp.ones(3)}, x)
    assert fl.Sequential(model.layers[:1]).apply(params, x).shape == (2, 3)


def test_a_table_of_another_size_is_refused():
    params = fl.Embedding(7, 3).init(KEY, (2, 4))
    with pytest.raises(fl.ShapeError, match=r"embeddings has shape \(5, 3\), but params hold \(7, 3\)"):
        fl.Embedding(5, 3).apply(params, jnp.ones((2, 4), "int32"))


@pytest.mark.parametrize("layer", [fl.Conv1D(2, 2), fl.LSTM(2), fl.Embedding(5, 3), fl.BatchNormalization()])
def test_integers_where_floats_are_declared_are_refused(layer):
    shape = (2, 4) if isinstance(layer, fl.Embedding) else (2, 4, 3)
    params, state, x = layer.init(KEY, shape), layer.init_state(shape), jnp.ones(shape, layer.in_dtype)
    whole = jax.tree.map(lambda a: a.astype("int32"), params)
    with pytest.raises(fl.ConfigError, match=r"params hold int32 for [a-z/]+, declared float32; write .astype"):
        layer.apply(whole, x, state=state)


def test_none_in_place_of_an_array_is_missing():
    layer, x = fl.BatchNormalization(), jnp.ones((2, 3))
    params, state = layer.init(KEY, x.shape), layer.init_state(x.shape)
    with pytest.raises(fl.MissingError, match="the state holds no array for moving_mean"):
        layer.run(params, x, state=state | {"moving_mean": None}, train=True)
    with pytest.raises(fl.MissingError, match=r"no gamma in its params \(they hold: beta\)"):
        layer.run(params | {"gamma": None}, x, state=state)
