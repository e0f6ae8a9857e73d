"""fl.optimizer composes optax, reads roles of weights from the declaration, and refuses what cannot be meant."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import numbers, same

import fnlayers as fl
from fnlayers.training import fit

MODEL, SHAPE = fl.Sequential([fl.Dense(2, name="a"), fl.Dense(1, kernel_constraint="non_neg", name="b")]), (None, 3)
PARAMS = MODEL.init(jax.random.key(0), SHAPE)
GRADIENTS = jax.tree.map(lambda p: jnp.linspace(-3, 3, p.size).reshape(p.shape), PARAMS)


def after(tx, steps=2, params=PARAMS):
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(GRADIENTS, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), a, b)


def test_the_parts_are_optax():
    assert same(after(fl.optimizer("sgd", 0.1))[0], after(optax.sgd(0.1))[0])
    schedule = optax.linear_schedule(0.1, 0.0, 3)
    ours = fl.optimizer("adam", schedule, model=MODEL, shape=SHAPE, weight_decay=0.3, clip_norm=1.0, b1=0.8)
    mask = fl.decay_mask(MODEL, SHAPE)
    theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b1=0.8, weight_decay=0.3, mask=mask))
    close(after(ours, 3)[0], after(theirs, 3)[0])
    momentum = functools.partial(optax.sgd, momentum=0.9)
    close(after(fl.optimizer(momentum, 0.1))[0], after(optax.sgd(0.1, momentum=0.9))[0])
    # Of three steps two make an update
    close(after(fl.optimizer("sgd", 0.1, accumulate=2), 3)[0], after(optax.sgd(0.1), 1)[0])


def test_what_is_frozen_does_not_move_and_is_not_clipped():
    ours, _ = after(fl.optimizer("sgd", 0.1, frozen="a/**", clip_norm=1.0), 1)
    assert same(ours["a"], PARAMS["a"])
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(GRADIENTS["b"])))
    close(ours["b"], jax.tree.map(lambda p, g: p - 0.1 * g / norm, PARAMS["b"], GRADIENTS["b"]))
    with pytest.raises(fl.ConfigError, match="'c/..' matches no path"):
        fl.optimizer("sgd", 0.1, frozen=["c/**"]).init(PARAMS)


def test_constraints_hold_and_the_average_follows():
    ours, state = after(fl.optimizer("sgd", 0.5, model=MODEL, shape=SHAPE, project=True, ema=0.5))
    assert (ours["b"]["kernel"] >= 0).all()
    one, _ = after(fl.optimizer("sgd", 0.5, model=MODEL, shape=SHAPE, project=True), 1)
    expected = jax.tree.map(lambda p, a, b: 0.25 * p + 0.25 * a + 0.5 * b, PARAMS, one, ours)
    close(fl.averaged(state), expected)


def test_in_fit_with_a_frozen_layer():
    frozen, x = fl.freeze(MODEL, "a"), numbers(8)
    tx = fl.optimizer("adam", 0.1, model=frozen, shape=SHAPE, weight_decay=0.1, ema=0.9, accumulate=2)
    result = fit(frozen, x, loss="mse", optimizer=tx, params=PARAMS, batch_size=4, epochs=2, verbose=False)
    assert same(result.params["a"], PARAMS["a"]) and not same(result.params["b"], PARAMS["b"])
    average = fl.averaged(result)
    assert jax.tree.structure(average) == jax.tree.structure(PARAMS) and same(average["a"], PARAMS["a"])
    assert not same(average["b"], result.params["b"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"algorithm": "adamm"}, "algorithm='adamm' is unknown; did you mean 'adam'"),
        ({"algorithm": optax.adam(0.1)}, "is an optimizer already"),
        ({"algorithm": 3}, "give a name such as 'adam'"),
        ({"algorithm": lambda rate: 3}, "made int, no optax optimizer"),
        ({"beta": 0.9}, "unexpected keyword argument 'beta'; its options are b1, b2"),
        ({"learning_rate": 0}, "learning_rate=0: give a number above 0, or an optax schedule"),
        ({"learning_rate": None}, "learning_rate=None: give"),
        ({"clip_norm": -1.0}, "clip_norm=-1.0: give a number above 0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: give a number of at least 0"),
        ({"weight_decay": 0.1}, "weight_decay reads the model's declaration; give model="),
        ({"project": True}, "project reads the model's declaration"),
        ({"ema": 1.0}, "ema=1.0: give a number from 0 to below 1"),
        ({"accumulate": 0}, "accumulate=0: give a whole number"),
        ({"model": 3}, "optimizer"),
    ],
)
def test_errors(arguments, text):
    with pytest.raises(fl.ConfigError, match=text):
        fl.optimizer(**arguments)


def test_updates_without_params_are_errors():
    for more in ({"weight_decay": 0.1, "model": MODEL, "shape": SHAPE}, {"ema": 0.9}):
        tx = fl.optimizer("sgd", 0.1, **more)
        with pytest.raises(fl.MissingError, match="write tx.update.gradients, state, params"):
            tx.update(GRADIENTS, tx.init(PARAMS))
    with pytest.raises(fl.ConfigError, match="keeps no average"):
        fl.averaged(optax.adam(0.1).init(PARAMS), PARAMS)
