"""jit, vmap, grad, jvp, remat, scan and lower take every layer as it is."""

import jax
import jax.numpy as jnp
import numpy as np

from passes import close


def test_jit_is_eager(case, passes):
    close(passes.compiled["run"], passes.eager["run"], **case.tolerance)
    close(passes.compiled["train"], passes.eager["train"], **case.tolerance)


def test_vmap_over_inputs(case, passes):
    mapped = passes.compiled["vmap over inputs"]
    if mapped is None:
        assert case.below
        return
    close(row(mapped, 1), passes.compiled["run"].y, **case.tolerance)
    close(mapped, passes.compiled["scan"], **case.tolerance)


def test_vmap_over_params(case, passes):
    """An ensemble is one layer mapped over stacked params."""
    mapped = passes.compiled["vmap over params"]
    if mapped is None:
        assert not jax.tree.leaves(passes.params)
        return
    close(row(mapped, 1), passes.compiled["run"].y, **case.tolerance)


def test_vmap_over_keys(case, passes):
    close(row(passes.compiled["vmap over keys"], 1), passes.compiled["train"].y, **case.tolerance)


def test_scan(case, passes):
    close(row(passes.compiled["scan"], 1), passes.compiled["run"].y, **case.tolerance)


def test_jvp_is_vjp(case, passes):
    np.testing.assert_allclose(passes.compiled["jvp"], passes.compiled["vjp"], **case.tolerance)


def test_remat(case, passes):
    remat = passes.compiled["remat"]
    if remat is not None:
        close(row(remat, 3), passes.compiled["gradients"], **case.tolerance)


def test_gradients_are_finite(case, passes):
    """At ordinary values, at 0, where all inputs tie, and where functions saturate."""
    for leaf in jax.tree.leaves((passes.compiled["gradients"], passes.compiled["remat"])):
        assert jnp.isfinite(leaf).all()


def test_lower_and_compile(case, passes):
    lowered = jax.jit(passes.run).lower(passes.params, passes.floats)
    assert jax.tree.structure(lowered.out_info) == jax.tree.structure(passes.eager["run"])


def row(tree, i):
    return jax.tree.map(lambda a: a[i], tree)
