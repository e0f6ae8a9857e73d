import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, numbers, same

import fnlayers as fl
from fnlayers.training import TrainState, make_step, metrics


def test_equals_a_loop_written_by_hand():
    model, optimizer, (x, y) = mlp(), optax.adam(1e-2), classes()
    key = jax.random.key(3)
    params = model.init(key, (None, 5))
    opt_state = optimizer.init(params)

    @jax.jit
    def by_hand(params, opt_state, x, y):
        value, gradients = jax.value_and_grad(lambda p: CROSS_ENTROPY(model.apply(p, x), y).mean())(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    step, train_state = make_step(model, CROSS_ENTROPY, optimizer), TrainState.create(model, (None, 5), optimizer, key)
    for _ in range(5):
        params, opt_state, value = by_hand(params, opt_state, x, y)
        train_state, logs = step(train_state, (x, y))
        np.testing.assert_allclose(logs["loss"], value, rtol=1e-6)
    chex.assert_trees_all_close(train_state.params, params, rtol=1e-6, atol=1e-7)
    chex.assert_trees_all_equal_structs(train_state.opt_state, opt_state)
    assert int(train_state.step) == 5


def test_penalty_and_activity_loss_are_added():
    model = fl.Dense(1, kernel_regularizer="l2", activity_regularizer="l1")
    optimizer, (x, y) = optax.sgd(0.0), numbers()
    train_state = TrainState.create(model, x.shape, optimizer)
    params = train_state.params
    out = model.run(params, x)
    expected = jnp.mean((out.y - y) ** 2) + 0.01 * jnp.sum(params["kernel"] ** 2) + 0.01 * jnp.sum(jnp.abs(out.y)) / 40
    _, logs = make_step(model, optax.squared_error, optimizer)(train_state, (x, y))
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


def test_constraints_hold_after_the_update():
    model, (x, y) = fl.Dense(1, kernel_constraint="non_neg"), numbers()
    optimizer = optax.sgd(1.0)
    train_state = TrainState.create(model, x.shape, optimizer)
    train_state, _ = make_step(model, optax.squared_error, optimizer)(train_state, (x, -y))
    assert float(train_state.params["kernel"].min()) == 0.0


@pytest.mark.parametrize("decay", ["mask", "all", "partition"])
def test_frozen_layers_neither_move_nor_decay(decay):
    partition = optax.partition if hasattr(optax, "partition") else optax.multi_transform  # its older name
    model = fl.Sequential([fl.Dense(8, "relu", trainable=False, kernel_constraint="unit_norm"), fl.Dense(3)])
    x, y = classes()
    optimizer = {
        "mask": optax.adamw(0.1, weight_decay=0.5, mask=fl.decay_mask(model, x.shape)),
        "all": optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1, weight_decay=0.5)),
        "partition": partition(
            {"a": optax.sgd(0.1), "b": optax.adam(0.1)},
            fl.labels(model.init(jax.random.key(0), x.shape), {"**/kernel": "a"}, default="b"),
        ),
    }[decay]
    train_state = TrainState.create(model, x.shape, optimizer)
    before = jax.tree.map(np.array, train_state.params)
    train_state, _ = make_step(model, CROSS_ENTROPY, optimizer)(train_state, (x, y))
    assert same(before["dense"], train_state.params["dense"])
    assert not same(before["dense_1"], train_state.params["dense_1"])
    moments = [a for a in jax.tree.leaves(train_state.opt_state) if a.shape == (5, 8)]
    assert not moments, "the optimizer keeps nothing for what it may not touch"


def test_a_frozen_model_trains_nothing():
    model, (x, y) = fl.Dense(1, trainable=False), numbers()
    optimizer = SGD
    train_state = TrainState.create(model, x.shape, optimizer)
    before = jax.tree.map(np.array, train_state.params)
    train_state, logs = make_step(model, optax.squared_error, optimizer)(train_state, (x, y))
    assert same(before, train_state.params) and bool(logs["finite"])


def test_model_state_follows():
    model, (x, y) = fl.Sequential([fl.BatchNormalization(momentum=0.5), fl.Dense(1)]), numbers()
    optimizer = SGD
    train_state = TrainState.create(model, x.shape, optimizer)
    train_state, _ = make_step(model, optax.squared_error, optimizer)(train_state, (x, y))
    mean = train_state.state["batch_normalization"]["moving_mean"]
    np.testing.assert_allclose(mean, 0.5 * x.mean(0), atol=1e-6)


def test_masked_steps_count_in_neither_loss_nor_metric():
    model = fl.Sequential([fl.Masking(), fl.TimeDistributed(fl.Dense(3))])
    x = np.random.default_rng(0).normal(size=(4, 6, 2)).astype("float32")
    x[:, 4:] = 0
    y = np.random.default_rng(1).integers(0, 3, (4, 6))
    optimizer = SGD
    step = make_step(model, CROSS_ENTROPY, optimizer, metrics={"accuracy": metrics.accuracy})

    def results(x, y):
        return step(TrainState.create(model, x.shape, optimizer), (x, y))

    padded, short = results(x, y), results(x[:, :4], y[:, :4])
    chex.assert_trees_all_close(padded, short, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(padded, results(x, np.where(np.arange(6) < 4, y, 0)), rtol=1e-6)


def test_sample_weights():
    model, optimizer, (x, y) = mlp(), optax.sgd(0.1), classes(n=6)
    step = make_step(model, CROSS_ENTROPY, optimizer)
    weight = np.array([0, 2, 1, 1, 0, 3], "float32")
    rows = np.repeat(np.arange(6), weight.astype(int))
    weighted = step(TrainState.create(model, x.shape, optimizer), (x, y, weight))
    repeated = step(TrainState.create(model, x.shape, optimizer), (x[rows], y[rows]))
    chex.assert_trees_all_close(weighted, repeated, rtol=1e-5, atol=1e-6)
    nothing, logs = step(TrainState.create(model, x.shape, optimizer), (x, y, np.zeros(6, "float32")))
    assert float(logs["loss"]) == 0 and bool(logs["finite"])


def test_random_layers_draw_by_the_steps_number():
    model, optimizer, (x, y) = fl.Sequential([fl.Dropout(0.5), fl.Dense(3)]), optax.sgd(0.0), classes()
    step = make_step(model, CROSS_ENTROPY, optimizer)
    train_state = TrainState.create(model, x.shape, optimizer, jax.random.key(1))
    losses = []
    for _ in range(3):
        train_state, logs = step(train_state, (x, y))
        losses.append(float(logs["loss"]))
    assert len(set(losses)) == 3
    again, logs = step(TrainState.create(model, x.shape, optimizer, 1), (x, y))
    assert float(logs["loss"]) == losses[0]


@pytest.mark.parametrize("key", [7, jax.random.PRNGKey(7), jax.random.key(7), jax.random.key(7, impl="rbg")], ids=str)
def test_any_key_serves(key):
    model, optimizer, (x, y) = fl.Sequential([fl.Dropout(0.5), fl.Dense(3)]), SGD, classes()
    train_state, logs = make_step(model, CROSS_ENTROPY, optimizer)(
        TrainState.create(model, x.shape, optimizer, key), (x, y)
    )
    assert bool(logs["finite"])


def test_the_train_state_is_donated_and_what_made_it_is_not():
    model, optimizer, (x, y) = mlp(), SGD, classes()
    params = model.init(jax.random.key(0), x.shape)
    train_state = TrainState.create(model, x.shape, optimizer, params=params)
    after, _ = make_step(model, CROSS_ENTROPY, optimizer)(train_state, (x, y))
    assert train_state.params["dense"]["kernel"].is_deleted()
    assert not any(a.is_deleted() for a in jax.tree.leaves((params, after)))


def test_compiles_once(compilations):
    model, (x, y) = mlp(), classes()
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=optax.cosine_decay_schedule(0.1, 10))
    step = make_step(model, CROSS_ENTROPY, optimizer)
    train_state = TrainState.create(model, x.shape, optimizer)
    for _ in range(4):
        train_state, _ = step(train_state, (x, y))
    assert compilations("step") == ["step"]


@pytest.mark.parametrize("guard", [True, False])
def test_what_is_not_finite_is_skipped(guard):
    model, optimizer, (x, y) = mlp(), SGD, classes()
    step = make_step(model, CROSS_ENTROPY, optimizer, guard=guard)
    train_state = TrainState.create(model, x.shape, optimizer)
    before = jax.tree.map(np.array, train_state)
    train_state, logs = step(train_state, (x * np.nan, y))
    assert not bool(logs["finite"])
    assert same(before, train_state) == guard


def test_a_gradient_that_is_not_finite_is_skipped_too():
    # d sqrt(y^2) at 0 is 0 / 0, though the loss is 0
    model = fl.Sequential([fl.Dense(2, kernel_initializer="zeros"), fl.Lambda(lambda y: jnp.sqrt(y * y))])
    optimizer, x = SGD, np.ones((4, 3), "float32")
    train_state, logs = make_step(model, optax.squared_error, optimizer)(
        TrainState.create(model, x.shape, optimizer), (x, np.zeros((4, 2), "float32"))
    )
    assert float(logs["loss"]) == 0 and not bool(logs["finite"]) and int(train_state.step) == 0


def test_the_same_step_where_a_select_takes_the_place_of_a_branch(monkeypatch):
    def results():
        model, optimizer, (x, y) = mlp(), SGD, classes()
        step = make_step(model, CROSS_ENTROPY, optimizer)
        train_state, logs = step(TrainState.create(model, x.shape, optimizer), (x, y))
        return step(train_state, (x, y))

    branch = results()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    chex.assert_trees_all_close(branch, results(), rtol=1e-6)


def test_the_guard_looks_at_each_array_once():
    model, optimizer, batch = mlp(), optax.adam(1e-2), classes()
    train_state = TrainState.create(model, batch[0].shape, optimizer)

    def comparisons(guard):
        step = make_step(model, CROSS_ENTROPY, optimizer, guard=guard)
        return len(re.findall(r"stablehlo.compare\s+EQ", step.lower(train_state, batch).as_text()))

    # Adam's params, their gradients and two moments; the loss is looked at without a guard, too
    assert comparisons(guard=True) - comparisons(guard=False) == 4 * len(jax.tree.leaves(train_state.params))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    model = fl.Sequential([fl.Dense(8, "relu", dtype=policy), fl.Dense(3, dtype=policy)])
    optimizer, (x, y) = optax.adam(1e-2), classes()
    train_state = TrainState.create(model, x.shape, optimizer)
    kinds = jax.tree.map(lambda a: a.dtype, train_state)
    train_state, logs = make_step(model, CROSS_ENTROPY, optimizer)(train_state, (x, y))
    assert logs["loss"].dtype == "float32" and bool(logs["finite"])
    assert jax.tree.map(lambda a: a.dtype, train_state) == kinds


def several(dict_of):
    a = fl.Input((3,))
    outputs = (fl.Dense(1)(a), fl.Dense(4)(a))
    return fl.functional(a, dict(zip("ab", outputs, strict=True)) if dict_of else outputs)


@pytest.mark.parametrize("dict_of", [True, False])
def test_several_outputs(dict_of):
    model, (x, y), optimizer = several(dict_of), numbers(), SGD
    z = np.arange(40) % 4
    losses = (optax.squared_error, CROSS_ENTROPY)
    keys = ("a", "b") if dict_of else (0, 1)
    loss, truth = (dict(zip("ab", pair, strict=True)) if dict_of else pair for pair in (losses, (y, z)))
    step = make_step(model, loss, optimizer, metrics={keys[1]: {"accuracy": metrics.accuracy}})
    params = TrainState.create(model, x.shape, optimizer).params
    out = model.apply(params, x)
    _, logs = step(TrainState.create(model, x.shape, optimizer), (x, truth))
    parts = [float(f(out[k], truth[k]).mean()) for f, k in zip(losses, keys, strict=True)]
    np.testing.assert_allclose([logs[f"{k}_loss"] for k in keys], parts, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], sum(parts), rtol=1e-5)
    assert f"{keys[1]}_accuracy" in logs

    def of_everything(y_pred, y_true):
        return optax.squared_error(y_pred[keys[0]], y_true[keys[0]])[:, 0]

    _, logs = make_step(model, of_everything, optimizer)(TrainState.create(model, x.shape, optimizer), (x, truth))
    np.testing.assert_allclose(logs["loss"], parts[0], rtol=1e-5)


def test_a_loss_of_two_outputs_together():
    model, (x, y), z, weight = several(True), numbers(), np.arange(40) % 4, np.linspace(0, 1, 40, dtype="float32")
    params = model.init(jax.random.key(0), x.shape)

    def apart(y_pred, y_true):
        (a, b), (true, kind) = y_pred, y_true
        return (a - b.mean(-1, keepdims=True))[:, 0] ** 2 + true[:, 0] * kind

    losses = {"a": optax.squared_error, "b": CROSS_ENTROPY, ("a", "b"): apart}
    data = x, {"a": y, "b": z}, {"a": weight, "b": 1 - weight}
    figures = fl.evaluate(
        model,
        params,
        data,
        loss=losses,
        loss_weights={("a", "b"): 0.5},
        metrics={("b", "a"): {"gap": lambda p, y: p[1]}},
    )
    out = model.apply(params, x)
    expected = np.average(apart((out["a"], out["b"]), (y, z)), weights=weight * (1 - weight))
    np.testing.assert_allclose(figures["a_b_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(figures["loss"], figures["a_loss"] + figures["b_loss"] + 0.5 * expected, rtol=1e-5)
    gap = np.average(np.asarray(out["a"])[:, 0], weights=weight * (1 - weight))
    np.testing.assert_allclose(figures["b_a_gap"], gap, rtol=1e-5)


def test_errors_of_a_loss_of_two_outputs_together():
    model, (x, y) = several(True), numbers()
    params = model.init(jax.random.key(0), x.shape)
    for loss, message in (
        ({("a", "b"): "mse"}, "'mse' takes one output, and .* are several; give a function"),
        ({("a", "b"): optax.squared_error}, "takes one output"),
        ({("a",): lambda p, y: p}, "is for a loss of several outputs; give two names or more"),
        ({("a", "c"): lambda p, y: p[0]}, "loss speaks of the outputs 'a', 'c', but the model's are 'a', 'b'"),
        ({("a", "b"): lambda p, y: p[0], "a_b": lambda p, y: p}, "loss: the name 'a_b_loss' is taken"),
    ):
        with pytest.raises(fl.ConfigError, match=message):
            fl.evaluate(model, params, (x, {"a": y, "b": y}), loss=loss)


@pytest.mark.slow
def test_optimizers_that_want_the_loss():
    model, (x, y) = fl.Dense(1), numbers()
    for optimizer in (optax.chain(optax.adam(0.1), optax.contrib.reduce_on_plateau()), optax.lbfgs()):
        train_state = TrainState.create(model, x.shape, optimizer)
        step = make_step(model, optax.squared_error, optimizer)
        for _ in range(3):
            train_state, logs = step(train_state, (x, y))
        assert bool(logs["finite"])


@pytest.mark.slow
def test_vmap_trains_an_ensemble():
    model, optimizer, (x, y) = mlp(), SGD, classes()
    step = make_step(model, CROSS_ENTROPY, optimizer)
    states = [TrainState.create(model, x.shape, optimizer, seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *states)
    stacked, logs = jax.vmap(step, in_axes=(0, None))(stacked, (x, y))
    for index, train_state in enumerate(states):
        _, alone = step(train_state, (x, y))
        np.testing.assert_allclose(logs["loss"][index], alone["loss"], rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        ("squared", "loss 'squared' is unknown; .*squared_hinge"),
        ("sparse_categorical_crossentropy", "takes one output for each class"),
        (3, "loss 3 is not a function"),
        ({"a": None}, "no output has a loss"),
        (lambda p, t: jnp.mean((p - t) ** 2), "'loss' returned one number for the whole batch"),
        (lambda p, t: jnp.ones(7), r"'loss' returned values of shape \(7,\) for 40 examples"),
    ],
)
def test_a_loss_that_is_none(loss, text):
    model, (x, y) = fl.Dense(1), numbers()
    with pytest.raises(fl.LayerError, match=text):
        make_step(model, loss, optax.sgd(0.1))(TrainState.create(model, x.shape, optax.sgd(0.1)), (x, y))


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (lambda x, y: (x, y[:, 0]), r"y_pred has shape \(40, 1\) and y has shape \(40,\); reshape y to \(40, 1\)"),
        (lambda x, y: x, "a batch is .x, y. or .x, y, weight., got"),
        (lambda x, y: (x, y, np.ones(7)), "the examples do not pair: x has 40, y has 40, weight has 7"),
    ],
)
def test_a_batch_that_is_none(batch, text):
    model, (x, y) = fl.Dense(1), numbers()
    step = make_step(model, optax.squared_error, optax.sgd(0.1))
    with pytest.raises(fl.LayerError, match=text):
        step(TrainState.create(model, x.shape, optax.sgd(0.1)), batch(x, y))


def test_a_loss_that_hides_masked_steps():
    model, x = fl.Masking(), np.ones((4, 6, 2), "float32")
    step = make_step(model, lambda p, t: jnp.mean((p - t) ** 2, (1, 2)), optax.sgd(0.1))
    with pytest.raises(fl.ShapeError, match="return a value for each step, or end the mask with fnlayers.DropMask"):
        step(TrainState.create(model, x.shape, optax.sgd(0.1)), (x, x))


def test_metrics_that_are_none():
    with pytest.raises(fl.ConfigError, match="name them, as in metrics="):
        make_step(mlp(), CROSS_ENTROPY, optax.sgd(0.1), metrics=metrics.accuracy)
    with pytest.raises(fl.ConfigError, match="the name 'loss' is taken"):
        make_step(mlp(), CROSS_ENTROPY, optax.sgd(0.1), metrics={"loss": metrics.accuracy})
    with pytest.raises(fl.ConfigError, match="metric 'accurate' is unknown; did you mean 'accuracy'"):
        make_step(mlp(), CROSS_ENTROPY, optax.sgd(0.1), metrics={"acc": "accurate"})


def test_strict_dtype_promotion():
    model, (x, y) = fl.Sequential([fl.Masking(), fl.TimeDistributed(fl.Dense(3, kernel_regularizer="l2"))]), classes()
    x, y = np.repeat(x[:, None], 2, 1), np.repeat(y[:, None], 2, 1)
    step = make_step(model, CROSS_ENTROPY, SGD, metrics={"accuracy": metrics.accuracy})
    with jax.numpy_dtype_promotion("strict"):
        _, logs = step(TrainState.create(model, x.shape, SGD), (x, y, np.ones(40, "float32")))
    assert bool(logs["finite"])


def test_a_step_asks_the_declaration_once(monkeypatch):
    asked, ask = [], fl.Dense.specs
    monkeypatch.setattr(fl.Dense, "specs", lambda self, *args: asked.append(1) or ask(self, *args))
    model, optimizer = fl.Dense(1, kernel_regularizer="l2", kernel_constraint="non_neg"), optax.sgd(0.1)
    train_state = fl.TrainState.create(model, (None, 3), optimizer)
    step = fl.make_step(model, optax.squared_error, optimizer)
    asked.clear()
    step.lower(train_state, (jnp.ones((4, 3)), jnp.ones((4, 1))))
    assert len(asked) == 1


def test_a_sequential_without_layers_is_not_trained():
    with pytest.raises(fl.ConfigError, match="has no layers, and so nothing to train"):
        TrainState.create(fl.Sequential([]), (None, 2), SGD, 0)
