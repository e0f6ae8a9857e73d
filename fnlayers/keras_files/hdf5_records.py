"""Records of HDF5 files that are read by us, since HDF5 believes them: strings of no fixed size, and the superblock.

Such strings lie in heaps, and an attribute holds for each its length, its heap and its number there. HDF5 allocates
that length before it looks for the string, and goes round for ever in a heap whose objects do not end.
"""

import struct
from collections.abc import Iterator

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files import limits
from fnlayers.keras_files.sections import Section

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL\x01"
_ATTRIBUTE, _CONTINUED = 0x0C, 0x10  # kinds of messages in the header of an object
_SHARED = 2  # a message that is elsewhere
_STRING = struct.Struct("<LQL")
_HEAP = struct.Struct("<5s3xQ")
_OBJECT = struct.Struct("<HH4xQ")


def check_superblock(section: Section) -> None:
    """Refuse what is no HDF5 file, and one that does not count from its start in 64 bits, as h5py's do."""
    head = bytes(section.take(0, min(32, section.length)))
    if not head.startswith(SIGNATURE):
        raise ConfigError("this is not an HDF5 file: its first bytes are others")
    if len(head) < 32:
        raise ConfigError("the file cannot be read: it is cut off")
    old = head[8] < 2
    sizes, base = (head[13:15], head[24 + 4 * head[8] :]) if old else (head[9:11], head[12:])
    if sizes != b"\x08\x08" or base[:8].strip(b"\0"):
        raise ConfigError("its addresses do not have 8 bytes, or do not count from the start of the file")


class Strings:
    """The strings of no fixed size in the attributes of a file. Each heap is read once, however many are in it."""

    def __init__(self, section: Section) -> None:
        self._section, self._heaps, self._size = section, dict[int, dict[int, tuple[int, int]]](), 0
        self._header, self._records = -1, dict[bytes, bytes]()  # of the object that was asked for last

    def of(self, header: int, name: bytes, count: int) -> list[bytes]:
        """The strings in an attribute of the object whose header is at that address.

        Raises:
            ConfigError: the records are damaged, or the strings are not there.
        """
        if header != self._header:
            self._header, self._records = header, dict(_attributes(self._section, header))
        data = self._records.get(name)
        if data is None or len(data) < count * _STRING.size:
            raise ConfigError("its strings of no fixed size are not among the records of its header")
        places = [_STRING.unpack_from(data, index * _STRING.size) for index in range(count)]
        if sum(length for length, _, _ in places) > min(self._section.length, limits.MAX_ATTRIBUTE_BYTES):
            raise ConfigError("its strings are longer than the file")
        strings = []
        for length, address, number in places:
            start, size = self._heap(address).get(number, (0, -1)) if length else (0, 0)
            if length > size:
                raise ConfigError(f"a string of {length} bytes is not in the heap that it is said to be in")
            strings.append(bytes(self._section.take(start, length)).split(b"\0")[0])
        return strings

    def _heap(self, address: int) -> dict[int, tuple[int, int]]:
        """Where each object of a heap starts, and its size."""
        if address not in self._heaps:
            size, self._heaps[address] = _objects(self._section, address)
            self._size += size
            if self._size > self._section.length:
                raise ConfigError("heaps of strings lie over each other")
        return self._heaps[address]


def _attributes(section: Section, header: int) -> Iterator[tuple[bytes, bytes]]:
    """(name, data) of each attribute in the header of an object."""
    for kind, flags, data in _messages(section, header):
        if kind != _ATTRIBUTE or flags & _SHARED or len(data) < 9 or not 1 <= data[0] <= 3:
            continue
        position, sizes = 8 + (data[0] == 3), struct.unpack_from("<3H", data, 2)
        ends = [-(-size // 8) * 8 if data[0] == 1 else size for size in sizes]
        yield data[position : position + sizes[0]].split(b"\0")[0], data[position + sum(ends) :]


def _messages(section: Section, header: int) -> Iterator[tuple[int, int, bytes]]:
    """(kind, flags, data) of each message in the header of an object, and in the blocks that continue it."""
    first = bytes(section.take(header, 16))
    if first.startswith(b"OHDR\x02"):
        flags = first[5]
        start = header + 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        blocks = [(start + width, int.from_bytes(section.take(start, width), "little"))]
        head, trail = (4 + 2 * bool(flags & 4), 4)
    elif first[0] == 1:
        blocks, head, trail = [(header + 16, int.from_bytes(first[8:12], "little"))], 8, 0
    else:
        raise ConfigError("the header of an object is damaged")
    for number, (start, length) in enumerate(blocks):
        if number > limits.MAX_ATTRIBUTES:
            raise ConfigError("the header of an object does not end")
        block, position = bytes(section.take(start, length)), 0
        while position + head <= len(block):
            kind, size, flags = struct.unpack_from("<BHB" if trail else "<HHB", block, position)
            data = block[position + head : position + head + size]
            position += head + size
            if kind == _CONTINUED and len(data) >= 16:
                start, length = struct.unpack_from("<2Q", data)
                blocks.append((start + trail, length - 2 * trail))  # the newer form has a mark before, a checksum after
            yield kind, flags, data


def _objects(section: Section, address: int) -> tuple[int, dict[int, tuple[int, int]]]:
    """The size of a heap; where each object in it starts, and its size."""
    mark, size = _HEAP.unpack(section.take(address, _HEAP.size))
    if mark != HEAP or size > section.length - address:
        raise ConfigError("a heap of strings is damaged")
    heap, position = section.take(address, size), _HEAP.size
    objects: dict[int, tuple[int, int]] = {}
    while size - position >= _OBJECT.size:
        number, _, length = _OBJECT.unpack_from(heap, position)
        if number == 0:  # what is left is free
            break
        needed = _OBJECT.size + -(-length // 8) * 8
        if number in objects or needed > size - position:
            raise ConfigError("a heap of strings is damaged")
        objects[number] = address + position + _OBJECT.size, length
        position += needed
    return size, objects
