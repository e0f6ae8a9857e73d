"""Files as h5py and we read them: a stretch of a file or of bytes, with a beginning and an end."""

import io
import os
from pathlib import Path
from typing import BinaryIO

from fnlayers.core.errors import ConfigError


class Section(io.RawIOBase):
    """`length` bytes of an open file from `start` on, or a bytes object, as a file of its own that can only be read."""

    def __init__(self, source: BinaryIO | bytes | bytearray, start: int = 0, length: int | None = None) -> None:
        self._source, self._start, self._position = source, start, 0
        if length is None:
            length = len(source) if isinstance(source, (bytes, bytearray)) else os.fstat(source.fileno()).st_size
        self.length = length

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can seek."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, which may be past the end."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.length}[whence]
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer; past the end with zeros, since h5py looks at no count.

        Raises:
            OSError: the buffer is larger than the file, and is left as it was.
        """
        view = memoryview(buffer).cast("B")
        if len(view) > self.length:  # a damaged file can make HDF5 ask for gigabytes: untouched, they take no memory
            raise OSError(f"{len(view)} bytes are asked of a file of {self.length}")
        count = max(0, min(len(view), self.length - self._position))
        view[count:] = bytes(len(view) - count)
        self._position += count
        start = self._start + self._position - count
        if isinstance(self._source, (bytes, bytearray)):
            view[:count] = memoryview(self._source)[start : start + count]
            return count
        self._source.seek(start)
        done = 0
        while done < count:
            got = self._source.readinto(view[done:count])  # type: ignore[attr-defined]
            if not got:
                view[done:count] = bytes(count - done)  # the file was cut off meanwhile
                break
            done += got
        return count

    def fill(self, start: int, view: memoryview) -> None:
        """Read the bytes from `start` on into the view, all of them there."""
        if start < 0 or start + view.nbytes > self.length:
            raise ConfigError(f"bytes {start} to {start + view.nbytes} are asked of a file of {self.length}")
        self.seek(start)
        self.readinto(view)

    def part(self, start: int, length: int) -> "Section":
        """Those bytes as a file of their own."""
        if start < 0 or start + length > self.length:
            raise ConfigError(f"bytes {start} to {start + length} are asked of a file of {self.length}")
        return Section(self._source, self._start + start, length)

    def take(self, start: int, length: int) -> bytearray:
        """Those bytes."""
        if not 0 <= length <= self.length:
            raise ConfigError(f"{length} bytes are asked of a file of {self.length}")
        data = bytearray(length)
        self.fill(start, memoryview(data))
        return data


def open_regular(path: Path) -> BinaryIO:
    """The file at the path, which must be a regular one; opened before it is looked at, so that it stays the same."""
    if path.is_dir():
        raise ConfigError(f"{path} is not a regular file")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb", buffering=0)
    if not os.path.isfile(path):
        file.close()
        raise ConfigError(f"{path} is not a regular file")
    return file  # type: ignore[return-value]
