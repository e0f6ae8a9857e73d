"""Every operation under jax's transforms and in every floating dtype: one case of the table stands for each."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from ops_cases import CASES, Case

from fnlayers import ops

NOISES = {
    "dropout": functools.partial(ops.dropout, jax.random.key(0), rate=0.5, noise_shape=(None, 1, None)),
    "alpha_dropout": functools.partial(ops.alpha_dropout, jax.random.key(0), rate=0.5),
    "gaussian_dropout": functools.partial(ops.gaussian_dropout, jax.random.key(0), rate=0.5),
    "gaussian_noise": functools.partial(ops.gaussian_noise, jax.random.key(0), stddev=0.5),
}


def samples():
    """The first case of each operation, and those whose code goes another way."""
    wanted = r"same.*channels_first|causal|bicubic|conv_transpose \(2, 5"
    found: dict[str, tuple] = {}
    for case in CASES:
        masked = any(isinstance(a, np.ndarray) for a in case.arrays)
        key = f"{case.op} {masked} {set(re.findall(wanted, case.name))}"
        found.setdefault(key, (case.run, case.inputs()))
    shape = Case("noise", ((2, 3, 4),)).inputs()
    return found | {name: (function, shape) for name, function in NOISES.items()}


SAMPLES = samples()
over_samples = pytest.mark.parametrize("name", SAMPLES)


def as_dtype(arrays, dtype):
    return [jnp.asarray(a, dtype) if np.issubdtype(a.dtype, np.floating) else jnp.asarray(a) for a in arrays]


def close(a, b, tolerance=1e-5):
    def check(a, b):
        np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=tolerance, atol=tolerance)

    jax.tree.map(check, a, b)


@over_samples
def test_jit_vmap_and_eval_shape(name):
    run, arrays = SAMPLES[name]
    arrays = as_dtype(arrays, "float32")
    y = run(*arrays)
    close(jax.jit(run)(*arrays), y)
    shapes = jax.tree.map(lambda a: (a.shape, a.dtype), jax.eval_shape(run, *arrays))
    assert shapes == jax.tree.map(lambda a: (a.shape, a.dtype), y)
    axes = (0,) + (None,) * (len(arrays) - 1)
    two = jax.vmap(run, in_axes=axes)(jnp.stack([arrays[0], 2 * arrays[0]]), *arrays[1:])
    if name not in NOISES:  # under vmap one key serves both
        close(jax.tree.map(lambda a: a[1], two), run(2 * arrays[0], *arrays[1:]))
    close(jax.tree.map(lambda a: a[0], two), y)


@over_samples
def test_jvp_is_vjp_to_second_order(name):
    run, arrays = SAMPLES[name]
    arrays = as_dtype(arrays, "float32")
    tangent = jnp.asarray(np.random.RandomState(5).normal(size=arrays[0].shape), "float32")

    def loss(x):
        leaves = jax.tree.leaves(run(x, *arrays[1:]))
        return sum(jnp.sum(jnp.sin(a + i)) for i, a in enumerate(leaves))

    @jax.jit
    def forward_and_backward(x):
        gradient = jax.grad(loss)
        (_, slope), (_, curve) = jax.jvp(loss, (x,), (tangent,)), jax.jvp(gradient, (x,), (tangent,))
        again = jax.grad(lambda x: jnp.vdot(gradient(x), tangent))(x)
        return slope, jnp.vdot(gradient(x), tangent), curve, again

    slope, dot, curve, again = forward_and_backward(arrays[0])
    close(slope, dot, 1e-4)
    close(curve, again, 1e-3)


@over_samples
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_come_back_and_are_near(name, dtype):
    run, arrays = SAMPLES[name]
    exact = as_dtype(as_dtype(arrays, dtype), "float32")
    with jax.numpy_dtype_promotion("strict"):
        y = jax.jit(run)(*as_dtype(arrays, dtype))
    measured = jnp.float32 if "moments" in name else jnp.dtype(dtype)
    assert all(a.dtype == measured for a in jax.tree.leaves(y))
    if name not in NOISES:  # other dtypes draw other numbers
        close(y, jax.jit(run)(*exact), 0.01 if dtype == "float16" else 0.08)


@over_samples
def test_float64_stays_and_promotion_is_strict(name):
    run, arrays = SAMPLES[name]
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        wide = as_dtype([a.astype("float64") if a.dtype == np.float32 else a for a in arrays], "float64")
        y = jax.jit(run)(*wide)
        assert all(a.dtype == jnp.float64 for a in jax.tree.leaves(y))
    if name not in NOISES:
        close(y, jax.jit(run)(*as_dtype(arrays, "float32")), 1e-4)


@over_samples
def test_a_symbolic_batch(name):
    run, arrays = SAMPLES[name]
    (batch,) = export.symbolic_shape("batch")
    arrays = as_dtype(arrays, "float32")
    specs = [
        jax.ShapeDtypeStruct((batch, *a.shape[1:]) if i == 0 or a.dtype == bool else a.shape, a.dtype)
        for i, a in enumerate(arrays)
    ]
    exported = export.export(jax.jit(run))(*specs)
    close(exported.call(*arrays), run(*arrays))
