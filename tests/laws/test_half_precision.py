"""On accelerators a training step under a mixed policy multiplies nothing in float32, forward or backward.

A product in float32 takes twice the time of one in half precision, or more, and twice the memory. The program is traced
once, and read as it is lowered for each platform.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl
from cases import CASES, layers_in, with_policy
from passes import merge
from products import in_full_precision

# Layers that multiply in float32 all the same.
IN_FLOAT32 = {fl.SpectralNormalization: "the largest singular value is a statistic, of a kernel alone, as in norms"}


TENTH = set(CASES[::10])  # held in float16 too: no rule of ops asks which of the two dtypes it is


def test_training_multiplies_in_half_precision(case, passes):
    for name in ["mixed_bfloat16", *(["mixed_float16"] if case in TENTH else [])]:
        step, params, state = training(case, passes, name)
        jaxpr = jax.make_jaxpr(step)(params, passes.floats, state)
        found = {platform: in_full_precision(jaxpr, platform) for platform in ("cuda", "tpu")}
        if any(type(layer) in IN_FLOAT32 for layer in layers_in(case.layer)):
            assert all(found.values())  # else it has no reason to be in the list
        else:
            assert not any(found.values()), (name, found)


def training(case, passes, name):
    """The gradients of the sum of squares of a training pass, and the shapes of params and state."""
    layer = with_policy(case.layer, name)
    params, state = jax.eval_shape(
        lambda key: (layer.init(key, case.shape), layer.init_state(case.shape)), jax.random.key(0)
    )

    def loss(params, floats, state):
        given = dict(state=state, rng=passes.key, mask=case.masks, train=True)
        out = layer.run(params, merge(floats, passes.rest), **given)
        floating = [a for a in jax.tree.leaves(out.y) if jnp.issubdtype(a.dtype, jnp.floating)]
        return sum([*(jnp.sum(jnp.square(a.astype("float32"))) for a in floating), *out.losses], jnp.float32(0))

    return jax.grad(loss, (0, 1)), params, state
