"""What both lookups share: where tokens stand among numbers, unknown and masked ones, and what `adapt` learns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from fnlayers.core.errors import ConfigError, brief
from fnlayers.core.layer import Shape, layerclass
from fnlayers.core.options import Numbers
from fnlayers.core.shapes import ArrayType
from fnlayers.core.strings import STRING
from fnlayers.layers.preprocessing.hashed import Salt, check_salt, refuse_sparse
from fnlayers.layers.preprocessing.host import (
    Flat,
    HostLayer,
    check_last_axis,
    encoded,
    encoded_shape,
    flat_integers,
    one_array,
)
from fnlayers.layers.preprocessing.learning import TokenCounts, adapted, learned_weights, ordered_tokens
from fnlayers.layers.preprocessing.vocabulary import Tokens, Vocabulary, as_bytes, as_text

LookupMode = Literal["int", "one_hot", "multi_hot", "count", "tf_idf"]


@layerclass
class Lookup(HostLayer):
    """Base of the lookups.

    Arguments:
        max_tokens: how many tokens there are at most, the special ones among them. None: any number.
        num_oov_indices: how many numbers tokens outside of the vocabulary have; with several, the token's hash says
            which. 0: such a token is an error (in a compiled program the number -1).
        mask_token: the token that is number 0 in the mode "int", and counts nowhere in the others. None: there is none.
        oov_token: what an unknown number is in the other direction.
        vocabulary: a list of tokens, each once: never a path. It may begin with the special tokens, all of them. None:
            to be learned by `adapt`.
        idf_weights: in the mode "tf_idf" a weight for each token of the vocabulary, as `adapt` learns them. The special
            ones have the mean of these, where they are not listed.
        invert: whether to give the tokens of numbers.
        output_mode: "int": the number of each token. "one_hot": a vector for each. "multi_hot", "count", "tf_idf": a
            vector for each row of tokens, whether each is there, how often, or how often times its weight.
        pad_to_max_tokens: whether vectors have max_tokens elements, even if the vocabulary is smaller.
        sparse: False; results are dense.
        salt: an integer or a pair, under which several numbers for unknown tokens are chosen by SipHash-2-4 in the
            place of FarmHash.

    Shapes: (...) -> (...) in the mode "int"; (..., n) -> (..., n, tokens) as vectors of each token, without an axis of
        size n = 1; (rows, n) -> (rows, tokens) as vectors of rows, and (n,) -> (tokens,). Rows of several lengths (a
        list of lists) give such rows in the first two modes.
    Mask: refused.
    """

    max_tokens: int | None = None
    num_oov_indices: int = 1
    mask_token: Any = None
    oov_token: Any = None
    vocabulary: Tokens = None

    if TYPE_CHECKING:  # fields of both lookups, which have them in orders of their own
        idf_weights: Numbers | None = None
        invert: bool = False
        output_mode: LookupMode = "int"
        pad_to_max_tokens: bool = False
        sparse: bool = False
        salt: Salt = None

    token_dtype: ClassVar[str] = STRING

    def check(self) -> None:
        """Options that fit each other, and a vocabulary with each token once."""
        check_salt(self)
        refuse_sparse(self)
        self.check_encoding()
        if self.salt is not None and getattr(self, "oov_method", "farmhash") != "farmhash":
            raise ConfigError(f"{_name(self)}: salt goes with oov_method='farmhash'; give both")
        if self.max_tokens is not None and self.max_tokens <= 1:
            raise ConfigError(f"{_name(self)}: max_tokens={self.max_tokens} is wrong; give a number above 1, or None")
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ConfigError(f"{_name(self)}: pad_to_max_tokens needs max_tokens; give both")
        if self.num_oov_indices < 0:
            raise ConfigError(f"{_name(self)}: num_oov_indices={self.num_oov_indices} is wrong; give 0 or more")
        if self.invert and self.output_mode != "int":
            raise ConfigError(f"{_name(self)}: invert goes with output_mode='int', got {self.output_mode!r}")
        if self.invert and self.oov_token is None:
            raise ConfigError(f"{_name(self)}: invert needs an oov_token, for numbers that stand for no token")
        if self.idf_weights is not None and self.output_mode != "tf_idf":
            raise ConfigError(f"{_name(self)}: idf_weights go with output_mode='tf_idf', got {self.output_mode!r}")
        if isinstance(self.vocabulary, tuple):
            self._check_vocabulary()

    def _check_vocabulary(self) -> None:
        vocabulary: Any = self.vocabulary
        if not isinstance(vocabulary, Vocabulary):
            try:
                vocabulary = self.checked_tokens(vocabulary)
            except ConfigError as error:
                raise ConfigError(f"{_name(self)}: vocabulary: {error}") from None
            object.__setattr__(self, "vocabulary", vocabulary)
        integers = self.token_dtype != STRING
        if any(isinstance(token, int) is not integers for token in vocabulary):
            raise ConfigError(f"{_name(self)}: the vocabulary holds {'strings' if integers else 'integers'}")
        if not vocabulary:
            raise ConfigError(f"{_name(self)}: the vocabulary is empty; give tokens, or None and call adapt(data)")
        tokens = vocabulary[self.first_token :]
        if len(vocabulary.positions(self.first_token)) < len(tokens):
            twice = [token for token, count in Counter(tokens).items() if count > 1]
            raise ConfigError(
                f"{_name(self)}: the vocabulary has tokens more than once, such as {twice[0]!r}; give each once: "
                "list(dict.fromkeys(tokens))"
            )
        for name, asked in (("mask_token", True), ("oov_token", self.invert)):
            token = getattr(self, name)
            if asked and token is not None and self._key(token) in vocabulary.positions(self.first_token):
                raise ConfigError(
                    f"{_name(self)}: {name}={token!r} stands among the tokens; leave the special tokens out, or begin "
                    f"the vocabulary with {self.special_tokens}"
                )
        if self.max_tokens is not None and self.vocabulary_size() > self.max_tokens:
            raise ConfigError(
                f"{_name(self)}: the vocabulary has {self.vocabulary_size()} tokens with the special ones, and "
                f"max_tokens={self.max_tokens}; give fewer, or leave out max_tokens"
            )
        if self.output_mode == "tf_idf":
            self._check_weights(len(vocabulary))

    def _check_weights(self, tokens: int) -> None:
        if self.idf_weights is None:
            raise ConfigError(f"{_name(self)}: output_mode='tf_idf' needs idf_weights with a vocabulary; give both")
        if np.shape(self.idf_weights) != (tokens,):
            raise ConfigError(
                f"{_name(self)}: idf_weights has the shape {np.shape(self.idf_weights)}, and the vocabulary {tokens} "
                "tokens; give a weight for each"
            )

    # Where the tokens stand

    @property
    def special_tokens(self) -> list:
        """The mask, in the mode "int", and the token of unknown ones, as often as it has numbers."""
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    @property
    def first_token(self) -> int:
        """Where the vocabulary's own tokens begin in it: after the special ones, if it begins with all of them."""
        special = self.special_tokens
        return len(special) if special and list((self.vocabulary or ())[: len(special)]) == special else 0

    def get_vocabulary(self, include_special_tokens: bool = True) -> list:
        """The token of each number, special ones included or not; those that were learned, or given."""
        if self.vocabulary is None:
            return self.special_tokens if include_special_tokens else []
        own = [self.shown(token) for token in self.vocabulary[self.first_token :]]
        return [*self.special_tokens, *own] if include_special_tokens else own

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of special tokens included."""
        return self._start + len(self.vocabulary or ()) - self.first_token

    @property
    def _oov_start(self) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _start(self) -> int:
        return self._oov_start + self.num_oov_indices

    @property
    def _depth(self) -> int:
        return self.max_tokens if self.pad_to_max_tokens else self.vocabulary_size()  # type: ignore[return-value]

    def weights_of_all(self) -> np.ndarray:
        """The weight of each number in the mode "tf_idf"."""
        weights = np.asarray(self.idf_weights, np.float64)
        if not self.first_token:
            weights = np.concatenate([np.full(self._start, weights.mean()), weights])
        return np.pad(weights, (0, self._depth - len(weights))).astype(np.float32)

    # Looking up

    def check_shape(self, shape: Shape) -> None:
        """One array."""
        one_array(self, shape)
        check_last_axis(self, shape, self.output_mode)

    def encode(self, x: Any) -> Any:
        """The numbers of tokens in the output mode, or the tokens of numbers."""
        self._check_adapted()
        if self.invert:
            return self._tokens(flat_integers(self, x))
        flat = self.flat(x)
        return self.encode_flat(flat)

    def encode_flat(self, flat: Flat) -> Any:
        """`encode`, of tokens one after the other."""
        return self.encode_ids(flat._replace(items=self.ids(flat.items)))

    def encode_ids(self, flat: Flat) -> Any:
        """`encode`, of ids one after the other."""
        weights = self.weights_of_all() if self.output_mode == "tf_idf" else None
        return encoded(flat.items, flat, self.output_mode, self._depth, weights)

    def ids(self, items: Any) -> np.ndarray:
        """The number of each token; those that count nowhere have -1."""
        self._check_adapted()
        return self._masked(items, self._known(items))

    def encoded_type(self, types: ArrayType) -> ArrayType:
        """As the mode has it."""
        if self.invert:
            return ArrayType(types.shape, self.token_dtype)
        depth = None if self.output_mode == "int" or self.vocabulary is None else self._depth
        dtype = "float32" if self.output_mode == "tf_idf" else "int64"
        return ArrayType(encoded_shape(types.shape, self.output_mode, depth), dtype)

    def _check_adapted(self) -> None:
        if self.vocabulary is None:
            raise ConfigError(f"{brief(self)} has no vocabulary; write layer = layer.adapt(data), or give vocabulary=")

    def _known(self, items: Any) -> np.ndarray:
        """The number of each token; what is not in the vocabulary has one of those of unknown tokens."""
        ids = self.positions(items)
        unknown = np.flatnonzero(ids < 0)
        ids += self._start
        if unknown.size:
            ids[unknown] = self._unknown(items, unknown) + self._oov_start
        return ids

    def _unknown(self, items: Any, where: np.ndarray) -> np.ndarray | int:
        """Which of the numbers for unknown tokens each of these has."""
        if self.num_oov_indices == 1:
            return 0
        chosen = items[where] if isinstance(items, np.ndarray) else [items[at] for at in where.tolist()]
        if self.num_oov_indices == 0:
            self._refuse_unknown(chosen)
            return -1 - self._oov_start
        return self.buckets(chosen)

    def _refuse_unknown(self, chosen: Any) -> None:
        mask = None if self.mask_token is None else self._key(self.mask_token)
        strange = [token for token in chosen if token != mask]
        if strange:
            listed = ", ".join(repr(self.shown(token)) for token in strange[:5])
            raise ConfigError(
                f"{brief(self)}: {len(strange)} tokens are not in the vocabulary, such as {listed}; write "
                "num_oov_indices=1 for a number that stands for them"
            )

    def _masked(self, items: Any, ids: np.ndarray) -> np.ndarray:
        if self.mask_token is not None:
            key = self._key(self.mask_token)
            is_mask = items == key if isinstance(items, np.ndarray) else np.array([item == key for item in items], bool)
            ids[is_mask] = 0 if self.output_mode == "int" else -1
        return ids

    def _tokens(self, flat: Flat) -> np.ndarray:
        """The tokens of numbers."""
        table = self.token_table([*self.special_tokens, *self.vocabulary[self.first_token :]])  # type: ignore[index]
        inside = (flat.items >= 0) & (flat.items < len(table))
        oov = self.token_table([self.oov_token])
        tokens = np.concatenate([table, oov])[np.where(inside, flat.items, len(table))]
        return encoded(tokens, flat, "int", 0)

    # Learning

    def adapt(self, data: Any, *, verbose: bool = True, steps: int | None = None) -> Any:
        """The layer with a vocabulary of the tokens in some data: the most frequent first, the largest first of equals.

        The data are read once, and only counts are held. In the mode "tf_idf" each row is a document: of an array with
        one axis each element, of a batch with one axis the whole batch.

        Arguments:
            data: an array, a list of strings or lists, or any iterable of batches.
            verbose: whether to show a bar where someone looks at it.
            steps: how many batches to read; None: all.

        Raises:
            ConfigError: for a layer that has a vocabulary, and for data without a token.
        """
        return adapted(self, data, verbose, steps)

    def learner(self) -> TokenCounts:
        """Counts of the tokens."""
        self._check_adaptable()
        return TokenCounts(self)

    def learned(self, counts: Counter, documents: Counter, rows: int) -> Any:
        """The layer with the vocabulary, and weights, of what was counted."""
        if not counts:
            raise ConfigError(f"{brief(self)}: adapt found no tokens; give data that hold some")
        for special in (self.mask_token, self.oov_token):
            if special is not None:
                counts.pop(self._key(special), None)
        most = None if self.max_tokens is None else self.max_tokens - self._start
        tokens = ordered_tokens(counts, most)
        if not tokens:  # nothing but special ones: a vocabulary of these
            return replace(self, vocabulary=Vocabulary(self.special_tokens), **self._weights_of_special())
        vocabulary = Vocabulary(map(as_text, tokens) if isinstance(tokens[0], bytes) else tokens)
        if self.output_mode != "tf_idf":
            return replace(self, vocabulary=vocabulary)
        return replace(self, vocabulary=vocabulary, idf_weights=learned_weights(tokens, documents, rows))

    def _check_adaptable(self) -> None:
        if self.vocabulary is not None:
            raise ConfigError(
                f"{brief(self)} has a vocabulary; make a layer without one to adapt it: "
                "dataclasses.replace(layer, vocabulary=None, idf_weights=None).adapt(data)"
            )
        if self.max_tokens is not None and self.max_tokens <= self._start:
            raise ConfigError(
                f"{brief(self)}: max_tokens={self.max_tokens} leaves no room besides {self._start} special tokens; "
                "give a larger number"
            )

    def _weights_of_special(self) -> dict[str, Any]:
        if self.output_mode == "tf_idf" or None in self.special_tokens or not self.special_tokens:
            raise ConfigError(f"{brief(self)}: adapt found special tokens alone; give data that hold others")
        return {}

    # What a lookup writes

    def check_encoding(self) -> None:
        """Raise ConfigError for an encoding that is unknown, of a lookup that has one."""

    def checked_tokens(self, tokens: Sequence) -> Vocabulary:
        """A vocabulary of what a user gave."""
        raise ConfigError("a lookup says which tokens it takes")

    def flat(self, x: np.ndarray) -> Flat:
        """The tokens of an input, one after the other."""
        raise ConfigError("a lookup says how it reads its input")

    def positions(self, items: Any) -> np.ndarray:
        """Where each token stands in the vocabulary, counted from its first one; -1: it is not there."""
        raise ConfigError("a lookup says where tokens stand")

    def buckets(self, items: Any) -> np.ndarray:
        """Which of the numbers for unknown tokens each has."""
        raise ConfigError("a lookup says how unknown tokens are told apart")

    def token_table(self, tokens: list) -> np.ndarray:
        """Tokens as an array."""
        raise ConfigError("a lookup says what its tokens are")

    def shown(self, token: Any) -> Any:
        """A token as `get_vocabulary` gives it."""
        return token

    def _key(self, token: Any) -> Any:
        """A token as it is looked up."""
        return as_bytes(token) if isinstance(token, (str, bytes)) else token


def _name(layer: Any) -> str:
    return type(layer).__name__
