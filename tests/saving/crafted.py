"""Files for the tests: good ones, and good ones changed in one place with a checksum that is right again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import fnlayers as fl
from fnlayers.saving import save
from fnlayers.saving.container import CHECKSUM

ZEROS = "0" * 64


def small_model() -> fl.Sequential:
    return fl.Sequential([fl.Dense(3, "relu", kernel_regularizer="l2"), fl.BatchNormalization(), fl.Dense(2)])


def write_small(folder: Path, model: fl.Layer | None = None, shape: Any = (None, 4)) -> Path:
    """A file with a small model, its params and its state."""
    model, path = model or small_model(), folder / "small.safetensors"
    save(path, model, model.init(jax.random.key(0), shape), model.init_state(shape), shape=shape)
    return path


def split(blob: bytes) -> tuple[dict, bytes]:
    """(header, data) of a file's bytes."""
    length = int.from_bytes(blob[:8], "little")
    return json.loads(blob[8 : 8 + length]), blob[8 + length :]


def joined(header: dict | str, data: bytes, checksum: bool = True) -> bytes:
    """The bytes of a file, the checksum made right where there is one."""
    if isinstance(header, dict):
        if checksum and CHECKSUM in header.get("__metadata__", {}):
            header["__metadata__"][CHECKSUM] = ZEROS
        header = json.dumps(header, separators=(",", ":"))
    raw = header.encode("utf-8", "surrogatepass")
    blob = len(raw).to_bytes(8, "little") + raw + data
    if not checksum:
        return blob
    return blob.replace(ZEROS.encode(), hashlib.sha256(blob).hexdigest().encode(), 1)


def changed(path: Path, edit: Callable[[dict], Any], data: Callable[[bytes], bytes] = lambda data: data) -> Path:
    """The file with its header edited in place, and its data replaced."""
    header, body = split(path.read_bytes())
    edit(header)
    path.write_bytes(joined(header, data(body)))
    return path


def changed_config(path: Path, edit: Callable[[dict], Any], part: str = "model") -> Path:
    """The file with its model's config, or another part of the metadata, edited in place."""

    def rewrite(header: dict) -> None:
        config = json.loads(header["__metadata__"][part])
        edit(config)
        header["__metadata__"][part] = json.dumps(config)

    return changed(path, rewrite)
