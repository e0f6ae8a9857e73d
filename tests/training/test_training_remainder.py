"""A last batch that is smaller than the others: filled up where that is known to change nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, classes, mlp, numbers

import fnlayers as fl
from fnlayers.catalog import LAYERS
from fnlayers.training import evaluate, fit, losses, metrics, per_example, predict

SGD = optax.sgd(0.1)


def contrastive(y_pred, y_true):
    """Each row against all others of its batch."""
    y_pred = y_pred / jnp.linalg.norm(y_pred, axis=-1, keepdims=True)
    return optax.softmax_cross_entropy_with_integer_labels(y_pred @ y_true.T, jnp.arange(len(y_pred)))


def means(features=2, loss=contrastive, train=True, layer=None):
    model = fl.Sequential([fl.Dense(features, use_bias=False)] + ([layer] if layer else []))
    x, _ = numbers(n=5)
    y = np.random.default_rng(1).normal(size=(5, features)).astype("float32")
    return model, x, y, loss


def by_hand(model, x, y, loss, params):
    """Steps over batches of 4 and 1, and the mean over all examples."""
    total = 0.0
    for rows in (slice(0, 4), slice(4, 5)):
        value, gradients = jax.value_and_grad(lambda p, rows=rows: loss(model.apply(p, x[rows]), y[rows]).mean())(
            params
        )
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients)
        total += float(value) * len(x[rows])
    return total / 5, params


ACROSS = {
    "loss": lambda: means(),
    "lambda": lambda: means(loss=optax.squared_error, layer=fl.Lambda(lambda x: x - jnp.mean(x, 0))),
    "softmax": lambda: means(loss=optax.squared_error, layer=fl.Softmax(axis=0)),
    "second last": lambda: means(loss=optax.squared_error, layer=fl.UnitNormalization(axis=-2)),
    "activation": lambda: means(loss=optax.squared_error, layer=fl.Activation(lambda x: x / jnp.sum(jnp.abs(x)))),
    "nested": lambda: means(loss=optax.squared_error, layer=fl.Sequential([fl.Activation(lambda x: x - x[0])])),
}


@pytest.mark.parametrize("kind", ACROSS)
def test_what_looks_across_the_batch_runs_at_its_own_size(kind):
    model, x, y, loss = ACROSS[kind]()
    params = model.init(jax.random.key(0), x.shape)
    more = {"loss": loss, "batch_size": 4}
    result = fit(model, (x, y), optimizer=SGD, params=params, shuffle=False, verbose=False, **more)
    mean, expected = by_hand(model, x, y, loss, params)
    assert result.history["loss"][0] == pytest.approx(mean, rel=1e-5)
    np.testing.assert_allclose(result.params["dense"]["kernel"], expected["dense"]["kernel"], rtol=1e-5, atol=1e-7)
    parts = [np.asarray(model.apply(params, x[rows])) for rows in (slice(0, 4), slice(4, 5))]
    np.testing.assert_allclose(predict(model, params, x, batch_size=4), np.concatenate(parts), rtol=1e-5, atol=1e-6)
    evaluated = evaluate(model, params, (x, y), **more)["loss"]
    each = [np.asarray(loss(part, t)) for part, t in zip(parts, (y[:4], y[4:]), strict=True)]
    assert evaluated == pytest.approx(np.concatenate(each).mean(), rel=1e-5)


def test_the_last_of_33_rows_has_nothing_to_be_confused_with():
    model, draw = fl.Identity(), np.random.default_rng(0)
    x, y = (draw.normal(size=(33, 4)).astype("float32") for _ in range(2))
    first = np.asarray(contrastive(x[:32], y[:32]))
    evaluated = evaluate(model, {}, (x, y), loss=contrastive)["loss"]
    assert evaluated == pytest.approx(first.sum() / 33, rel=1e-5)  # a row alone costs 0
    assert evaluate(model, {}, (x, y), loss=contrastive, remainder="drop")["loss"] == pytest.approx(
        first.mean(), rel=1e-5
    )
    assert evaluate(model, {}, (x, y), loss=contrastive, remainder="pad")["loss"] > first.sum() / 33 + 0.01


def test_drop_leaves_out_the_last(compilations):
    model, (x, y) = fl.Sequential([fl.BatchNormalization(), fl.Dense(3)]), classes(n=10)
    result = fit(model, (x, y), loss=CROSS_ENTROPY, optimizer=SGD, batch_size=4, remainder="drop", verbose=False)
    assert int(result.train_state.step) == 2 and compilations("step") == ["step"]
    batches = [(x[:4], y[:4]), (x[4:7], y[4:7]), (x[:4], y[:4])]
    result = fit(mlp(), batches, loss=CROSS_ENTROPY, optimizer=SGD, remainder="drop", verbose=False)
    assert int(result.train_state.step) == 2
    assert len(predict(mlp(), result.params, x, batch_size=4, remainder="drop")) == 8


def test_a_remainder_that_is_none():
    data = classes()
    params = mlp().init(jax.random.key(0), data[0].shape)
    for run in (
        lambda wrong: fit(mlp(), data, loss=CROSS_ENTROPY, optimizer=SGD, remainder=wrong, verbose=False),
        lambda wrong: evaluate(mlp(), params, data, loss=CROSS_ENTROPY, remainder=wrong),
        lambda wrong: predict(mlp(), params, data[0], remainder=wrong),
    ):
        with pytest.raises(fl.ConfigError, match="remainder='keep' is unknown; choose from pad, run, drop, None"):
            run("keep")


def full_name(function):
    return f"{function.__module__}.{function.__name__}"


@pytest.mark.parametrize("function", sorted(per_example._FUNCTIONS, key=full_name), ids=full_name)
def test_known_losses_treat_each_example_by_itself(function):
    draw = np.random.default_rng(0)
    p = jnp.asarray(draw.uniform(0.1, 0.9, (5, 3)), "float32")
    integer = function in (CROSS_ENTROPY, metrics.accuracy, losses.sparse_categorical_crossentropy)
    t = draw.integers(0, 3, 5) if integer else jnp.asarray(draw.uniform(0.1, 0.9, (5, 3)), "float32")
    np.testing.assert_allclose(function(p, t)[:2], function(p[:2], t[:2]), rtol=1e-6)


def test_which_losses_are_known():
    known = per_example.is_per_example
    assert known(functools.partial(optax.huber_loss, delta=2.0)) and known(metrics.top_k_accuracy(2))
    assert not known(functools.partial(optax.softmax_cross_entropy, axis=0)) and not known(optax.ntxent)
    assert not known(functools.partial(contrastive)) and not known(metrics.top_k_accuracy)


def test_which_layers_are_known():
    a = fl.Input((3,))
    known = [
        mlp(),
        fl.functional(a, fl.Concatenate()((a, fl.Dense(2, jax.nn.relu)(a)))),
        fl.Sequential([fl.Embedding(9, 4), fl.Repeat(fl.TransformerEncoder(4, 2), 2), fl.Bidirectional(fl.LSTM(3))]),
        fl.EinsumDense("abc,cd->abd", (None, 4)),
        fl.TimeDistributed(fl.Dense(3, kernel_regularizer=lambda w: jnp.sum(w))),
    ]

    class Own(fl.Dense):
        pass

    unknown = [
        fl.EinsumDense("ab,ac->bc", (3, 4)), fl.Concatenate(axis=0), fl.UnitNormalization(axis=(0, 1)), Own(3),
        fl.TimeDistributed(fl.Lambda(jnp.sin)), fl.Bidirectional(fl.LSTM(3, activation=lambda x: x - x[0])),
        fl.Pair(lambda key, shape: {}, lambda params, x: x), fl.Reshape(()),
    ]  # fmt: skip
    assert all(per_example._is_known(layer, True) for layer in known)
    assert not any(per_example._is_known(layer, False) for layer in unknown)
    norm = fl.BatchNormalization()
    assert per_example._is_known(norm, False) and not per_example._is_known(norm, True)
    assert per_example.ACROSS | per_example.ACROSS_IN_TRAINING <= set(LAYERS)
