"""Each row of the table of algorithms for CPUs gives the reference's numbers, with all derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops
from fnlayers.ops import reference
from fnlayers.ops.cpu import compose, table
from fnlayers.ops.cpu.problem import PoolProblem
from fnlayers.ops.cpu.table import Limits
from fnlayers.ops.reference import PoolWindow
from ops_cases import quick_jit

NONE = (0, 0)
POOLS = [
    ((2, 7, 3), PoolWindow((1, 2, 1), (1, 2, 1), (NONE, NONE, NONE))),
    ((2, 7, 3), PoolWindow((1, 3, 1), (1, 2, 1), (NONE, (1, 1), NONE))),
    ((2, 5, 6, 2), PoolWindow((1, 3, 2, 1), (1, 1, 3, 1), (NONE, (1, 1), NONE, NONE))),
    ((2, 2, 5, 6), PoolWindow((1, 1, 2, 2), (1, 1, 2, 2), (NONE, NONE, (0, 1), NONE))),
    ((2, 4, 5, 2), PoolWindow((1, 2, 2, 1), (1, 1, 1, 1), (NONE, (0, 1), (0, 1), NONE))),
    ((2, 6, 5, 2), PoolWindow((1, 3, 3, 1), (1, 1, 1, 1), (NONE, (1, 1), (1, 1), NONE))),
    ((2, 9, 7, 2), PoolWindow((1, 5, 4, 1), (1, 2, 2, 1), (NONE, (1, 1), NONE, NONE))),
    ((1, 4, 3, 5, 2), PoolWindow((1, 2, 3, 2, 1), (1, 2, 1, 3, 1), (NONE, NONE, (1, 1), (0, 1), NONE))),
]


def composed(problem, *names):
    """The function of the rows of those names, whether they would be taken or not."""
    rows = [row for row in table.TABLES[problem.operation] if row.name in names]
    assert {row.name for row in rows} == set(names)
    return compose.composed(problem, compose.first_of_each_pass(rows))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def max_pool_by_gradients(x, window):
    """With tangents by its gradients: of equal elements XLA's tangent follows another one, in pairs that are padded."""
    return reference.max_pool(x, window)


@max_pool_by_gradients.defjvp
def _(window, primals, tangents):
    (x,), (dx,), plain = primals, tangents, functools.partial(reference.max_pool, window=window)
    return plain(x), jnp.tensordot(jax.jacrev(plain)(x), dx, x.ndim)


MAX, SUM = ("max_by_taps", "max_tangent_by_taps"), ("sum_by_taps", "sum_tangent_by_taps")


@pytest.mark.parametrize(
    "operation, names, ties",
    [("max_pool", MAX, False), ("max_pool", MAX, True), ("sum_pool", SUM, False), ("sum_pool", SUM[:1], False)],
)
@pytest.mark.parametrize("shape, window", POOLS)
def test_pools(shape, window, operation, names, ties, x64):
    random = np.random.RandomState(0)
    x = jnp.asarray(random.randint(0, 3, shape).astype(float) if ties else random.normal(size=shape))
    dx = jnp.asarray(random.normal(size=shape))
    plain = functools.partial(max_pool_by_gradients if ties else getattr(reference, operation), window=window)
    cotangent = jnp.asarray(random.normal(size=jax.eval_shape(plain, x).shape))

    def all_of(f):
        def gradient(x):
            return jax.vjp(f, x)[1](cotangent * f(x))[0]

        return quick_jit(
            lambda x: (
                jax.jvp(f, (x,), (dx,)),
                gradient(x),
                jax.jvp(gradient, (x,), (dx,)),
                jax.vmap(f)(jnp.stack([x, dx])),
            )
        )(x)

    found = all_of(composed(PoolProblem.of(operation, x, window), *names))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(all_of(plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_pools_of_integers_and_infinities():
    window = PoolWindow((1, 2, 1), (1, 1, 1), (NONE, (0, 1), NONE))
    x = jnp.array([[[-5], [3], [-7]]], "int32")
    largest = composed(PoolProblem.of("max_pool", x, window), "max_by_taps")
    assert largest(x).ravel().tolist() == [3, 3, -7]
    x = jnp.array([[[-jnp.inf], [jnp.nan], [1.0]]])
    assert np.array_equal(largest(x).ravel(), [np.nan, np.nan, 1.0], equal_nan=True)


def taken(problem, **limits):
    """The names of the rows that are taken, by pass."""
    return {which: row.name for which, row in compose.chosen(problem, Limits(**limits)).items()}


def test_which_pools_go_tap_by_tap():
    def pool(operation, size, stride, pads=NONE, **limits):
        window = PoolWindow((1, size, 1), (1, stride, 1), (NONE, pads, NONE))
        return taken(PoolProblem.of(operation, jnp.ones((1, 100, 1)), window), **limits)

    both = {"forward": "max_by_taps", "input_gradient": "max_tangent_by_taps"}
    assert pool("max_pool", 3, 1) == both
    assert pool("max_pool", 2, 2) == {"input_gradient": "max_tangent_by_taps"}  # no windows overlap
    assert pool("max_pool", 17, 1) == {"forward": "max_by_taps"}
    assert pool("max_pool", 65, 1) == pool("max_pool", 1, 2) == {}
    assert pool("max_pool", 65, 1, unrolled_taps=100, compared_taps=100) == both
    both = {"forward": "sum_by_taps", "input_gradient": "sum_tangent_by_taps"}
    assert pool("sum_pool", 3, 2) == pool("sum_pool", 5, 1) == both
    assert pool("sum_pool", 3, 1) == pool("sum_pool", 5, 1, summed_elements=99) == {"forward": "sum_by_taps"}
    assert pool("sum_pool", 3, 1, (1, 1)) == pool("sum_pool", 2, 2) == {}


def without_rows(monkeypatch):
    """As if `ops/cpu` held no algorithms."""
    monkeypatch.setattr(table, "TABLES", dict.fromkeys(table.TABLES, ()))


def test_without_rows_there_is_only_the_reference(monkeypatch):
    without_rows(monkeypatch)
    x = jnp.arange(8.0).reshape(1, 8, 1)
    text = str(jax.make_jaxpr(jax.grad(lambda x: ops.average_pool(x, (3,), (1,), "same").sum()))(x))
    assert "reduce_window_sum" in text and "platform" not in text and "custom_jvp" not in text
