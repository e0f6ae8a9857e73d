"""Every operation under jax's transforms and in every floating dtype: one case of the table stands for each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from fnlayers import ops
from ops_cases import CASES, Case, quick_jit

NOISES = {
    "dropout": functools.partial(ops.dropout, jax.random.key(0), rate=0.5, noise_shape=(None, 1, None)),
    "alpha_dropout": functools.partial(ops.alpha_dropout, jax.random.key(0), rate=0.5),
    "gaussian_dropout": functools.partial(ops.gaussian_dropout, jax.random.key(0), rate=0.5),
    "gaussian_noise": functools.partial(ops.gaussian_noise, jax.random.key(0), stddev=0.5),
}


def samples():
    """The first case of each operation, those with a mask, and those whose code goes another way."""
    first: dict[str, tuple] = {}
    for case in CASES:
        ways = [
            w for w in ("causal", "bicubic", "same") if w in case.name and case.op not in ("max_pool", "conv_transpose")
        ]
        ways += ["masked"] if any(isinstance(a, np.ndarray) for a in case.arrays) else []
        first.setdefault(" ".join([case.op, *ways]), (case.run, case.inputs()))
    shape = Case("noise", ((2, 3, 4),)).inputs()
    return first | {name: (function, shape) for name, function in NOISES.items()}


SAMPLES = samples()
over_samples = pytest.mark.parametrize("name", SAMPLES)


def as_dtype(arrays, dtype):
    return [jnp.asarray(a, dtype) if jnp.issubdtype(a.dtype, jnp.floating) else jnp.asarray(a) for a in arrays]


def close(a, b, tolerance=1e-5):
    def check(a, b):
        np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=tolerance, atol=tolerance)

    jax.tree.map(check, a, b)


@over_samples
def test_vmap_and_eval_shape(name):
    run, (x, *others) = SAMPLES[name]

    @quick_jit
    def each_and_both(x):
        return run(x, *others), run(2 * x, *others), jax.vmap(lambda x: run(x, *others))(jnp.stack([x, 2 * x]))

    first, second, both = each_and_both(x)
    close(jax.tree.map(lambda a: a[0], both), first)
    close(jax.tree.map(lambda a: a[1], both), second)
    shapes = jax.tree.map(lambda a: (a.shape, a.dtype), jax.eval_shape(run, x, *others))
    assert shapes == jax.tree.map(lambda a: (a.shape, a.dtype), first)


@over_samples
def test_jvp_is_vjp_to_second_order(name):
    run, (x, *others) = SAMPLES[name]
    tangent = jnp.asarray(np.random.RandomState(5).normal(size=x.shape), "float32")

    def loss(x):
        leaves = jax.tree.leaves(run(x, *others))
        return sum(jnp.sum(jnp.sin(a + i)) for i, a in enumerate(leaves))

    @quick_jit
    def forward_and_backward(x):
        gradient = jax.grad(loss)
        (_, slope), (there, curve) = jax.jvp(loss, (x,), (tangent,)), jax.jvp(gradient, (x,), (tangent,))
        again = jax.grad(lambda x: jnp.vdot(gradient(x), tangent))(x)
        return slope, jnp.vdot(there, tangent), curve, again

    slope, dot, curve, again = forward_and_backward(x)
    close(slope, dot, 1e-4)
    close(curve, again, 1e-3)


@over_samples
def test_dtypes_stay_and_promotion_is_strict(name, x64):
    run, arrays = SAMPLES[name]
    with jax.numpy_dtype_promotion("strict"):
        arrays = as_dtype(as_dtype(arrays, "bfloat16"), "float64")  # numbers that all dtypes hold
        tolerances = {"float64": 0, "float32": 1e-4, "float16": 0.01, "bfloat16": 0.05}
        results = quick_jit(lambda *arrays: {dtype: run(*as_dtype(arrays, dtype)) for dtype in tolerances})(*arrays)
        for dtype, y in results.items():
            expected = "float32" if "moments" in name and dtype != "float64" else dtype
            assert all(a.dtype == expected for a in jax.tree.leaves(y))
            if name not in NOISES:  # which draw other numbers in other dtypes
                close(y, results["float64"], tolerances[dtype])


@over_samples
def test_a_symbolic_batch(name):
    run, arrays = SAMPLES[name]
    (batch,) = export.symbolic_shape("batch")
    specs = [
        jax.ShapeDtypeStruct((batch, *a.shape[1:]) if i == 0 or a.dtype == bool else a.shape, a.dtype)
        for i, a in enumerate(arrays)
    ]
    exported = export.export(jax.jit(run))(*specs)
    close(*quick_jit(lambda *arrays: (exported.call(*arrays), run(*arrays)))(*arrays))


def test_convolutions_and_pools_take_symbolic_space():
    x = jax.ShapeDtypeStruct(export.symbolic_shape("batch, height, width, 2"), jnp.float32)
    kernel = jnp.ones((3, 3, 2, 2))

    def run(x):
        y = ops.conv(x, kernel, (2, 2), "same", (1, 1))
        y = ops.max_pool(ops.average_pool(y, (3, 3), (2, 2), "same"), (2, 2), (1, 1), "same")
        return ops.crop(ops.zero_pad(ops.upsample(y, (2, 2)), ((1, 1), (0, 2))), ((0, 1), (1, 0)))

    x_ = jnp.asarray(np.random.RandomState(6).normal(size=(2, 9, 8, 2)), "float32")
    close(export.export(jax.jit(run))(x).call(x_), jax.jit(run)(x_))
