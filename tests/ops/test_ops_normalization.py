"""Moments and normalizations where numbers are hard: large means, masks over all, zero vectors, half precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops


def test_the_variance_survives_a_large_mean():
    x = 1e4 + np.random.RandomState(0).normal(size=(512, 3)).astype("float32")

    @jax.jit
    def measure(x):
        gradient = jax.grad(lambda x: ops.moments(x, (0,))[1].sum())(x)
        return ops.moments(x, (0,)), ops.moments(x, (0,), jnp.arange(512) < 300), gradient

    (mean, variance), masked, gradient = measure(x)
    double = x.astype("float64")
    np.testing.assert_allclose(mean, double.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, double.var(0), rtol=1e-5)
    np.testing.assert_allclose(masked[1], double[:300].var(0), rtol=1e-5)
    np.testing.assert_allclose(gradient, 2 * (double - double.mean(0)) / 512, atol=1e-5)


def test_a_mask_chooses_cells_from_the_left():
    x = np.random.RandomState(1).normal(size=(4, 3, 2)).astype("float32")
    mask = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]], bool)
    poisoned = np.where(mask[..., None], x, np.nan)  # what is masked must not matter, even in gradients

    @jax.jit
    def measure(x):
        gradient = jax.grad(lambda x: sum(a.sum() for a in ops.moments(x, (0, 1), mask)))(x)
        return ops.moments(x, (0, 1), mask), ops.mask_count(x, (0, 1), mask), gradient

    (mean, variance), count, gradient = measure(poisoned)
    np.testing.assert_allclose(mean, x[mask].mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, x[mask].var(0), rtol=1e-5)
    assert np.all(np.isfinite(gradient)) and np.all(gradient[~mask] == 0)
    assert count.tolist() == [6, 6]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_over_all_gives_finite_numbers(axis):
    x, mask = jnp.ones((4, 3, 1)), jnp.zeros((4, 3), bool)
    axes = tuple(a for a in range(3) if a != axis)

    @jax.jit
    def measure(x):
        gradient = jax.grad(lambda x: ops.moments(x, axes, mask)[1].sum())(x)
        return *ops.moments(x, axes, mask), ops.mask_count(x, axes, mask), gradient

    mean, variance, count, gradient = (np.asarray(a) for a in measure(x))
    assert mean.shape == count.shape == (x.shape[axis],)
    assert not mean.any() and not variance.any() and not count.any() and not gradient.any()


def test_a_mask_counts_along_the_axes_that_it_has():
    mask = jnp.asarray([[1, 1, 0], [0, 1, 0]], bool)
    assert ops.mask_count(jnp.ones((2, 3, 5)), (0, 2), mask).tolist() == [5, 10, 0]
    assert ops.mask_count(jnp.ones((2, 3, 5)), (0, 2), mask, keepdims=True).shape == (1, 3, 1)
    with pytest.raises(ValueError, match="more axes"):
        ops.moments(jnp.ones(2), (0,), mask)


@pytest.mark.parametrize(("dtype", "sums"), [("float16", "float32"), ("bfloat16", "float32"), ("float32", "float32")])
def test_statistics_are_taken_in_float32(dtype, sums):
    x = jnp.full((8, 2), 300, dtype).at[0].set(0)  # 300^2 is more than float16 holds
    gamma = jnp.ones(2, "float32")

    @jax.jit
    def measure(x):
        mean, variance = ops.moments(x, (0,))
        unit, root = ops.l2_normalize(x, -1), ops.rms_normalize(x, gamma, (-1,), 1e-6)
        grouped = ops.group_normalize(x, 1, -1, gamma, gamma, 1e-3)
        return mean, variance, unit, root, grouped, ops.normalize(x, mean, variance, gamma, gamma, 1e-3)

    mean, variance, *normal = measure(x)
    assert mean.dtype == variance.dtype == sums
    np.testing.assert_allclose(variance, 300.0**2 * 7 / 64, rtol=1e-5)
    assert all(y.dtype == dtype and np.all(np.isfinite(y)) for y in normal)
    np.testing.assert_allclose(normal[0][1], 0.5**0.5, rtol=1e-2)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_zero_vector_has_no_direction_and_no_gradient(dtype):
    x = jnp.asarray([[0, 0], [3, 4]], dtype)
    np.testing.assert_allclose(ops.l2_normalize(x, -1), [[0, 0], [0.6, 0.8]], rtol=1e-3)

    def first(x):
        return ops.l2_normalize(x, -1)[:, 0].sum()

    gradient, hessian = jax.jit(lambda x: (jax.grad(first)(x), jax.hessian(first)(x)))(x)
    np.testing.assert_allclose(gradient, [[0, 0], [0.128, -0.096]], rtol=1e-2)
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
