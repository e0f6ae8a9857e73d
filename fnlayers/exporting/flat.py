"""The bounds of a serialized program, checked before jax reads it.

jax reads a flatbuffer as it finds it: a list is as long as it says, and a table that stands twice in a list is read
twice, and so are those in it: a kilobyte can hold 2 ** 60 of them. So each text, list and table is visited here first.
In a file that jax wrote each stands once, so that all of them together are no larger than the file.
"""

import re
import struct
from typing import Any

from fnlayers.core.errors import ConfigError

WIDTHS = {"text": 1, "bytes": 1, "shorts": 2, "ints": 4, "size": 1}  # of the elements of what is no table
MAX_DEPTH = 200  # of tables inside each other
MAX_SIZE = 1000  # characters of a symbolic size
# A size as jax writes it: numbers and names, sums and products of them, and functions; parentheses are a function's.
# What they could otherwise say, (a+b)^1000, would be multiplied out.
SIZE_TEXT = re.compile(r"(?:[A-Za-z_]\w*(?!\w)\(?|\d{1,18}(?!\d)|\^\d{1,2}(?!\d)|[-+*,) ])*", re.ASCII)

# Tables, by the number of each field of variable size: what it holds; a tuple stands for a list of such.
TABLES = {
    "program": {
        1: "text", 2: "tree", 3: ("array",), 4: "tree", 5: ("array",), 7: ("sharding",), 8: ("sharding",), 9: ("text",),
        10: ("effect",), 11: ("effect",), 12: ("check",), 13: "bytes", 15: "shorts", 17: "program", 19: ("array",),
        20: ("mesh",), 21: ("named sharding",), 22: "ints", 23: "ints", 24: "ints", 25: "ints",
    },
    "tree": {1: ("tree",), 2: ("text",), 3: "text", 4: "bytes"},
    "array": {1: ("size",)},
    "sharding": {1: "bytes", 2: "named sharding"},
    "named sharding": {0: "mesh", 1: "partition", 2: "text"},
    "mesh": {0: "ints", 1: ("text",), 2: "bytes", 3: "device"},
    "device": {0: "text", 2: "text"},
    "partition": {0: ("axis",), 1: ("text",), 2: ("text",)},
    "axis": {0: ("text",)},
    "effect": {0: "text"},
    "check": {1: "text"},
}  # fmt: skip


def check_bounds(data: bytes) -> None:
    """Raise ConfigError for a serialized program that is no tree of tables within the file."""
    try:
        _check(data)
    except struct.error:
        raise ConfigError("the file is damaged: its program points outside itself") from None


def _check(data: bytes) -> None:
    left = 4 * len(data)
    waiting: list[tuple[Any, int, int]] = [("program", _offset(data, 0), 0)]
    while waiting:
        kind, at, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ConfigError(f"the file is damaged: its program has more than {MAX_DEPTH} tables inside each other")
        if kind in TABLES:
            left -= 4
            waiting += ((inner, place, depth + 1) for inner, place in _fields(data, TABLES[kind], at))
        else:
            (count,) = struct.unpack_from("<I", data, at)
            size = count * (4 if isinstance(kind, tuple) else WIDTHS[kind])
            left -= 4 + size
            if size > len(data) - at - 4:
                raise ConfigError("the file is damaged: its program points outside itself")
            if kind == "size":
                _check_size(data[at + 4 : at + 4 + size])
            elif isinstance(kind, tuple) and left > 0:
                waiting += ((kind[0], _offset(data, at + 4 + 4 * index), depth) for index in range(count))
        if left <= 0:
            raise ConfigError("the file is damaged: its program refers to the same parts again and again")


def _offset(data: bytes, at: int) -> int:
    """Where that which the offset at that place refers to is."""
    (offset,) = struct.unpack_from("<I", data, at)
    return at + offset


def _fields(data: bytes, table: dict[int, Any], at: int) -> list[tuple[Any, int]]:
    """What of the table at that place is of variable size, and where it is."""
    (back,) = struct.unpack_from("<i", data, at)
    index = at - back
    if not 0 <= index <= len(data):
        raise ConfigError("the file is damaged: its program points outside itself")
    (size,) = struct.unpack_from("<H", data, index)
    places = []
    for number, kind in table.items():
        if 4 + 2 * number < size:
            (offset,) = struct.unpack_from("<H", data, index + 4 + 2 * number)
            if offset:
                places.append((kind, _offset(data, at + offset)))
    return places


def _check_size(text: bytes) -> None:
    if len(text) > MAX_SIZE or not SIZE_TEXT.fullmatch(text.decode("utf-8", "replace")):
        raise ConfigError(f"the file is damaged: its program has an array of the size {text[:40]!r}")
