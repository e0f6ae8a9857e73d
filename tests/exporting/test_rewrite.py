"""Programs in the operations that jax2onnx converts: the same numbers, without the others. Needs no jax2onnx."""

import jax
import jax.export
import numpy as np
import pytest

import cases
import fnlayers as fl
from fnlayers.exporting.rewrite import rewritten
from fnlayers.ops.dispatch import references_alone

LAYERS = {
    "conv": (fl.Conv2D(2, (2, 3), strides=2, padding="same", dilation_rate=1), (2, 5, 6, 2)),
    "causal conv": (fl.Conv1D(2, 3, padding="causal", dilation_rate=2), (2, 6, 2)),
    "transposed conv": (fl.Conv2DTranspose(2, 3, strides=2, padding="same"), (2, 4, 3, 2)),
    "depthwise conv": (fl.DepthwiseConv2D(2, depth_multiplier=2), (2, 4, 4, 2)),
    "conv of volumes": (fl.Conv3D(4, (2, 1, 2), strides=2, padding="same", groups=2), (2, 5, 3, 4, 2)),
    "dilated conv of volumes": (fl.Conv3D(2, 2, dilation_rate=2), (2, 4, 3, 4, 2)),
    "transposed conv of volumes": (fl.Conv3DTranspose(2, 3, strides=2, padding="same"), (2, 3, 2, 3, 2)),
    "channels first": (fl.Conv2D(2, 3, data_format="channels_first"), (2, 2, 5, 4)),
    "max pooling": (fl.MaxPooling2D(3, strides=2, padding="same"), (2, 5, 6, 2)),
    "average pooling": (fl.AveragePooling3D(2, padding="same"), (2, 3, 4, 5, 2)),
    "padding": (fl.ZeroPadding2D(((1, 0), (2, 3))), (2, 3, 4, 2)),
    "positions": (fl.PositionEmbedding(5), (2, 4, 3)),
    "backward scan": (fl.Bidirectional(fl.GRU(3, return_sequences=True)), (2, 4, 2)),
    "attention": (fl.MultiHeadAttention(2, 3), ((2, 4, 6), (2, 4, 6))),
    "identity": (fl.Dropout(0.5), (2, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_numbers_are_the_layer_s(name):
    case = cases.Case(*LAYERS[name])
    params, x = case.weights(fl.Param), case.inputs()
    leaves, structure = jax.tree.flatten(x)
    (batch,) = jax.export.symbolic_shape("batch")
    opened = [jax.ShapeDtypeStruct((batch, *a.shape[1:]), a.dtype) for a in leaves]

    def infer(*arrays):
        return jax.tree.leaves(case.layer.apply(params, jax.tree.unflatten(structure, arrays)))

    case.layer.apply(params, x)  # what jax remembers of a trace with other algorithms must not come back
    with references_alone():
        program = jax.make_jaxpr(infer)(*opened)
    exported = jax.export.export(jax.jit(rewritten(program)))(*opened)
    for result, wanted in zip(exported.call(*leaves), infer(*leaves), strict=True):
        np.testing.assert_allclose(result, wanted, rtol=2e-5, atol=2e-6)
    text = str(jax.make_jaxpr(rewritten(program))(*opened))
    for primitive in ("platform_index", "reduce_window", "reverse=True", "custom_jvp", "= pad["):
        assert primitive not in text, primitive
