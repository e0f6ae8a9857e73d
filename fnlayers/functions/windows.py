"""Window functions by SciPy's names, and the convolution kernel that makes them a short-time Fourier transform."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def window(name: str, length: int, periodic: bool = False) -> np.ndarray:
    """The `length` values of a window, in float64.

    Arguments:
        name: one of `WINDOWS`.
        length: the number of values.
        periodic: whether the window continues periodically, as for a spectrum; False is symmetric.

    >>> window("hann", 5).round(3).tolist(), window("hann", 4, periodic=True).round(3).tolist()
    ([0.0, 0.5, 1.0, 0.5, 0.0], [0.0, 0.5, 1.0, 0.5])
    """
    if length < 2:
        return np.ones(max(length, 0))
    return WINDOWS[name](length + periodic)[:length]


def stft_kernel(
    side: str, taper: jax.Array | None, scaling: str | None, shape: tuple[int, ...], dtype: np.dtype
) -> jax.Array:
    """The kernel of shape (frame_length, 1, bins) that `initializers.STFT` describes."""
    frame, _, bins = shape
    time = jnp.arange(frame, dtype=dtype).reshape(frame, 1, 1)
    frequency = jnp.arange(bins, dtype=dtype) / max(2 * (bins - 1), 1)
    angle = -2 * time * frequency * math.pi  # Keras: rounded in this order, which shows at late times
    kernel = jnp.cos(angle) if side == "real" else jnp.sin(angle)
    if taper is None:
        return kernel
    kernel = kernel * taper.reshape(frame, 1, 1)
    if scaling == "density":
        return kernel / jnp.sqrt(jnp.sum(jnp.square(taper)))
    return kernel / jnp.sum(jnp.abs(taper)) if scaling == "spectrum" else kernel


def _cosines(*weights: float) -> Callable[[int], np.ndarray]:
    """The window sum_k weights[k] * cos(k * angle), for angles from -pi to pi."""

    def values(length: int) -> np.ndarray:
        angle = np.linspace(-np.pi, np.pi, length)
        total = np.zeros(length)
        for k, weight in enumerate(weights):
            total += weight * np.cos(k * angle)
        return total

    return values


def _barthann(length: int) -> np.ndarray:
    distance = np.abs(np.arange(length) / (length - 1) - 0.5)
    return 0.62 - 0.48 * distance + 0.38 * np.cos(2 * np.pi * distance)


def _bohman(length: int) -> np.ndarray:
    distance = np.abs(np.linspace(-1, 1, length))
    values = (1 - distance) * np.cos(np.pi * distance) + np.sin(np.pi * distance) / np.pi
    values[[0, -1]] = 0
    return values


def _exponential(length: int) -> np.ndarray:
    return np.exp(-np.abs(np.arange(length) - (length - 1) / 2))


def _parzen(length: int) -> np.ndarray:
    distance = np.abs(np.arange(length) - (length - 1) / 2) / (length / 2)
    middle = np.arange(length) - (length - 1) / 2
    inner = 1 - 6 * distance**2 + 6 * distance**3
    return np.where(np.abs(middle) <= (length - 1) / 4, inner, 2 * (1 - distance) ** 3)


def _triang(length: int) -> np.ndarray:
    return 1 - np.abs(2 * np.arange(length) - (length - 1)) / (length + length % 2)


def _tukey(length: int) -> np.ndarray:
    """A taper over each outer quarter: SciPy's default of alpha = 0.5."""
    outside = np.maximum(np.abs(2 * np.arange(length) / (length - 1) - 1) - 0.5, 0)
    return 0.5 * (1 + np.cos(2 * np.pi * outside))


WINDOWS: dict[str, Callable[[int], np.ndarray]] = {
    "barthann": _barthann,
    "bartlett": np.bartlett,
    "blackman": _cosines(0.42, 0.50, 0.08),
    "blackmanharris": _cosines(0.35875, 0.48829, 0.14128, 0.01168),
    "bohman": _bohman,
    "boxcar": np.ones,
    "cosine": lambda length: np.sin(np.pi / length * (np.arange(length) + 0.5)),
    "exponential": _exponential,
    "flattop": _cosines(0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    "hamming": _cosines(0.54, 0.46),
    "hann": _cosines(0.5, 0.5),
    "lanczos": lambda length: np.sinc(2 * np.arange(length) / (length - 1) - 1),
    "nuttall": _cosines(0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "parzen": _parzen,
    "triang": _triang,
    "tukey": _tukey,
}
