"""Image layers give what real Keras gives for the same factors, on a part of a photograph; and so do spectrograms."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_entries import EDGES, ENTRIES, SOUNDS, WEIGHTS, chirp

import fnlayers as fl
from fnlayers.layers.preprocessing.image_filters import in_rectangle
from fnlayers.layers.preprocessing.image_geometry import Warp
from fnlayers.ops import image as geometry

FILE = Path(__file__).parents[2] / "golden" / "images.npz"


@pytest.fixture(scope="module")
def numbers():
    return np.load(FILE)


@pytest.mark.parametrize("position", range(len(ENTRIES)), ids=lambda i: f"{i} {ENTRIES[i][0]}")
def test_images_are_keras_s(position, numbers):
    name, options, sampled, _ = ENTRIES[position]
    layer, image = fl.LAYERS[name](**options), numbers["photograph"]
    # compiled, a position differs in its last digit, which a steep edge makes 2e-4
    compiled = (lambda f: f) if isinstance(layer, Warp) else jax.jit
    if sampled is None:
        got = compiled(lambda image, key: layer.apply({}, image, rng=key, train=True))(image, jax.random.key(0))
    else:
        got = compiled(layer.transform)(jnp.asarray(image[0]), jax.tree.map(jnp.asarray, sampled))[None]
    atol = 2e-3 if name == "RandomPerspective" else 1e-4  # Keras solves for its matrix in float32
    np.testing.assert_allclose(got, numbers[str(position)], rtol=1e-6, atol=atol)


def test_mixtures_are_keras_s(numbers):
    image = jnp.asarray(numbers["photograph"][0])
    pair = [image, image[:, ::-1]]
    for own, other, weight, wanted in zip(pair, pair[::-1], WEIGHTS, numbers["mixed"], strict=True):
        np.testing.assert_allclose(fl.MixUp().mix(own, other, jnp.asarray(weight)), wanted, rtol=1e-6)
    for name in ("cut", "erased"):
        np.testing.assert_array_equal(in_rectangle(jnp.asarray(EDGES), image.shape), numbers[name])


@pytest.mark.parametrize("position", range(len(SOUNDS)), ids=lambda i: f"{i} {SOUNDS[i][0]}")
def test_spectrograms_are_keras_s(position, numbers):
    name, options = SOUNDS[position]
    x = chirp() if name == "STFTSpectrogram" else chirp()[..., 0]
    x = x.transpose(0, 2, 1) if options.get("data_format") == "channels_first" else x
    layer, wanted = fl.LAYERS[name](**options), numbers[f"sound {position}"]
    got = layer.apply(layer.init(jax.random.key(0), x.shape), x)
    if options.get("mode") == "angle":  # where both parts are rounding errors, it is a random angle
        got, wanted = (np.where(abs(got - wanted) < 6.28, a, 0) for a in (got, wanted))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=2e-5 * abs(wanted).max())


def test_decibels_are_cut_off_nowhere_without_top_db():
    options, x = dict(fft_length=64, sequence_stride=50, num_mel_bins=3), chirp()[..., 0]
    whole, far, near = (fl.MelSpectrogram(**options, top_db=n).apply({}, x) for n in (None, 1e6, 3.0))
    np.testing.assert_array_equal(whole, far)
    assert near.max() == whole.max() and near.min() > whole.min()


def test_elastic_displacements_are_keras_s(numbers):
    """Keras draws the same numbers for both axes, and so do we here."""
    image, sigma = numbers["photograph"][0], jnp.float32(1.4)
    noise = jax.random.normal(jnp.array([7, 0], "uint32"), (2, *image.shape[:2]))
    for drawn, wanted in zip(noise, numbers["elastic"], strict=True):
        taps = int(6 * sigma) | 1
        moved = 5 * geometry.displacement(jnp.stack([drawn, drawn], -1), sigma, 13, taps)
        rows, columns = np.meshgrid(*map(np.arange, image.shape[:2]), indexing="ij")
        got = geometry.sample_at(jnp.asarray(image), rows + moved[..., 0], columns + moved[..., 1], fill_mode="reflect")
        np.testing.assert_allclose(got, wanted, atol=1e-3)
