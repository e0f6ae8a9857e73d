"""Writes images.npz: what real Keras makes of a small photograph, with factors that are given, and of sounds.

Run: KERAS_BACKEND=jax python tests/golden/make_images.py (with Keras 3.15.1 and scikit-learn installed).
"""

import sys
from pathlib import Path

import keras
import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "layers" / "preprocessing"))

from image_entries import EDGES, ENTRIES, SOUNDS, WEIGHTS, chirp, photograph  # noqa: E402


def transformed(name, options, transformation, image):
    """Keras's image: of its transformation of given factors, or of a call."""
    layer = getattr(keras.layers, name)(**options)
    if transformation is None:
        return np.asarray(layer(image, training=True))
    return np.asarray(layer.transform_images(keras.ops.convert_to_tensor(image), transformation, training=True))


def mixed(image):
    """Keras's MixUp of an image and its mirror image, and which pixels CutMix and RandomErasing replace."""
    pair = keras.ops.convert_to_tensor(np.concatenate([image, image[:, :, ::-1]]))
    drawn = {"mix_weight": WEIGHTS, "permutation_order": np.array([1, 0])}
    edges = [EDGES[:, 1], EDGES[:, 0]]
    corners = tuple(np.float32([edge]) for axis in edges for edge in axis)
    cut, _ = keras.layers.CutMix()._generate_batch_mask(image.shape, corners)
    erased = keras.layers.RandomErasing()._generate_batch_mask(image.shape, corners)
    mixture = keras.layers.MixUp().transform_images(pair, drawn)
    return {"mixed": np.asarray(mixture), "cut": np.asarray(cut)[0, ..., 0], "erased": np.asarray(erased)[0, ..., 0]}


def main() -> None:
    image = photograph()
    arrays = {"photograph": image}
    for i, (name, options, _, transformation) in enumerate(ENTRIES):
        arrays[f"{i}"] = transformed(name, options, transformation, image)
    elastic = keras.src.backend.image.elastic_transform
    arrays["elastic"] = np.asarray(elastic(np.repeat(image, 2, 0), alpha=5.0, sigma=1.4, seed=7))
    for i, (name, options) in enumerate(SOUNDS):
        x = chirp() if name == "STFTSpectrogram" else chirp()[..., 0]
        x = x.transpose(0, 2, 1) if options.get("data_format") == "channels_first" else x
        arrays[f"sound {i}"] = np.asarray(getattr(keras.layers, name)(**options)(x))
    arrays |= mixed(image)
    np.savez_compressed(HERE / "images.npz", **arrays)


if __name__ == "__main__":
    main()
