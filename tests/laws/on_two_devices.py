"""A program: the plainest case of each layer on two virtual devices, its batch sharded explicitly, against one device.

python tests/laws/on_two_devices.py [part of a case's name]
"""

import os
import sys
from pathlib import Path

os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=2")
sys.path.insert(0, str(Path(__file__).parent.parent))

import jax
import numpy as np

import quick_compilation  # noqa: F401
from cases import CASES
from passes import Passes, as_numpy, close, split

P, Sharding = jax.sharding.PartitionSpec, jax.sharding.NamedSharding
MESH = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))


def doubled(tree):
    """Two batches in one, so that each device has a whole one."""
    return jax.tree.map(lambda a: np.concatenate([a, a]), tree)


def on_mesh(tree, *axes):
    return jax.tree.map(lambda a: jax.device_put(a, Sharding(MESH, P(*axes[: np.ndim(a)]))), tree)


def compare(case):
    """Output and gradients of training on one device and on two."""
    passes = Passes(case)
    passes.x, passes.masks = doubled(passes.x), doubled(passes.masks)
    passes.floats, passes.rest = split(passes.x)

    def passed(params, floats):
        def measured(params, floats):
            out = passes.run(params, floats, passes.key, train=True)
            return passes.measured(out), out.y

        return jax.grad(measured, (0, 1), has_aux=True)(params, floats)

    expected = jax.jit(passed)(passes.params, passes.floats)
    state = on_mesh(passes.state)
    passes.rest, passes.masks, passes.state = on_mesh(passes.rest, "data"), on_mesh(passes.masks, "data"), state
    with jax.set_mesh(MESH):  # where an output depends on no input, jit asks for it
        got = jax.jit(passed)(on_mesh(passes.params), on_mesh(passes.floats, "data"))
    close(*(jax.tree.map(as_numpy, each) for each in (got, expected)), rtol=1e-5, atol=1e-5)


def plainest(part):
    """The first case of each layer that keeps no example's numbers in its state, which two batches would not fit."""
    first = {}
    for case in CASES:
        by_example = any(a.shape[:1] == (2,) for a in jax.tree.leaves(case.state))
        if part in str(case) and not by_example:
            first.setdefault(type(case.layer), case)
    return first.values()


wrong = 0
for case in plainest(sys.argv[1] if len(sys.argv) > 1 else ""):
    try:
        compare(case)
    except Exception as error:
        wrong += 1
        print(f"{case}: {type(error).__name__} {error}"[:600])
sys.exit(wrong)
