"""A vocabulary: tokens in order, as plain data that is hashed and searched once, however many there are."""

import functools
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.kinds import Kind

_SHOWN = 3  # tokens in a repr


class Vocabulary(tuple):
    """A tuple of tokens that remembers its hash and where each token stands.

    Strings that are UTF-8 are str, others are bytes; or all are integers.

    Example:
        >>> Vocabulary(("a", "b", "c", "d"))
        ('a', 'b', 'c', ... 4 tokens)
    """

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or tuple.__eq__(self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __repr__(self) -> str:
        if len(self) <= _SHOWN:
            return tuple.__repr__(self)
        return f"({', '.join(map(repr, self[:_SHOWN]))}, ... {len(self)} tokens)"

    def __reduce__(self) -> Any:
        return Vocabulary, (tuple(self),)

    @functools.cached_property
    def _hash(self) -> int:
        return tuple.__hash__(self)

    @functools.cached_property
    def _positions(self) -> dict[int, dict]:
        return {}

    def positions(self, start: int) -> dict[Any, int]:
        """The position of each token from `start` on, counted from there: strings as bytes."""
        if start not in self._positions:
            tokens = self[start:]
            keys = tokens if is_integers(tokens) else map(as_bytes, tokens)
            self._positions[start] = dict(zip(keys, range(len(tokens)), strict=True))
        return self._positions[start]

    def sorted_integers(self, start: int) -> tuple[np.ndarray, np.ndarray]:
        """The integers from `start` on in rising order, and the position of each."""
        tokens = np.array(self[start:], np.int64)
        order = np.argsort(tokens)
        return tokens[order], order


def is_integers(tokens: Sequence) -> bool:
    """Whether tokens are integers; of one vocabulary all are, or none."""
    return bool(tokens) and isinstance(tokens[0], int)


def _is_vocabulary(value: Any) -> bool:
    return isinstance(value, tuple)


Tokens = Annotated[  # of a field: a list of tokens, or None
    Sequence[str | bytes | int] | None,
    Kind(
        lambda value: value is None or _is_vocabulary(value),
        "a list of tokens: a vocabulary is never a path, so read the file yourself, open(path).read().splitlines()",
        frozenset({1}),
    ),
]


def as_bytes(token: str | bytes) -> bytes:
    """A string as the bytes that are looked up and hashed.

    Raises:
        ConfigError: for half of a surrogate pair, which UTF-8 does not have.
    """
    if isinstance(token, bytes):
        return token
    try:
        return token.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{token!r} holds half of a surrogate pair, which is no character; write "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from None


def as_text(token: bytes) -> str | bytes:
    """Bytes as str where they are UTF-8."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return token


def string_tokens(tokens: Sequence) -> Vocabulary:
    """A vocabulary of the strings that a user gave.

    As in Keras, NULs at the end of a token are lost; tokens that `adapt` learned keep them.

    Raises:
        ConfigError: for what is not a string.
    """
    for token in tokens:
        if not isinstance(token, (str, bytes)):
            raise ConfigError(f"the token {token!r} is of type {type(token).__name__}; give strings")
    return Vocabulary(as_text(as_bytes(token).rstrip(b"\0")) for token in tokens)


def integer_tokens(tokens: Sequence) -> Vocabulary:
    """A vocabulary of the integers that a user gave.

    Raises:
        ConfigError: for what is not an integer that 64 bits hold.
    """
    for token in tokens:
        if not isinstance(token, int) or isinstance(token, bool) or not -(2**63) <= token < 2**63:
            raise ConfigError(f"the token {token!r} is not an integer of 64 bits; give integers")
    return Vocabulary(tokens)
