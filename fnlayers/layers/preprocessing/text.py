"""Text as numbers: brought into one form, split into tokens, joined into n-grams, and looked up."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError, brief, shortened
from fnlayers.core.layer import Shape, layerclass
from fnlayers.core.options import Numbers
from fnlayers.core.shapes import ArrayType
from fnlayers.core.strings import as_arrays
from fnlayers.layers.preprocessing.hashed import refuse_sparse
from fnlayers.layers.preprocessing.host import (
    Flat,
    HostLayer,
    cut,
    encoded_shape,
    flat_strings,
    one_array,
    rows_of,
)
from fnlayers.layers.preprocessing.learning import adapted
from fnlayers.layers.preprocessing.lookup import StringLookup
from fnlayers.layers.preprocessing.lookup_base import LookupMode
from fnlayers.layers.preprocessing.vocabulary import Tokens
from fnlayers.ops.text import joined_ngrams, split_characters, split_whitespace, standardized

__all__ = ["TextVectorization"]

Standardize = Literal["lower", "strip_punctuation", "lower_and_strip_punctuation"]
Split = Literal["whitespace", "character"]
LOWER, STRIP = ("lower", "lower_and_strip_punctuation"), ("strip_punctuation", "lower_and_strip_punctuation")
TEXTS_AT_ONCE = 8192  # whose tokens are in memory at a time


@layerclass
class TextVectorization(HostLayer):
    """Texts as the numbers of their words, padded to one length; or as one vector of words for each text.

    It runs on the host, and gives arrays of NumPy: run it before what is compiled. In the mode "int" 0 is padding, and
    1 an unknown word.

    Arguments:
        max_tokens: how many words there are at most, with padding and unknown ones. None: any number.
        standardize: "lower" (A to Z), "strip_punctuation" (ASCII's), both, None, or a function of an array of str.
        split: "whitespace" (ASCII's), "character" (code points), None: each text is one token, or a function of an
            array of str that gives a list of str for each.
        ngrams: an integer n for n-grams of 1 to n words, or a tuple of the widths that are taken; None: words alone.
        output_mode: "int", or as `StringLookup` has it.
        output_sequence_length: to how many numbers texts are cut and padded, in the mode "int". None: the longest's.
        pad_to_max_tokens: whether vectors have max_tokens elements, even if the vocabulary is smaller.
        vocabulary: a list of words, each once: never a path. None: to be learned by `adapt`.
        idf_weights: a weight for each word, in the mode "tf_idf".
        sparse: False; results are dense.
        ragged: whether rows are left as long as they are, in the mode "int": an array of objects, one array a text.
        encoding: of bytes that a function of yours is given as str, and that `get_vocabulary` gives.

    Shapes: (texts,) or (texts, 1) -> (texts, n), or (texts, words) as vectors; () -> (n,) or (words,). Without split,
        as `StringLookup`. In the mode "one_hot" an array of objects, one (n, words) a text.
    Mask: refused.

    Example:
        >>> layer = TextVectorization(output_sequence_length=4).adapt(["The cat", "the cat, the dog!"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'the', 'cat', 'dog']
        >>> layer.apply({}, ["A dog and the cat", "The the"]).tolist()
        [[1, 4, 1, 2], [2, 2, 0, 0]]
    """

    max_tokens: int | None = None
    standardize: Standardize | Callable | None = "lower_and_strip_punctuation"
    split: Split | Callable | None = "whitespace"
    ngrams: int | Sequence[int] | None = None
    output_mode: LookupMode = "int"
    output_sequence_length: int | None = None
    pad_to_max_tokens: bool = False
    vocabulary: Tokens = None
    idf_weights: Numbers | None = None
    sparse: bool = False
    ragged: bool = False
    encoding: str = "utf-8"

    def check(self) -> None:
        """Options that fit each other, and those of the lookup."""
        refuse_sparse(self)
        known = {"standardize": get_args(Standardize), "split": get_args(Split)}
        for name, choices in known.items():
            value = getattr(self, name)
            if value is not None and not callable(value) and value not in choices:
                listed = ", ".join(map(repr, choices))
                raise ConfigError(f"TextVectorization: {name}={value!r} is unknown; give {listed}, None or a function")
        if any(width < 1 for width in self._widths or ()) or (isinstance(self.ngrams, int) and self.ngrams < 0):
            raise ConfigError(f"TextVectorization: ngrams={self.ngrams!r} is wrong; give widths of at least 1")
        if self.output_mode != "int" and (self.output_sequence_length is not None or self.ragged):
            raise ConfigError(
                "TextVectorization: output_sequence_length and ragged go with output_mode='int', got "
                f"{self.output_mode!r}; leave them out"
            )
        if self.output_sequence_length is not None and self.output_sequence_length < 0:
            raise ConfigError(
                f"TextVectorization: output_sequence_length={self.output_sequence_length} is wrong; give 0 or more"
            )
        try:
            lookup = self.lookup
        except ConfigError as error:
            raise ConfigError(str(error).replace("StringLookup", "TextVectorization", 1)) from None
        object.__setattr__(self, "vocabulary", lookup.vocabulary)

    @property
    def lookup(self) -> StringLookup:
        """The lookup of the tokens, whose mask is the padding."""
        return StringLookup(
            self.max_tokens,
            mask_token="",
            vocabulary=self.vocabulary,
            idf_weights=self.idf_weights,
            output_mode=self.output_mode,
            pad_to_max_tokens=self.pad_to_max_tokens,
            encoding=self.encoding,
        )

    @property
    def _widths(self) -> tuple[int, ...] | None:
        return tuple(range(1, self.ngrams + 1)) if isinstance(self.ngrams, int) else self.ngrams  # type: ignore[return-value]

    def get_vocabulary(self, include_special_tokens: bool = True) -> list:
        """The word of each number, padding and unknown words included or not."""
        return self.lookup.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of padding and unknown words included."""
        return self.lookup.vocabulary_size()

    def check_shape(self, shape: Shape) -> None:
        """One array of texts."""
        one_array(self, shape)
        if self.split is not None and len(shape) > 1 and shape[-1] not in (1, None):
            raise ShapeError(
                f"{brief(self)} takes texts of the shape (texts,) or (texts, 1), got {tuple(shape)}; call it for each "
                "column"
            )

    def encode(self, x: Any) -> Any:
        """The numbers of the tokens."""
        lookup = self.lookup
        flat = _joined([part._replace(items=lookup.ids(part.items)) for part in self.tokens(x)])
        leading = x.shape[:-1] if self.split is not None and x.ndim > 1 else x.shape
        if self.output_mode == "int":
            return self._rows(flat.items, flat, leading)
        encoded = lookup.encode_ids(flat)
        if flat.lengths is None:
            return encoded
        return encoded.reshape(*leading, *encoded.shape[1:]) if leading or encoded.dtype != object else encoded[0]

    def _rows(self, ids: np.ndarray, flat: Flat, leading: tuple[int, ...]) -> np.ndarray:
        """Ids of one row after the other as rows, in the mode "int"."""
        if flat.lengths is None or not leading:
            return self._fitted(ids.reshape(flat.shape if flat.lengths is None else -1))
        if not self.ragged:
            rows = _padded(ids, flat.lengths, self.output_sequence_length)
            return rows.reshape(*leading, rows.shape[-1])
        rows = cut(ids, flat.lengths)
        if self.output_sequence_length is not None:
            rows[:] = [row[: self.output_sequence_length] for row in rows]
        return rows.reshape(leading)

    def _fitted(self, ids: np.ndarray) -> np.ndarray:
        """The last axis cut and padded to the length."""
        length = self.output_sequence_length
        if length is None or not ids.ndim:
            return ids
        ids = ids[..., :length]
        return ids if self.ragged else np.pad(ids, [(0, 0)] * (ids.ndim - 1) + [(0, length - ids.shape[-1])])

    def encoded_type(self, types: ArrayType) -> ArrayType:
        """As the mode has it; the length of texts is unknown unless it is an option."""
        shape = types.shape
        lookup = self.lookup
        depth = None if self.vocabulary is None and not self.pad_to_max_tokens else lookup._depth
        dtype = "float32" if self.output_mode == "tf_idf" else "int64"
        if self.split is None and self.ngrams is None:
            new_shape = encoded_shape(shape, self.output_mode, depth)
            fits = self.output_mode == "int" and self.output_sequence_length is not None
            return ArrayType((*new_shape[:-1], self.output_sequence_length) if fits and new_shape else new_shape, dtype)
        leading = shape[:-1] if len(shape) > 1 else shape
        last = {"int": (self.output_sequence_length,), "one_hot": (None, depth)}.get(self.output_mode, (depth,))
        return ArrayType((*leading, *last), dtype)

    # From texts to tokens

    def tokens(self, x: np.ndarray) -> Iterator[Flat]:
        """The tokens of each text, of some thousand texts at a time; rows of them where texts are split."""
        flat = flat_strings(self, x)
        if flat.lengths is not None:
            raise ShapeError(f"{brief(self)} takes an array of texts, got rows of several lengths")
        if self.split is None or callable(self.split) or callable(self.standardize):  # functions see all the texts
            yield self._tokens(flat)
            return
        for start in range(0, max(len(flat.items), 1), TEXTS_AT_ONCE):
            texts = flat.items[start : start + TEXTS_AT_ONCE]
            yield self._tokens(Flat(texts, (len(texts),)))

    def _tokens(self, flat: Flat) -> Flat:
        texts = self._standardized(flat)
        if self.split is None:
            return texts if self._widths is None else self._dense_ngrams(texts)
        rows = self._split(texts.items)
        return rows_of(rows if self._widths is None else joined_ngrams(rows, self._widths))

    def _standardized(self, flat: Flat) -> Flat:
        if callable(self.standardize):
            strings = np.array(self._as_str(flat.items), str).reshape(flat.shape)
            new_texts = as_arrays(self.standardize(strings))
            if np.shape(new_texts) != flat.shape:
                raise ShapeError(
                    f"{brief(self)}: standardize gave {np.shape(new_texts)} for {flat.shape}; give as many texts"
                )
            return flat_strings(self, np.asarray(new_texts))
        return flat._replace(items=standardized(flat.items, self.standardize in LOWER, self.standardize in STRIP))

    def _split(self, texts: list[bytes]) -> list[list[bytes]]:
        if not callable(self.split):
            return split_characters(texts) if self.split == "character" else split_whitespace(texts)
        tokens = self.split(np.array(self._as_str(texts), str))
        is_rows = isinstance(tokens, Iterable) and not isinstance(tokens, (str, bytes))
        rows = list(tokens) if is_rows else []  # type: ignore[arg-type]
        if not is_rows or any(isinstance(row, (str, bytes)) or not isinstance(row, Iterable) for row in rows):
            raise ConfigError(f"{brief(self)}: split gave {shortened(tokens)}; give a list of tokens for each text")
        if len(rows) != len(texts):
            raise ShapeError(f"{brief(self)}: split gave {len(rows)} lists for {len(texts)} texts; give one for each")
        rows = [list(row) for row in rows]
        return [flat_strings(self, np.array([*row, None], object)[:-1]).items for row in rows]

    def _as_str(self, texts: list[bytes]) -> list[str]:
        try:
            return [text.decode(self.encoding) for text in texts]
        except UnicodeDecodeError as error:
            raise ConfigError(f"{brief(self)}: a text is not in the encoding {self.encoding!r}: {error}") from None

    def _dense_ngrams(self, texts: Flat) -> Flat:
        """N-grams along the last axis of texts that are not split."""
        if not texts.shape:
            raise ShapeError(f"{brief(self)}: ngrams without split take texts along an axis, got one text")
        width = texts.shape[-1]
        rows = [texts.items[at : at + width] for at in range(0, len(texts.items), max(width, 1))]
        joined = joined_ngrams(rows, self._widths or ())
        count = sum(max(width - n + 1, 0) for n in self._widths or ())
        return Flat([token for row in joined for token in row], (*texts.shape[:-1], count))

    # Learning

    def adapt(self, data: Any, *, verbose: bool = True, steps: int | None = None) -> "TextVectorization":
        """The layer with a vocabulary of the words in some texts: the most frequent first, the largest first of equals.

        The texts are read once, and only counts are held. In the mode "tf_idf" each text is a document.

        Arguments:
            data: an array or list of texts, or any iterable of batches of them.
            verbose: whether to show a bar where someone looks at it.
            steps: how many batches to read; None: all.

        Raises:
            ConfigError: for a layer that has a vocabulary, and for texts without a word.
        """
        return adapted(self, data, verbose, steps)

    def learner(self) -> "WordCounts":
        """Counts of the words."""
        return WordCounts(self)


class WordCounts:
    """How often each word of texts occurs, and for weights in how many texts: a Learner.

    Arguments:
        layer: a TextVectorization.
    """

    def __init__(self, layer: TextVectorization) -> None:
        self.layer, self.counts = layer, layer.lookup.learner()

    def add(self, batch: np.ndarray, whole: bool) -> None:
        """Count the words of texts."""
        self.layer.check_shape(batch.shape)
        for flat in self.layer.tokens(batch[:, None] if whole and batch.ndim == 1 else batch):
            self.counts.add_tokens(flat)

    def learned(self) -> TextVectorization:
        """The layer with a vocabulary, and weights."""
        lookup = self.counts.learned()
        return replace(self.layer, vocabulary=lookup.vocabulary, idf_weights=lookup.idf_weights)


def _joined(parts: list[Flat]) -> Flat:
    """The ids of several parts of the rows as those of all rows."""
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([part.lengths for part in parts if part.lengths is not None])
    return Flat(np.concatenate([part.items for part in parts]), (len(lengths),), lengths)


def _padded(ids: np.ndarray, lengths: np.ndarray, width: int | None) -> np.ndarray:
    """Rows of one length, that of the longest unless another is given, with 0 behind what they have."""
    width = int(lengths.max(initial=0)) if width is None else width
    rows, starts = np.repeat(np.arange(len(lengths)), lengths), np.cumsum(lengths) - lengths
    columns = np.arange(len(ids)) - starts[rows]
    inside = columns < width
    padded = np.zeros((len(lengths), width), np.int64)
    padded[rows[inside], columns[inside]] = ids[inside]
    return padded
