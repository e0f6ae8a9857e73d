"""A file is written whole or not at all: next to its path first, then moved there."""

import contextlib
import glob
import os
import secrets
import socket
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file next to `path`, flush it to the disk, and put it in `path`'s place.

    Arguments:
        path: where the file is to be; what a link there points to is replaced, not the link.
        write: writes to the binary file that it is given.
    """
    path = Path(os.path.realpath(path))
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{this_host()}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # the file is whole already; not every system can sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_abandoned(path: Path) -> None:
    """Remove what writers of `path` left that were killed: files of this machine's processes that are gone."""
    prefix = f".{path.name}.{this_host()}."
    for left in path.parent.glob(f"{glob.escape(prefix)}*.tmp"):
        pid = left.name.removeprefix(prefix).split(".")[0]
        if pid.isascii() and pid.isdigit() and _is_gone(int(pid)):
            with contextlib.suppress(OSError):
                left.unlink()


def this_host() -> str:
    """The machine in eight characters: another one's processes are unknown here, though the folder may be shared."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _is_gone(pid: int) -> bool:
    if os.name != "posix":  # signal 0 asks nothing on Windows: it ends the process
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
