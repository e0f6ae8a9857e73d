"""The types of a pass on a mesh with explicit axes, and in a shard_map that checks them: traced, nothing compiled."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from passes import Passes, merge

P, Sharding = jax.sharding.PartitionSpec, jax.sharding.NamedSharding

pytestmark = pytest.mark.skipif(not hasattr(jax.sharding, "use_abstract_mesh"), reason="jax has no explicit axes")


def mesh_of(passes, kind):
    """As many devices as the batch has examples."""
    examples = jax.tree.leaves(passes.x)[0].shape[0]
    return jax.sharding.AbstractMesh((examples,), ("data",), axis_types=(getattr(jax.sharding.AxisType, kind),))


def passed(passes, params, x, state, mask):
    """(output, new state, mask, gradients) of a training pass, whose output in inference has the same types."""

    def objective(params, floats, rest):
        context = dict(state=state, mask=mask, rng=passes.key)
        out = passes.case.layer.run(params, merge(floats, rest), train=True, **context)
        floating = [a for a in jax.tree.leaves(out.y) if jnp.issubdtype(a.dtype, jnp.floating)]
        return sum([jnp.sum(a.astype("float32")) for a in floating], sum(out.losses, jnp.float32(0))), out

    gradients, out = jax.grad(objective, (0, 1), has_aux=True)(params, *x)
    return out.y, out.state, out.mask, gradients


def test_runs_where_the_batch_is_sharded_explicitly(case):
    """Outputs are sharded as the batch is, gradients and state as params and state are."""
    passes = Passes(case)
    mesh = mesh_of(passes, "Explicit")

    def types(tree, spec):
        return jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=Sharding(mesh, spec if a.ndim else P())), tree
        )

    arguments = types(passes.params, P()), types((passes.floats, passes.rest), P("data")), types(passes.state, P())
    y, state, mask, gradients = jax.eval_shape(
        lambda *arrays: passed(passes, *arrays), *arguments, types(passes.masks, P("data"))
    )
    for a in jax.tree.leaves((y, mask)):
        of_batch = P("data") if a.shape[:1] == mesh.axis_sizes else P()
        assert a.sharding.spec == padded(of_batch, a)
    before = arguments[2], (arguments[0], arguments[1][0])
    for a, old in zip(jax.tree.leaves((state, gradients)), jax.tree.leaves(before), strict=True):
        assert a.sharding.spec == padded(old.sharding.spec, a)


def padded(spec, a):
    return P(*spec, *[None] * (a.ndim - len(spec)))


def test_runs_in_shard_map(case):
    """With its checks of which arrays differ from device to device, on: each has an example or more of its own."""
    passes = Passes(case)
    mesh = jax.sharding.AbstractMesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def shard(params, floats):
        y, _, _, gradients = passed(passes, params, (floats, passes.rest), passes.state, passes.masks)
        return y, gradients

    outer = jax.tree.map(lambda a: jax.ShapeDtypeStruct((2 * a.shape[0], *a.shape[1:]), a.dtype), passes.floats)
    split = jax.shard_map(shard, mesh=mesh, in_specs=(P(), P("data")), out_specs=(P("data"), (P(), P("data"))))
    _, (of_params, of_x) = jax.eval_shape(split, passes.params, outer)
    assert jax.tree.map(jnp.shape, (of_params, of_x)) == jax.tree.map(jnp.shape, (passes.params, outer))


@pytest.mark.slow
def test_numbers_on_two_devices():
    """Of the plainest case of each layer: those of one device."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("on_two_devices.py")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
