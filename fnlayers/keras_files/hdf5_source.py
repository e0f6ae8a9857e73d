"""The bytes that h5py is given to read an HDF5 file from: damaged heaps, over which HDF5 runs for ever, are hidden."""

import struct

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files.sections import Section

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL\x01"  # where strings of no fixed size lie: a mark, and the version
_HEADER = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")


def check_superblock(section: Section) -> None:
    """Refuse what is no HDF5 file, and one whose addresses and sizes do not have 64 bits, as h5py writes them."""
    head = bytes(section.take(0, min(16, section.length)))
    if not head.startswith(SIGNATURE) or len(head) < 16:
        raise ConfigError("this is not an HDF5 file: its first bytes are others")
    sizes = head[13:15] if head[8] < 2 else head[9:11]
    if sizes != b"\x08\x08":
        raise ConfigError(f"its addresses and sizes have {sizes[0]} and {sizes[1]} bytes, expected 8")


class Hdf5Source(Section):
    """A section for h5py. The mark of a heap that is not sound reads as zeros, so that HDF5 refuses it."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer, but for the marks."""
        start = self.tell()
        count = super().readinto(buffer)
        end = start + count
        view = memoryview(buffer).cast("B")
        # a mark may begin before what is read here, and end after it
        before, after = min(4, start), min(4, max(0, self.length - end))
        data = bytes(self._near(start - before, before)) + bytes(view[:count]) + bytes(self._near(end, after))
        found = data.find(HEAP)
        while found >= 0:
            address = start - before + found
            if not is_sound(self, address):
                first, last = max(address, start) - start, min(address + 4, end) - start
                view[first:last] = bytes(max(0, last - first))
            found = data.find(HEAP, found + 1)
        self.seek(end)
        return count

    def _near(self, start: int, length: int) -> bytearray:
        data = bytearray(length)
        self.seek(start)
        super().readinto(memoryview(data))
        return data


def is_sound(section: Section, address: int) -> bool:
    """Whether a heap's objects follow each other to its end: HDF5 goes from one to the next without looking."""
    plain = section.part(0, section.length)
    if address + _HEADER.size > section.length:
        return False
    _, _, size = _HEADER.unpack(plain.take(address, _HEADER.size))
    if not _HEADER.size <= size <= section.length - address:
        return False
    position, end, seen = address + _HEADER.size, address + size, set()
    while end - position >= _OBJECT.size:
        number, _, length = _OBJECT.unpack(plain.take(position, _OBJECT.size))
        needed = _OBJECT.size + -(-length // 8) * 8 if number else length  # 0 is the free space, with its own header
        if number in seen or not _OBJECT.size <= needed <= end - position:
            return False
        seen.add(number)
        position += needed
    return True
