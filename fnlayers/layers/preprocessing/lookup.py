"""Lookups: tokens of a vocabulary as numbers, vectors or counts, and numbers back as tokens."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, brief
from fnlayers.core.layer import layerclass
from fnlayers.core.options import Numbers
from fnlayers.core.strings import STRING
from fnlayers.layers.preprocessing.hashed import Salt, hash_buckets
from fnlayers.layers.preprocessing.host import Flat, flat_integers, flat_strings
from fnlayers.layers.preprocessing.lookup_base import Lookup, LookupMode
from fnlayers.layers.preprocessing.vocabulary import Vocabulary, as_bytes, integer_tokens, string_tokens
from fnlayers.ops.categories import encode_categories

__all__ = ["IntegerLookup", "StringLookup"]


@layerclass
class StringLookup(Lookup):
    """The number of each string in a vocabulary; or vectors and counts of them, or the strings of numbers.

    It runs on the host, and gives arrays of NumPy: run it before what is compiled. `Lookup` has the other arguments.

    Arguments:
        mask_token, oov_token: strings.
        encoding: in which `get_vocabulary` gives tokens that were bytes.

    Example:
        >>> layer = StringLookup(vocabulary=["a", "b"])
        >>> layer.apply({}, [["a", "b"], ["c", "a"]]).tolist()
        [[1, 2], [0, 1]]
        >>> StringLookup().adapt(["b", "a", "b"]).get_vocabulary()
        ['[UNK]', 'b', 'a']
    """

    mask_token: str | bytes | None = None
    oov_token: str | bytes | None = "[UNK]"
    idf_weights: Numbers | None = None
    invert: bool = False
    output_mode: LookupMode = "int"
    pad_to_max_tokens: bool = False
    sparse: bool = False
    encoding: str = "utf-8"
    salt: Salt = None

    def check_encoding(self) -> None:
        """A text encoding that Python knows."""
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ConfigError(f"StringLookup: encoding={self.encoding!r} is unknown; give such as 'utf-8'") from None

    def checked_tokens(self, tokens: Sequence) -> Vocabulary:
        """Strings."""
        return string_tokens(tokens)

    def flat(self, x: np.ndarray) -> Flat:
        """Strings as bytes."""
        return flat_strings(self, x)

    def positions(self, items: list[bytes]) -> np.ndarray:
        """By a dict of the vocabulary."""
        get = self.vocabulary.positions(self.first_token).get  # type: ignore[union-attr]
        return np.fromiter(map(get, items, itertools.repeat(-1)), np.int64, len(items))

    def buckets(self, items: list[bytes]) -> np.ndarray:
        """By the hash of the string."""
        return hash_buckets(items, self.num_oov_indices, self.salt)

    def token_table(self, tokens: list) -> np.ndarray:
        """An array of objects: strings lose nothing in one."""
        array = np.empty(len(tokens), object)
        array[:] = tokens
        return array

    def shown(self, token: Any) -> Any:
        """As text in the encoding; bytes that are none in it."""
        try:
            return token if token is None else as_bytes(token).decode(self.encoding)
        except UnicodeDecodeError:
            return token

    @property
    def in_dtype(self) -> Any:
        """Strings, or numbers."""
        return "int64" if self.invert else STRING


@layerclass
class IntegerLookup(Lookup):
    """The number of each integer in a vocabulary; or vectors and counts of them, or the integers of numbers.

    Arrays of NumPy give arrays of NumPy, of 64 bits. It also runs within a compiled program, on integers of 32 bits.
    `Lookup` has the other arguments.

    Arguments:
        mask_token, oov_token: integers.
        vocabulary_dtype: "int64".
        oov_method: how one of several numbers for unknown tokens is chosen: by the remainder ("floormod"), or by the
            hash of the decimal number ("farmhash").

    Example:
        >>> layer = IntegerLookup(vocabulary=[12, 36])
        >>> layer.apply({}, np.array([36, 7, 12])).tolist()
        [2, 0, 1]
        >>> IntegerLookup(vocabulary=[12, 36], invert=True).apply({}, np.array([2, 0])).tolist()
        [36, -1]
    """

    mask_token: int | None = None
    oov_token: int | None = -1
    vocabulary_dtype: Literal["int64"] = "int64"
    idf_weights: Numbers | None = None
    invert: bool = False
    output_mode: LookupMode = "int"
    sparse: bool = False
    pad_to_max_tokens: bool = False
    oov_method: Literal["floormod", "farmhash"] = "floormod"
    salt: Salt = None

    token_dtype: ClassVar[str] = "int64"

    def checked_tokens(self, tokens: Sequence) -> Vocabulary:
        """Integers."""
        return integer_tokens(tokens)

    @property
    def in_dtype(self) -> Any:
        """Integers."""
        return "int64"

    def flat(self, x: np.ndarray) -> Flat:
        """Integers of 64 bits."""
        return flat_integers(self, x)

    def positions(self, items: np.ndarray) -> np.ndarray:
        """By a search in the sorted vocabulary."""
        tokens, order = self.vocabulary.sorted_integers(self.first_token)  # type: ignore[union-attr]
        if not len(tokens):
            return np.full(len(items), -1)
        at = np.minimum(np.searchsorted(tokens, items), len(tokens) - 1)
        return np.where(tokens[at] == items, order[at], -1)

    def shown(self, token: Any) -> Any:
        """As Python's integer."""
        return token if token is None else int(token)

    def buckets(self, items: np.ndarray) -> np.ndarray:
        """By the remainder, or the hash of the decimal number."""
        if self.oov_method == "floormod":
            return items % self.num_oov_indices
        return hash_buckets([b"%d" % item for item in items.tolist()], self.num_oov_indices, self.salt)

    def token_table(self, tokens: list) -> np.ndarray:
        """Integers of 64 bits."""
        return np.array(tokens, np.int64)

    def encode_traced(self, x: Any) -> Any:
        """The same within a compiled program, on integers of 32 bits; NaN and infinity are unknown there."""
        self._check_adapted()
        finite = jnp.isfinite(x) if jnp.issubdtype(x.dtype, jnp.floating) else None
        x = jnp.asarray(x, "int32")
        if self.invert:
            table = jnp.asarray([*self.get_vocabulary(), self.oov_token], "int32")
            inside = (x >= 0) & (x < len(table) - 1)
            return table[jnp.where(inside, x, len(table) - 1)]
        ids = self._traced_ids(x)
        if finite is not None:
            ids = jnp.where(finite, ids, self._oov_start if self.num_oov_indices else -1)
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        encoded = encode_categories(ids, self._depth, mode, "float32" if self.output_mode == "tf_idf" else "int32")
        return encoded * self.weights_of_all() if self.output_mode == "tf_idf" else encoded

    def _traced_ids(self, x: Any) -> Any:
        if self.num_oov_indices > 1 and self.oov_method != "floormod":
            raise ConfigError(f"{brief(self)} hashes on the host alone; within a compiled program use 'floormod'")
        tokens, order = self.vocabulary.sorted_integers(self.first_token)  # type: ignore[union-attr]
        fits = (tokens >= -(2**31)) & (tokens < 2**31)  # no input of 32 bits is another one
        tokens, order = np.append(tokens[fits], 0).astype("int32"), np.append(order[fits], -1)
        at = jnp.minimum(jnp.searchsorted(tokens[:-1], x), max(len(tokens) - 2, 0))
        known = (jnp.asarray(tokens)[at] == x) & (jnp.asarray(order)[at] >= 0)
        unknown = -1 if self.num_oov_indices == 0 else self._oov_start + x % self.num_oov_indices
        ids = jnp.where(known, jnp.asarray(order, "int32")[at] + self._start, unknown)
        if self.mask_token is not None:
            ids = jnp.where(x == self.mask_token, 0 if self.output_mode == "int" else -1, ids)
        return ids
