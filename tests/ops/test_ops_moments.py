"""Moments and normalizations where numbers are hard: large means, masks over all, zero vectors, half types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops


def test_the_variance_survives_a_large_mean():
    x = 1e4 + np.random.RandomState(0).normal(size=(512, 3)).astype("float32")
    mean, variance = ops.moments(jnp.asarray(x), (0,))
    wide = x.astype("float64")
    np.testing.assert_allclose(mean, wide.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, wide.var(0), rtol=1e-5)
    masked = ops.moments(jnp.asarray(x), (0,), jnp.arange(512) < 300)
    np.testing.assert_allclose(masked[1], wide[:300].var(0), rtol=1e-5)
    gradient = jax.grad(lambda x: ops.moments(x, (0,))[1].sum())(jnp.asarray(x))
    np.testing.assert_allclose(gradient, 2 * (wide - wide.mean(0)) / 512, atol=1e-5)


def test_a_mask_chooses_cells_from_the_left():
    x = np.random.RandomState(1).normal(size=(4, 3, 2)).astype("float32")
    mask = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]], bool)
    poisoned = jnp.asarray(np.where(mask[..., None], x, np.nan))  # what is masked must not matter, even in gradients
    mean, variance = ops.moments(poisoned, (0, 1), jnp.asarray(mask))
    np.testing.assert_allclose(mean, x[mask].mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, x[mask].var(0), rtol=1e-5)
    gradient = jax.grad(lambda x: sum(a.sum() for a in ops.moments(x, (0, 1), jnp.asarray(mask))))(poisoned)
    assert np.all(np.isfinite(gradient)) and np.all(gradient[~mask] == 0)
    assert ops.mask_count(poisoned, (0, 1), jnp.asarray(mask)).tolist() == [6, 6]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_over_all_gives_finite_numbers(axis):
    x, mask = jnp.ones((4, 3, 1)), jnp.zeros((4, 3), bool)
    axes = tuple(a for a in range(3) if a != axis)
    mean, variance = ops.moments(x, axes, mask)
    count = ops.mask_count(x, axes, mask)
    assert mean.shape == count.shape == (x.shape[axis],)
    assert not mean.any() and not variance.any() and not count.any()
    assert np.all(jax.grad(lambda x: ops.moments(x, axes, mask)[1].sum())(x) == 0)


def test_a_mask_counts_along_the_axes_that_it_has():
    mask = jnp.asarray([[1, 1, 0], [0, 1, 0]], bool)
    assert ops.mask_count(jnp.ones((2, 3, 5)), (0, 2), mask).tolist() == [5, 10, 0]
    assert ops.mask_count(jnp.ones((2, 3, 5)), (0, 2), mask, keepdims=True).shape == (1, 3, 1)
    with pytest.raises(ValueError, match="more axes"):
        ops.moments(jnp.ones(2), (0,), mask)


@pytest.mark.parametrize(("dtype", "sums"), [("float16", "float32"), ("bfloat16", "float32"), ("float32", "float32")])
def test_statistics_are_taken_in_float32(dtype, sums):
    x = jnp.full((8, 2), 300, dtype).at[0].set(0)  # 300^2 is more than float16 holds
    mean, variance = ops.moments(x, (0,))
    assert mean.dtype == variance.dtype == sums
    np.testing.assert_allclose(variance, 300.0**2 * 7 / 64, rtol=1e-5)
    gamma = jnp.ones(2, "float32")
    for y in (
        ops.normalize(x, mean, variance, gamma, gamma, 1e-3),
        ops.rms_normalize(x, gamma, (-1,), 1e-6),
        ops.l2_normalize(x, -1),
        ops.group_normalize(x, 1, -1, gamma, gamma, 1e-3),
    ):
        assert y.dtype == dtype and np.all(np.isfinite(y))
    np.testing.assert_allclose(ops.l2_normalize(x, -1)[1], 0.5**0.5, rtol=1e-2)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_zero_vector_has_no_direction_and_no_gradient(dtype):
    x = jnp.asarray([[0, 0], [3, 4]], dtype)
    np.testing.assert_allclose(ops.l2_normalize(x, -1), [[0, 0], [0.6, 0.8]], rtol=1e-3)
    gradient = jax.grad(lambda x: ops.l2_normalize(x, -1)[:, 0].sum())(x)
    np.testing.assert_allclose(gradient, [[0, 0], [0.128, -0.096]], rtol=1e-2)
    hessian = jax.hessian(lambda x: ops.l2_normalize(x, -1)[:, 0].sum())(x)
    assert np.all(np.isfinite(hessian))


def test_a_short_vector_still_has_a_direction():
    np.testing.assert_allclose(ops.l2_normalize(jnp.asarray([3e-10, 4e-10]), -1), [0.6, 0.8], rtol=1e-5)


def test_gamma_and_beta_may_be_absent():
    x = jnp.asarray([[1.0, 3.0]])
    mean, variance = ops.moments(x, (-1,), keepdims=True)
    np.testing.assert_allclose(ops.normalize(x, mean, variance, None, None, 0.0), [[-1, 1]])
    np.testing.assert_allclose(ops.normalize(x, mean, variance, jnp.full(2, 2.0), None, 0.0), [[-2, 2]])
    np.testing.assert_allclose(ops.normalize(x, mean, variance, None, jnp.ones(2), 0.0), [[0, 2]])
    np.testing.assert_allclose(ops.group_normalize(x, 1, -1, None, None, 0.0), [[-1, 1]])
    np.testing.assert_allclose(ops.rms_normalize(x, None, (-1,), 0.0), x / 5**0.5, rtol=1e-6)


def test_groups_that_do_not_divide_are_an_error():
    with pytest.raises(ValueError, match="groups=3 does not divide the 4 channels"):
        ops.group_normalize(jnp.ones((2, 4)), 3, -1, None, None, 1e-3)
