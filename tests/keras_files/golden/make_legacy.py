"""Writes keras2.zip (run with TensorFlow 2.15 and its Keras) or keras3.zip (run with Keras 3.15.1 on JAX): models as
`model.save("NAME.h5")` (some as NAME.keras, too) and `model.save_weights("NAME.weights.h5")` write them, with inputs and outputs in NAME.npz.

    python tests/keras_files/golden/make_legacy.py
"""

import pathlib
import tempfile
import zipfile

import keras
import numpy as np
from keras import layers as L

OLD = keras.__version__.startswith("2")
draw = np.random.default_rng(0)


def array(*shape):
    return draw.normal(size=shape).astype("float32")


def images():
    """A Sequential that was trained, with the kinds of convolutions."""
    model = keras.Sequential(
        [keras.Input((6, 6, 2))]
        + [L.Conv2D(3, 3, padding="same", activation="relu"), L.BatchNormalization(), L.MaxPooling2D()]
        + [L.DepthwiseConv2D(2), L.SeparableConv2D(4, 2, padding="same"), L.LeakyReLU(0.1), L.SpatialDropout2D(0.2)]
        + [L.Conv2DTranspose(2, 2, strides=2), L.Flatten(), L.Dropout(0.3), L.Dense(2, activation="softmax")]
    )
    x = array(2, 6, 6, 2)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, array(2, 2), verbose=0)
    return model, x


def graph():
    """Inputs in another order than their layers; models and layers in it that are called twice, one of them frozen."""
    a, b = keras.Input((5,), name="b_in"), keras.Input((5,), name="a_in")
    shared = L.Dense(5, activation="hard_sigmoid", name="shared")
    inner = keras.Sequential(
        [keras.Input((5,)), L.Dense(4, activation="elu"), L.BatchNormalization(), L.Dense(3, name="last")], name="inner"
    )
    inner.layers[-1].trainable = False
    start = keras.Input((3,))
    two = keras.Model(start, [L.Dense(2)(start), L.Dense(2)(start)], name="two")
    u, v = inner(shared(a)), inner(shared(b))
    p, q = two(u)
    return keras.Model([b, a], [L.Add()([p, q]), L.Concatenate()([u, v, p])]), array(2, 5), array(2, 5)


def sequences():
    """Recurrent layers: masks, both directions, states that are passed on, wrappers and cells."""
    x = keras.Input((4, 3))
    y = L.Bidirectional(L.GRU(3, return_sequences=True))(L.Masking(0.0)(x))
    y = L.Bidirectional(L.LSTM(2, return_sequences=True), merge_mode="sum")(y)
    y, h, c = L.LSTM(3, return_sequences=True, return_state=True, recurrent_activation="hard_sigmoid")(y)
    y = L.LSTM(3, return_sequences=True)(y, initial_state=[h, c])
    y = L.TimeDistributed(L.Dense(4, activation="relu"))(y)
    y = L.RNN([L.GRUCell(2), L.LSTMCell(3)], return_sequences=True)(y)
    inputs = array(2, 4, 3)
    inputs[1, 2:] = 0
    return keras.Model(x, L.SimpleRNN(3)(y)), inputs


def attention():
    """What is called on several arrays, some of them by name."""
    x = keras.Input((4, 6))
    y = L.LayerNormalization()(L.Add()([L.MultiHeadAttention(2, 3)(x, value=x), x]))
    return keras.Model(x, L.GlobalAveragePooling1D()(L.Attention()([y, y]))), array(2, 4, 6)


def words():
    """Layers of one axis, and activations that are layers."""
    x = keras.Input((5,))
    y = L.Conv1D(3, 2, padding="causal", dilation_rate=2)(L.Embedding(7, 4, mask_zero=True)(x))
    y = L.ELU(0.5)(L.ReLU(max_value=6.0)(L.PReLU(shared_axes=[1])(y)))
    y = L.GlobalMaxPooling1D()(L.Cropping1D(1)(L.ZeroPadding1D(1)(L.UpSampling1D(2)(y))))
    y = L.Softmax(axis=-1)(L.Conv1DTranspose(2, 2)(L.Reshape((3, 1))(y)))
    return keras.Model(x, L.Dot(axes=1)([y, y])), np.array([[1, 2, 3, 0, 0], [4, 5, 6, 1, 2]], "float32")


def film():
    """A ConvLSTM and what reads images."""
    x = keras.Input((3, 4, 4, 2))
    y = L.Conv2DTranspose(2, 2, strides=2)(L.ConvLSTM2D(2, 3, padding="same", recurrent_activation="hard_sigmoid")(x))
    y = L.LayerNormalization(axis=[1, 2, 3])(L.UpSampling2D(interpolation="bilinear")(y))
    return keras.Model(x, L.GlobalAveragePooling2D(keepdims=True)(y)), array(2, 3, 4, 4, 2)


def functions():
    """Functions of TensorFlow on the arrays of a graph."""
    import tensorflow as tf

    a, b = keras.Input((4, 3)), keras.Input((4, 3))
    y = 2.0 / ((a * 2.0 + b - 1.0) ** 2 + 3.0)
    y = (tf.nn.relu(y) + tf.reduce_mean(y, axis=1, keepdims=True))[:, 1:, :2]
    y = tf.squeeze(tf.expand_dims(tf.reshape(tf.concat([y, y], axis=-1), (-1, 12)), 1), 1)
    y = tf.sigmoid(y) + tf.math.log(1 + tf.exp(-tf.abs(y)))
    y = tf.transpose(tf.stack([y, y], axis=1), (0, 2, 1))
    y = tf.clip_by_value(0.02 * tf.matmul(y, y, transpose_a=True), 0.0, 3.0)
    y = tf.cast(keras.activations.gelu(y), tf.float32)
    return keras.Model([a, b], tf.split(keras.backend.sum(y, axis=-1), 2, axis=1)[0]), array(2, 4, 3), array(2, 4, 3)


def write(archive, folder, make):
    keras.backend.clear_session()
    model, *xs = make()
    for w in model.weights:
        if "seed" not in w.name:
            value = draw.uniform(0.5, 1.5, w.shape) if "variance" in w.name else draw.normal(0, 0.3, w.shape)
            w.assign(value.astype("float32"))
    ys = model(xs if len(xs) > 1 else xs[0], training=False)
    ys = ys if isinstance(ys, (list, tuple)) else [ys]
    name = make.__name__
    model.save(folder / f"{name}.h5")
    weights = f"{name}_weights.h5" if OLD else f"{name}.weights.h5"
    model.save_weights(folder / weights)
    arrays = {f"x{i}": x for i, x in enumerate(xs)} | {f"y{i}": np.asarray(y) for i, y in enumerate(ys)}
    np.savez(folder / f"{name}.npz", **arrays)
    files = [f"{name}.h5", weights, f"{name}.npz"]
    if OLD and make in (graph, sequences):
        model.save(folder / f"{name}.keras")
        files.append(f"{name}.keras")
    for file in files:
        archive.write(folder / file, file)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(__file__).parent / ("keras2.zip" if OLD else "keras3.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for make in [images, graph, sequences, attention, words, film] + [functions] * OLD:
                write(archive, pathlib.Path(scratch), make)


main()
