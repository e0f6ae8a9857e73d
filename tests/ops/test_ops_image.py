"""Images, colors and signals against SciPy, Pillow and matplotlib, which know nothing of jax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from matplotlib import colors
from PIL import Image, ImageOps

from fnlayers.ops import color, image, signal

PICTURE = np.random.RandomState(0).uniform(0, 255, (7, 9, 3)).astype("float32")
BYTES = np.random.RandomState(1).randint(20, 230, (12, 12, 3)).astype("uint8")
SCIPY = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "wrap": "grid-wrap",
    "mirror": "mirror",
    "reflect": "reflect",
}


@pytest.mark.parametrize("fill_mode", image.FILL_MODES)
@pytest.mark.parametrize("order", (0, 1))
def test_reading_at_positions(fill_mode, order):
    y, x = np.random.RandomState(2).uniform(-12, 20, (2, 5, 6)).astype("float32")
    got = image.sample_at(jnp.asarray(PICTURE), y, x, image.ORDERS[order], fill_mode, 3.0)
    for channel in range(3):
        wanted = scipy.ndimage.map_coordinates(
            PICTURE[..., channel].astype("float64"), [y, x], order=order, mode=SCIPY[fill_mode], cval=3.0
        )
        np.testing.assert_allclose(got[..., channel], wanted, atol=2e-3)


def test_corners_are_drawn_where_they_are_put():
    """Read by the matrix, and by its inverse, which is from old positions to new ones."""
    corners = np.float32([[0.5, 1], [7, -1], [1, 6.5], [9, 5]])
    matrix = image.quadrilateral(jnp.asarray(corners), PICTURE.shape)
    old = np.array([[0, 0], [8, 0], [0, 6], [8, 6]])

    def moved(m, points):
        a, b, c, d, e, f, g, h = np.asarray(m, "float64")
        x, y = points.T
        return np.stack([a * x + b * y + c, d * x + e * y + f], -1) / (g * x + h * y + 1)[:, None]

    np.testing.assert_allclose(moved(matrix, corners), old, atol=1e-4)
    np.testing.assert_allclose(moved(image.inverted(matrix), old), corners, atol=1e-4)


def test_blurs():
    got = image.gaussian_blur(jnp.asarray(PICTURE), (5, 5), jnp.array([0.8, 1.1]))
    weights = [np.exp(-0.5 * (np.arange(-2, 3) / s) ** 2) for s in (0.8, 1.1)]
    wanted = PICTURE
    for axis, w in enumerate(weights):
        wanted = scipy.ndimage.correlate1d(wanted, w / w.sum(), axis, mode="constant")
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    box = np.ones((3, 3, 1)) + 4 * (np.arange(9).reshape(3, 3, 1) == 4)
    wanted = scipy.ndimage.correlate(PICTURE, box / 13, mode="constant")
    np.testing.assert_allclose(image.box_blur(jnp.asarray(PICTURE), 5.0), wanted, rtol=1e-5)


def test_colors():
    np.testing.assert_allclose(color.to_hsv(jnp.asarray(PICTURE / 255)), colors.rgb_to_hsv(PICTURE / 255), atol=1e-5)
    hsv = np.asarray(color.to_hsv(jnp.asarray(PICTURE)))
    np.testing.assert_allclose(color.from_hsv(jnp.asarray(hsv)), PICTURE, atol=1e-3)


def test_histograms():
    """Pillow rounds and keeps integers."""
    pillow, ours = Image.fromarray(BYTES), jnp.asarray(BYTES, "float32")
    np.testing.assert_allclose(color.autocontrast(ours), np.asarray(ImageOps.autocontrast(pillow)), atol=1)
    np.testing.assert_array_equal(color.posterize(ours, jnp.array(3)), np.asarray(ImageOps.posterize(pillow, 3)))
    equalized = np.asarray(jax.jit(color.equalize)(ours))
    for channel in range(3):
        values = BYTES[..., channel]
        below = np.array([(values <= v).sum() for v in values.ravel()]).reshape(values.shape)
        least = (values == values.min()).sum()
        wanted = np.round((below - least) * 255 / (values.size - least))
        assert (np.abs(equalized[..., channel] - wanted) <= 255 * 3 / 256).all()
    flat = jnp.full((4, 4, 1), 7.0)
    assert (color.equalize(flat) == 7).all() and (color.autocontrast(flat) == 7).all()
    one_tile = jax.jit(lambda x: color.equalize_adaptively(x, 0.0, (1, 1)))(ours)  # without a limit: of the whole image
    for channel in range(3):
        values = BYTES[..., channel]
        below = np.array([(values <= v).sum() for v in values.ravel()]).reshape(values.shape)
        np.testing.assert_allclose(one_tile[..., channel], below * 255 / values.size, atol=1e-3)


def test_spectra():
    x = np.random.RandomState(3).randn(2, 50).astype("float32")
    window = np.hanning(9)[:8].astype("float32")
    _, _, wanted = scipy.signal.stft(
        np.pad(x, ((0, 0), (4, 4)), "reflect"), window=window, nperseg=8, noverlap=5, boundary=None, padded=False
    )
    got = signal.spectrum(jnp.asarray(x), jnp.asarray(window), 3)
    np.testing.assert_allclose(np.swapaxes(got, 1, 2), wanted * window.sum(), atol=1e-4)
    bands = np.asarray(signal.mel_bands(4, 33, 8000, 100.0, 4000.0, jnp.float32))
    assert (
        bands.shape == (33, 4)
        and (bands >= 0).all()
        and bands.max() <= 1
        and (np.argmax(bands, 0)[1:] > np.argmax(bands, 0)[:-1]).all()
    )
    np.testing.assert_allclose(
        signal.decibels(jnp.array([1.0, 100.0, 1e-9]), 1.0, 1e-10, 30.0), [0, 20, -10], atol=1e-4
    )
