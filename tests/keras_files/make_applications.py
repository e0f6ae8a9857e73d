"""Runs in a process of its own, with real Keras: networks of keras.applications with random weights, and their outputs.

Run: KERAS_BACKEND=jax python make_applications.py FOLDER NAME ... writes NAME.keras and NAME.npz (x, y) for each.
"""

import pathlib
import sys
import warnings

import jax
import keras
import numpy as np
from keras import applications

warnings.filterwarnings("ignore")
jax.config.update("jax_disable_most_optimizations", True)

# The smallest width of those that have one, and the smallest input where it is not 32.
WIDTH = {"MobileNet": {"alpha": 0.25}, "MobileNetV2": {"alpha": 0.35}, "MobileNetV3Small": {"alpha": 0.75}}
SIDE = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}


def randomized(model: keras.Model, draw: np.random.RandomState) -> None:
    """Statistics and scales that are not those that layers begin with, so that each of them is seen."""
    for weight in model.weights:
        if weight.name in ("moving_mean", "beta", "bias"):
            weight.assign(draw.normal(0, 0.1, weight.shape))
        elif weight.name == "moving_variance" or "layer_scale" in weight.path:
            weight.assign(draw.uniform(0.5, 1.0, weight.shape))


folder = pathlib.Path(sys.argv[1])
for name in sys.argv[2:]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    side, draw = SIDE.get(name, 32), np.random.RandomState(2)
    options = {"weights": None, "classes": 7, "classifier_activation": None, "input_shape": (side, side, 3)}
    model = getattr(applications, name)(**options, **WIDTH.get(name, {}))
    randomized(model, draw)
    prepares = any(type(layer).__name__ in ("Rescaling", "Normalization", "Sequential") for layer in model.layers)
    x = draw.uniform(0, 255 if prepares else 1, (1, side, side, 3)).astype("float32")
    model.save(folder / f"{name}.keras")
    weights = [[v.value for v in part] for part in (model.trainable_variables, model.non_trainable_variables)]
    y, _ = jax.jit(lambda *given: model.stateless_call(*given, training=False))(*weights, x)  # noqa: B023
    np.savez(folder / f"{name}.npz", x=x, y=np.asarray(y))
