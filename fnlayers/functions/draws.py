"""Random numbers drawn on the host with NumPy: those of `jax.random`, with nothing to compile.

The initial values of a model are many small draws, each of another shape, and XLA compiles each: seconds, for numbers
that are drawn once. So `Layer.init` turns a key whose words are known into a `HostKey` and draws here; under jit, vmap
and the like it goes through `jax.random`. Both count through Threefry in the same way, so both give the same numbers,
up to rounding.

Reference: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011 (Threefry). Giles, Approximating the erfinv
function, 2011.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnlayers.half_precision import accumulation_dtype

ALIGNMENT = 64  # bytes: XLA copies arrays of the host that start elsewhere
BLOCK = 1 << 14  # numbers that are drawn at once: their arrays stay in the cache
PER_THREAD = 1 << 18  # numbers that each thread draws
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
MASK = 0xFFFFFFFF  # 32 bits


class HostKey(NamedTuple):
    """The two words of a Threefry key."""

    first: int
    second: int

    def fold_in(self, data: int) -> "HostKey":
        """As `jax.random.fold_in`."""
        x, y = self.first, (self.second + data) & MASK  # as in _threefry; NumPy is slow at single numbers
        for turn in range(5):
            for bits in ROTATIONS[turn % 2]:
                x = (x + y) & MASK
                y = (y << bits | y >> (32 - bits)) & MASK ^ x
            x = (x + self.words[(turn + 1) % 3]) & MASK
            y = (y + self.words[(turn + 2) % 3] + turn + 1) & MASK
        return HostKey(x, y)

    @property
    def words(self) -> tuple[int, int, int]:
        """The words that Threefry adds, in turns: the key's, and one computed from both."""
        return self.first, self.second, self.first ^ self.second ^ PARITY

    def key(self) -> jax.Array:
        """The key as jax knows it."""
        return jax.random.wrap_key_data(jnp.array(self, jnp.uint32), impl="threefry2x32")


Key = Any  # a HostKey, or a key of jax's


def host_key(key: Any) -> Any:
    """The key as a HostKey, where its words are known here and jax.random counts as this module does; else the key."""
    if isinstance(key, HostKey) or not getattr(jax.config, "jax_threefry_partitionable", True):
        return key
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if str(jax.random.key_impl(key)) != "threefry2x32" or key.ndim != (0 if typed else 1):
        return key
    words = jax.random.key_data(key) if typed else key
    return key if isinstance(words, Tracer) else HostKey(*map(int, np.asarray(words)))


def jax_key(key: Key) -> jax.Array:
    """The key as jax knows it, for what draws with jax."""
    return key.key() if isinstance(key, HostKey) else key


def draw(make: Callable[..., Any], key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """The initializer's array; without `takes_host_key` it is called with a key of jax's."""
    return make(key if getattr(make, "takes_host_key", False) else jax_key(key), shape, dtype)


def fold_in(key: Key, data: int) -> Any:
    """As `jax.random.fold_in`, for both kinds of keys."""
    return key.fold_in(data) if isinstance(key, HostKey) else jax.random.fold_in(key, data)


class Owned(np.ndarray):
    """An array of the host that this library made and gave to nobody: jax may take its memory as it is."""


def empty(shape: tuple[int, ...], dtype: np.dtype) -> Owned:
    """An array to be filled, which XLA's CPU backend takes without a copy."""
    memory = np.empty(math.prod(shape) * dtype.itemsize + ALIGNMENT, np.uint8)
    return Owned(shape, dtype, memory, -memory.ctypes.data % ALIGNMENT)


def to_device(arrays: list[Any]) -> list[jax.Array]:
    """NumPy's arrays as jax's. Those of others are copied, since they may be written to later."""
    # jax shares the memory of an aligned array, whoever made it, and keeps it for as long as its own array lives
    owned = [np.asarray(a if isinstance(a, Owned) else _copied(a)) for a in arrays]
    return jax.device_put(owned, may_alias=True)


def _copied(array: Any) -> Owned:
    copy = empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def full(key: Key, shape: tuple[int, ...], value: Any, dtype: np.dtype) -> Any:
    """An array of one value, or of an array's values broadcast to the shape; on the host for a HostKey."""
    if not isinstance(key, HostKey):
        return jnp.asarray(np.broadcast_to(value, shape), dtype) if np.ndim(value) else jnp.full(shape, value, dtype)
    values = empty(shape, dtype)
    np.copyto(values, np.broadcast_to(value, shape), casting="unsafe")
    return values


Finish = Callable[[Any], Any]  # what is done with the numbers before they are cast, number by number


def _same(x: Any) -> Any:
    return x


def uniform(key: Key, shape: tuple[int, ...], dtype: np.dtype, low: float, high: float) -> Any:
    """As `jax.random.uniform`: uniform over [low, high). Drawn in float32 at least, as all numbers here, then cast."""
    if not _on_host(key, dtype):
        return jax.random.uniform(jax_key(key), shape, accumulation_dtype(dtype), low, high).astype(dtype)
    return _fill(key, shape, dtype, np.float32(low), np.float32(high), _same)


def normal(key: Key, shape: tuple[int, ...], dtype: np.dtype, finish: Finish = _same) -> Any:
    """As `jax.random.normal`: mean 0, deviation 1."""
    if not _on_host(key, dtype):
        return finish(jax.random.normal(jax_key(key), shape, accumulation_dtype(dtype))).astype(dtype)
    low = np.nextafter(np.float32(-1), np.float32(0))
    return _fill(key, shape, dtype, low, np.float32(1), lambda block: finish(_normal_of(block)))


def truncated_normal(key: Key, shape: tuple[int, ...], dtype: np.dtype, finish: Finish = _same) -> Any:
    """As `jax.random.truncated_normal` from -2 to 2."""
    if not _on_host(key, dtype):
        wide = accumulation_dtype(dtype)
        return finish(jax.random.truncated_normal(jax_key(key), -2.0, 2.0, shape, wide)).astype(dtype)
    bound = np.float32(math.erf(math.sqrt(2)))
    least = np.nextafter(np.float32(-2), np.float32(0))
    return _fill(key, shape, dtype, -bound, bound, lambda block: finish(np.clip(_normal_of(block), least, -least)))


def _on_host(key: Key, dtype: np.dtype) -> bool:
    return isinstance(key, HostKey) and accumulation_dtype(dtype) == np.float32


def _normal_of(block: np.ndarray) -> np.ndarray:
    """The inverse of the normal distribution, at uniform numbers from -1 to 1."""
    return _erf_inv(block) * np.float32(math.sqrt(2))


def _fill(
    key: HostKey, shape: tuple[int, ...], dtype: np.dtype, low: np.float32, high: np.float32, finish: Finish
) -> Owned:
    """An array of uniform numbers over [low, high), finished and cast block by block: no other array is as large."""
    values = empty(shape, dtype)
    flat = values.reshape(-1)

    def fill(start: int, stop: int) -> None:
        for at in range(start, stop, BLOCK):
            end = min(at + BLOCK, stop)
            flat[at:end] = finish(_uniform(key, at, end - at, low, high))

    if values.size <= PER_THREAD:
        fill(0, values.size)
        return values
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        starts = range(0, values.size, PER_THREAD)
        list(threads.map(fill, starts, (min(start + PER_THREAD, values.size) for start in starts)))
    return values


def _uniform(key: HostKey, start: int, count: int, low: np.float32, high: np.float32) -> np.ndarray:
    """So many uniform numbers over [low, high), from a position in the sequence of the key."""
    first, second = _threefry(key, start, count)
    bits = np.bitwise_xor(first, second, out=first)
    np.right_shift(bits, np.uint32(9), out=bits)  # the 23 bits of a number from 1 to 2
    np.bitwise_or(bits, np.uint32(0x3F800000), out=bits)
    block = bits.view(np.float32)
    np.subtract(block, np.float32(1), out=block)
    np.multiply(block, high - low, out=block)
    np.add(block, low, out=block)
    return np.maximum(block, low, out=block)


def _threefry(key: HostKey, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The two words of Threefry-2x32 for each counter from start to start + count: 20 rounds."""
    words = key.words
    counter = np.arange(start, start + count, dtype=np.uint64)
    x, y = (counter >> np.uint64(32)).astype(np.uint32), counter.astype(np.uint32)
    shifted = np.empty_like(y)
    np.add(x, np.uint32(words[0]), out=x)
    np.add(y, np.uint32(words[1]), out=y)
    for turn in range(5):
        for bits in ROTATIONS[turn % 2]:
            np.add(x, y, out=x)
            np.left_shift(y, np.uint32(bits), out=shifted)
            np.right_shift(y, np.uint32(32 - bits), out=y)
            np.bitwise_or(y, shifted, out=y)
            np.bitwise_xor(y, x, out=y)
        np.add(x, np.uint32(words[(turn + 1) % 3]), out=x)
        np.add(y, np.uint32((words[(turn + 2) % 3] + turn + 1) & MASK), out=y)
    return x, y


# Giles: the inverse of erf over x as a polynomial, for -log(1 - x^2) below 5 and above it.
CENTER = (2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4)
CENTER = (*CENTER, -1.25372503e-3, -4.17768164e-3, 0.246640727, 1.50140941)
TAIL = (-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3)
TAIL = (*TAIL, -7.6224613e-3, 9.43887047e-3, 1.00167406, 2.83297682)


def _erf_inv(x: np.ndarray) -> np.ndarray:
    """The inverse of the error function, for x between -1 and 1."""
    far = -np.log((1 - x) * (1 + x))
    y = _polynomial(CENTER, far - np.float32(2.5))
    tail = far >= 5
    if tail.any():
        y[tail] = _polynomial(TAIL, np.sqrt(far[tail]) - np.float32(3))
    return np.multiply(y, x, out=y)


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        np.multiply(y, x, out=y)
        np.add(y, np.float32(coefficient), out=y)
    return y


_RAW = ((2,), (4,))  # the shapes of raw keys, by algorithm


def is_key(rng: Any) -> bool:
    """Whether it is one random key: of the host, typed, or raw as an array of unsigned integers."""
    if isinstance(rng, HostKey):
        return True
    dtype = None if isinstance(rng, type) else getattr(rng, "dtype", None)
    if dtype is None:
        return False
    return rng.shape == () if jnp.issubdtype(dtype, jax.dtypes.prng_key) else dtype == np.uint32 and rng.shape in _RAW
