"""Noise: its mean and variance, its shapes, and what happens at rate 0 and 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops

KEY = jax.random.key(0)
RATED = {"dropout": ops.dropout, "alpha_dropout": ops.alpha_dropout, "gaussian_dropout": ops.gaussian_dropout}


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate):
    y = ops.dropout(KEY, jnp.ones(100_000), rate)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(1 - rate)}
    assert float(jnp.mean(y == 0)) == pytest.approx(rate, abs=0.01)
    assert float(y.mean()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    x = jax.random.normal(jax.random.key(1), (200_000,))
    y = ops.alpha_dropout(KEY, x, rate)
    assert float(y.mean()) == pytest.approx(0, abs=0.02) and float(y.var()) == pytest.approx(1, abs=0.03)
    floor = -1.7580993408473766
    a = ((1 - rate) * (1 + rate * floor**2)) ** -0.5
    values, counts = np.unique(np.asarray(y), return_counts=True)
    assert values[counts.argmax()] == pytest.approx(a * floor * (1 - rate), rel=1e-5)
    assert counts.max() / len(x) == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_gaussian_dropout_has_the_deviation_of_dropout(rate):
    y = ops.gaussian_dropout(KEY, jnp.full(100_000, 2.0), rate)
    assert float(y.mean()) == pytest.approx(2, abs=0.03)
    assert float(y.std()) == pytest.approx(2 * (rate / (1 - rate)) ** 0.5, rel=0.02)


def test_gaussian_noise_is_added():
    y = ops.gaussian_noise(KEY, jnp.full(100_000, 3.0), 0.5)
    assert float(y.mean()) == pytest.approx(3, abs=0.01) and float(y.std()) == pytest.approx(0.5, abs=0.01)
    assert np.all(ops.gaussian_noise(KEY, jnp.ones(3), 0.0) == 1)


@pytest.mark.parametrize("function", RATED.values(), ids=RATED)
def test_the_rates_at_the_ends(function):
    x = jnp.arange(1.0, 4.0)
    assert np.array_equal(function(KEY, x, 0.0), x)
    assert np.all(function(KEY, x, 1.0) == 0) and np.all(function(KEY, x, 1) == 0)
    assert np.all(jax.grad(lambda x: function(KEY, x, 1.0).sum())(x) == 0)
    for rate in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="rate="):
            function(KEY, x, rate)


@pytest.mark.parametrize("function", [ops.dropout, ops.alpha_dropout])
def test_cells_along_an_axis_of_one_share_their_coin(function):
    y = np.asarray(function(KEY, jnp.ones((4, 6, 50)), 0.5, (None, 1, None)))
    assert np.all(y == y[:, :1]) and len(np.unique(y[:, 0])) == 2
    assert not np.all(y == y[:1])
    for wrong in ((1, None), (None, 3, None)):
        with pytest.raises((ValueError, TypeError)):
            function(KEY, jnp.ones((4, 6, 50)), 0.5, wrong)


@pytest.mark.parametrize("function", [*RATED.values(), ops.gaussian_noise], ids=[*RATED, "gaussian_noise"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_noise_keeps_dtype_and_depends_on_the_key_only(function, dtype):
    x = jnp.ones((3, 4), dtype)
    compiled = jax.jit(lambda key: function(key, x, 0.5))
    y = compiled(KEY)
    assert y.dtype == dtype and y.shape == x.shape
    assert np.array_equal(y, compiled(KEY)) and not np.array_equal(y, compiled(jax.random.key(5)))
    with pytest.raises(TypeError, match="floating"):
        function(KEY, jnp.ones(3, "int32"), 0.5)
