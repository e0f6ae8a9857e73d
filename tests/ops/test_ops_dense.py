"""Products of float16 and bfloat16: what is multiplied in which dtype, and how exactly it is summed."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops

HALF = ("float16", "bfloat16")
BITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}


def attended(q, k):
    return ops.attention(q, k, k)[0]


PRODUCTS = {
    "dot": (ops.dot, (3, 4), (4, 5)),
    "dot of several axes": (lambda x, k: ops.dot(x, k, 2), (2, 3, 2, 4), (2, 4, 5)),
    "einsum": (lambda x, k: ops.einsum("abc,cd->abd", x, k), (2, 3, 4), (4, 5)),
    "matmul_in_float32": (ops.matmul_in_float32, (2, 3, 4), (2, 4, 5)),
    "attention": (attended, (2, 3, 2, 4), (2, 5, 2, 4)),
    "upsample": (lambda x, k: ops.upsample(x, (2, 2), "bilinear") * k, (2, 3, 3, 2), (2, 6, 6, 2)),
}


def arrays(dtype, *shapes):
    random = np.random.RandomState(0)
    return [jnp.asarray(random.normal(size=shape), dtype) for shape in shapes]


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_no_operand_is_widened_in_derivatives_of_any_order(name, platform):
    function, *shapes = PRODUCTS[name]

    def loss(*operands):
        return jnp.sum(jnp.sin(function(*operands).astype("float32")))

    def second(*operands):
        return sum(jnp.sum(jnp.square(g.astype("float32"))) for g in jax.grad(loss, (0, 1))(*operands))

    both = jax.jit(lambda *operands: (jax.grad(second, (0, 1))(*operands), jax.jvp(loss, operands, operands)))
    text = both.trace(*arrays("bfloat16", *shapes)).lower(lowering_platforms=(platform,)).as_text()
    products = re.findall(r"dot_general .*?: \((tensor<\S+>), (tensor<\S+>)\)", text)
    assert products and all(operand.endswith("xbf16>") for operands in products for operand in operands), products


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", PRODUCTS)
def test_values_and_gradients_are_those_of_float32_rounded(name, dtype):
    function, *shapes = PRODUCTS[name]
    operands = arrays(dtype, *shapes)

    def both(*operands):
        return function(*operands), jax.grad(lambda *g: jnp.sum(jnp.sin(function(*g).astype("float32"))), (0, 1))(
            *operands
        )

    expected = jax.jit(both)(*(a.astype("float32") for a in operands))
    for y, exact in zip(*map(jax.tree.leaves, (jax.jit(both)(*operands), expected)), strict=True):
        scale = float(jnp.abs(exact).max())
        np.testing.assert_allclose(np.float32(y), exact, rtol=0, atol=6 * BITS[dtype] * scale)


@pytest.mark.parametrize("dtype", HALF)
def test_long_sums_are_exact(dtype):
    x, kernel = jnp.ones((2, 4099), dtype), jnp.ones((4099, 3), dtype)  # in float16 1 + 2048 is 2048
    wanted = jnp.full((2, 3), 4099, dtype)
    for y in (
        ops.dot(x, kernel),
        jax.jit(ops.dot)(x, kernel),
        jax.jit(ops.einsum, static_argnums=0)("ab,bc", x, kernel),
    ):
        np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("way", ["bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_upsampling_is_that_of_float32_rounded(way, dtype):
    (x,) = arrays(dtype, (2, 7, 5, 3))
    exact = ops.upsample(x.astype("float32"), (2, 3), way)
    y = ops.upsample(x, (2, 3), way)
    np.testing.assert_allclose(np.float32(y), exact, rtol=0, atol=4 * BITS[dtype] * float(jnp.abs(x).max()))


@pytest.mark.parametrize("combine", [ops.average_arrays, lambda xs: ops.sum_arrays([*xs, -xs[1], -xs[0] / 2]) + 25000])
def test_sums_of_arrays_in_float16_do_not_overflow(combine):
    xs = [jnp.array([40000.0], "float16"), jnp.array([50000.0], "float16")]
    np.testing.assert_array_equal(combine(xs), jnp.array([45000.0], "float16"))


def test_the_result_of_mixed_dtypes_is_that_of_float32():
    assert ops.dot(jnp.ones((2, 3), "int32"), jnp.ones((3, 2))).dtype == "float32"
    assert ops.dot(jnp.ones((2, 3), "bfloat16"), jnp.ones((3, 2))).dtype == "bfloat16"
