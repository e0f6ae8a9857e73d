"""Files of torch.save, since PyTorch 1.6: a zip of a pickle, which says what there is, and of the tensors' bytes.

The zip has to be as PyTorch writes it: members stored as they are, each name once, all in one folder, no bytes shared.
The pickle is interpreted by `pickled`, and a tensor has to lie within its storage, so no more memory is taken than the
file has bytes.
"""

import math
import weakref
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.state_dicts.pickled import Storage, Tensor, read_pickle

MOST_PICKLE = 64 << 20  # bytes of data.pkl
MOST_MEMBERS = 1_000_000
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, KeyError, EOFError, OSError, RuntimeError)  # what zipfile raises


def opened(path: Path, key: str | None) -> tuple[dict[str, tuple], Callable[[str], np.ndarray]]:
    """The shape and dtype of each tensor by its name, and the function that reads one.

    Raises:
        ConfigError: for a file that is damaged, or that holds more than tensors in a dict.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members, prefix = _members(archive, path)
            data = _read(archive, members, f"{prefix}data.pkl", MOST_PICKLE)
            if f"{prefix}byteorder" in members and _read(archive, members, f"{prefix}byteorder", 64) != b"little":
                raise ConfigError("the file's numbers are not little-endian; save it again on another machine")
    except _DAMAGED as error:
        raise ConfigError(f"the file is a damaged zip archive: {error}") from None
    tensors = _tensors(read_pickle(data), key)
    for name, tensor in tensors.items():
        _check(name, tensor, members.get(f"{prefix}data/{tensor.storage.member}"))
    storages: weakref.WeakValueDictionary[str, np.ndarray] = weakref.WeakValueDictionary()

    def fetch(name: str) -> np.ndarray:
        tensor = tensors[name]
        storage = storages.get(tensor.storage.member)
        if storage is None:
            storage = _numbers(path, f"{prefix}data/{tensor.storage.member}", tensor.storage)
            storages[tensor.storage.member] = storage
        return _view(storage, tensor)

    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}, fetch


def _members(archive: zipfile.ZipFile, path: Path) -> tuple[dict[str, zipfile.ZipInfo], str]:
    """The members by name, and the name of the folder they are in, with a slash."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise ConfigError(f"the zip archive has more than {MOST_MEMBERS} members")
    members = {info.filename: info for info in infos}
    if len(members) < len(infos):
        raise ConfigError("the zip archive has two members of one name")
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ConfigError(_foreign(members, path))
    prefix = pickles[0].removesuffix("data.pkl")
    for name, info in members.items():
        if not name.startswith(prefix) or "\\" in name or "\0" in name or {"", ".", ".."} & set(name.split("/")):
            raise ConfigError(f"the zip archive has the member {name[:80]!r}, outside of {prefix[:80]!r}")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
            raise ConfigError(f"{name[:80]!r} is compressed or encrypted, which torch.save does not do")
    if sum(info.file_size for info in infos) > path.stat().st_size:
        raise ConfigError("the members of the zip archive have more bytes than the file")
    return members, prefix


def _foreign(members: Mapping[str, Any], path: Path) -> str:
    if "config.json" in members:
        return f"this is a file of Keras; write fnlayers.load_keras({str(path)!r})"
    if members and all(name.endswith(".npy") for name in members):
        return f"this is a file of NumPy; give dict(numpy.load({str(path)!r})) as the source"
    return "this zip archive was not written by torch.save: it has no data.pkl in its one folder"


def _read(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str, most: int) -> bytes:
    if members[name].file_size > most:
        raise ConfigError(f"{name[:80]!r} has {members[name].file_size} bytes; at most {most} are read")
    return archive.read(members[name])


def _tensors(content: Any, key: str | None) -> dict[str, Tensor]:
    """The tensors by name, in the dict that the file holds or in the one at `key` in it."""
    if key is not None:
        inner = content.get(key) if type(content) is dict else None
        if type(inner) is not dict:
            raise ConfigError(f"the file has no dict at key={key!r}{_keys(content)}")
        content = inner
    if type(content) is Tensor:
        raise ConfigError("the file holds one tensor, and a dict of tensors by name is expected")
    if type(content) is not dict:
        raise ConfigError(f"the file holds a {type(content).__name__}, and a dict of tensors by name is expected")
    others = [name for name, value in content.items() if type(value) is not Tensor or type(name) is not str]
    dicts = [name for name in others if type(content[name]) is dict]
    if dicts:
        raise ConfigError(
            f"the file holds more than the tensors of one model{_keys(content)}; say which dict has them: "
            f"fnlayers.state_dicts.read_state_dict(path, key={str(dicts[0])[:80]!r})"
        )
    if others:
        kind = type(content[others[0]]).__name__
        raise ConfigError(f"the file's dict has {others[0]!r:.80}, a {kind}, among its tensors; save the tensors alone")
    return content


def _keys(content: Any) -> str:
    return f" (it has {', '.join(map(str, content))[:300]})" if type(content) is dict else ""


def _check(name: str, tensor: Tensor, member: zipfile.ZipInfo | None) -> None:
    """Raise unless the storage is what the file has, and the tensor lies within it."""
    storage, itemsize = tensor.storage, jnp.dtype(tensor.dtype).itemsize
    stored = storage.count * (1 if storage.dtype == "bytes" else itemsize)
    if member is None or member.file_size != stored:
        actual = "nothing" if member is None else f"{member.file_size} bytes"
        raise ConfigError(f"{name[:80]!r} has a storage of {stored} bytes, and the file has {actual}")
    room = stored // itemsize
    if math.prod(tensor.shape) > room:
        raise ConfigError(
            f"{name[:80]!r} has the shape {tensor.shape}, and its storage {room} elements; if it was expanded, save "
            "tensor.contiguous()"
        )
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if 0 not in tensor.shape and last >= room:
        raise ConfigError(f"{name[:80]!r} reaches to element {last} of a storage of {room}")


def _numbers(path: Path, member: str, storage: Storage) -> np.ndarray:
    """The bytes of a storage; the zip's checksum is compared."""
    try:
        with zipfile.ZipFile(path) as archive:
            return np.frombuffer(archive.read(member), np.uint8)
    except _DAMAGED as error:
        raise ConfigError(f"the file is a damaged zip archive: {error}") from None


def _view(storage: np.ndarray, tensor: Tensor) -> np.ndarray:
    dtype = jnp.dtype(tensor.dtype)
    if dtype.kind == "b" and storage.size and storage.max() > 1:
        raise ConfigError("a tensor of booleans holds bytes that are none")
    if 0 in tensor.shape:
        return np.empty(tensor.shape, dtype)
    strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
    return np.ndarray(tensor.shape, dtype, storage, tensor.offset * dtype.itemsize, strides)
