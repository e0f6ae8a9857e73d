"""Writes adapted.zip (run with Keras 3.15.1 on JAX): Normalization layers in a graph, adapted to data or given statistics, as
adapted.keras and adapted.h5, with an input and their outputs in adapted.npz.

    KERAS_BACKEND=jax python tests/keras_files/golden/make_adapted.py
"""

import pathlib
import tempfile
import zipfile

import keras
import numpy as np

draw = np.random.default_rng(0)
SHAPE = (3, 4)  # of the input, without the batch axis
GIVEN = [
    {"axis": -1, "mean": [1.0, 2.0, 3.0, 4.0], "variance": [0.5, 1.0, 2.0, 0.0]},
    {"axis": 1, "mean": [1.0, 2.0, 3.0], "variance": [0.5, 1.0, 2.0]},
    {"axis": None, "mean": 0.5, "variance": 2.0, "invert": True},
    {"axis": -1, "mean": 0.5, "variance": 2.0},
]
ADAPTED = [{"axis": -1}, {"axis": None}, {"axis": 1}, {"axis": (1, 2)}, {"axis": -2, "invert": True}, {"axis": (2, 1)}]


def main():
    data = draw.normal(2, 3, (5, *SHAPE)).astype("float32")
    x = keras.Input(SHAPE)
    outputs = [keras.layers.Normalization(**options)(x) for options in GIVEN]
    for options in ADAPTED:
        layer = keras.layers.Normalization(**options)
        layer.adapt(data)
        outputs.append(layer(x))
    model, inputs = keras.Model(x, outputs), data[:2] + 1
    arrays = {f"y{i:02}": np.asarray(y) for i, y in enumerate(model(inputs))}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        np.savez(folder / "adapted.npz", x0=inputs, **arrays)
        model.save(folder / "adapted.keras")
        model.save(folder / "adapted.h5")
        path = pathlib.Path(__file__).parent / "adapted.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, file.name)


main()
