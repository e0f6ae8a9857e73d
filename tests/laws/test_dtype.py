"""One dtype policy, cast in one function: strict promotion holds, and every output has the policy's compute dtype."""

import jax
import pytest

import fnlayers as fl
from cases import layers_in
from fnlayers.core import policy

POLICIES = ["float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]


@pytest.mark.parametrize("name", POLICIES)
def test_outputs_have_the_compute_dtype(case, passes, name):
    check(case, passes, name)


def test_float64(case, passes, x64):
    check(case, passes, "float64")


def check(case, passes, name):
    """Everything traced, forward and backward, under strict promotion; nothing is computed."""
    layer, params, state = passes.under(name)
    if not isinstance(case.layer, fl.Pair):  # whose own function decides
        assert dtypes(params) <= {policy(name).variable.name}
    bins = any(isinstance(inner, fl.Discretization) and inner.output_mode == "int" for inner in layers_in(layer))
    caches = any(getattr(inner, "cache", None) for inner in layers_in(layer))  # keys and values wait as they are
    counts = {"int32"} if any(isinstance(inner, fl.Normalization) for inner in layers_in(layer)) else set()
    assert dtypes(state) <= (
        {"int32", "bool", policy(name).compute.name}
        if caches
        else {"float32", "float64" if name == "float64" else "float32"} | counts
    )
    with jax.numpy_dtype_promotion("strict"):
        inferred = jax.eval_shape(
            lambda params, floats, state: passes.run(params, floats, layer=layer, state=state),
            *(params, passes.floats, state),
        )
    _, (trained, (gradients, _), _) = passes.training(name)
    for out in (inferred, trained):
        assert dtypes(out.y) <= ({"int32"} if bins else {policy(name).compute.name})
        assert dtypes(out.losses) <= {"float32"}
        assert jax.tree.map(lambda a: a.dtype, out.state) == jax.tree.map(lambda a: a.dtype, state)
    assert jax.tree.map(lambda a: a.dtype, gradients) == jax.tree.map(lambda a: a.dtype, params)


def dtypes(tree):
    return {a.dtype.name for a in jax.tree.leaves(tree)}
