"""Inputs that a page sends: .npy and .npz files, read as data from memory, with limits."""

import io
import math
import zipfile
import zlib

import numpy as np

from fnlayers.core.errors import ConfigError

LIMIT = 64 * 2**20  # bytes of a file, and of all its arrays
KINDS = "biufU"  # of dtypes: numbers and text; no objects, no records
MEMBERS = 100  # arrays of an .npz file


def arrays_in(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, or that of an .npy file as {"": array}.

    Raises:
        ConfigError: it is neither, is damaged, holds objects, or is beyond the limits.
    """
    if data.startswith(b"\x93NUMPY"):
        return {"": _array(data)}
    if not data.startswith(b"PK\x03\x04"):
        raise ConfigError("this is no input that can be read; give an .npy or .npz file, or an image")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MEMBERS or sum(member.file_size for member in members) > LIMIT:
                raise ConfigError(f"the .npz file holds more than {MEMBERS} arrays, or {LIMIT >> 20} MiB")
            return {member.filename.removesuffix(".npy"): _array(_read(archive, member)) for member in members}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ConfigError(f"the .npz file is damaged: {error}") from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        return file.read(member.file_size)


def _array(data: bytes) -> np.ndarray:
    """The array of an .npy file whose header says no more than there is: nothing is allocated for what it claims."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = header(file)
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ConfigError(f"the .npy file's header is damaged: {error}") from error
    if dtype.kind not in KINDS:
        raise ConfigError(f"the .npy file holds {dtype}; numbers and text are read")
    rest = memoryview(data)[file.tell() :]
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(rest) or not dtype.itemsize:
        raise ConfigError(f"the .npy file says {dtype}{shape}, and holds {len(rest)} bytes")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if by_columns else "C")


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays as an .npz file; several inputs by name."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()
