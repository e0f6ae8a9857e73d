"""Hashes of byte strings on the host, many at a time: FarmHash's Fingerprint64, and SipHash-2-4 with a key.

Both are written from their published definitions, in 64-bit arithmetic of NumPy, which wraps around as they need. The
strings stand one after the other in a buffer, and each step is done for all strings of a length class at once.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

K0, K1, K2 = (np.uint64(k) for k in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))
MURMUR = np.uint64(0xC6A4A7935BD1E995)  # the multiplier by which two fingerprints are joined
SIP_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_WORD = 8  # bytes
_BLOCK = 64  # bytes that one round of Fingerprint64 takes from a long string
_MASK64 = (1 << 64) - 1

U64 = np.ndarray  # of uint64
Pair = tuple[U64, U64]


class _Strings(NamedTuple):
    """Byte strings in one buffer: where each starts, and how long it is."""

    buffer: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def chosen(self, which: np.ndarray) -> "_Strings":
        return _Strings(self.buffer, self.starts[which], self.lengths[which])

    def word(self, offset: int | np.ndarray, size: int = _WORD) -> U64:
        """The `size` bytes at that offset of each string, as a little-endian integer."""
        at = (self.starts + offset)[:, None] + np.arange(size)
        words = np.zeros((len(self.starts), _WORD), np.uint8)
        words[:, :size] = self.buffer[at]
        return words.view("<u8")[:, 0].astype(np.uint64)

    def from_end(self, offset: int, size: int = _WORD) -> U64:
        """The `size` bytes that begin so many before the end."""
        return self.word(self.lengths - offset, size)

    @property
    def sizes(self) -> U64:
        return self.lengths.astype(np.uint64)


def fingerprint64(strings: Sequence[bytes]) -> np.ndarray:
    """FarmHash's Fingerprint64 of each byte string, as uint64: the hash that TensorFlow and Keras put into buckets.

    Example:
        >>> [hex(value) for value in fingerprint64([b"", b"hello"])]
        ['0x9ae16a3b2f90404f', '0xb48be5a931380ce8']
    """
    return _by_length(strings, _FINGERPRINTS)


def siphash64(strings: Sequence[bytes], key: tuple[int, int]) -> np.ndarray:
    """SipHash-2-4 of each byte string under a key of two 64-bit integers, as uint64; negative ones wrap around.

    Example:
        >>> hex(siphash64([bytes(range(15))], (0x0706050403020100, 0x0F0E0D0C0B0A0908))[0])  # of the published paper
        '0xa129ca6149be45e5'
    """
    all_strings = _packed(strings)
    k0, k1 = (np.uint64(part & _MASK64) for part in key)
    state = [np.full(len(strings), np.uint64(c) ^ k) for c, k in zip(SIP_INITIAL, (k0, k1, k0, k1), strict=True)]
    words = all_strings.lengths // _WORD
    for index in range(int(words.max(initial=-1)) + 1):
        whole, last = np.flatnonzero(words > index), np.flatnonzero(words == index)
        _sip_absorb(state, whole, all_strings.chosen(whole).word(index * _WORD))
        _sip_absorb(state, last, _last_word(all_strings.chosen(last), index * _WORD))
    state[2] ^= np.uint64(0xFF)
    for _ in range(4):
        state = _sip_round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def fingerprint_cat64(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One fingerprint of two, in that order: TensorFlow's FingerprintCat64, by which features are crossed."""
    joined = (first ^ MURMUR) ^ (_shift_mix(second * MURMUR) * MURMUR)
    return _shift_mix(_shift_mix(joined * MURMUR) * MURMUR)


# FarmHash


def _short(s: _Strings) -> U64:
    """Of 1 to 3 bytes."""
    first, middle, last = s.word(0, 1), s.word(s.lengths >> 1, 1), s.from_end(1, 1)
    y, z = first + (middle << np.uint64(8)), s.sizes + (last << np.uint64(2))
    return _shift_mix(y * K2 ^ z * K0) * K2


def _to_7(s: _Strings) -> U64:
    """Of 4 to 7 bytes."""
    return _join(s.sizes + (s.word(0, 4) << np.uint64(3)), s.from_end(4, 4), _multiplier(s))


def _to_16(s: _Strings) -> U64:
    """Of 8 to 16 bytes."""
    mul, a, b = _multiplier(s), s.word(0) + K2, s.from_end(8)
    return _join(_rotate(b, 37) * mul + a, (_rotate(a, 25) + b) * mul, mul)


def _to_32(s: _Strings) -> U64:
    """Of 17 to 32 bytes."""
    mul, a, b = _multiplier(s), s.word(0) * K1, s.word(8)
    c, d = s.from_end(8) * mul, s.from_end(16) * K2
    return _join(_rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + K2, 18) + c, mul)


def _to_64(s: _Strings) -> U64:
    """Of 33 to 64 bytes."""
    mul, a, b = _multiplier(s), s.word(0) * K2, s.word(8)
    c, d = s.from_end(8) * mul, s.from_end(16) * K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _join(y, a + _rotate(b + K2, 18) + c, mul)
    e, f = s.word(16) * mul, s.word(24)
    g, h = (y + s.from_end(32)) * mul, (z + s.from_end(24)) * mul
    return _join(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, mul)


class _Long(NamedTuple):
    """What Fingerprint64 carries from block to block of a long string."""

    x: U64
    y: U64
    z: U64
    v: Pair
    w: Pair

    def chosen(self, which: np.ndarray) -> "_Long":
        return _Long(*(a[which] for a in self[:3]), *((p[0][which], p[1][which]) for p in self[3:]))  # type: ignore[arg-type]

    def put(self, which: np.ndarray, new: "_Long") -> None:
        for old, values in zip((*self[:3], *self.v, *self.w), (*new[:3], *new.v, *new.w), strict=True):
            old[which] = values


def _beyond_64(s: _Strings) -> U64:
    """Of more than 64 bytes: block by block, and the last 64 bytes once more."""
    seed, more = np.full(len(s.starts), 81, np.uint64), np.uint64(113)  # arrays wrap around, where numbers would warn
    y = seed * K1 + more
    none = [np.zeros_like(y) for _ in range(4)]
    x, z = seed * K2 + s.word(0), _shift_mix(y * K2 + more) * K2
    state = _Long(x, y, z, (none[0], none[1]), (none[2], none[3]))
    blocks = (s.lengths - 1) // _BLOCK
    for index in range(int(blocks.max(initial=0))):
        active = np.flatnonzero(blocks > index)
        state.put(active, _block(s.chosen(active), index * _BLOCK, state.chosen(active)))
    return _last_block(s, state)


def _block(s: _Strings, at: int | np.ndarray, state: _Long) -> _Long:
    x, y, z, v, w = state
    x = _rotate(x + y + v[0] + s.word(at + 8), 37) * K1
    y = _rotate(y + v[1] + s.word(at + 48), 42) * K1
    x = x ^ w[1]
    y = y + v[0] + s.word(at + 40)
    z = _rotate(z + w[0], 33) * K1
    v, w = _weak(s, at, v[1] * K1, x + w[0]), _weak(s, at + 32, z + w[1], y + s.word(at + 16))
    return _Long(z, y, x, v, w)


def _last_block(s: _Strings, state: _Long) -> U64:
    x, y, z, v, w = state
    mul, at, nine = K1 + ((z & np.uint64(0xFF)) << np.uint64(1)), s.lengths - _BLOCK, np.uint64(9)
    w = (w[0] + ((s.sizes - np.uint64(1)) & np.uint64(63)), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x = _rotate(x + y + v[0] + s.word(at + 8), 37) * mul
    y = _rotate(y + v[1] + s.word(at + 48), 42) * mul
    x = x ^ (w[1] * nine)
    y = y + v[0] * nine + s.word(at + 40)
    z = _rotate(z + w[0], 33) * mul
    v, w = _weak(s, at, v[1] * mul, x + w[0]), _weak(s, at + 32, z + w[1], y + s.word(at + 16))
    return _join(_join(v[0], w[0], mul) + _shift_mix(y) * K0 + x, _join(v[1], w[1], mul) + z, mul)


def _weak(s: _Strings, at: int | np.ndarray, a: U64, b: U64) -> Pair:
    """A quick hash of 32 bytes with two seeds."""
    w, x, y, z = (s.word(at + offset) for offset in (0, 8, 16, 24))
    a = a + w
    b = _rotate(b + a + z, 21)
    c = a
    a = a + x + y
    return a + z, b + _rotate(a, 44) + c


# (longest length, the function of strings of that length or less)
_FINGERPRINTS: tuple[tuple[float, Callable[[_Strings], U64]], ...] = (
    (0, lambda s: np.full(len(s.starts), K2)),
    (3, _short),
    (7, _to_7),
    (16, _to_16),
    (32, _to_32),
    (64, _to_64),
    (np.inf, _beyond_64),
)


def _by_length(strings: Sequence[bytes], functions: tuple) -> np.ndarray:
    """Each string's value by the function of its length class."""
    packed, hashes, shorter = _packed(strings), np.zeros(len(strings), np.uint64), -1.0
    for longest, function in functions:
        which = np.flatnonzero((packed.lengths > shorter) & (packed.lengths <= longest))
        if which.size:
            hashes[which] = function(packed.chosen(which))
        shorter = longest
    return hashes


def _packed(strings: Sequence[bytes]) -> _Strings:
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    buffer = np.frombuffer(b"".join(strings) + bytes(_WORD), np.uint8)
    return _Strings(buffer, np.cumsum(lengths) - lengths, lengths)


def _multiplier(s: _Strings) -> U64:
    return K2 + s.sizes * np.uint64(2)


def _join(u: U64, v: U64, mul: U64) -> U64:
    a = _shift_mix((u ^ v) * mul)
    return _shift_mix((v ^ a) * mul) * mul


def _shift_mix(value: U64) -> U64:
    return value ^ (value >> np.uint64(47))


def _rotate(value: U64, shift: int, left: bool = False) -> U64:
    """The bits moved to the right, those that fall off put in front; or to the left."""
    shift = 64 - shift if left else shift
    return (value >> np.uint64(shift)) | (value << np.uint64(64 - shift))


# SipHash


def _last_word(s: _Strings, at: int) -> U64:
    """What is left of each string after its whole words, and its length in the highest byte."""
    words, rest = (s.sizes & np.uint64(0xFF)) << np.uint64(56), s.lengths - at
    for index in range(_WORD - 1):
        has = np.flatnonzero(rest > index)
        words[has] |= s.chosen(has).word(at + index, 1) << np.uint64(8 * index)
    return words


def _sip_absorb(state: list[U64], which: np.ndarray, word: U64) -> None:
    """Two rounds on a word of some of the strings."""
    if which.size:
        chosen = [part[which] for part in state]
        chosen[3] ^= word
        chosen = _sip_round(_sip_round(chosen))
        chosen[0] ^= word
        for part, new in zip(state, chosen, strict=True):
            part[which] = new


def _sip_round(state: list[U64]) -> list[U64]:
    a, b, c, d = state
    a, c = a + b, c + d
    b, d = _rotate(b, 13, left=True) ^ a, _rotate(d, 16, left=True) ^ c
    a = _rotate(a, 32)
    a, c = a + d, c + b
    d, b = _rotate(d, 21, left=True) ^ a, _rotate(b, 17, left=True) ^ c
    return [a, b, _rotate(c, 32), d]
