import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops
from fnlayers.ops.cpu.fusion import materialized
from fnlayers.ops.fusion import mean_operand

FUNCTIONS = {"materialized": materialized, "mean_operand": mean_operand, "gradient_once": ops.gradient_once}
EDGES = np.array([[0.0, -0.0, 1.5, -2.5], [np.inf, -np.inf, np.nan, 1e-30]], "float32")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_changes_no_number(name: str, dtype: str):
    x = jnp.asarray(EDGES, dtype)
    for function in (FUNCTIONS[name], jax.jit(FUNCTIONS[name]), jax.vmap(FUNCTIONS[name], in_axes=1, out_axes=1)):
        y = function(x[:, None] if function is not FUNCTIONS[name] else x)
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(np.asarray(y, "float32").reshape(x.shape), np.asarray(x, "float32"))
        np.testing.assert_array_equal(np.signbit(np.asarray(y, "float32").ravel()[1]), True)


def test_integers_stay_integers():
    x, kernel = jnp.arange(16).reshape(1, 2, 2, 2, 2), jnp.ones((2, 1, 1, 2, 3), int)
    assert materialized(x).dtype == x.dtype
    y = jax.jit(lambda x, kernel: ops.conv(x, kernel, (1, 1, 1), "valid", (1, 1, 1), 1))(x, kernel)
    assert y.dtype == x.dtype and y[..., 0].ravel().tolist() == [18, 26, 34, 42]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_has_the_derivatives_of_the_identity(name: str):
    function = FUNCTIONS[name]
    x, v = jax.random.normal(jax.random.key(0), (2, 3, 4))

    def cost(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(function(x)) * x)

    def plain(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(x) * x)

    for jit in (lambda f: f, jax.jit):
        np.testing.assert_allclose(jit(jax.grad(cost))(x), jax.grad(plain)(x), rtol=1e-6, atol=1e-6)
        turned, wanted = (jax.jvp(jit(jax.grad(f)), (x,), (v,)) for f in (cost, plain))
        np.testing.assert_allclose(turned, wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(jit(jax.hessian(cost))(x), jax.hessian(plain)(x), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_an_element_does_not_ask_what_the_element_holds():
    """Elements that a mask leaves out may hold anything; their gradient is 0."""
    x = jnp.asarray(EDGES)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.where(jnp.isfinite(x), ops.gradient_once(x), 0))))(x)
    np.testing.assert_array_equal(gradient, np.isfinite(EDGES))


def _products(function, *args) -> int:
    """How many times XLA's program multiplies by an array."""
    return jax.jit(function).lower(*args).compile().as_text().count(" multiply(")


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is about XLA's compiler for CPUs")
def test_a_depthwise_convolution_is_computed_once_whoever_reads_it():
    x, kernel = jnp.ones((2, 16, 16, 8)), jnp.ones((3, 3, 8, 1))

    def readers(y: jax.Array) -> jax.Array:  # a mean, the squares around it, and what they scale
        mean, variance = ops.moments(y, (0, 1, 2))
        return jnp.tanh(ops.normalize(y, mean, variance, None, None, 1e-3))

    def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return ops.depthwise_conv(x, kernel, (1, 1), "same", (1, 1))

    alone = _products(convolved, x, kernel)
    read = _products(readers, x)
    assert _products(lambda x, kernel: readers(convolved(x, kernel)), x, kernel) <= alone + read


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is about XLA's compiler for CPUs")
def test_a_gradient_of_many_terms_is_computed_once_whoever_reads_it():
    x, weight = jnp.ones((64, 32)), jnp.ones((32,))

    def cost(keep, x: jax.Array, weight: jax.Array) -> jax.Array:
        y = keep(x * weight)
        mean, variance = ops.moments(y, (0,))
        return jnp.sum(jnp.tanh(ops.normalize(y, mean, variance, None, None, 1e-3)))

    once, often = (
        _products(jax.grad(functools.partial(cost, keep), (0, 1)), x, weight)
        for keep in (ops.gradient_once, jnp.asarray)
    )
    assert once < often
