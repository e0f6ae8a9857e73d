"""Names of layers inside a container, and random keys folded from those names."""

import functools
import hashlib
import re
from collections.abc import Container
from typing import Any

from fnlayers.functions.draws import fold_in

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])")


@functools.cache
def snake_case(name: str) -> str:
    """A class name as Keras writes it in weight paths.

    >>> [snake_case(name) for name in ("Conv2D", "BatchNormalization", "PReLU", "LSTM", "TimeDistributed")]
    ['conv2d', 'batch_normalization', 'p_re_lu', 'lstm', 'time_distributed']
    """
    return _WORD.sub("_", name).lower()


def number(name: str, used: Container[str]) -> str:
    """The first of name, name_1, name_2, ... that is not used yet."""
    return number_from(name, used)[0]


def number_from(name: str, used: Container[str], count: int = 0) -> tuple[str, int]:
    """The first free name from that count on, and its count: many names in one container take linear time."""
    candidate = f"{name}_{count}" if count else name
    while candidate in used:
        count += 1
        candidate = f"{name}_{count}"
    return candidate, count


@functools.cache
def _hash(part: str | int) -> int:
    """32 bits that depend on nothing but the name: Python's own hash changes from run to run."""
    if isinstance(part, int):
        return part
    return int.from_bytes(hashlib.blake2s(part.encode(), digest_size=4).digest(), "little")


def fold(rng: Any, *path: str | int) -> Any:
    """The key of the layer or weight at `path`: each name's hash folded into `rng`, one after the other.

    So a layer's numbers depend on its path alone, and adding another layer changes no other layer's.
    """
    for part in path:
        rng = fold_in(rng, _hash(part))
    return rng
