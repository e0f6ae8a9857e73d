"""Arrays of HDF5 files: what they declare, compared with what is stored, and then their bytes.

The bytes are read from where they lie, not by HDF5: it would allocate what a file declares, and expand a chunk to
whatever comes out of it.
"""

import itertools
import math
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files import limits
from fnlayers.keras_files.hdf5_attributes import attribute_of, plain_dtype
from fnlayers.keras_files.hdf5_records import Strings
from fnlayers.keras_files.sections import Section

MOST_DEFLATED = 1032  # bytes that deflate can make of one
ALIGNED = 64  # bytes: at such addresses jax takes an array over without copying it


class Stored(NamedTuple):
    """What an array is: its bytes are there in the file, or compressed to no less than deflate can."""

    shape: tuple[int, ...]
    dtype: np.dtype
    nbytes: int


class Chunk(NamedTuple):
    """A box of the array, at that position, in `size` bytes from `start` on; filters of the mask are left out."""

    position: tuple[int, ...]
    start: int
    size: int
    mask: int


@dataclass(frozen=True)
class StoredArray:
    """A plain array of a file, and where its bytes lie."""

    stored: Stored
    box: tuple[int, ...]  # the shape of a chunk; of the whole array where it is in one piece
    chunks: tuple[Chunk, ...]
    filters: tuple[str, ...]
    raw: bytes | None  # a compact array, which lies among the file's own records
    on_disk: np.dtype

    @classmethod
    def of(cls, dataset: Any, section: Section, strings: Strings) -> "StoredArray":
        """The array of h5py's DatasetID, in that file, whose attributes' strings are read by `strings`.

        Raises:
            ConfigError: for what is not plain, and for bytes that are not there.
        """
        import h5py

        plist, length = dataset.get_create_plist(), section.length
        on_disk, dtype = _dtypes(dataset, section, strings)
        shape = _shape(dataset)
        stored = Stored(shape, dtype, math.prod(shape) * dtype.itemsize)
        layout = plist.get_layout()
        if plist.get_external_count() or layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
            raise ConfigError("it is not a plain array: its numbers lie in another file or array")
        if layout == h5py.h5d.CHUNKED:
            box, filters = plist.get_chunk(), _filters(plist, dtype.itemsize)
            chunks = _chunks(dataset, stored, box, filters, length)
            return cls(stored, box, chunks, filters, None, on_disk)
        if plist.get_nfilters():
            raise ConfigError("it is not a plain array: it has filters, and yet no chunks")
        if not stored.nbytes:
            return cls(stored, shape, (), (), None, on_disk)
        if dataset.get_storage_size() != stored.nbytes:
            raise _lacking(stored, dataset.get_storage_size())
        if layout == h5py.h5d.COMPACT:
            return cls(stored, shape, (), (), _compact(dataset, stored), on_disk)
        start = dataset.get_offset()
        if start is None or start + stored.nbytes > length:
            raise _lacking(stored, 0)
        return cls(stored, shape, (Chunk((0,) * len(shape), start, stored.nbytes, 0),), (), None, on_disk)

    @property
    def in_file(self) -> int:
        """Bytes that the array takes in the file."""
        return sum(chunk.size for chunk in self.chunks) if self.raw is None else 0

    def read(self, section: Section) -> np.ndarray:
        """The array, of the dtype that `stored` says."""
        array = aligned_empty(self.stored.shape, self.on_disk)
        if self.raw is not None:
            array = np.frombuffer(self.raw, self.on_disk).reshape(self.stored.shape)
        elif len(self.chunks) == 1 and not self.filters and self.box == self.stored.shape:
            section.fill(self.chunks[0].start, array.reshape(-1).view(np.uint8).data)
        else:
            for chunk in self.chunks:
                ends = map(
                    min, zip(map(sum, zip(chunk.position, self.box, strict=True)), self.stored.shape, strict=True)
                )
                where = tuple(map(slice, chunk.position, ends))
                inside = tuple(slice(s.stop - s.start) for s in where)
                array[where] = self._unpacked(section.take(chunk.start, chunk.size), chunk)[inside]
        if self.on_disk == self.stored.dtype:
            return array
        if self.on_disk.byteorder == ">":
            return array.astype(self.stored.dtype)
        return array.view(self.stored.dtype)

    def _unpacked(self, data: bytes | bytearray, chunk: Chunk) -> np.ndarray:
        """The box of a chunk from its bytes: the filters undone, the last one first."""
        size = math.prod(self.box) * self.on_disk.itemsize
        for index, name in reversed(tuple(enumerate(self.filters))):
            if chunk.mask >> index & 1:
                continue
            if name == "gzip":
                data = _inflated(data, size)
            elif len(data) == size:
                data = np.frombuffer(data, np.uint8).reshape(self.on_disk.itemsize, -1).T.tobytes()
        if len(data) != size:
            raise ConfigError(f"a chunk holds {len(data)} bytes, and {size} are declared")
        return np.frombuffer(data, self.on_disk).reshape(self.box)


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array without values, at an address from which jax need not copy it."""
    size = math.prod(shape) * dtype.itemsize
    buffer = np.empty(size + ALIGNED, np.uint8)
    start = -buffer.ctypes.data % ALIGNED
    return buffer[start : start + size].view(dtype).reshape(shape)


def _dtypes(dataset: Any, section: Section, strings: Strings) -> tuple[np.dtype, np.dtype]:
    """The dtype of the bytes, and of the array that they are read as."""
    import h5py

    kind = dataset.get_type()
    if isinstance(kind, h5py.h5t.TypeOpaqueID) and kind.get_size() == 2:
        if h5py.h5a.exists(dataset, b"dtype") and attribute_of(dataset, b"dtype", section, strings) == "bfloat16":
            import jax.numpy as jnp

            return np.dtype("V2"), np.dtype(jnp.bfloat16)  # HDF5 has no such type
    plain = plain_dtype(kind)
    if plain is None:
        raise ConfigError(f"it holds {_described(kind)}, expected numbers")
    return plain, plain.newbyteorder("=")


def _described(kind: Any) -> str:
    try:
        return str(kind.dtype)
    except Exception:  # a type that h5py itself cannot tell
        return type(kind).__name__


def _shape(dataset: Any) -> tuple[int, ...]:
    import h5py

    space = dataset.get_space()
    if space.get_simple_extent_type() not in (h5py.h5s.SCALAR, h5py.h5s.SIMPLE):
        raise ConfigError("it holds no array")
    shape = tuple(space.get_simple_extent_dims())
    if len(shape) > limits.MAX_RANK:
        raise ConfigError(f"it has {len(shape)} axes; at most {limits.MAX_RANK} are read")
    return shape


def _filters(plist: Any, itemsize: int) -> tuple[str, ...]:
    import h5py

    known = {h5py.h5z.FILTER_DEFLATE: "gzip", h5py.h5z.FILTER_SHUFFLE: "shuffle"}
    filters = [plist.get_filter(index) for index in range(min(plist.get_nfilters(), 8))]
    names = tuple(known.get(code, f"filter {code}") for code, *_ in filters)
    if names not in ((), ("gzip",), ("shuffle",), ("shuffle", "gzip")):
        raise ConfigError(f"it is compressed with {', '.join(names)}; only gzip and shuffle are read")
    for name, (_, _, options, _) in zip(names, filters, strict=True):
        if name == "shuffle" and tuple(options[:1]) != (itemsize,):
            raise ConfigError(f"its bytes are shuffled by {options}, expected {itemsize}")
    return names


def _chunks(
    dataset: Any, stored: Stored, box: tuple[int, ...], filters: tuple[str, ...], length: int
) -> tuple[Chunk, ...]:
    """The chunks of an array: all of them there, each once, with as many bytes as its numbers need."""
    if not stored.nbytes:
        return ()
    if len(box) != len(stored.shape) or not all(box):
        raise ConfigError(f"it has chunks of shape {box}, and the shape {stored.shape}")
    counts = [-(-n // m) for n, m in zip(stored.shape, box, strict=True)]
    size = math.prod(box) * stored.dtype.itemsize
    total = math.prod(counts)
    most = limits.most_expanded(length) if "gzip" in filters else length
    if total > limits.MAX_CHUNKS or total * size > most:
        raise _lacking(stored, dataset.get_storage_size() if total <= limits.MAX_CHUNKS else 0)
    chunks: list[Chunk] = []
    dataset.chunk_iter(lambda info: chunks.append(Chunk(*_chunk_fields(info))) if len(chunks) <= total else True)
    expected = set(itertools.product(*(range(0, n, m) for n, m in zip(stored.shape, box, strict=True))))
    if len(chunks) != total or {chunk.position for chunk in chunks} != expected:
        raise _lacking(stored, sum(chunk.size for chunk in chunks))
    for chunk in chunks:
        unpacked = "gzip" in filters and not chunk.mask >> filters.index("gzip") & 1
        fits = size <= chunk.size * MOST_DEFLATED if unpacked else size == chunk.size
        if not fits or chunk.start + chunk.size > length:
            raise _lacking(stored, sum(chunk.size for chunk in chunks))
    return tuple(chunks)


def _chunk_fields(info: Any) -> tuple:
    return tuple(info.chunk_offset), info.byte_offset or 0, info.size, info.filter_mask


def _compact(dataset: Any, stored: Stored) -> bytes:
    """The bytes of an array in the file's own records, which are at most 64 KB."""
    import h5py

    array = np.empty(stored.shape, dataset.dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array.tobytes()


def _inflated(data: bytes | bytearray, size: int) -> bytes:
    """Exactly `size` bytes from a zlib stream."""
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise ConfigError(f"a chunk is damaged: {error}") from None
    if len(inflated) != size or not stream.eof:
        raise ConfigError(f"a chunk does not unpack to the {size} bytes that are declared")
    return inflated


def _lacking(stored: Stored, stored_bytes: int) -> ConfigError:
    return ConfigError(
        f"it declares {stored.dtype}{stored.shape}, {stored.nbytes} bytes, and the file stores {stored_bytes} of them"
    )
