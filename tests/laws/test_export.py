"""Every layer goes through jax.export for all platforms, with a batch whose size is left open."""

import jax
import jax.export

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def test_exports_for_all_platforms_with_an_open_batch(case, passes):
    (batch,) = jax.export.symbolic_shape("batch")

    def infer(params, state, x, mask):
        return case.layer.run(params, x, state=state, mask=mask).y

    def opened(a):
        return jax.ShapeDtypeStruct((batch, *a.shape[1:]), a.dtype)

    params, state = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), (passes.params, passes.state))
    x, mask = jax.tree.map(opened, (passes.x, case.masks))
    exported = jax.export.export(jax.jit(infer), platforms=PLATFORMS)(params, state, x, mask)
    assert exported.platforms == PLATFORMS
    y = passes.eager["run"].y
    wanted = [(batch, *a.shape[1:]) for a in jax.tree.leaves(y)]
    assert [a.shape for a in exported.out_avals] == wanted
