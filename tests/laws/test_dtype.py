"""One dtype policy, one place that casts: strict promotion holds, and every output has the policy's compute dtype."""

import functools

import jax
import jax.numpy as jnp
import pytest

import fnlayers as fl
from cases import layers_in, with_policy
from fnlayers.core import policy

POLICIES = ["float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]


@pytest.mark.parametrize("name", POLICIES)
def test_outputs_have_the_compute_dtype(case, passes, name):
    check(case, passes, name)


def test_float64(case, passes, x64):
    check(case, passes, "float64")


def check(case, passes, name):
    """Everything traced, forward and backward, under strict promotion; nothing is computed."""
    layer = with_policy(case.layer, name)
    params, state = drawn(layer, case)
    pair = any(isinstance(found, fl.Pair) for found in [case.layer])
    if not pair:  # a Pair's own function decides
        assert dtypes(params) <= {policy(name).variable.name}
    caches = any(getattr(found, "cache", None) for found in layers_in(layer))  # keys and values wait as they are
    assert dtypes(state) <= ({"int32", "bool", policy(name).compute.name} if caches else {"float32"})

    def passed(params, floats, state, train):
        out = passes.run(params, floats, passes.key, train, layer, state)
        return jax.tree.map(lambda a: a.astype("float32").sum(), (out.y, out.losses)), out

    with jax.numpy_dtype_promotion("strict"):
        for train in (False, True):
            function = functools.partial(passed, train=train)
            _, back, out = jax.eval_shape(lambda *a, f=function: vjp(f, *a), params, passes.floats, state)
            assert dtypes(out.y) <= {policy(name).compute.name}
            assert dtypes(out.losses) <= {"float32"}
            assert jax.tree.map(lambda a: a.dtype, out.state) == jax.tree.map(lambda a: a.dtype, state)
            assert jax.tree.map(lambda a: a.dtype, back[0]) == jax.tree.map(lambda a: a.dtype, params)


def vjp(function, params, floats, state):
    y, back, out = jax.vjp(lambda p, f: function(p, f, state), params, floats, has_aux=True)
    return y, back(jax.tree.map(jnp.ones_like, y)), out


def drawn(layer, case):
    return jax.eval_shape(lambda key: (layer.init(key, case.shape), layer.init_state(case.shape)), jax.random.key(0))


def dtypes(tree):
    return {a.dtype.name for a in jax.tree.leaves(tree)}
