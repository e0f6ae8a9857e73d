"""Initializers that draw nothing: one value, given values, the identity, the kernels of a Fourier transform."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.functions import draws
from fnlayers.functions.initializers.base import BaseInitializer, Key, Shape
from fnlayers.functions.windows import WINDOWS, stft_kernel, window
from fnlayers.half_precision import accumulation_dtype
from fnlayers.plain_data import recordclass


@recordclass
class Zeros(BaseInitializer):
    """0 everywhere."""

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        return draws.full(key, shape, 0, dtype)


@recordclass
class Ones(BaseInitializer):
    """1 everywhere."""

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        return draws.full(key, shape, 1, dtype)


@recordclass
class Constant(BaseInitializer):
    """One value everywhere, or the values of a nested tuple broadcast to the shape.

    Arguments:
        value: a number, or a nested tuple or list of numbers. Arrays are refused: options are compared and hashed.

    >>> Constant([[1, 2], [3, 4]])(None, (2, 2)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    value: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            numbers = np.asarray(self.value)
        except ValueError:  # rows of several lengths
            numbers = np.asarray(None)
        good = numbers.dtype.kind in "fiubc" and not np.isnan(numbers).any()
        self._check(bool(good), "value", "a number, or a nested tuple of them with rows of one length")

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        value = np.asarray(self.value)
        if value.dtype.kind == "c" and dtype.kind != "c":
            raise ValueError(f"{self}: the weight is {dtype}, which loses the imaginary part; give a complex dtype")
        try:
            return draws.full(key, shape, value, dtype)
        except ValueError:
            raise ValueError(
                f"Constant: the weight has shape {shape}, the value {value.shape}; give a number, or a value of {shape}"
            ) from None


@recordclass
class Identity(BaseInitializer):
    """gain on the diagonal of a matrix, 0 elsewhere; the matrix need not be square.

    Arguments:
        gain: the value on the diagonal.
    """

    gain: float = 1.0

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        if len(shape) != 2:
            raise ValueError(
                f"Identity fills matrices, and the weight has shape {shape}, of rank {len(shape)}; choose another one"
            )
        return jnp.asarray(self.gain, dtype) * jnp.eye(*shape, dtype=dtype)


@recordclass
class STFT(BaseInitializer):
    """The kernel of shape (frame_length, 1, bins) whose convolution is a short-time Fourier transform:
    window[t] / scale * cos(2 * pi * t * f / fft_length) for the real side, and -sin for the imaginary one, with
    fft_length = 2 * (bins - 1).

    Arguments:
        side: "real" or "imag".
        window: a name of `windows.WINDOWS`, a tuple of frame_length values, or None for no window.
        scaling: "density" divides by the root of the window's summed squares, "spectrum" by the sum of its absolute
            values, None by 1. Without a window there is no scaling.
        periodic: whether a named window is periodic or symmetric.
    """

    side: Literal["real", "imag"] = "real"
    window: str | Sequence[float] | None = "hann"
    scaling: Literal["density", "spectrum"] | None = "density"
    periodic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.window, str):
            self._choose("window", WINDOWS)

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        if len(shape) != 3 or shape[1] != 1:
            raise ValueError(f"STFT fills kernels of shape (frame_length, 1, bins), got {shape}; give such a shape")
        taper = self.window
        if taper is not None:
            taper = jnp.asarray(
                window(taper, shape[0], self.periodic) if isinstance(taper, str) else taper, accumulation_dtype(dtype)
            )
            if taper.shape != shape[:1]:
                raise ValueError(
                    f"STFT: the window has shape {taper.shape}, and a frame {shape[0]} values; give that many"
                )
        return stft_kernel(self.side, taper, self.scaling, shape, accumulation_dtype(dtype)).astype(dtype)
