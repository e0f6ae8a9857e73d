"""Convolutions and products against their definitions, written as loops."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops


def slow_conv(x, kernel, stride, padding, dilation):
    """One spatial axis, channels last: each output element is a sum over the window."""
    size, window = x.shape[1], kernel.shape[0]
    span = (window - 1) * dilation + 1
    count = ops.conv_output_size(size, window, stride, padding, dilation)
    before = {"valid": 0, "causal": span - 1, "same": max((count - 1) * stride + span - size, 0) // 2}[padding]
    y = np.zeros((x.shape[0], count, kernel.shape[2]))
    for p, q in itertools.product(range(count), range(window)):
        if 0 <= (at := p * stride + q * dilation - before) < size:
            y[:, p] += x[:, at] @ kernel[q]
    return y


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("window", "stride", "dilation"), [(1, 1, 1), (3, 2, 1), (2, 1, 2), (3, 2, 2), (2, 3, 1)])
def test_conv_is_a_sum_over_windows(window, stride, dilation, padding):
    random = np.random.RandomState(0)
    x, kernel = random.normal(size=(2, 7, 2)), random.normal(size=(window, 2, 3))
    y = ops.conv(jnp.asarray(x, "float32"), jnp.asarray(kernel, "float32"), (stride,), padding, (dilation,))
    np.testing.assert_allclose(y, slow_conv(x, kernel, stride, padding, dilation), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("window", "stride", "padding"), list(itertools.product((1, 2, 3), (1, 2, 3), ("valid", "same")))
)
def test_conv_transpose_is_the_transpose_of_conv(window, stride, padding):
    random = np.random.RandomState(1)
    x = jnp.asarray(random.normal(size=(2, 4, 5, 3)), "float32")
    kernel = jnp.asarray(random.normal(size=(window, window, 2, 3)), "float32")
    args = ((stride, stride), padding)

    @jax.jit
    def both(x, kernel):
        y = ops.conv_transpose(x, kernel, *args, None, (1, 1))
        _, back = jax.vjp(lambda u: ops.conv(u, kernel, *args, (1, 1)), jnp.zeros(y.shape))
        return y, back(x)[0]

    y, expected = both(x, kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    grown = {"same": lambda n: n * stride, "valid": lambda n: (n - 1) * stride + max(window, stride)}[padding]
    assert y.shape == (2, grown(4), grown(5), 2)


def test_a_causal_conv_sees_no_later_step():
    kernel = jnp.ones((3, 1, 1))
    jacobian = jax.jacobian(lambda x: ops.conv(x[None, :, None], kernel, (1,), "causal", (2,))[0, :, 0])(jnp.ones(7))
    assert np.array_equal(jacobian, np.tril(jacobian)) and np.all(np.diag(jacobian) == 1)


def test_depthwise_channels_stand_together():
    x = jnp.asarray([[[1.0, 10.0]]])
    kernel = jnp.asarray([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    assert ops.depthwise_conv(x, kernel, (1,), "valid", (1,)).tolist() == [[[1, 2, 3, 40, 50, 60]]]


@pytest.mark.parametrize(
    ("args", "size"),
    [
        ((5, 3, 1, "valid", 1), 3),
        ((5, 3, 2, "same", 1), 3),
        ((5, 3, 2, "causal", 2), 3),
        ((5, 3, 1, "valid", 2), 1),
        ((4, 3, 1, "valid", 2), 0),
        ((1, 9, 4, "valid", 1), 0),
    ],
)
def test_conv_output_size(args, size):
    assert ops.conv_output_size(*args) == size


X, KERNEL = jnp.ones((1, 4, 4, 1)), jnp.ones((2, 2, 1, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.conv(X, KERNEL, (1, 1), "full", (1, 1)), "padding='full' is unknown; choose from valid, same"),
        (lambda: ops.conv(X, KERNEL, (1, 1), "causal", (1, 1)), "padding='causal'"),
        (
            lambda: ops.conv(X, KERNEL, (1, 1), "same", (1, 1), 1, "NHWC"),
            "data_format='NHWC' is unknown; choose from .*channels_first",
        ),
        (lambda: ops.conv(X, KERNEL, (1,), "same", (1, 1)), "strides=.*tuple of 2"),
        (lambda: ops.conv(X, KERNEL, (1, 1), "same", (1,)), "dilation=.*tuple of 2"),
        (lambda: ops.conv_transpose(X, KERNEL, (1, 1), "causal", None, (1, 1)), "padding='causal'"),
        (lambda: ops.conv_transpose(X, KERNEL, (1, 1), "same", (0,), (1, 1)), "output_padding=.*tuple of 2"),
        (lambda: ops.conv_transpose(X, KERNEL, (2,), "same", None, (1, 1)), "strides=.*tuple of 2"),
        (lambda: ops.conv(jnp.ones((1, 4)), KERNEL, (), "same", ()), "1 to 3 spatial axes"),
        (lambda: ops.conv_output_size(4, 2, 1, "SAME", 1), "padding='SAME'"),
        (lambda: ops.add_bias(X, jnp.ones(1), "last"), "data_format='last'"),
    ],
)
def test_what_makes_no_sense_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dot_sums_half_types_in_float32(dtype):
    # In half precision, the running sum would stop at 256 (bfloat16) or 2048 (float16), where 1 is lost.
    x, kernel = jnp.ones((1, 5000), dtype), jnp.ones((5000, 1), dtype)
    y = ops.dot(x, kernel)
    assert y.dtype == dtype and y == jnp.asarray(5000, dtype)
    gradient = jax.grad(lambda x: ops.dot(x, kernel).sum())(x)
    assert gradient.dtype == dtype and np.all(gradient == 1)


def test_add_bias_finds_the_channels():
    bias = jnp.asarray([1.0, 2.0])
    assert ops.add_bias(jnp.zeros((1, 3, 2)), bias)[0, 0].tolist() == [1, 2]
    assert ops.add_bias(jnp.zeros((1, 2, 3)), bias, "channels_first")[0, :, 0].tolist() == [1, 2]
    assert ops.add_bias(jnp.zeros((1, 2)), bias, "channels_first").tolist() == [[1, 2]]


@pytest.mark.parametrize("groups", [1, 2])
def test_integers_are_summed_as_integers(groups):
    x, kernel = jnp.full((1, 4, 4, groups), 2**24 + 1, "int32"), jnp.ones((3, 3, 1, 2), "int32")
    y = jax.jit(lambda x, kernel: ops.conv(x, kernel, (1, 1), "valid", (1, 1), groups))(x, kernel)
    assert y.dtype == "int32" and y.ravel().tolist() == [9 * (2**24 + 1)] * 8
