"""Transforms over parameter trees: all read from the declaration, all plain functions of params."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
SHAPE = (None, 4)
NORM = fl.constraints.MaxNorm(0.3)
MODEL = fl.Sequential(
    [
        fl.Dense(3, kernel_regularizer=fl.regularizers.L2(0.5), bias_regularizer=fl.regularizers.L1(2.0)),
        fl.BatchNormalization(gamma_regularizer="l2"),
        fl.Sequential([fl.Dense(2, kernel_constraint=NORM, bias_constraint="non_neg")], name="head"),
    ]
)
PARAMS = jax.tree.map(lambda a: a + 0.7, MODEL.init(KEY, SHAPE))


def with_head(**options):
    return fl.Sequential([*MODEL.layers[:2], fl.Sequential(MODEL.layers[2].layers, name="head", **options)])


def test_penalty_is_the_sum_of_the_regularizers():
    dense, gamma = PARAMS["dense"], PARAMS["batch_normalization"]["gamma"]
    wanted = 0.5 * (dense["kernel"] ** 2).sum() + 2 * jnp.abs(dense["bias"]).sum() + 0.01 * (gamma**2).sum()
    penalty = fl.penalty(MODEL, SHAPE)
    np.testing.assert_allclose(jax.jit(penalty)(PARAMS), wanted, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(penalty)(PARAMS)["dense"]["kernel"], dense["kernel"], rtol=1e-6)
    assert penalty(PARAMS).dtype == jnp.float32 and penalty(PARAMS).shape == ()


def test_penalty_of_a_model_without_rules_or_weights_is_0():
    assert fl.penalty(fl.Dense(1), SHAPE)(fl.Dense(1).init(KEY, SHAPE)) == 0
    assert fl.penalty(fl.Flatten(), SHAPE)({}) == 0


def test_penalty_is_summed_in_float32():
    layer = fl.Dense(300, kernel_regularizer=fl.regularizers.L2(1.0), dtype="float16")
    params = jax.tree.map(lambda a: jnp.full_like(a, 10), layer.init(KEY, (None, 300)))
    assert fl.penalty(layer, (None, 300))(params) == 300 * 300 * 100


def test_frozen_weights_carry_no_penalty():
    frozen = fl.Sequential(MODEL.layers, trainable=False)
    assert fl.penalty(frozen, SHAPE)(PARAMS) == 0


def test_project_moves_what_is_constrained_and_nothing_else():
    projected = jax.jit(fl.project(MODEL, SHAPE))(PARAMS)
    kernel = PARAMS["head"]["dense"]["kernel"]
    np.testing.assert_allclose(projected["head"]["dense"]["kernel"], NORM(kernel), rtol=1e-6)
    assert (jnp.linalg.norm(projected["head"]["dense"]["kernel"], axis=0) <= 0.3 + 1e-6).all()
    jax.tree.map(np.testing.assert_array_equal, projected["dense"], PARAMS["dense"])


def test_projected_steps_land_where_the_constraints_hold():
    """The optimizer's own step, then the projection; jitted, with state, and inside a chain (trap 46)."""
    optimizer = fl.projected(optax.adam(0.5), MODEL, SHAPE)
    plain = optax.adam(0.5)
    gradients = jax.tree.map(jnp.ones_like, PARAMS)

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    params, state = step(PARAMS, optimizer.init(PARAMS))
    updates, _ = plain.update(gradients, plain.init(PARAMS), PARAMS)
    wanted = fl.project(MODEL, SHAPE)(optax.apply_updates(PARAMS, updates))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), params, wanted)
    assert jax.tree.structure(state) == jax.tree.structure(plain.init(PARAMS))
    params, _ = step(params, state)
    bias = params["head"]["dense"]["bias"]
    assert (bias >= -1e-6).all() and (jnp.linalg.norm(params["head"]["dense"]["kernel"], axis=0) <= 0.3 + 1e-5).all()


def test_projected_needs_the_params():
    optimizer = fl.projected(optax.sgd(1.0), MODEL, SHAPE)
    with pytest.raises(fl.MissingError, match=r"write optimizer.update\(gradients, state, params\)"):
        optimizer.update(PARAMS, optimizer.init(PARAMS))


def test_params_of_another_model_are_refused_by_path():
    wrong = {"dense": PARAMS["dense"], "tail": PARAMS["head"]}
    for transform in (fl.penalty, fl.project):
        with pytest.raises(fl.MissingError, match="missing: batch_normalization/.*unexpected: tail/dense/bias"):
            transform(MODEL, SHAPE)(wrong)


def test_trainable_mask_sees_layers_and_the_containers_around_them():
    assert all(jax.tree.leaves(fl.trainable_mask(MODEL, SHAPE)))
    mask = fl.trainable_mask(with_head(trainable=False), SHAPE)
    assert jax.tree.structure(mask) == jax.tree.structure(PARAMS)
    assert jax.tree.leaves(mask["head"]) == [False, False] and all(jax.tree.leaves(mask["dense"]))
    outer = fl.Sequential([fl.Repeat(fl.TimeDistributed(fl.Dense(4)), 2), fl.LSTM(3)], trainable=False)
    assert not any(jax.tree.leaves(fl.trainable_mask(outer, (None, 5, 4))))
    inner = fl.Repeat(fl.Sequential([fl.Dense(4, trainable=False), fl.Dense(4)]), 2)
    assert jax.tree.leaves(fl.trainable_mask(inner, SHAPE)["layer"]) == [False, False, True, True]


def test_a_frozen_batch_normalization_keeps_its_statistics():
    """Frozen itself or by a container around it (trap 9)."""
    x = jnp.arange(8.0).reshape(4, 2)
    alone = fl.BatchNormalization(trainable=False)
    inside = fl.Sequential([fl.Sequential([fl.BatchNormalization()])], trainable=False)
    for model in (alone, inside):
        params, state = model.init(KEY, x.shape), model.init_state(x.shape)
        out = model.run(params, x, state=state, train=True)
        jax.tree.map(np.testing.assert_array_equal, out.state, state)
        np.testing.assert_array_equal(out.y, model.apply(params, x, state=state))


def test_decay_mask_takes_kernels_and_tables_only():
    layers = [fl.Embedding(5, 3), fl.LSTM(3, return_sequences=True), fl.LayerNormalization(axis=[1, 2]), fl.PReLU()]
    paths = fl.paths(fl.decay_mask(fl.Sequential(layers), (None, 4)))
    assert {path for path, decays in paths.items() if decays} == {
        "embedding/embeddings",
        "lstm/cell/kernel",
        "lstm/cell/recurrent_kernel",
    }


def test_masks_serve_optax():
    mask = fl.decay_mask(MODEL, SHAPE)
    optimizer = optax.adamw(0.1, weight_decay=1.0, mask=mask)
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = optimizer.update(zeros, optimizer.init(PARAMS), PARAMS)
    updated = jax.tree.map(lambda a: bool((a != 0).any()), updates)
    assert updated == mask


LABELS = [
    ({}, set()),
    ({"dense/kernel": "f"}, {"dense/kernel"}),
    ({"**/kernel": "f"}, {"dense/kernel", "head/dense/kernel"}),
    ({"*/kernel": "f"}, {"dense/kernel"}),
    ({"head/**": "f"}, {"head/dense/kernel", "head/dense/bias"}),
    ({"**": "f"}, set(fl.paths(PARAMS))),
    ({"**": "f", "dense/*": "default"}, set(fl.paths(PARAMS)) - {"dense/kernel", "dense/bias"}),
    ({"batch_*/[bg]*": "f"}, {"batch_normalization/beta", "batch_normalization/gamma"}),
]


@pytest.mark.parametrize("patterns, wanted", LABELS)
def test_labels_follow_patterns_and_the_last_one_holds(patterns, wanted):
    labels = fl.paths(fl.labels(PARAMS, patterns))
    assert {path for path, label in labels.items() if label == "f"} == wanted
    assert set(labels.values()) <= {"f", "default"}


@pytest.mark.parametrize("pattern", ["kernel", "dense/**/kernel/x", "Dense/*", "head/*", ""])
def test_a_pattern_that_matches_nothing_is_an_error(pattern):
    with pytest.raises(fl.ConfigError, match="matches no path; the paths are batch_normalization/beta, "):
        fl.labels(PARAMS, {pattern: "f"})


def test_labels_serve_optax():
    labels = fl.labels(PARAMS, {"head/**": "train"}, default="freeze")
    optimizer = optax.multi_transform({"train": optax.sgd(1.0), "freeze": optax.set_to_zero()}, labels)
    updates, _ = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)
    updated = {path for path, update in fl.paths(updates).items() if (update != 0).any()}
    assert updated == {"head/dense/kernel", "head/dense/bias"}


def test_paths_and_counts():
    assert list(fl.paths({"b": (1, {"c": 2}), "a": 3})) == ["a", "b/0", "b/1/c"]
    assert fl.paths({}) == {} and fl.count({}) == 0
    assert fl.count(PARAMS) == 4 * 3 + 3 + 3 + 3 + 3 * 2 + 2


def test_weight_paths_are_in_the_order_of_declaration():
    """Keras's order: kernel before bias, gamma before beta, first layer first. jax.tree sorts names."""
    assert fl.weight_paths(MODEL, SHAPE) == [
        "dense/kernel",
        "dense/bias",
        "batch_normalization/gamma",
        "batch_normalization/beta",
        "head/dense/kernel",
        "head/dense/bias",
    ]
    state = fl.weight_paths(MODEL, SHAPE, fl.State)
    assert state == ["batch_normalization/moving_mean", "batch_normalization/moving_variance"]
    zed = fl.Sequential([fl.Dense(1, name="z"), fl.Dense(1, name="a")])
    assert fl.weight_paths(zed, SHAPE)[0] == "z/kernel"
