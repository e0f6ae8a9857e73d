"""Waves and turns by their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops


def close(got, wanted, atol=1e-5):
    np.testing.assert_allclose(got, wanted, atol=atol, rtol=1e-5)


def array(*shape, seed=0):
    return jnp.asarray(np.random.RandomState(seed).normal(size=shape), "float32")


@pytest.mark.parametrize("features", [1, 4, 5])
@pytest.mark.parametrize("start", [0, 7])
def test_waves_are_sines_and_cosines(features, start):
    y = ops.waves(6, features, start, wavelength=50)
    for t in range(6):
        for i in range(features):
            angle = (start + t) / 50 ** (2 * (i // 2) / features)
            close(y[t, i], np.cos(angle) if i % 2 else np.sin(angle))


def test_turned_pairs_are_products_of_complex_numbers():
    x, start, wavelength, scaling = array(2, 5, 6), 3, 50.0, 2.0
    pairs = np.asarray(x[..., :3]) + 1j * np.asarray(x[..., 3:])
    position = (start + np.arange(5))[:, None] / scaling
    rotated = pairs * np.exp(1j * position / wavelength ** (np.arange(3) / 3))
    close(ops.rotate(x, start, wavelength, scaling), np.concatenate([rotated.real, rotated.imag], -1))


@pytest.mark.parametrize("axes", [(1, 2), (2, 1), (0, 2), (1, 3), (-3, -1)])
def test_steps_and_features_lie_along_any_axes(axes):
    x = array(4, 6, 8, 2)
    first = jnp.moveaxis(x, axes, (0, 1))
    steps, features = first.shape[:2]
    by_hand = ops.rotate(first.reshape(steps, features, -1), 3, 20.0, step_axis=0, feature_axis=1).reshape(first.shape)
    close(ops.rotate(x, 3, 20.0, step_axis=axes[0], feature_axis=axes[1]), jnp.moveaxis(by_hand, (0, 1), axes))


def test_products_of_turned_vectors_depend_on_distances_alone():
    q, k = array(1, 1, 8), array(1, 1, 8, seed=1)
    products = [jnp.vdot(ops.rotate(q, at), ops.rotate(k, at - 3)) for at in (3, 10, 500)]
    close(products, [products[0]] * 3, atol=1e-4)


def test_a_place_may_be_traced_and_far_away():
    x = array(2, 3, 4)
    close(jax.jit(ops.rotate)(x, 1000), ops.rotate(jnp.pad(x, ((0, 0), (1000, 0), (0, 0))))[:, 1000:], atol=1e-4)
    close(jax.jit(lambda at: ops.waves(3, 4, at))(1000), ops.waves(1003, 4)[1000:], atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_rounded_once(dtype):
    x = array(2, 300, 4).astype(dtype)
    with jax.numpy_dtype_promotion("strict"):
        y = ops.rotate(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, ops.rotate(x.astype("float32")).astype(dtype))
    np.testing.assert_array_equal(ops.waves(300, 4, dtype=dtype), ops.waves(300, 4).astype(dtype))


def test_an_odd_number_of_features_is_an_error():
    with pytest.raises(ValueError, match="3 features do not fall into pairs"):
        ops.rotate(array(1, 2, 3))
