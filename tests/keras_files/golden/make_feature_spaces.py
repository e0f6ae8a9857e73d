"""Writes feature_spaces.zip (run with Keras 3.15.1 on TensorFlow): FeatureSpaces as Keras adapts and saves them, a model that is
built on one, and in feature_spaces.npz what they give for the first rows of the table, and for one row.

    python tests/keras_files/golden/make_feature_spaces.py
"""

import pathlib
import tempfile
import zipfile

import keras
import numpy as np
import tensorflow as tf
from feature_spaces import BATCH, ROWS, SPACES, table


def named(y, prefix):
    return {f"{prefix}|{name}": np.asarray(part) for name, part in (y.items() if isinstance(y, dict) else [("", y)])}


def main():
    arrays = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for name, (make, in_batches) in SPACES.items():
            space = make(keras.utils.FeatureSpace, keras.layers)
            data = {column: table()[column] for column in space.features}
            space.adapt(tf.data.Dataset.from_tensor_slices(data).batch(BATCH) if in_batches else data)
            rows = {column: values[:ROWS] for column, values in data.items()}
            arrays |= named(space(rows), f"{name}|rows")
            arrays |= named(space({column: values[0] for column, values in data.items()}), f"{name}|row")
            space.save(folder / f"{name}.keras")
            if name == "crosses":
                y = keras.layers.Dense(2)(space.get_encoded_features())
                model = keras.Model(space.get_inputs(), y)
                model.save(folder / "model.keras")
                columns = {column: tf.constant(values[:, None]) for column, values in rows.items()}
                arrays |= named(model(columns), "model|rows")
        np.savez(folder / "feature_spaces.npz", **arrays)
        path = pathlib.Path(__file__).parent / "feature_spaces.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, file.name)


main()
