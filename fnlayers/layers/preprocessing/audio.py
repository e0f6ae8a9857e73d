"""Audio: spectrograms of waves, by convolution with weights that can be trained, and on the mel scale."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import DataFormat, Padding
from fnlayers.core.spec import Param
from fnlayers.functions.initializers import STFT
from fnlayers.functions.windows import window
from fnlayers.half_precision import in_float32
from fnlayers.layers.common import channel_axis, check_count, check_positive, check_rank, configured
from fnlayers.ops import signal

__all__ = ["STFTSpectrogram", "MelSpectrogram"]

SMALLEST = 1e-7  # Keras's epsilon: what powers and magnitudes are at least
Side = Literal["real", "imag"]
Mode = Literal["log", "magnitude", "psd", "real", "imag", "angle", "stft"]


@layerclass
class STFTSpectrogram(Layer):
    """The short-time Fourier transform of waves, as a convolution: its kernels are weights, and can be trained.

    Arguments:
        mode: what of it: "log" (of the magnitude), "magnitude", "psd" (power of both halves), "real", "imag",
            "angle", or "stft" (the real part, and the imaginary one after it).
        frame_length: steps in a frame.
        frame_step: steps from one frame to the next; None: half of a frame.
        fft_length: at least frame_length, which decides how many frequencies there are, fft_length // 2 + 1; None: the
            next power of 2.
        window: the name of a window, such as "hann", its values, or None.
        periodic: whether a window by name is periodic.
        scaling: "density", "spectrum" or None. See `fnlayers.initializers.STFT`.
        padding: "valid" or "same".
        expand_dims: whether channels have an axis of their own.
        data_format: "channels_last" (the default) or "channels_first".

    Shapes: (batch, time, channels) -> (batch, frames, channels * frequencies), or with expand_dims
        (batch, frames, frequencies, channels); channels first (batch, channels, time) -> (batch, channels *
        frequencies, frames), or (batch, channels, frames, frequencies). Twice the frequencies in mode "stft".
    Weights: real_kernel, imag_kernel (frame_length, 1, frequencies); in mode "real" and "imag" one of them.
    Mask: not supported.
    """

    mode: Mode = "log"
    frame_length: int = 256
    frame_step: int | None = None
    fft_length: int | None = None
    window: str | Sequence[float] | None = "hann"
    periodic: bool = False
    scaling: Literal["density", "spectrum"] | None = "density"
    padding: Padding = "valid"
    expand_dims: bool = False
    data_format: DataFormat | None = None

    single_input: ClassVar[bool] = True
    takes: ClassVar[str] = "real"

    def check(self) -> None:
        """Lengths that fit, and a window that exists."""
        check_count(self, "frame_length", 2)
        if self.frame_step is not None and not 1 <= self.frame_step <= self.frame_length:
            raise ConfigError(
                f"STFTSpectrogram: frame_step={self.frame_step} is wrong; give 1 to frame_length, {self.frame_length}"
            )
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise ConfigError(
                f"STFTSpectrogram: fft_length={self.fft_length} is wrong; give at least frame_length, "
                f"{self.frame_length}"
            )
        configured(self, STFT, "real", self.window, self.scaling, self.periodic, called="window")
        if isinstance(self.window, tuple) and len(self.window) != self.frame_length:
            raise ConfigError(
                f"STFTSpectrogram: the window has {len(self.window)} values, and a frame "
                f"{self.frame_length}; give that many"
            )

    def check_shape(self, shape: Shape) -> None:
        """Waves with channels, at least as long as a frame."""
        check_rank(self, shape, 3, layout="(batch, channels, time)" if self._first else "(batch, time, channels)")
        time = shape[2 if self._first else 1]
        if self.padding == "valid" and time is not None and time < self.frame_length:
            raise ShapeError(
                f"{brief(self)}: a frame of {self.frame_length} steps does not fit the input's {time}; use "
                "padding='same', a shorter frame, or longer waves"
            )

    def weights(self, shape: Shape) -> dict:
        """A kernel for the real part, and one for the imaginary part."""
        length = self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))
        both: tuple[tuple[Side, Side], ...] = (("real", "imag"), ("imag", "real"))
        sides: list[Side] = [side for side, other in both if self.mode != other]
        return {
            f"{side}_kernel": Param(
                (self.frame_length, 1, length // 2 + 1), STFT(side, self.window, self.scaling, self.periodic)
            )
            for side in sides
        }

    def call(self, params: Any, x: Any) -> Any:
        parts = [self._convolved(params[name], x) for name in ("real_kernel", "imag_kernel") if name in params]
        if self.mode in ("real", "imag"):
            return self._arranged(parts[0])
        if self.mode == "stft":
            return self._arranged(jnp.concatenate(parts, 2))
        both = jnp.stack(parts)
        return self._arranged(in_float32(self._measured, both).astype(both.dtype))

    @property
    def _first(self) -> bool:
        return channel_axis(self) == 1

    def _convolved(self, kernel: Any, x: Any) -> Any:
        """One part of the transform, (batch, channels, frequencies, frames)."""
        waves = x if self._first else jnp.moveaxis(x, 2, 1)
        batch, channels, time = waves.shape
        step = self.frame_step or self.frame_length // 2
        y = ops.conv(waves.reshape(batch * channels, time, 1), kernel, (step,), self.padding, (1,))
        return jnp.moveaxis(y.reshape(batch, channels, *y.shape[1:]), 3, 2)

    def _measured(self, both: Any) -> Any:
        """What the mode says of the real and the imaginary part."""
        real, imag = both
        if self.mode == "angle":
            defined = (real != 0) | (imag != 0)
            return jnp.where(defined, jnp.arctan2(imag, jnp.where(defined, real, 1)), 0)
        power = jnp.square(real) + jnp.square(imag)
        if self.mode == "psd":
            return power + jnp.pad(power[:, :, 1:-1], [(0, 0), (0, 0), (1, 1), (0, 0)])
        magnitude = jnp.sqrt(jnp.maximum(power, SMALLEST))
        return magnitude if self.mode == "magnitude" else jnp.log(jnp.maximum(magnitude, SMALLEST))

    def _arranged(self, y: Any) -> Any:
        """(batch, channels, frequencies, frames) in the layout that is asked for."""
        if self.expand_dims:
            return jnp.transpose(y, (0, 1, 3, 2) if self._first else (0, 3, 2, 1))
        y = y.reshape(y.shape[0], y.shape[1] * y.shape[2], y.shape[3])
        return y if self._first else jnp.moveaxis(y, 2, 1)


@layerclass
class MelSpectrogram(Layer):
    """The power of waves in bands of the mel scale, which is that of hearing, over time.

    Arguments:
        fft_length: steps in a transform, which decides how many frequencies there are.
        sequence_stride: steps from one frame to the next.
        sequence_length: steps in a frame, at most fft_length; None: all of them.
        window: "hann", "hamming", or the window's values; None: none.
        sampling_rate: steps a second.
        num_mel_bins: how many bands.
        min_freq, max_freq: the first and the last edge, in hertz; max_freq None: half of the rate.
        power_to_db: whether the result is in decibels.
        top_db: how many decibels below the greatest value of the whole batch the result is cut off; None: nowhere.
        mag_exp: 1 for magnitudes, 2 for powers.
        min_power, ref_power: what powers are at least, and which power is 0 decibels.

    Shapes: (..., time) -> (..., num_mel_bins, time // sequence_stride + 1). Computed in float32, and better.
    Mask: not supported.
    """

    fft_length: int = 2048
    sequence_stride: int = 512
    sequence_length: int | None = None
    window: str | Sequence[float] | None = "hann"
    sampling_rate: int = 16000
    num_mel_bins: int = 128
    min_freq: float = 20.0
    max_freq: float | None = None
    power_to_db: bool = True
    top_db: float | None = 80.0
    mag_exp: float = 2.0
    min_power: float = 1e-10
    ref_power: float = 1.0

    single_input: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"
    takes: ClassVar[str] = "real"

    def check(self) -> None:
        """Lengths that fit, a window that exists, and edges in order."""
        for name in ("fft_length", "sequence_stride", "num_mel_bins"):
            check_count(self, name)
        for name in ("sampling_rate", "mag_exp", "min_power"):
            check_positive(self, name)
        if not 1 <= self._length <= self.fft_length:
            raise ConfigError(
                f"MelSpectrogram: sequence_length={self.sequence_length} is wrong; give 1 to fft_length, "
                f"{self.fft_length}"
            )
        if isinstance(self.window, str) and self.window not in ("hann", "hamming"):
            raise ConfigError(
                f"MelSpectrogram: window={self.window!r} is wrong; give 'hann', 'hamming', values, or None"
            )
        if isinstance(self.window, tuple) and len(self.window) != self._length:
            raise ConfigError(
                f"MelSpectrogram: the window has {len(self.window)} values, and a frame {self._length}; give that many"
            )
        if not 0 <= self.min_freq < self._highest:
            raise ConfigError(
                f"MelSpectrogram: min_freq={self.min_freq}, max_freq={self.max_freq}: give frequencies from 0, the "
                "first below the second"
            )

    def check_shape(self, shape: Shape) -> None:
        """Waves that can be mirrored at their ends."""
        check_rank(self, shape, *range(1, 16), layout="(..., time)")
        if shape[-1] is not None and shape[-1] < 2:
            raise ShapeError(f"{brief(self)} takes waves of at least 2 steps, got the shape {tuple(shape)}")

    def call(self, params: Any, x: Any) -> Any:
        return in_float32(self._computed, x).astype(x.dtype)

    @property
    def _length(self) -> int:
        return self.fft_length if self.sequence_length is None else self.sequence_length

    @property
    def _highest(self) -> float:
        return int(self.sampling_rate / 2) if self.max_freq is None else self.max_freq

    def _computed(self, x: Any) -> Any:
        power = signal.power(signal.spectrum(x, self._taper(x.dtype), self.sequence_stride), self.mag_exp)
        bands = signal.mel_bands(
            self.num_mel_bins, power.shape[-1], self.sampling_rate, self.min_freq, self._highest, x.dtype
        )
        level = power @ bands
        if self.power_to_db:
            level = signal.decibels(level, self.ref_power, self.min_power, self.top_db)
        return jnp.swapaxes(level, -1, -2)

    def _taper(self, dtype: Any) -> jax.Array:
        """The window, with zeros on both sides where a frame is shorter than the transform."""
        if self.window is None:
            return jnp.ones(self.fft_length, dtype)
        values = window(self.window, self._length, periodic=True) if isinstance(self.window, str) else self.window
        missing = self.fft_length - self._length
        return jnp.pad(jnp.asarray(values, dtype), (missing // 2, missing - missing // 2))
