"""Signals (..., time): cut into frames, transformed into spectra, and summed over bands of the mel scale."""

import jax
import jax.numpy as jnp

BREAK_HERTZ = 700.0  # where the mel scale turns from linear to logarithmic
MELS = 1127.0  # for each e-fold above it


def frames(x: jax.Array, length: int, stride: int) -> jax.Array:
    """Pieces of a signal: (..., time) -> (..., n, length), each `stride` steps after the one before it.

    >>> frames(jnp.arange(5), 3, 2).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    count = max((x.shape[-1] - length) // stride + 1, 0)
    return x[..., jnp.arange(count)[:, None] * stride + jnp.arange(length)]


def spectrum(x: jax.Array, window: jax.Array, stride: int) -> jax.Array:
    """The short-time Fourier transform (..., n, length // 2 + 1) of a signal (..., time), mirrored at its ends.

    Arguments:
        x: the signal; frame i is about the step i stride.
        window: (length,), what each frame is multiplied by.
        stride: steps from one frame to the next.
    """
    half = len(window) // 2
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="reflect")
    return jnp.fft.rfft(frames(padded, len(window), stride) * window)


def power(x: jax.Array, exponent: float) -> jax.Array:
    """|x| to a power, of complex numbers, with a gradient of 0 where x is 0."""
    square = jnp.square(x.real) + jnp.square(x.imag)
    if exponent == 2:
        return square
    positive = square > 0
    return jnp.where(positive, jnp.where(positive, square, 1) ** (exponent / 2), 0**exponent)


def mel(hertz: jax.Array) -> jax.Array:
    """Pitch in mels, on the scale of HTK."""
    return MELS * jnp.log(1 + hertz / BREAK_HERTZ)


def mel_bands(count: int, bins: int, rate: float, low: float, high: float, dtype: jnp.dtype) -> jax.Array:
    """How much each bin of a spectrum counts in each band, (bins, count): triangles, equally far apart in mels.

    Arguments:
        count: how many bands.
        bins: of the spectrum, from 0 to half of the rate.
        rate: steps a second.
        low, high: the first and the last edge, in hertz.
        dtype: of the result.
    """
    pitch = mel(jnp.linspace(0.0, rate / 2, bins, dtype=dtype)[1:])[:, None]
    first, last = (mel(jnp.asarray(edge, dtype)) for edge in (low, high))
    edges = jnp.linspace(first, last, count + 2, dtype=dtype)
    lower, middle, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (pitch - lower) / (middle - lower), (upper - pitch) / (upper - middle)
    return jnp.pad(jnp.maximum(jnp.minimum(rising, falling), 0), [(1, 0), (0, 0)])


def decibels(x: jax.Array, reference: float, least: float, span: float | None) -> jax.Array:
    """10 log10 of x over the reference, at least `span` below its greatest value.

    Arguments:
        x: of any shape.
        reference: what counts as 0.
        least: what x and the reference are at least.
        span: the distance from the greatest value, over all of x, to the least; None: any.
    """
    level = 10 * jnp.log10(jnp.maximum(x, least))
    level = level - 10 * jnp.log10(jnp.maximum(jnp.abs(jnp.asarray(reference, x.dtype)), least))
    return level if span is None else jnp.maximum(level, jnp.max(level, initial=-jnp.inf) - span)
