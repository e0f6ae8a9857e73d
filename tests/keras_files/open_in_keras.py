"""Runs in a process of its own, with real Keras: opens NAME.keras, gives it NAME.npz, and writes NAME.out.npz.

Run: KERAS_BACKEND=jax python open_in_keras.py FOLDER. The arrays of NAME.npz are the inputs, in order or by name.
"""

import pathlib
import sys
import warnings

import jax
import keras
import numpy as np

warnings.filterwarnings("ignore")
jax.config.update("jax_disable_most_optimizations", True)


def outputs(file: pathlib.Path) -> list:
    model = keras.models.load_model(file)
    inputs = dict(np.load(file.with_suffix(".npz")))
    values = list(inputs.values())
    x = values[0] if len(values) == 1 else values if "0" in inputs else inputs
    leaves = jax.tree.leaves(model(x, training=False))
    frozen = [weight.path for weight in model.non_trainable_weights]
    return [np.asarray(a, "float32") for a in leaves], frozen


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
    keras.utils.clear_session()
    try:
        arrays, frozen = outputs(path)
        np.savez(path.with_suffix(".out.npz"), *arrays, frozen=np.array(len(frozen)))
    except Exception as error:
        path.with_suffix(".error").write_text(f"{type(error).__name__}: {error}")
