"""Text on the host: byte strings are brought into one form, split into tokens, and joined into n-grams.

Strings are bytes in UTF-8 here. What is cut and deleted is ASCII, whose bytes stand for nothing else in UTF-8, so that
one call of C does it, and all other letters, and bytes that are no UTF-8, stay as they are.
"""

import string
from collections.abc import Iterable, Sequence

__all__ = ["joined_ngrams", "split_characters", "split_whitespace", "standardized"]

PUNCTUATION = string.punctuation.encode()  # the 32 of ASCII
_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())


def standardized(texts: Iterable[bytes], lower: bool = True, strip_punctuation: bool = True) -> list[bytes]:
    """The texts with A to Z in lower case, and without ASCII's punctuation; no other letter has a lower case here.

    Example:
        >>> standardized(["The CAT, re-run: É!".encode()])[0].decode()
        'the cat rerun É'
    """
    table, deleted = (_LOWER if lower else None), (PUNCTUATION if strip_punctuation else b"")
    return [text.translate(table, deleted) for text in texts]


def split_whitespace(texts: Iterable[bytes]) -> list[list[bytes]]:
    r"""The tokens of each text between spaces, tabs and ends of lines of ASCII; of several in a row none is empty.

    Example:
        >>> split_whitespace([b" a  b\tc ", b""])
        [[b'a', b'b', b'c'], []]
    """
    return [text.split() for text in texts]


def split_characters(texts: Iterable[bytes]) -> list[list[bytes]]:
    r"""The code points of each text; U+FFFD for a sequence of bytes that is not UTF-8, as Unicode recommends.

    Example:
        >>> [token.decode() for token in split_characters(["aé".encode() + b"\xff"])[0]]
        ['a', 'é', '\ufffd']
    """
    return [[letter.encode() for letter in text.decode("utf-8", "replace")] for text in texts]


def joined_ngrams(rows: Iterable[Sequence[bytes]], widths: Sequence[int]) -> list[list[bytes]]:
    """In each row all n-grams of the first width, then all of the next, joined by a space.

    Example:
        >>> joined_ngrams([[b"a", b"b", b"c"], [b"d"]], (1, 2))
        [[b'a', b'b', b'c', b'a b', b'b c'], [b'd']]
    """
    return [[b" ".join(row[at : at + width]) for width in widths for at in range(len(row) - width + 1)] for row in rows]
