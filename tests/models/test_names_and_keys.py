"""Names are numbered per container, and keys are folded from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.core.names import fold, number, snake_case

KEY = jax.random.key(0)


def test_names_are_keras_s():
    names = {cls: snake_case(cls) for cls in fl.LAYERS}
    assert names["Conv2D"] == "conv2d" and names["PReLU"] == "p_re_lu" and names["LSTMCell"] == "lstm_cell"
    assert (
        names["BatchNormalization"] == "batch_normalization" and names["GlobalMaxPooling1D"] == "global_max_pooling1d"
    )
    assert number("dense", {"dense", "dense_1"}) == "dense_2"


def test_names_are_numbered_per_container_and_around_names_that_were_given():
    model = fl.Sequential([fl.Dense(2), fl.Dense(2, name="dense_1"), fl.Dense(2), fl.Sequential([fl.Dense(2)])])
    assert list(model.specs((None, 3))) == ["dense", "dense_1", "dense_2", "sequential"]
    assert fl.weight_paths(model, (None, 3))[-2:] == ["sequential/dense/kernel", "sequential/dense/bias"]


def test_no_name_depends_on_what_was_made_before():
    for _ in range(2):
        assert list(fl.Sequential([fl.Dense(2), fl.Dense(3)]).specs((None, 3))) == ["dense", "dense_1"]


def test_an_array_s_key_is_folded_from_its_path():
    model = fl.Sequential([fl.Dense(2, name="a"), fl.Sequential([fl.Dense(2, name="c")], name="b")])
    params = model.init(KEY, (None, 3))
    alone = fl.Dense(2).init(fold(KEY, "b", "c"), (None, 2))
    np.testing.assert_array_equal(params["b"]["c"]["kernel"], alone["kernel"])
    assert not np.array_equal(params["a"]["kernel"][:2], params["b"]["c"]["kernel"])


def test_keys_do_not_change_from_run_to_run():
    """Names are hashed by blake2s, since Python's own hash differs in each process."""
    data = [jax.random.key_data(key).tolist() for key in (fold(KEY, "kernel"), jax.random.fold_in(KEY, 3529807273))]
    assert data[0] == data[1]


def test_equal_layers_draw_different_numbers():
    """Weights of one shape and initializer, and dropouts of one rate (trap 35, trap 36)."""
    shared = fl.initializers.GlorotUniform()
    model = fl.Sequential([fl.Dense(4, kernel_initializer=shared), fl.Dense(4, kernel_initializer=shared)])
    params = model.init(KEY, (None, 4))
    assert not np.array_equal(params["dense"]["kernel"], params["dense_1"]["kernel"])
    x = jnp.ones((8, 8))
    drops = fl.functional(a := fl.Input((8,)), (fl.Dropout(0.5)(a), fl.Dropout(0.5)(a)))
    one, other = drops.run({}, x, rng=KEY, train=True).y
    assert not np.array_equal(one, other)


def test_a_shared_dropout_draws_anew_in_each_call():
    drop = fl.Dropout(0.5)
    a = fl.Input((64,))
    one, other = fl.functional(a, (drop(a), drop(a))).run({}, jnp.ones((1, 64)), rng=KEY, train=True).y
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("layer", [fl.Dropout(0.5), fl.GaussianNoise(1.0)])
def test_a_seed_moves_the_numbers_of_its_layer(layer):
    x = jnp.ones((4, 4))
    runs = [type(layer)(0.5, seed=seed).run({}, x, rng=KEY, train=True).y for seed in (None, 1, 2, 1)]
    np.testing.assert_array_equal(runs[1], runs[3])
    assert not any(np.array_equal(runs[i], runs[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_iteration_is_the_pair_and_says_so():
    model = fl.Sequential([fl.Input((3,)), fl.Dense(2)])
    init, apply = model
    params = init(jax.random.key(0))
    assert jax.jit(apply)(params, jnp.ones((1, 3))).shape == (1, 2)
    assert apply == tuple(model)[1] and hash(apply) == hash(tuple(model)[1]) and init != apply
    assert "params" in apply.__doc__ or apply.__name__ == "apply"
    text = "iterating a layer gives the pair, init, apply = layer; the layers of a Sequential are model.layers"
    for wrong in (lambda: [layer.name for layer in model], lambda: [name for name, _ in model]):
        with pytest.raises(fl.ConfigError, match=text):
            wrong()
    with pytest.raises(fl.ConfigError, match="the layers of a model are model.layers"):
        fl.Sequential([*model, fl.Dense(3)])
    assert model[0] in model and "dense" in model and fl.Dense(2) in model
    assert fl.Dense(3) not in model and "dense_1" not in model


def test_the_ways_of_keras_to_make_a_model():
    i = fl.Input((3,))
    for wrong in (lambda: fl.Functional(i, fl.Dense(2)(i)), lambda: fl.models.Functional(inputs=i, outputs=i)):
        with pytest.raises(fl.ConfigError, match=r"write fnlayers.functional\(inputs, outputs\)"):
            wrong()
    with pytest.raises(fl.ConfigError, match=r"takes 1 positional arguments, got 2; write Sequential\(\[layer, layer"):
        fl.Sequential(fl.Dense(2), fl.Dense(3))


def test_errors_of_a_graph_begin_with_what_is_wrong():
    x = i = fl.Input((3,), name="x")
    for _ in range(20):
        x = fl.Dense(3)(x)
    model = fl.functional(i, x)
    for wrong in (jnp.ones((2, 5)), (jnp.ones((2, 3)),) * 2):
        with pytest.raises(fl.ShapeError, match=r"^Functional\(...\): (input 'x' was declared|the model's input is)"):
            model.apply({}, wrong)
