"""`scan_lstm` as it is where there is an NVIDIA GPU, on a machine without one.

JAX's own reference of cuDNN's LSTM stands in for the kernel, with its layout of weights and its gradient.
"""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import stand_ins
from fnlayers import ops
from fnlayers.ops import recurrent
from fnlayers.ops.cuda import lstm as cudnn_lstm, table
from ops_cases import quick_jit

TIME, BATCH, FEATURES, UNITS = 4, 3, 2, 5


@pytest.fixture
def has_kernel(cuda_kernels, monkeypatch):
    monkeypatch.setattr(table, "has_gpu", lambda: True)


def data(dtype="float32"):
    random = np.random.RandomState(0)
    shapes = (FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,), (BATCH, UNITS), (BATCH, UNITS)
    *weights, h, c = (jnp.asarray(random.normal(size=shape), dtype) for shape in shapes)
    return ops.DenseWeights(*weights), (h, c), jnp.asarray(random.normal(size=(TIME, BATCH, FEATURES)), dtype)


def scan(weights, carry, xs, **options):
    return ops.scan_dense(recurrent.join_lstm, recurrent.standard_lstm_gates, weights, carry, xs, **options)


def check(results, expected, tolerance=1e-5):
    assert jax.tree.structure(results) == jax.tree.structure(expected)
    for a, b in zip(*map(jax.tree.leaves, (results, expected)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(np.float32(a), np.float32(b), rtol=tolerance, atol=tolerance)


def test_the_kernel_gets_its_layout_and_what_it_saved(cuda_kernels):
    weights, carry, xs = data()
    arguments = (xs, *carry, *weights[:3])
    *results, saved = jax.jit(cudnn_lstm.cudnn_forward)(*arguments)
    expected = jax.jit(cudnn_lstm.scan_forward)(*arguments)
    check((*results, jnp.full(stand_ins.SAVED, jnp.nan)), expected)
    cotangents = [jnp.cos(y) for y in results]
    gradients = jax.jit(cudnn_lstm.cudnn_backward)(*cotangents, *arguments, results[0], saved)
    check(gradients, jax.jit(cudnn_lstm.scan_backward)(*cotangents, *arguments, results[0], saved))


@pytest.mark.parametrize("options", [pytest.param({}, marks=pytest.mark.slow), {"reverse": True, "return_all": False}])
def test_all_derivatives_are_those_of_the_scan(options, has_kernel):
    arguments = data()

    def of(run):
        def called(*arguments):
            return run(*arguments, **options)

        def loss(*arguments):
            return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(called(*arguments)))

        return called, loss, jax.grad(loss, argnums=(0, 1, 2))

    def derivatives(run):
        called, _, gradients = of(run)
        tangents = jax.tree.map(jnp.cos, arguments)
        y, pull = jax.vjp(called, *arguments)
        return (
            jax.jvp(called, arguments, tangents),
            jax.jvp(gradients, arguments, tangents),
            jax.grad(lambda *a: sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradients(*a))))(*arguments),
            jax.vmap(gradients, in_axes=(None, None, 0))(*arguments[:2], jnp.stack([arguments[2], -arguments[2]])),
            jax.vmap(pull)(jax.tree.map(lambda y: jnp.stack([y, 2 * y]), y)),
            jax.linear_transpose(lambda *t: jax.linearize(run, *arguments)[1](*t), *arguments)(run(*arguments)),
        )

    def by_itself(run):
        called, loss, gradients = of(run)
        return called(*arguments), gradients(*arguments), jax.grad(jax.checkpoint(loss), (0, 1, 2))(*arguments)

    expected = quick_jit(lambda: derivatives(scan))()
    results, single = quick_jit(lambda: (derivatives(ops.scan_lstm), by_itself(ops.scan_lstm)))()
    check(results, expected, 1e-4)
    (y, _), (gradients, _), *_ = expected
    check(single, (y, gradients, gradients), 1e-4)


def test_it_runs_without_jit(has_kernel):
    check(ops.scan_lstm(*data()), scan(*data()))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_scanned_in_its_own_dtype(dtype, has_kernel):
    check(ops.scan_lstm(*data(dtype)), scan(*data(dtype)), 0.05)
    assert "lstm_forward" not in str(jax.make_jaxpr(ops.scan_lstm)(*data(dtype)))


def test_programs_for_cuda_hold_the_kernel_forward_and_back(has_kernel):
    def loss(*arguments):
        return ops.scan_lstm(*arguments)[1].sum()

    def text(function, platform):
        return jax.jit(function).trace(*data()).lower(lowering_platforms=(platform,)).as_text()

    assert "lstm_ref" in text(ops.scan_lstm, "cuda")
    assert "lstm_ref" not in text(ops.scan_lstm, "cpu")
    assert text(jax.grad(loss), "cuda").count("lstm_ref") > text(ops.scan_lstm, "cuda").count("lstm_ref")
    assert "lstm_ref" not in text(jax.grad(loss), "cpu")


def test_a_program_that_is_exported_holds_the_scan(has_kernel):
    for platform in ("cuda", "cpu"):
        text = jax.export.export(jax.jit(ops.scan_lstm), platforms=[platform])(*data()).mlir_module()
        assert "while" in text


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({}, True),
        ({"reverse": True}, True),
        ({"mask": jnp.ones((TIME, BATCH), bool)}, False),
        ({"recurrent_dropout_mask": jnp.ones((BATCH, UNITS))}, False),
        ({"unroll": 2}, False),
    ],
)
def test_where_the_kernel_is_taken(options, taken, has_kernel):
    assert (
        "lstm_forward" in str(jax.make_jaxpr(lambda *arguments: ops.scan_lstm(*arguments, **options))(*data()))
    ) == taken


def test_without_a_gpu_it_is_not_taken():
    table.has_gpu.cache_clear()
    assert table.has_gpu() == (jax.default_backend() == "gpu")
