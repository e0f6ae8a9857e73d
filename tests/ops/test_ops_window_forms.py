"""Each formulation of a pooling gives what reduce_window gives, with all its derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fnlayers.ops import window_forms as forms
from fnlayers.ops.layout import lowest
from fnlayers.ops.window_forms import Pool
from ops_cases import quick_jit

NONE = (0, 0)
POOLS = [
    ((2, 7, 3), Pool((1, 2, 1), (1, 2, 1), (NONE, NONE, NONE))),
    ((2, 7, 3), Pool((1, 3, 1), (1, 2, 1), (NONE, (1, 1), NONE))),
    ((2, 5, 6, 2), Pool((1, 3, 2, 1), (1, 1, 3, 1), (NONE, (1, 1), NONE, NONE))),
    ((2, 2, 5, 6), Pool((1, 1, 2, 2), (1, 1, 2, 2), (NONE, NONE, (0, 1), NONE))),
    ((2, 4, 5, 2), Pool((1, 2, 2, 1), (1, 1, 1, 1), (NONE, (0, 1), (0, 1), NONE))),
    ((2, 6, 5, 2), Pool((1, 3, 3, 1), (1, 1, 1, 1), (NONE, (1, 1), (1, 1), NONE))),
    ((2, 9, 7, 2), Pool((1, 5, 4, 1), (1, 2, 2, 1), (NONE, (1, 1), NONE, NONE))),
    ((1, 4, 3, 5, 2), Pool((1, 2, 3, 2, 1), (1, 2, 1, 3, 1), (NONE, NONE, (1, 1), (0, 1), NONE))),
]


def maximum(x, pool):
    return lax.reduce_window(x, lowest(x.dtype), lax.max, *pool)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def maximum_by_gradients(x, pool):
    """With tangents by its gradients: of equal cells XLA's tangent follows another one, if pairs hang over x."""
    return maximum(x, pool)


@maximum_by_gradients.defjvp
def _(pool, primals, tangents):
    (x,), (dx,) = primals, tangents
    return maximum(x, pool), jnp.tensordot(jax.jacrev(lambda x: maximum(x, pool))(x), dx, x.ndim)


def total(x, pool):
    return lax.reduce_window(x, x.dtype.type(0), lax.add, *pool)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("form, reference", [(forms.maximum_by_cells, maximum), (forms.total_by_cells, total)])
@pytest.mark.parametrize("shape, pool", POOLS)
def test_a_formulation_is_reduce_window(shape, pool, form, reference, ties, x64, monkeypatch):
    monkeypatch.setattr(forms, "MOST_ADDED", 100)  # so that some are large
    if ties and reference is maximum and pool.overlaps and pool.is_plain:
        reference = maximum_by_gradients
    random = np.random.RandomState(0)
    x = jnp.asarray(random.randint(0, 3, shape).astype(float) if ties else random.normal(size=shape))
    dx = jnp.asarray(random.normal(size=shape))
    cotangent = jnp.asarray(random.normal(size=jax.eval_shape(lambda x: form(x, pool), x).shape))

    def all_of(function):
        def f(x):
            return function(x, pool)

        def gradient(x):
            return jax.vjp(f, x)[1](cotangent * f(x))[0]

        return quick_jit(
            lambda x: (f(x), gradient(x), jax.jvp(gradient, (x,), (dx,)), jax.vmap(f)(jnp.stack([x, dx])))
        )(x)

    got, want = all_of(form), all_of(functools.partial(reference))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(jax.jvp(lambda x: form(x, pool), (x,), (dx,))[0], got[0])


def test_integers_and_infinities():
    pool = Pool((1, 2, 1), (1, 1, 1), (NONE, (0, 1), NONE))
    x = jnp.array([[[-5], [3], [-7]]], "int32")
    assert forms.maximum_by_cells(x, pool).ravel().tolist() == [3, 3, -7]
    x = jnp.array([[[-jnp.inf], [jnp.nan], [1.0]]])
    assert np.array_equal(forms.maximum_by_cells(x, pool).ravel(), [np.nan, np.nan, 1.0], equal_nan=True)


def test_large_windows_stay_with_reduce_window():
    x = jnp.ones((1, 100, 1))
    assert not forms.is_small(x, Pool((1, 65, 1), (1, 1, 1), (NONE,) * 3))
    assert forms.is_small(x, Pool((1, 3, 1), (1, 1, 1), (NONE,) * 3))
