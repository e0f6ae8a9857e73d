"""Writes images.npz: what real Keras makes of a small photograph, with factors that are given, and of sounds.

Run: KERAS_BACKEND=jax python tests/golden/make_images.py (with Keras 3.15.1 and scikit-learn installed).
"""

import sys
from pathlib import Path

import keras
import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "layers" / "preprocessing"))

from image_entries import ENTRIES, SOUNDS, chirp, photograph  # noqa: E402


def made(name, options, transformation, image):
    """Keras's image: of its transformation of given factors, or of a call."""
    layer = getattr(keras.layers, name)(**options)
    if transformation is None:
        return np.asarray(layer(image, training=True))
    return np.asarray(layer.transform_images(keras.ops.convert_to_tensor(image), transformation, training=True))


def main() -> None:
    image = photograph()
    found = {"photograph": image}
    for i, (name, options, _, transformation) in enumerate(ENTRIES):
        found[f"{i}"] = made(name, options, transformation, image)
    elastic = keras.src.backend.image.elastic_transform
    found["elastic"] = np.asarray(elastic(np.repeat(image, 2, 0), alpha=5.0, sigma=1.4, seed=7))
    for i, (name, options) in enumerate(SOUNDS):
        x = chirp() if name == "STFTSpectrogram" else chirp()[..., 0]
        x = x.transpose(0, 2, 1) if options.get("data_format") == "channels_first" else x
        found[f"sound {i}"] = np.asarray(getattr(keras.layers, name)(**options)(x))
    np.savez_compressed(HERE / "images.npz", **found)


if __name__ == "__main__":
    main()
