"""Float32 sections within half precision: the numbers of the function as it is written, and small residuals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.half_precision import divide, exp, in_float32
from fnlayers.ops.dispatch import references_alone

X = jnp.linspace(-2, 3, 12, dtype="bfloat16").reshape(3, 4)
GAMMA = jnp.linspace(0.5, 1.5, 4)


def normalized(x, gamma):
    x = jnp.exp(x - jnp.max(x, -1, keepdims=True))
    return gamma * x / jnp.sqrt(jnp.sum(x * x, -1, keepdims=True))


def derivatives(function, *arrays):
    """Values, both first derivatives and a second, each a sum that all elements move."""

    def summed(*arrays):
        y = function(*arrays).astype("float32")
        return jnp.sum(y * jnp.cos(jnp.arange(y.size).reshape(y.shape)))

    tangents = jax.tree.map(lambda a: jnp.cos(a) + 1, arrays)
    gradient = jax.grad(summed)
    return (
        function(*arrays),
        gradient(*arrays),
        jax.jvp(summed, arrays, tangents)[1],
        jax.jvp(gradient, arrays, tangents)[1],
        jax.vmap(gradient, (0, *[None] * (len(arrays) - 1)))(*arrays),
    )


def test_in_float32_changes_no_number():
    ours = derivatives(lambda x, gamma: in_float32(normalized, x, gamma).astype(x.dtype), X, GAMMA)
    plain = derivatives(lambda x, gamma: normalized(x.astype("float32"), gamma).astype(x.dtype), X, GAMMA)
    for actual, wanted in zip(ours, plain, strict=True):
        assert actual.dtype == wanted.dtype
        np.testing.assert_array_equal(actual.astype("float32"), wanted.astype("float32"))


def test_results_that_are_saved_in_half_precision():
    """The backward pass of exp and of a quotient reads them rounded, which is all that it may change."""
    x, total = X.astype("float32"), jnp.array([[2.0], [3.0], [4.0]])
    ours = derivatives(lambda x, total: divide(exp(x, jnp.bfloat16), total, jnp.bfloat16), x, total)
    plain = derivatives(lambda x, total: jnp.exp(x) / total, x, total)
    np.testing.assert_array_equal(ours[0], plain[0])
    for actual, wanted in zip(ours[1:], plain[1:], strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=2**-7, atol=2**-7)


@pytest.mark.parametrize("axis", [-1, 0])
def test_residuals_of_a_softmax(axis):
    residuals = jax.eval_shape(lambda x: jax.vjp(lambda x: fl.activations.softmax(x, axis), x)[1], X)
    assert {a.dtype.name for a in jax.tree.leaves(residuals) if a.shape == X.shape} == {"bfloat16"}


def test_residuals_of_a_recurrent_step():
    """What enters the gates, the carry and h; not each factor within the gates."""
    layer, shape = fl.LSTM(5, return_sequences=True, dtype="mixed_bfloat16"), (3, 4, 2)
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0), shape))
    with references_alone():
        residuals = jax.eval_shape(lambda p: jax.vjp(lambda p: layer.apply(p, jnp.ones(shape)), p)[1], params)
    steps = [a for a in jax.tree.leaves(residuals) if a.shape[:2] == (4, 3)]
    assert sum(a.shape[-1] for a in steps) <= 7 * 5 and {a.dtype.name for a in steps} == {"bfloat16"}
