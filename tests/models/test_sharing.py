"""One object, one name, one set of weights: identity while a model is built, the name ever after."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)


def twice(layer, share):
    return fl.Sequential([layer, fl.Activation("tanh"), layer if share else dataclasses.replace(layer)])


def test_the_same_object_shares_its_weights_and_an_equal_one_does_not():
    shared, separate = twice(fl.Dense(3), True), twice(fl.Dense(3), False)
    assert list(shared.init(KEY, (None, 3))) == ["dense"] and list(separate.init(KEY, (None, 3))) == [
        "dense",
        "dense_1",
    ]
    assert shared != separate
    assert shared == twice(fl.Dense(3), True) and hash(shared) == hash(twice(fl.Dense(3), True))


def test_a_shared_layer_is_applied_each_time_it_stands_there():
    model, x = twice(fl.Dense(3, use_bias=False), True), jnp.ones((2, 3))
    params = model.init(KEY, x.shape)
    kernel = params["dense"]["kernel"]
    np.testing.assert_allclose(model.apply(params, x), jnp.tanh(x @ kernel) @ kernel, rtol=1e-6)
    gradient = jax.grad(lambda p: model.apply(p, x).sum())(params)
    expected = jax.grad(lambda k: (jnp.tanh(x @ k) @ k).sum())(kernel)
    np.testing.assert_allclose(gradient["dense"]["kernel"], expected, rtol=1e-5)


def test_sharing_survives_replace_and_hash():
    model = twice(fl.Dense(3), True)
    renamed = dataclasses.replace(model, name="other")
    assert list(renamed.specs((None, 3))) == ["dense"]
    assert list(fl.Sequential(model.layers).specs((None, 3))) == ["dense"]


@pytest.mark.parametrize("container", ["sequential", "functional"])
def test_state_is_threaded_through_the_calls_of_a_shared_layer(container):
    """Two calls in training move the statistics twice, the second from where the first left them."""
    norm, x = fl.BatchNormalization(momentum=0.5, name="norm"), jnp.arange(8.0).reshape(4, 2)
    if container == "sequential":
        model = fl.Sequential([norm, norm])
    else:
        model = fl.functional(a := fl.Input((2,)), norm(norm(a)))
    params, state = model.init(KEY, x.shape), model.init_state(x.shape)
    out = model.run(params, x, state=state, train=True)
    first = norm.run(params["norm"], x, state=state["norm"], train=True)
    second = norm.run(params["norm"], first.y, state=first.state, train=True)
    jax.tree.map(np.testing.assert_array_equal, out.state["norm"], second.state)
    np.testing.assert_array_equal(out.y, second.y)


def test_losses_of_a_shared_layer_count_each_call():
    layer = fl.ActivityRegularization(l1=1.0)
    a = fl.Input((2,))
    out = fl.functional(a, fl.Add()(layer(a), layer(a))).run({}, jnp.ones((1, 2)), train=True)
    assert [float(loss) for loss in out.losses] == [2.0, 2.0]


def test_a_shared_layer_wants_one_size():
    layer, a, b = fl.Dense(2), fl.Input((3,)), fl.Input((4,))
    model = fl.functional((a, b), fl.Add()(layer(a), layer(b)))
    with pytest.raises(fl.ConfigError, match=r"dense: .*is shared, but its weights for \(None, 3\) differ"):
        model.init(KEY, model.in_shape)
    with pytest.raises(fl.ConfigError, match="is shared, but its weights"):
        twice(fl.Dense(3), True).init(KEY, (None, 2))


def test_a_shared_layer_may_see_several_lengths():
    layer, a, b = fl.Conv1D(2, 2), fl.Input((5, 3)), fl.Input((7, 3))
    model = fl.functional((a, b), (layer(a), layer(b)))
    params = model.init(KEY, model.in_shape)
    assert list(params) == ["conv1d"] and model.out_shape(model.in_shape) == ((None, 4, 2), (None, 6, 2))


def test_a_model_inside_a_model_keeps_its_own_names():
    block = fl.Sequential([fl.Dense(3), fl.Dense(3)], name="block")
    model = fl.Sequential([block, fl.Dense(3), block])
    assert fl.weight_paths(model, (None, 3))[::2] == ["block/dense/kernel", "block/dense_1/kernel", "dense/kernel"]
