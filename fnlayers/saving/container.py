"""The .safetensors container: the length of a header, the header as JSON, the arrays' bytes.

Writing streams one array at a time from wherever it lies. Reading believes nothing: all that a header says is checked
against the size of the file and against itself before an array is read. The format's own library reads what is written
here; it is not used, because it needs all arrays in memory at once and knows no checksum.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.saving import strict

MAX_HEADER = 100_000_000  # bytes; the format's own library has the same bound
MAX_RANK = 32

DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "C64": "complex64",
}  # fmt: skip
CODES = {name: code for code, name in DTYPES.items()}

# The checksum is the SHA-256 of the whole file with these 64 characters zero. An unescaped quote cannot occur inside a
# JSON string, so the mark stands once in a header, wherever else the word may occur.
CHECKSUM = "sha256"
_MARK = f'"{CHECKSUM}":"'.encode()
_ZEROS = "0" * 64
_FOREIGN = {b"\x80": "a pickle", b"PK": "a zip archive (.keras, .npz, PyTorch)", b"\x89HDF": "an HDF5 file"}


class Entry(NamedTuple):
    """Where an array lies in the data section, and what its bytes mean."""

    shape: tuple[int, ...]
    dtype: str
    start: int
    end: int


class Opened(NamedTuple):
    """What a header says: the arrays in the order of their bytes, the metadata, and where the data section starts."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    data: int


def write(file: BinaryIO, types: Mapping[str, tuple], metadata: Mapping[str, str], fetch: Callable) -> None:
    """Write a file, header first.

    Arguments:
        file: a new binary file that can seek.
        types: name -> (shape, dtype name) of each array.
        metadata: text by name, without the checksum.
        fetch: name -> numpy array; called once for each, in the order of the file.
    """
    entries, end = {}, 0
    # the widest first, so that each array starts at a multiple of its item size and can be mapped into memory
    for name in sorted(types, key=lambda name: -itemsize(types[name][1])):
        shape, dtype = types[name]
        start, end = end, end + math.prod(shape) * itemsize(dtype)
        entries[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    header = strict.dumps({"__metadata__": {**metadata, CHECKSUM: _ZEROS}, **entries}).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise ConfigError(f"the model's description takes {len(header)} bytes, and a header holds {MAX_HEADER}")
    head = len(header).to_bytes(8, "little") + header
    file.write(head)
    digest = hashlib.sha256(head)
    for name in entries:
        data = np.ascontiguousarray(fetch(name)).reshape(-1).view(np.uint8).data
        file.write(data)
        digest.update(data)
    file.seek(head.index(_MARK) + len(_MARK))
    file.write(digest.hexdigest().encode())


def is_container(head: bytes) -> bool:
    """Whether a file that begins so is one: the length of the header, which may begin like a pickle, and its brace."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER


def open_header(file: BinaryIO) -> Opened:
    """Read and check the header, and the checksum of the whole file.

    Raises:
        ConfigError: for a file that is cut off, damaged, or of another format.
    """
    size = os.fstat(file.fileno()).st_size
    head = file.read(8)
    length = int.from_bytes(head, "little")
    if len(head) < 8 or not 2 <= length <= min(MAX_HEADER, size - 8):
        kind = next((kind for magic, kind in _FOREIGN.items() if head.startswith(magic)), "no .safetensors file")
        raise ConfigError(f"this is {kind}, or it is cut off: a header of {length} bytes, a file of {size}")
    raw = file.read(length)
    try:
        header = strict.loads(raw.decode()) if raw.startswith(b"{") else None
    except UnicodeDecodeError:
        header = None
    if not isinstance(header, dict):
        raise ConfigError("this is no .safetensors file: its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ConfigError("the header's metadata must be text by name")
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)))
    _check_tiling(entries, size - 8 - length)
    if CHECKSUM in metadata:
        _check_sum(file, head + raw, metadata[CHECKSUM])
    return Opened(entries, metadata, 8 + length)


def read_arrays(file: BinaryIO, opened: Opened) -> Iterator[tuple[str, np.ndarray]]:
    """Each array by name, in the order of the file."""
    for name in opened.entries:
        yield name, read_array(file, opened, name)


def read_array(file: BinaryIO, opened: Opened, name: str) -> np.ndarray:
    """One array."""
    entry = opened.entries[name]
    file.seek(opened.data + entry.start)
    data = np.fromfile(file, np.uint8, entry.end - entry.start)
    if data.size != entry.end - entry.start:
        raise ConfigError(f"the file ends inside {name}; it changed while it was read")
    if entry.dtype == "bool" and data.size and data.max() > 1:
        raise ConfigError(f"{name} holds bytes that are no booleans")
    return data.view(_dtype(entry.dtype)).reshape(entry.shape)


def itemsize(dtype: str) -> int:
    """How many bytes a number of that dtype takes; ConfigError for one that the format does not have."""
    if dtype not in CODES:
        raise ConfigError(f"arrays of {dtype} cannot be saved; cast them to one of {', '.join(CODES)}")
    return _dtype(dtype).itemsize


def _dtype(name: str) -> np.dtype:
    import jax.numpy as jnp  # knows bfloat16 and the 8-bit floats, which numpy does not

    return jnp.dtype(name)


def _entry(name: str, entry: Any) -> Entry:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ConfigError(f"the header's entry for {name[:80]!r} must have dtype, shape and data_offsets, and no more")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ConfigError(f"{name[:80]!r} has the dtype {str(code)[:20]!r}; known are {', '.join(DTYPES)}")
    if not (isinstance(shape, list) and len(shape) <= MAX_RANK and all(map(strict.is_count, shape))):
        raise ConfigError(f"{name[:80]!r} has the shape {str(shape)[:80]}; at most {MAX_RANK} sizes are meant")
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(map(strict.is_count, offsets))):
        raise ConfigError(f"{name[:80]!r} has the offsets {str(offsets)[:80]}; a start and an end are meant")
    parsed = Entry(tuple(shape), DTYPES[code], *offsets)
    if parsed.end - parsed.start != math.prod(shape) * itemsize(parsed.dtype):
        raise ConfigError(f"{name[:80]!r}: the bytes {offsets} do not fit {parsed.dtype}{parsed.shape}")
    return parsed


def _check_tiling(entries: Mapping[str, Entry], size: int) -> None:
    """Each array begins where the one before it ends, and the last ends with the file: no gaps, no overlaps."""
    position = 0
    for name, entry in entries.items():
        if entry.start != position:
            raise ConfigError(
                f"{name[:80]!r} starts at byte {entry.start} of the data, and the one before ends at {position}"
            )
        position = entry.end
    if position != size:
        raise ConfigError(
            f"the header describes {position} bytes of arrays, and the file has {size}: it is cut off or damaged"
        )


def _check_sum(file: BinaryIO, head: bytes, checksum: str) -> None:
    position = head.find(_MARK) + len(_MARK)
    if head.count(_MARK) != 1 or head[position : position + 65] != checksum.encode() + b'"' or len(checksum) != 64:
        raise ConfigError("the checksum in the header is damaged")
    digest = hashlib.sha256(head[:position] + _ZEROS.encode() + head[position + 64 :])
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    if digest.hexdigest() != checksum:
        raise ConfigError("the file is damaged: its content does not have the checksum that was saved with it")
