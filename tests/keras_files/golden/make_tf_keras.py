"""Writes tf_keras.zip (run with TensorFlow 2.15 and its Keras): what tf.keras says in another way than Keras 2 and 3, as
NAME.h5 and NAME.keras, with inputs and outputs in NAME.npz.

    python tests/keras_files/golden/make_tf_keras.py
"""

import pathlib
import tempfile
import zipfile

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from keras.src.engine.base_layer import TensorFlowOpLayer

draw = np.random.default_rng(0)
IDS = np.array([[1, 2, 3, 0, 0], [0, 4, 0, 1, 2], [0, 0, 0, 0, 0]], "int32")


def array(*shape):
    return draw.normal(size=shape).astype("float32")


def both():
    """Masks of all kinds in both directions: sequences, what ends them, sums, states."""
    x = keras.Input((5,), dtype="int32")
    y = L.Embedding(5, 3, mask_zero=True)(x)
    y = L.Bidirectional(L.LSTM(2, return_sequences=True), name="sequences")(y)
    summed = L.Bidirectional(L.GRU(2, return_sequences=True, reset_after=False), merge_mode="ave", name="summed")(y)
    end, *_ = L.Bidirectional(L.SimpleRNN(2, return_state=True), name="end")(summed)
    return keras.Model(x, [y, summed, end, L.TimeDistributed(L.Dense(2))(summed)]), IDS


def heads():
    """Attention with several heads: a mask that is made, one that is given, and options of the call."""
    x, m = keras.Input((5,), dtype="int32"), keras.Input((5, 5), dtype="bool")
    y = L.Embedding(5, 4, mask_zero=True)(x)
    y = L.MultiHeadAttention(2, 3, value_dim=2, output_shape=4)(y, y, use_causal_mask=True)
    z = L.MultiHeadAttention(1, 3, attention_axes=(1,), use_bias=False)(y, y, key=y * 0.5, attention_mask=m)
    masks = np.tril(np.ones((3, 5, 5), bool)) | (draw.random((3, 5, 5)) < 0.3)
    return keras.Model([x, m], [y, z]), IDS, masks


def resized():
    """Images made larger and smaller."""
    x = keras.Input((3, 4, 2))
    y = L.UpSampling2D((2, 3), interpolation="bilinear")(x)
    return keras.Model(x, [y, L.UpSampling2D(2)(x)]), array(2, 3, 4, 2)


def adapted():
    """Normalization, whose statistics are weights: of data, and given."""
    x, data = keras.Input((3, 4)), array(5, 3, 4) * 3 + 1
    layers = [L.Normalization(axis=axis) for axis in (-1, None, 1, (1, 2))]
    for layer in layers:
        layer.adapt(data)
    with_statistics = [
        L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[0.5, 1.0, 2.0, 3.0]),
        L.Normalization(None, 0.5, 2.0),
    ]
    return keras.Model(x, [layer(x) for layer in layers + with_statistics]), data[:2] + 1


def functions():
    """Functions of TensorFlow on the arrays of a graph, in a .keras file, too."""
    a, b = keras.Input((4, 3)), keras.Input((4, 3))
    y = tf.nn.relu(2.0 / (a**2 + b + 9.0)) + tf.reduce_mean(a, axis=1, keepdims=True)
    y = tf.concat([y[:, 1:, :2], b[:, :3, tf.newaxis, 0]], axis=-1)
    return keras.Model([a, b], [tf.maximum(y, 0.1), 1.0 - tf.reshape(y, (-1, 9))]), array(2, 4, 3), array(2, 4, 3)


def node(op, name, inputs, constants=None, **attributes):
    """A layer of one node of a graph, as TensorFlow 2.0 to 2.3 made them of functions."""
    definition = tf.compat.v1.NodeDef(name=name, op=op, input=inputs)
    definition.attr["T"].type = tf.float32.as_datatype_enum
    for key, value in attributes.items():
        if isinstance(value, bool):
            definition.attr[key].b = value
        else:
            definition.attr[key].type = value.as_datatype_enum
    return TensorFlowOpLayer(definition.SerializeToString(), name, constants=constants or {})


def nodes():
    """Nodes of TensorFlow's graphs as layers."""
    a, b = keras.Input((4, 3), name="a"), keras.Input((4, 3), name="b")
    y = node("AddV2", "add", ["a", "b"])([a, b])
    y = node("Mul", "mul", ["add", "mul/y"], {1: np.float32(2.0)})(y)
    y = node("Sub", "sub", ["sub/x", "mul"], {0: np.float32(1.0)})(y)
    mean = node("Mean", "mean", ["sub", "axes"], {1: np.array([1, 2], "int32")}, keep_dims=True, Tidx=tf.int32)(y)
    y = node("RealDiv", "div", ["sub", "exp"])([y, node("Exp", "exp", ["mean"])(mean)])
    y = node("BatchMatMulV2", "dot", ["div", "div"], adj_x=False, adj_y=True)([y, y])
    flat = node("Reshape", "flat", ["dot", "shape"], {1: np.array([-1, 16], "int32")}, Tshape=tf.int32)(y)
    return keras.Model([a, b], [L.Dense(2)(flat), y]), array(2, 4, 3), array(2, 4, 3)


def write(archive, folder, make):
    keras.backend.clear_session()
    model, *xs = make()
    for w in () if make is adapted else model.weights:
        w.assign(draw.normal(0, 0.5, w.shape).astype("float32"))
    ys = model(xs if len(xs) > 1 else xs[0], training=False)
    name = make.__name__
    arrays = {f"x{i}": x for i, x in enumerate(xs)} | {f"y{i}": np.asarray(y) for i, y in enumerate(ys)}
    np.savez(folder / f"{name}.npz", **arrays)
    for file in (f"{name}.h5", f"{name}.keras"):
        model.save(folder / file)
        archive.write(folder / file, file)
    if make is heads:  # weights alone, in the form that Keras 3 has now
        model.save_weights(folder / "heads.weights.h5")
        archive.write(folder / "heads.weights.h5", "heads.weights.h5")
    archive.write(folder / f"{name}.npz", f"{name}.npz")


def main():
    path = pathlib.Path(__file__).parent / "tf_keras.zip"
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        for make in (both, heads, resized, adapted, functions, nodes):
            write(archive, pathlib.Path(folder), make)


main()
