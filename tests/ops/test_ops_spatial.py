"""Pools, padding and resampling against their definitions, written as loops."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops

FORMATS = ("channels_last", "channels_first")


def windows(size, window, stride, padding):
    """The elements [start, stop) of each window along one axis, cut off at the edges."""
    count = ops.conv_output_size(size, window, stride, padding, 1)
    before = max((count - 1) * stride + window - size, 0) // 2 if padding == "same" else 0
    return [(max(p * stride - before, 0), min(p * stride - before + window, size)) for p in range(count)]


def slow_pool(x, window, strides, padding, reduce):
    """Two spatial axes, channels last."""
    rows, columns = (windows(x.shape[a + 1], window[a], strides[a], padding) for a in (0, 1))
    return np.stack([np.stack([reduce(x[:, a:b, c:d], (1, 2)) for c, d in columns], 1) for a, b in rows], 1)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("window", "strides"), [((2, 2), (2, 2)), ((3, 2), (1, 2)), ((1, 4), (3, 3)), ((5, 3), (2, 1))]
)
def test_pools_reduce_real_cells(window, strides, padding):
    x = np.random.RandomState(0).normal(size=(2, 6, 5, 2)).astype("float32") - 3  # so that a padded 0 would win
    for pool, reduce in ((ops.max_pool, np.max), (ops.average_pool, np.mean)):
        expected = slow_pool(x, window, strides, padding, reduce)
        compiled = jax.jit(lambda x, pool=pool: pool(x, window, strides, padding))
        np.testing.assert_allclose(compiled(x), expected, rtol=1e-5)


@pytest.mark.parametrize(("size", "parts"), [(7, 3), (6, 3), (5, 5), (3, 5), (4, 1), (10, 4)])
def test_adaptive_pools_cut_the_axis_in_parts(size, parts):
    x = np.random.RandomState(1).normal(size=(2, size, 3)).astype("float32")
    cuts = [(math.floor(i * size / parts), math.ceil((i + 1) * size / parts)) for i in range(parts)]
    for pool, reduce in ((ops.adaptive_max_pool, np.max), (ops.adaptive_average_pool, np.mean)):
        expected = np.stack([reduce(x[:, a:b], 1) for a, b in cuts], 1)
        compiled = jax.jit(lambda x, pool=pool: pool(x, (parts,)))
        np.testing.assert_allclose(compiled(x), expected, rtol=1e-5, atol=1e-6)


def test_max_pool_takes_integers():
    x = jnp.asarray([-5, -7, -9], "int32")[None, :, None]
    assert ops.max_pool(x, (2,), (2,), "same")[0, :, 0].tolist() == [-5, -9]
    assert ops.adaptive_max_pool(x, (2,))[0, :, 0].tolist() == [-5, -7]
    assert ops.global_max_pool(x, False).tolist() == [[-5]]


def test_averages_of_integers_are_float32():
    x = jnp.asarray([1, 2, 4], "int32")[None, :, None]
    for y in (ops.average_pool(x, (2,), (2,), "same"), ops.adaptive_average_pool(x, (2,))):
        assert y.dtype == jnp.float32
    assert ops.average_pool(x, (2,), (2,), "same")[0, :, 0].tolist() == [1.5, 4]
    assert ops.global_average_pool(x, False).dtype == jnp.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_averages_of_half_types_do_not_overflow(dtype):
    x = jnp.full((1, 4, 1), 30000, dtype)
    mask = jnp.asarray([[True, True, True, False]])
    for y in (
        ops.average_pool(x, (4,), (4,), "valid"),
        ops.average_pool(x, (4,), (1,), "same"),
        ops.adaptive_average_pool(x, (1,)),
        ops.global_average_pool(x, True),
        ops.global_average_pool(x, True, mask=mask),
    ):
        assert y.dtype == dtype and np.all(y == x[0, 0, 0])


def test_equal_values_give_the_first_the_gradient():
    x = jnp.zeros((1, 4, 1))
    for pool in (lambda x: ops.max_pool(x, (2,), (2,), "valid"), lambda x: ops.adaptive_max_pool(x, (2,))):
        assert jax.grad(lambda x, pool=pool: pool(x).sum())(x)[0, :, 0].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_fully_masked_row_averages_to_zero(data_format):
    x = jnp.full((2, 3, 3), jnp.nan).at[1].set(2.0)
    mask = jnp.asarray([[False, False, False], [True, False, True]])

    def average(x):
        return ops.global_average_pool(x, False, data_format, mask)

    assert average(x).tolist() == [[0, 0, 0], [2, 2, 2]]
    assert np.all(jax.grad(lambda x: average(x).sum())(x)[0] == 0)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_crop_undoes_zero_pad(rank, data_format):
    x = jnp.asarray(np.random.RandomState(2).normal(size=(2,) * (rank + 2)))
    pairs = ((1, 2), (0, 1), (2, 0))[:rank]
    padded = ops.zero_pad(x, pairs, data_format)
    assert padded.sum() == pytest.approx(float(x.sum()), abs=1e-5) and padded.size > x.size
    assert np.array_equal(ops.crop(padded, pairs, data_format), x)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_upsampling_keeps_a_constant(rank, interpolation):
    x = jnp.full((1, *(3,) * rank, 1), 2.0)
    y = ops.upsample(x, (2,) * rank, interpolation)
    assert y.shape == (1, *(6,) * rank, 1)
    np.testing.assert_allclose(y, 2.0, rtol=1e-5)


def test_bilinear_upsampling_has_half_pixel_centers():
    x = jnp.asarray([0.0, 4.0])[None, :, None]
    assert ops.upsample(x, (2,), "bilinear")[0, :, 0].tolist() == [0, 1, 3, 4]
    assert ops.upsample(x, (2,), "nearest")[0, :, 0].tolist() == [0, 0, 4, 4]


X = jnp.ones((1, 4, 4, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.max_pool(X, (2, 2), (1, 1), "causal"), "padding='causal' is unknown; choose from valid, same"),
        (lambda: ops.average_pool(X, (2, 2), (1, 1), "same", "last"), "data_format='last'"),
        (lambda: ops.max_pool(X, (2,), (1, 1), "same"), "window=.*tuple of 2"),
        (lambda: ops.max_pool(X, (2, 2), 1, "same"), "strides=1.*tuple of 2"),
        (lambda: ops.adaptive_max_pool(X, (2,)), "output_size=.*tuple of 2"),
        (lambda: ops.zero_pad(X, ((1, 1),)), "padding=.*tuple of 2"),
        (lambda: ops.crop(X, ((-1, 1), (0, 0))), "cropping=.*0 or more"),
        (lambda: ops.crop(X, ((3, 2), (0, 0))), "limit"),
        (lambda: ops.upsample(X, (2, 2), "area"), "interpolation='area' is unknown; choose from .*bicubic"),
        (lambda: ops.upsample(X, (2,), "nearest"), "size=.*tuple of 2"),
        (lambda: ops.global_average_pool(X, False, mask=jnp.ones((1, 4), bool)), "a mask of shape"),
    ],
)
def test_what_makes_no_sense_is_an_error(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_formats_differ_by_a_transpose():
    x = jnp.asarray(np.random.RandomState(3).normal(size=(2, 5, 4, 3)), "float32")
    calls = {
        "max": lambda x, f: ops.max_pool(x, (2, 3), (1, 2), "same", f),
        "average": lambda x, f: ops.average_pool(x, (2, 3), (1, 2), "same", f),
        "adaptive": lambda x, f: ops.adaptive_average_pool(x, (2, 3), f),
        "upsample": lambda x, f: ops.upsample(x, (2, 1), "bicubic", f),
    }
    for call in calls.values():
        turned = jax.jit(lambda x, call=call: jnp.moveaxis(call(jnp.moveaxis(x, -1, 1), "channels_first"), 1, -1))
        straight = jax.jit(lambda x, call=call: call(x, "channels_last"))
        np.testing.assert_allclose(turned(x), straight(x), rtol=1e-5, atol=1e-6)
