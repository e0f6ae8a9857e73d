"""The zip door to `.keras` files: the members that Keras writes and no others, read in memory, nothing extracted.

The archive is read by us and not by `zipfile`, which believes a file's list of members: here every byte belongs to one
member or to the list, the list and the members' own headers agree, and nothing follows.
"""

import re
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files import limits
from fnlayers.keras_files.sections import Section

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
MEMBERS = (METADATA, CONFIG, WEIGHTS)
VOCABULARY = re.compile(r"assets/((?:\w{1,200}/){1,64})vocabulary\.txt", re.ASCII)  # of a layer, by its folder

_END = struct.Struct("<4s4H2LH")  # the end of the list, which is the end of the file
_LOCATOR = struct.Struct("<4sLQL")  # of the following, in archives beyond 4 GB
_END64 = struct.Struct("<4sQ2H2L4Q")
_LISTED = struct.Struct("<4s6H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")
_FULL = 0xFFFFFFFF  # stands for a size that is given in 64 bits elsewhere
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_FOLLOW = 1, 8
_KNOWN_FLAGS = 0x0800 | 0x0006 | _SIZES_FOLLOW  # names in UTF-8, how hard it was compressed
_PIECE = 1 << 20


class Member(NamedTuple):
    """A member as the list at the end has it."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int


def members_of(section: Section) -> dict[str, Member]:
    """The members of an archive by name.

    Raises:
        ConfigError: for an archive that is damaged or ambiguous, or holds what Keras does not write.
    """
    start, length, count = _directory(section)
    if length > limits.MAX_DIRECTORY_BYTES:
        raise ConfigError(f"its list of members takes {length} bytes; at most {limits.MAX_DIRECTORY_BYTES} are read")
    listed = list(_listed(section.take(start, length)))
    if len(listed) != count:
        raise ConfigError(f"its list has {len(listed)} members, and {count} are announced")
    names = [member.name for member in listed]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"it holds {names.count(twice[0])} members named {twice[0]}, expected one")
    _check_tiling(section, listed, start)
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            raise ConfigError(f"it holds 0 members named {name}, expected one")
    return {member.name: member for member in listed}


def read_text(section: Section, member: Member, most: int) -> str:
    """A small member as text in UTF-8."""
    if member.size > most:
        raise ConfigError(f"{member.name} unpacks to {member.size} bytes; at most {most} are read")
    data = _checked(member, _unpacked(section, member))
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{member.name} is not a text in UTF-8") from None


def read_vocabularies(section: Section, members: dict[str, Member]) -> dict[str, str]:
    """The texts of vocabularies by the folders of their layers; together no more than what a file may unpack to."""
    by_folder = {match[1]: members[name] for name in members if (match := VOCABULARY.fullmatch(name))}
    most = limits.most_expanded(section.length)
    if sum(member.size for member in by_folder.values()) > most:
        raise ConfigError(f"its vocabularies unpack to more than {most} bytes")
    return {folder: read_text(section, member, most) for folder, member in by_folder.items()}


def open_member(section: Section, member: Member) -> Section:
    """A large member as a file of its own: in place where it is stored, in memory where it is compressed."""
    if member.method == _STORED:
        start = _data_start(section, member)
        inner = section.part(start, member.size)
        crc = 0
        for position in range(0, member.size, _PIECE):
            crc = zlib.crc32(inner.take(position, min(_PIECE, member.size - position)), crc)
        if crc != member.crc:
            raise _damaged(member)
        return inner
    if member.size > limits.most_expanded(section.length):
        raise ConfigError(
            f"{member.name} unpacks to {member.size} bytes from {member.packed}; at most "
            f"{limits.most_expanded(section.length)} are read from a file of {section.length}"
        )
    return Section(_checked(member, _unpacked(section, member)))


def _directory(section: Section) -> tuple[int, int, int]:
    """Where the list of members starts, its length, and how many there are."""
    end = section.length - _END.size
    if end < 0 or bytes(section.take(0, 4)) != b"PK\3\4":
        raise ConfigError(
            "this is not a .keras file, which is a zip archive, and not HDF5: read .safetensors files by "
            "fnlayers.load, and weights of PyTorch by fnlayers.load_state_dict"
        )
    _refuse_foreign(section)
    mark, disk, first_disk, here, count, length, start, comment = _END.unpack(section.take(end, _END.size))
    if mark != b"PK\5\6" or comment:
        raise ConfigError("it is cut off, or something follows the end of the archive")
    if _FULL in (length, start) or count == 0xFFFF:
        end -= _LOCATOR.size + _END64.size
        if end < 0:
            raise ConfigError("it is cut off")
        mark, rest, _, _, disk, first_disk, here, count, length, start = _END64.unpack(section.take(end, _END64.size))
        locator = _LOCATOR.unpack(section.take(end + _END64.size, _LOCATOR.size))
        if mark != b"PK\6\6" or rest != _END64.size - 12 or locator != (b"PK\6\7", 0, end, 1):
            raise ConfigError("the end of the archive is damaged")
    if disk or first_disk or here != count:
        raise ConfigError("it is one of several parts of an archive")
    if start + length != end:
        raise ConfigError("the list of its members is not at its end")
    return start, length, count


def _refuse_foreign(section: Section) -> None:
    """Say what another archive is, by the name of its first member."""
    size = int.from_bytes(section.take(26, 2), "little") if section.length > 30 else 0
    name = bytes(section.take(30, min(size, section.length - 30)))
    if name.endswith(b"/data.pkl"):
        raise ConfigError("this is a file of PyTorch: fnlayers.load_state_dict(model, shape, path, mapping) reads it")
    if name.endswith(b".npy"):
        raise ConfigError("this is a file of NumPy: give dict(numpy.load(path)) to fnlayers.load_state_dict")


def _listed(data: bytearray) -> Iterator[Member]:
    """The members in the list."""
    position = 0
    while position < len(data):
        if len(data) - position < _LISTED.size:
            raise ConfigError("the list of its members is cut off")
        fields = _LISTED.unpack_from(data, position)
        mark, made_by, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment, disk = fields[:14]
        attributes, header = fields[15:]
        position += _LISTED.size
        name = _name(bytes(data[position : position + name_size]))
        extra = bytes(data[position + name_size : position + name_size + extra_size])
        position += name_size + extra_size + comment
        if mark != b"PK\1\2" or position > len(data) or disk:
            raise ConfigError("the list of its members is damaged")
        if made_by >> 8 == 3 and stat.S_ISLNK(attributes >> 16):
            raise ConfigError(f"{name} is a symbolic link")
        size, packed, header = _wide(extra, size, packed, header)
        yield Member(name, flags, method, crc, packed, size, header)


def _name(raw: bytes) -> str:
    name = raw.decode("utf-8", "replace")
    if "\\" in name or name.startswith("/") or ".." in name.split("/"):
        raise ConfigError(f"it holds a member that would leave its folder: {name[:80]!r}")
    if name not in MEMBERS and not VOCABULARY.fullmatch(name):
        raise ConfigError(f"it holds a member that is not one of {', '.join(MEMBERS)}: {name[:80]!r}")
    return name


def _wide(extra: bytes, *sizes: int) -> tuple[int, ...]:
    """The sizes, those that stand in the extra field in 64 bits read from there, in the order of the list."""
    position, values = 0, b""
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            values = extra[position + 4 : position + 4 + length]
        position += 4 + length
    actual_sizes = []
    for size in sizes:
        if size == _FULL and len(values) >= 8:
            size, values = int.from_bytes(values[:8], "little"), values[8:]
        actual_sizes.append(size)
    return tuple(actual_sizes)


def _check_tiling(section: Section, listed: list[Member], end: int) -> None:
    """Each member begins where the one before it ends, the last ends where the list starts, all as the list says."""
    position = 0
    for member in sorted(listed, key=lambda member: member.header):
        if member.flags & _ENCRYPTED:
            raise ConfigError(f"{member.name} is encrypted")
        if member.flags & ~_KNOWN_FLAGS or member.method not in (_STORED, _DEFLATED):
            raise ConfigError(f"{member.name} is packed in a way that Keras does not use")
        fits = member.size == member.packed if member.method == _STORED else member.size <= 1032 * member.packed
        gap = member.header - position
        if not fits or gap not in (0, *((12, 16, 20, 24) if position and after else ())):
            raise ConfigError(f"the sizes of {member.name} do not fit")
        position, after = _data_start(section, member) + member.packed, member.flags & _SIZES_FOLLOW
        if position > end:
            raise ConfigError(f"{member.name} is longer than the file")
    if listed and end - position not in (0, *((12, 16, 20, 24) if after else ())):
        raise ConfigError(f"it has {end - position} bytes that belong to no member")


def _data_start(section: Section, member: Member) -> int:
    """Where the bytes of a member start, after its own header, which must say what the list says."""
    mark, _, flags, method, _, _, crc, packed, size, name_size, extra_size = _HEADER.unpack(
        section.take(member.header, _HEADER.size)
    )
    rest = bytes(section.take(member.header + _HEADER.size, name_size + extra_size))
    size, packed = _wide(rest[name_size:], size, packed)
    local = (crc, packed, size) if not flags & _SIZES_FOLLOW else (member.crc, member.packed, member.size)
    agrees = (flags, method) == (member.flags, member.method) and rest[:name_size] == member.name.encode()
    if mark != b"PK\3\4" or not agrees or local != (member.crc, member.packed, member.size):
        raise ConfigError(f"the header of {member.name} does not say what the list of members says")
    return member.header + _HEADER.size + name_size + extra_size


def _unpacked(section: Section, member: Member) -> bytes | bytearray:
    """All bytes of a member, piece by piece, and never more than its size."""
    start = _data_start(section, member)
    if member.method == _STORED:
        return section.take(start, member.size)
    stream, data = zlib.decompressobj(-15), bytearray()
    for position in range(start, start + member.packed, _PIECE):
        piece = section.take(position, min(_PIECE, start + member.packed - position))
        try:
            data += stream.decompress(piece, member.size - len(data) + 1)
        except zlib.error:
            raise _damaged(member) from None
        if len(data) > member.size or stream.eof:
            break
    if len(data) != member.size or not stream.eof or stream.unused_data:
        raise ConfigError(f"{member.name} does not unpack to the {member.size} bytes that the list says")
    return data


def _checked(member: Member, data: bytes | bytearray) -> bytes | bytearray:
    if zlib.crc32(data) != member.crc:
        raise _damaged(member)
    return data


def _damaged(member: Member) -> ConfigError:
    return ConfigError(f"{member.name} is damaged: it does not have its checksum")
