"""Runs in a process of its own, with real Keras: networks of keras.applications with random weights, and their outputs.

Run: KERAS_BACKEND=jax python make_applications.py FOLDER float32 NAME ... writes NAME.keras and NAME.npz (x, y) for each.
float64 does all of it in float64.
"""

import pathlib
import sys
import warnings

import jax
import keras
import numpy as np
from keras import applications
from keras.src import backend
from keras.src.backend.common import dtypes

warnings.filterwarnings("ignore")
jax.config.update("jax_disable_most_optimizations", True)

# The smallest width of those that have one, and the smallest input where it is not 32.
WIDTH = {"MobileNet": {"alpha": 0.25}, "MobileNetV2": {"alpha": 0.35}, "MobileNetV3Small": {"alpha": 0.75}}
SIDE = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}


def in_float64() -> None:
    """Have Keras compute in float64 throughout: of itself it takes means and normalizes in float32 even then."""
    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    known = dtypes.result_type
    backend.result_type = dtypes.result_type = lambda *args: "float64" if "float64" in args else known(*args)


def randomized(model: keras.Model, draw: np.random.RandomState) -> None:
    """Statistics and scales that are not those that layers begin with, so that each of them is seen."""
    for weight in model.weights:
        if weight.name in ("moving_mean", "beta", "bias"):
            weight.assign(draw.normal(0, 0.1, weight.shape))
        elif weight.name == "moving_variance" or "layer_scale" in weight.path:
            weight.assign(draw.uniform(0.5, 1.0, weight.shape))


folder, floatx = pathlib.Path(sys.argv[1]), sys.argv[2]
if floatx == "float64":
    in_float64()
for name in sys.argv[3:]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    side, draw = SIDE.get(name, 32), np.random.RandomState(2)
    options = {"weights": None, "classes": 7, "classifier_activation": None, "input_shape": (side, side, 3)}
    model = getattr(applications, name)(**options, **WIDTH.get(name, {}))
    randomized(model, draw)
    prepares = any(type(layer).__name__ in ("Rescaling", "Normalization", "Sequential") for layer in model.layers)
    x = draw.uniform(0, 255 if prepares else 1, (1, side, side, 3)).astype(floatx)
    model.save(folder / f"{name}.keras")
    weights = [[v.value for v in part] for part in (model.trainable_variables, model.non_trainable_variables)]
    y, _ = jax.jit(lambda *args: model.stateless_call(*args, training=False))(*weights, x)  # noqa: B023
    np.savez(folder / f"{name}.npz", x=x, y=np.asarray(y))
