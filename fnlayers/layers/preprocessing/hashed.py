"""Hashes as numbers of buckets, and what the layers that hash, or look up, check alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.ops.hashing import fingerprint64, siphash64

Salt = int | Sequence[int] | None


def hash_buckets(items: Sequence[bytes], buckets: int, salt: Salt) -> np.ndarray:
    """The hash of each string modulo a number of buckets: FarmHash, or with a salt SipHash-2-4."""
    if salt is None:
        hashes = fingerprint64(items)
    else:
        hashes = siphash64(items, (salt, salt) if isinstance(salt, int) else tuple(salt))  # type: ignore[arg-type]
    return (hashes % np.uint64(buckets)).astype(np.int64)


def check_salt(layer: Any) -> None:
    """Raise ConfigError for a salt that is not an integer or a pair."""
    salt = layer.salt
    pair = isinstance(salt, tuple) and len(salt) == 2 and all(isinstance(part, int) for part in salt)
    if not (salt is None or pair or (isinstance(salt, int) and not isinstance(salt, bool))):
        raise ConfigError(f"{type(layer).__name__}: salt={salt!r} is wrong; give an integer, or two")


def refuse_sparse(layer: Any) -> None:
    """Raise ConfigError for sparse results."""
    if layer.sparse:
        raise ConfigError(
            f"{type(layer).__name__}: sparse=True is not supported, because jax's sparse arrays go through neither fit "
            "nor most layers; leave it out, and give many categories as ids to an Embedding, or hash them "
            "(jax.experimental.sparse.BCOO.fromdense(y) makes a sparse array)"
        )
