"""Every layer goes through jax.export for all platforms, with a batch, and steps, whose number is left open."""

import jax
import jax.export
import numpy as np
import pytest

import fnlayers as fl

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


@pytest.mark.slow
def test_lowers_for_all_platforms_with_open_steps(case, passes):
    """Where the layer takes any number of steps, on the second axis of its first input: the number is open, too."""
    first = jax.tree.leaves(passes.x)[0]
    is_sequence = first.ndim > 2 or (first.ndim == 2 and first.dtype.kind in "iu")  # else (batch, features)
    steps = first.shape[1] if is_sequence and "image" not in type(case.layer).__module__ else None

    def opened(a, batch, time):
        return (batch, time, *a.shape[2:]) if a.ndim > 1 and a.shape[1] == steps else (batch, *a.shape[1:])

    if steps is None or not takes_any(case.layer, jax.tree.map(lambda a: opened(a, None, None), passes.x)):
        return
    limits = [f"time >= {steps - 1}", f"time <= {steps + 1}"]  # of what is cropped, and of positions
    batch, time = jax.export.symbolic_shape("batch, time", constraints=limits)

    def infer(params, state, x, mask):
        return case.layer.run(params, x, state=state, mask=mask).y

    arrays = jax.tree.map(lambda a: jax.ShapeDtypeStruct(opened(a, batch, time), a.dtype), (passes.x, case.masks))
    exported = jax.export.export(jax.jit(infer), platforms=PLATFORMS)(passes.params, passes.state, *arrays)
    assert exported.platforms == PLATFORMS


def takes_any(layer, shape):
    """Whether what a layer returns is known without the number of steps; no cell has any, and a model says its own."""
    try:
        layer.out_shape(shape)
    except ValueError:
        return False
    return layer.in_shape is None and not layer.takes_one_step


def test_a_recurrent_program_with_open_steps_gives_the_layers_numbers():
    """For numbers of steps that it was not traced with."""
    layer = fl.Bidirectional(fl.LSTM(3))
    params = layer.init(jax.random.key(0), (None, 4, 2))
    batch, time = jax.export.symbolic_shape("batch, time")
    exported = jax.export.export(jax.jit(layer.apply))(params, jax.ShapeDtypeStruct((batch, time, 2), "float32"))
    for steps in (1, 5):
        x = jax.random.normal(jax.random.key(1), (2, steps, 2))
        np.testing.assert_allclose(exported.call(params, x), layer.apply(params, x), rtol=1e-5, atol=1e-6)
