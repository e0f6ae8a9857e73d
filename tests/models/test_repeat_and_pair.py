"""Repeat is the stack that it stands for, unrolled; Pair is the pair that it was given."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.example_libraries import stax

import fnlayers as fl

KEY = jax.random.key(0)
X = jnp.asarray(np.random.RandomState(0).randn(4, 3), "float32")
BLOCK = fl.Sequential(
    [
        fl.Dense(3, "tanh", kernel_regularizer="l2", kernel_constraint=fl.constraints.MaxNorm(0.5)),
        fl.BatchNormalization(momentum=0.5),
        fl.ActivityRegularization(0.1),
    ]
)


def unrolled(layer, params, x, state, train):
    """The layers one after the other, each on its slice."""
    states, losses = [], []
    for i in range(3):
        one, own = (jax.tree.map(lambda a, i=i: a[i], tree["layer"]) for tree in (params, state))
        out = layer.run(one, x, state=own, train=train)
        x, losses = out.y, [*losses, *out.losses]
        states.append(out.state)
    return x, jax.tree.map(lambda *a: jnp.stack(a), *states), sum(losses)


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("train", [False, True])
def test_repeat_is_the_unrolled_stack(remat, train):
    """Outputs, state, losses and gradients; remat changes none of them."""
    model = fl.Repeat(BLOCK, 3, remat=remat)
    params, state = model.init(KEY, X.shape), model.init_state(X.shape)

    def scanned(params):
        out = model.run(params, X, state=state, train=train)
        return out.y.sum() + sum(out.losses), (out.y, out.state)

    def stacked(params):
        y, new, losses = unrolled(BLOCK, params, X, state, train)
        return y.sum() + losses, (y, {"layer": new})

    (one, value), gradient = jax.jit(jax.value_and_grad(scanned, has_aux=True))(params)
    (other, expected), slopes = jax.jit(jax.value_and_grad(stacked, has_aux=True))(params)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # noqa: E731
    jax.tree.map(close, (one, value, gradient), (other, expected, slopes))


def test_weights_stay_in_the_order_of_their_declaration():
    paths = [f"layer/{path}" for path in fl.weight_paths(BLOCK, X.shape)]
    model = fl.Repeat(BLOCK, 3)
    assert list(fl.weight_paths(model, X.shape)) == paths
    assert list(model.init(KEY, X.shape)["layer"]["batch_normalization"]) == ["gamma", "beta"]


def test_rules_act_on_each_layer_s_slice():
    model = fl.Repeat(BLOCK, 3)
    params = jax.tree.map(lambda a: a + 1, model.init(KEY, X.shape))
    slices = [jax.tree.map(lambda a, i=i: a[i], params["layer"]) for i in range(3)]
    penalty, project = fl.penalty(BLOCK, X.shape), fl.project(BLOCK, X.shape)
    expected = sum(penalty(one) for one in slices)
    np.testing.assert_allclose(fl.penalty(model, X.shape)(params), expected, rtol=1e-6)
    projected = fl.project(model, X.shape)(params)["layer"]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *map(project, slices))
    jax.tree.map(np.testing.assert_array_equal, projected, stacked)
    assert fl.decay_mask(model, X.shape)["layer"]["dense"] == {"kernel": True, "bias": False}


def test_each_layer_draws_its_own_weights_and_noise():
    model = fl.Repeat(fl.Sequential([fl.Dense(3), fl.Dropout(0.5)]), 2)
    kernel = model.init(KEY, X.shape)["layer"]["dense"]["kernel"]
    assert not np.array_equal(kernel[0], kernel[1])
    drop = fl.Repeat(fl.Dropout(0.5), 8)
    x = jnp.ones((1, 4096))
    value = float((drop.run({}, x, rng=KEY, train=True).y > 0).mean())
    assert 0 < value < 0.02  # 2^-8, where one mask for all would keep one half


def test_orthogonal_slices_are_each_orthogonal():
    kernel = fl.Repeat(fl.Dense(3, kernel_initializer="orthogonal"), 2).init(KEY, X.shape)["layer"]["kernel"]
    for one in kernel:
        np.testing.assert_allclose(one @ one.T, np.eye(3), atol=1e-5)


def test_repeats_nest():
    model = fl.Repeat(fl.Repeat(fl.Dense(3, "tanh", kernel_regularizer="l2"), 2), 3)
    params = model.init(KEY, X.shape)
    assert params["layer"]["layer"]["kernel"].shape == (3, 2, 3, 3)
    kernels, y = params["layer"]["layer"]["kernel"].reshape(6, 3, 3), X
    for kernel in kernels:
        y = jnp.tanh(y @ kernel)
    np.testing.assert_allclose(model.apply(params, X), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fl.penalty(model, X.shape)(params), 0.01 * (kernels**2).sum(), rtol=1e-5)


def test_masks_go_from_layer_to_layer():
    layer = fl.LSTM(2, return_sequences=True)
    model, x = fl.Repeat(layer, 2), jnp.ones((1, 3, 2))
    params, mask = model.init(KEY, x.shape), jnp.array([[True, False, True]])
    out = model.run(params, x, mask=mask)
    one, two = (jax.tree.map(lambda a, i=i: a[i], params["layer"]) for i in range(2))
    expected = layer.apply(two, layer.apply(one, x, mask=mask), mask=mask)
    np.testing.assert_allclose(out.y, expected, rtol=1e-6)
    assert out.mask.tolist() == [[True, False, True]]


def test_half_precision_inside_a_repeat():
    model = fl.Repeat(fl.Dense(3, dtype="mixed_bfloat16"), 2)
    params = model.init(KEY, X.shape)
    assert params["layer"]["kernel"].dtype == jnp.float32 and model.apply(params, X).dtype == jnp.bfloat16


def test_a_stax_layer_is_a_layer():
    model = fl.Sequential([fl.Dense(5, "relu"), fl.stax_pair(stax.Dense(2)), fl.stax_pair(stax.Relu)])
    params = model.init(KEY, X.shape)
    weight, bias = params["pair"]["pair"]
    assert weight.shape == (5, 2) and "pair_1" not in params and fl.count(params) == 3 * 5 + 5 + 5 * 2 + 2
    expected = jax.nn.relu(jax.nn.relu(X @ params["dense"]["kernel"]) @ weight + bias)
    np.testing.assert_allclose(model.apply(params, X), expected, rtol=1e-5)
    assert fl.weight_paths(model, X.shape) == ["dense/kernel", "dense/bias", "pair/pair/0", "pair/pair/1"]


def test_tree_transforms_reach_a_pair_s_params():
    model = fl.Sequential([fl.stax_pair(stax.Dense(2)), fl.Dense(1, kernel_constraint="non_neg")])
    params = model.init(KEY, X.shape)
    frozen = fl.Sequential(model.layers, trainable=False)
    assert jax.tree.leaves(fl.trainable_mask(frozen, X.shape)) == [False] * 4
    assert fl.decay_mask(model, X.shape)["pair"]["pair"] == (True, False)
    projected = fl.project(model, X.shape)(params)
    np.testing.assert_array_equal(projected["pair"]["pair"][0], params["pair"]["pair"][0])
    optimizer = optax.masked(optax.sgd(1.0), fl.trainable_mask(model, X.shape))
    optimizer.update(params, optimizer.init(params), params)


def test_a_repeated_pair_is_stacked():
    model = fl.Repeat(fl.stax_pair(stax.Dense(3)), 2)
    params = model.init(KEY, X.shape)
    weights, biases = params["layer"]["pair"]
    assert weights.shape == (2, 3, 3)
    expected = (X @ weights[0] + biases[0]) @ weights[1] + biases[1]
    np.testing.assert_allclose(model.apply(params, X), expected, rtol=1e-5)


def test_pairs_of_flax_and_haiku_shape():
    """The two short ways in need no more of a module than init and apply."""

    class Module:
        def init(self, rng, x):
            return {"params": {"w": jax.random.normal(rng, (x.shape[-1],))}}

        def apply(self, variables, x):
            return x * variables["params"]["w"]

    class Transformed:
        init = staticmethod(lambda rng, x: {"scale": {"w": jnp.full(x.shape[-1], 2.0)}})
        apply = staticmethod(lambda params, rng, x: x * params["scale"]["w"])

    for layer in (fl.flax_pair(Module()), fl.haiku_pair(Transformed)):
        params = layer.init(KEY, (None, 3))
        np.testing.assert_allclose(layer.apply(params, X), X * jax.tree.leaves(params)[0], rtol=1e-6)
