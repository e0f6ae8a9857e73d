"""Which kind of file it is: told by its first bytes, whatever its name."""

from pathlib import Path

from fnlayers.core.errors import ConfigError
from fnlayers.saving.container import is_container

KERAS, HDF5, SAFETENSORS, TORCH = "keras", "hdf5", "safetensors", "torch"


def kind_of(path: Path) -> str:
    """The kind of a file of a model.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ConfigError: it is a folder, or of another kind.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file")
    with open(path, "rb") as file:
        head = file.read(300)
    if is_container(head):
        return SAFETENSORS
    if head.startswith(b"PK\x03\x04"):
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]  # the name of the first member
        return TORCH if first.endswith(b"/data.pkl") else KERAS
    if head.startswith(b"\x80"):  # a pickle: refused, with a way to convert it
        return TORCH
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return HDF5
    raise ConfigError(
        f"{path} is no model that fnlayers reads: its first bytes are not those of a .keras, .h5, .safetensors or .pt "
        "file"
    )
