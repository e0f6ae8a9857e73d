"""fit(remat=...) and make_step(remat=...): the same numbers, of which fewer are saved for the backward pass."""

import jax
import numpy as np
import pytest
from toys import CROSS_ENTROPY, SGD, classes

import fnlayers as fl
from fnlayers.training import TrainState, fit, make_step
from fnlayers.training.remat import run_for_training

DOTS = jax.checkpoint_policies.dots_with_no_batch_dims_saveable


def block():
    """One with draws, state and an activity loss."""
    inner = fl.Dense(16, "gelu", activity_regularizer="l2")
    return fl.Sequential([inner, fl.Dropout(0.2), fl.BatchNormalization(), fl.Dense(5, kernel_regularizer="l2")])


def shared():
    """A graph that runs one block twice: the second run goes on with the state of the first."""
    x, again = fl.Input((5,)), block()
    return fl.functional(x, fl.Dense(3)(again(again(x))))


MODELS = {"blocks": fl.Sequential([block(), block(), fl.Dense(3)]), "shared": shared()}


def saved_bytes(model, remat):
    """How many bytes a training pass saves for its backward pass."""
    params, state, x = (
        model.init(jax.random.key(0), (None, 5)),
        model.init_state((None, 5)),
        np.ones((64, 5), "float32"),
    )

    def loss(params):
        out = run_for_training(model, params, x, state, jax.random.key(1), remat)
        return (out.y**2).sum() + sum(out.losses), out.state

    residuals = jax.eval_shape(lambda params: jax.vjp(loss, params, has_aux=True)[1], params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(residuals))


@pytest.mark.parametrize("name", ["blocks", pytest.param("shared", marks=pytest.mark.slow)])
def test_the_same_numbers_from_less(name):
    model, (x, y) = MODELS[name], classes()
    options = {"loss": CROSS_ENTROPY, "optimizer": SGD, "batch_size": 20, "verbose": False, "metrics": ["accuracy"]}
    plain, one = fit(model, (x, y), **options), saved_bytes(model, False)
    for remat, part in ((True, 0.5), (DOTS, 0.7)):
        result = fit(model, (x, y), remat=remat, scan_steps=2 if remat is True else 1, **options)
        for got, expected in zip(jax.tree.leaves(result.train_state), jax.tree.leaves(plain.train_state), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
        assert result.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-5)
        assert saved_bytes(model, remat) < part * one


def test_a_step_recomputes_where_it_was_asked_to():
    model, (x, y) = MODELS["blocks"], classes()
    train_state = TrainState.create(model, x.shape, SGD)
    programs = [
        str(make_step(model, CROSS_ENTROPY, SGD, remat=r).trace(train_state, (x, y)).jaxpr) for r in (True, DOTS)
    ]
    assert [text.count("policy=None") for text in programs] == [3, 0]  # a backward pass of each layer
    assert (
        "optimization_barrier" in make_step(model, CROSS_ENTROPY, SGD, remat=True).lower(train_state, (x, y)).as_text()
    )
    assert "policy=" not in str(make_step(model, CROSS_ENTROPY, SGD).trace(train_state, (x, y)).jaxpr)


def test_an_error_of_a_layer_has_its_path():
    wrong = fl.Sequential([fl.Sequential([fl.Lambda(lambda x: x if x.ndim == 3 else 1 / 0)]), fl.Dense(3)])
    with pytest.raises(ZeroDivisionError) as error:
        run_for_training(wrong, {}, np.ones((2, 5)), {}, None, True)
    assert any("lambda" in note for note in error.value.__notes__)


@pytest.mark.parametrize("remat", ["dots", 1, None, dict])
def test_what_is_no_remat(remat):
    for verb, call in (("fit", lambda **r: fit(fl.Dense(1), (), loss="mse", optimizer=SGD, **r)),
                       ("make_step", lambda **r: make_step(fl.Dense(1), "mse", SGD, **r))):  # fmt: skip
        with pytest.raises(fl.ConfigError, match=f"{verb}: remat=.*: give True, False, or a policy, such as jax.check"):
            call(remat=remat)
