"""Attention: the algorithms agree, forward and backward, and each is taken where it should be."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from fnlayers import ops
from fnlayers.ops.cuda import attention as cuda_attention

dispatch = sys.modules["fnlayers.ops.dispatch"]


def arrays(dtype="bfloat16", queries=6, keys=6, heads=4, groups=2, features=8):
    shapes = ((2, queries, heads, features), (2, keys, groups, features), (2, keys, groups, features))
    return [jnp.asarray(np.random.RandomState(i).normal(size=s), dtype) for i, s in enumerate(shapes)]


@pytest.fixture
def as_if_cuda(monkeypatch):
    """As on a machine with a CUDA device, with XLA's implementation instead of the kernel, on every platform."""
    taken = []

    def portable(*args, **options):
        taken.append("cudnn")
        return jax.nn.dot_product_attention(*args, implementation="xla", **options)

    def everywhere(*args, default, **by_platform):
        return by_platform.get("cuda", default)(*args)

    monkeypatch.setattr(cuda_attention, "kernel", portable)
    monkeypatch.setattr(cuda_attention, "has_cudnn_attention", lambda: True)
    monkeypatch.setattr(dispatch.lax, "platform_dependent", everywhere)
    return taken


def both(function, args):
    y, back = jax.vjp(function, *args)
    return [y, *back(jnp.cos(jnp.arange(y.size, dtype="float32")).reshape(y.shape).astype(y.dtype))]


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"causal": True, "window": 3}], ids=str)
def test_the_fused_algorithm_is_the_reference(options, as_if_cuda):
    args = arrays()
    run = functools.partial(ops.attention, scale=0.3, **options)
    fused = both(lambda *a: run(*a, fused=True)[0], args)
    assert as_if_cuda == ["cudnn"]
    wanted = both(lambda *a: run(*a, fused=False)[0], args)
    assert len(as_if_cuda) == 1
    for a, b in zip(fused, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(a, "float32"), np.asarray(b, "float32"), atol=0.03, rtol=0.02)


REFERENCE = {
    "float32": dict(dtype="float32"),
    "features": dict(features=12),
    "a mask": dict(mask=True),
    "a window on both sides": dict(window=2),
    "causal, of two lengths": dict(causal=True, keys=8),
    "a later start": dict(causal=True, start=1),
    "dropout": dict(drop=lambda weights: weights),
    "weights": dict(return_weights=True),
    "another score": dict(score=ops.additive_score, groups=4),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_all_else_goes_to_the_reference(name, as_if_cuda):
    options = dict(REFERENCE[name])
    args = arrays(**{n: options.pop(n) for n in ("dtype", "features", "keys", "groups") if n in options})
    if "mask" in options:
        options["mask"] = jnp.ones((2, 1, 6, 6), bool)
    ops.attention(*args, scale=0.3, **options)
    assert not as_if_cuda
    with pytest.raises(ValueError, match="the fused kernel needs .*; with fused=None the reference runs instead"):
        ops.attention(*args, scale=0.3, fused=True, **options)


def test_the_kernel_is_chosen_by_platform_in_one_program(monkeypatch):
    """A program made where there is a CUDA device holds the reference for the other platforms."""
    attend = functools.partial(jax.nn.dot_product_attention, implementation="xla")
    monkeypatch.setattr(cuda_attention, "kernel", lambda *a, **o: 2 * attend(*a, **o))
    monkeypatch.setattr(cuda_attention, "has_cudnn_attention", lambda: True)
    args = arrays()
    run = jax.jit(lambda *a: ops.attention(*a, scale=0.3)[0])
    np.testing.assert_array_equal(run(*args), jax.jit(lambda *a: ops.attention(*a, scale=0.3, fused=False)[0])(*args))
    for platform in ("cpu", "tpu", "rocm", "cuda"):
        assert export.export(run, platforms=[platform])(*args).platforms == (platform,)


def test_without_a_cuda_device_the_kernel_is_not_here():
    assert jax.default_backend() != "cpu" or not cuda_attention.has_cudnn_attention()


@pytest.mark.parametrize("empty", ["zeros", "mean", "shifted"])
def test_a_row_with_nothing_to_attend_to(empty):
    query, key, value = arrays("float32", groups=4)
    mask = jnp.ones((6, 6), bool).at[0].set(False)
    y, weights = ops.attention(query, key, value, mask=mask, empty=empty, return_weights=True)
    wanted = jnp.zeros_like(value[:, 0]) if empty == "zeros" else value.mean(1)
    np.testing.assert_allclose(y[:, 0], wanted, atol=1e-5)
    np.testing.assert_allclose(weights[:, :, 1:].sum(-1), 1, atol=1e-5)
    of_query = jax.grad(lambda q: ops.attention(q, key, value, mask=mask, empty=empty)[0][:, 0].sum())(query)
    assert of_query.any() == (empty == "shifted")


def test_a_later_start_is_a_part_of_the_whole():
    query, key, value = arrays("float32")
    run = functools.partial(ops.attention, scale=0.3, causal=True, window=3)
    whole, _ = run(query, key, value)
    part, _ = run(query[:, 4:5], key, value, start=jnp.asarray(4))
    np.testing.assert_allclose(part, whole[:, 4:5], atol=1e-6)


def test_heads_that_fall_into_no_groups():
    query, key, value = arrays(groups=3)
    with pytest.raises(ValueError, match="4 heads do not fall into 3 groups of one size"):
        ops.attention(query, key, value)
