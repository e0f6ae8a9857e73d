"""Hashes: published vectors of SipHash-2-4, FarmHash's own library (pyfarmhash 0.4), and one string at a time."""

import numpy as np
import pytest

from fnlayers.ops.hashing import fingerprint64, fingerprint_cat64, siphash64

# farmhash.fingerprint64 of (7 i + 3) % 256 for i < n, by n: both ends of each length class
FARMHASH = {
    0: 0x9AE16A3B2F90404F, 1: 0xBEC09CC447469D8B, 2: 0x16F8263645A8ECF5, 3: 0x40B4412E33EEFD64, 4: 0xF3C7EE05197A7B92,
    7: 0x4FEF0B39C12AA9A4, 8: 0x0C97ECBC1E9D2626, 15: 0x2CA35F0A039B4F1B, 16: 0x7EDA0ED8C837A168, 17: 0xC9518FE63EBF6127,
    31: 0xBD5CA6EE28FC43CB, 32: 0xA53F806F23A314E8, 33: 0xC24F9D7CE864F0E9, 63: 0x9643C13FC68D469C, 64: 0x0566266CB579ECA2,
    65: 0x77E0867714E6B0E4, 127: 0xCAA19A12C8273B7E, 128: 0x666823960B3AC271, 129: 0x98206B8579BCA083,
    192: 0x3FB42D06DD42F727, 193: 0x9A1776A82B94F2B6, 1000: 0xE021806CC1E3DC4C,
}  # fmt: skip
# the first of vectors_sip64 of the reference implementation, as bytes: of 00 01 02 ... under the key 00 01 ... 0f
SIPHASH = ("310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785")
KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)


def text(length):
    return bytes((7 * i + 3) % 256 for i in range(length))


def test_fingerprints_are_those_of_farmhash():
    hashes = fingerprint64([text(length) for length in FARMHASH])
    assert hashes.tolist() == list(FARMHASH.values()) and hashes.dtype == np.uint64


def test_siphash_is_the_published_one():
    hashes = siphash64([bytes(range(length)) for length in (*range(4), 15)], KEY)
    assert [int(value).to_bytes(8, "little").hex() for value in hashes[:4]] == list(SIPHASH)
    assert hashes[4] == 0xA129CA6149BE45E5  # of the paper


def scalar_siphash(data, key):
    """SipHash-2-4 as the paper states it, one string and Python's integers."""
    mask = 2**64 - 1

    def rotate(x, n):
        return (x << n | x >> (64 - n)) & mask

    def rounds(v, count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    k = [part & mask for part in key]
    v = [k[0] ^ 0x736F6D6570736575, k[1] ^ 0x646F72616E646F6D, k[0] ^ 0x6C7967656E657261, k[1] ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@pytest.mark.parametrize("key", [(133, 137), (-1, 2**63)])
def test_siphash_is_its_definition_for_all_lengths_at_once(key):
    strings = [text(length) for length in (*range(40), 255, 256, 300)]
    assert siphash64(strings, key).tolist() == [scalar_siphash(s, key) for s in strings]


def test_the_hash_of_a_string_does_not_depend_on_its_neighbors():
    strings = [text(length) for length in (200, 0, 65, 3, 20, 130, 8, 64)]
    for function in (fingerprint64, lambda s: siphash64(s, KEY)):
        assert function(strings).tolist() == [function([s])[0] for s in strings]
        assert function([]).shape == (0,)


def test_the_order_of_two_fingerprints_counts():
    a, b = fingerprint64([b"a"]), fingerprint64([b"b"])
    assert fingerprint_cat64(a, b) != fingerprint_cat64(b, a)
