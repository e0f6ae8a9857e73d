"""Arrays by name, from wherever they are: a dict, a .safetensors file, shards of one, a file of PyTorch.

A file is told by its first bytes, and its arrays are read one at a time, when they are asked for.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.saving import container, strict
from fnlayers.saving.files import FORMAT
from fnlayers.state_dicts import torch_zip

MOST_INDEX = 64 << 20  # bytes of a JSON index of shards
LONGEST_NAME = 1_000  # characters

CONVERT = (
    "in PyTorch write safetensors.torch.save_file(model.state_dict(), 'model.safetensors'), "
    "or torch.save(model.state_dict(), 'model.pt')"
)
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # torch.save before PyTorch 1.6


class Arrays(NamedTuple):
    """Arrays that can be fetched: what they are called, the shape and dtype of each, and where they come from."""

    types: Mapping[str, tuple[tuple[int, ...], str]]
    fetch: Callable[[str], np.ndarray]
    origin: str


def arrays_of(source: Any, key: str | None = None) -> Arrays:
    """The arrays of a source: a path, or a dict of arrays."""
    if isinstance(source, Arrays):
        return source
    if isinstance(source, (str, os.PathLike)):
        with strict.refusing(str(source)):
            return _checked(_opened(Path(source), key))
    if isinstance(source, Mapping):
        return _checked(_of_dict(source if key is None else _inside(source, key)))
    if callable(getattr(source, "state_dict", None)):
        raise ConfigError(f"the source is a {type(source).__name__}; give its arrays: model.state_dict()")
    raise ConfigError(
        f"the source is {shortened(source)}; give a path (.safetensors, .safetensors.index.json, .pt, .bin) or a dict "
        "of arrays by name"
    )


def read_state_dict(path: Any, key: str | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file by name, as `load_state_dict` would take them: to look at, to rename, to choose from.

    Arguments:
        path: a .safetensors file, a .safetensors.index.json with its shards next to it, or a file of torch.save.
        key: where the arrays are in a file of PyTorch that holds more: "model" or "state_dict".

    Raises:
        ConfigError: for a file that is damaged, or holds anything else.

    Example:
        >>> import tempfile, numpy as np
        >>> from fnlayers.saving import container
        >>> with open(tempfile.mkdtemp() + "/a.safetensors", "wb") as file:
        ...     container.write(file, {"fc.bias": ((2,), "float32")}, {}, lambda name: np.ones(2, "float32"))
        >>> read_state_dict(file.name)
        {'fc.bias': array([1., 1.], dtype=float32)}
    """
    stored = arrays_of(path, key)
    with strict.refusing(stored.origin):
        return {name: stored.fetch(name) for name in stored.types}


def _checked(arrays: Arrays) -> Arrays:
    for name in arrays.types:
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            raise ConfigError(
                f"{shortened(name)} is not the name of an array: a string of {LONGEST_NAME} characters at most"
            )
    return arrays


# Files


def _opened(path: Path, key: str | None, is_shard: bool = False) -> Arrays:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give a file in it: model.safetensors, model.safetensors.index.json")
    with open(path, "rb") as file:
        head = file.read(16)
    arrays_alone = container.is_container(head)
    if head.startswith(b"PK") and not arrays_alone:
        return Arrays(*torch_zip.opened(path, key), str(path))
    if key is not None:
        raise ConfigError(f"{path}: key={key!r} is for files of torch.save; here the arrays are not inside anything")
    if arrays_alone:
        return _of_safetensors(path)
    if head.lstrip().startswith(b"{") and not is_shard:
        return _of_index(path)
    if head.startswith(b"\x89HDF"):
        raise ConfigError(f"{path} is an HDF5 file; write fnlayers.load_keras({str(path)!r}) if it is Keras's")
    if head.startswith(_LEGACY) or head[:1] == b"\x80":
        raise ConfigError(
            f"{path} is a pickle, such as torch.save wrote before PyTorch 1.6, and is not read: unpickling runs what "
            f"the file says. Load it where it is trusted, with torch.load(path, weights_only=True), and {CONVERT}"
        )
    return _of_safetensors(path)


def _of_safetensors(path: Path) -> Arrays:
    with open(path, "rb") as file:
        opened = container.open_header(file)
    if opened.metadata.get("format") == FORMAT:
        raise ConfigError(f"{path} was written by fnlayers.save; write fnlayers.load({str(path)!r})")

    def fetch(name: str) -> np.ndarray:
        with open(path, "rb") as file:
            return container.read_array(file, opened, name)

    return Arrays({name: (entry.shape, entry.dtype) for name, entry in opened.entries.items()}, fetch, str(path))


def _of_index(path: Path) -> Arrays:
    """Shards, listed by an index: {"weight_map": {name of an array: name of a file next to it}}."""
    if path.stat().st_size > MOST_INDEX:
        raise ConfigError(f"{path} has more than {MOST_INDEX} bytes, too many for an index")
    try:
        index = strict.loads(path.read_bytes().decode())
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no JSON text") from None
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(shard, str) for shard in places.values()):
        raise ConfigError(f'{path} is no index of shards: expected {{"weight_map": {{name: file}}}}')
    for shard in set(places.values()):
        if shard != Path(shard).name or "\\" in shard or shard in ("", ".", "..") or "\0" in shard:
            raise ConfigError(f"{path} names the shard {shard[:80]!r}, which is not the name of a file next to it")
    shards = {shard: _opened(path.with_name(shard), None, is_shard=True) for shard in sorted(set(places.values()))}
    there = {name: shard for shard, arrays in shards.items() for name in arrays.types}
    if there != places or sum(len(arrays.types) for arrays in shards.values()) != len(places):
        wrong = sorted(name for name in there.keys() | places.keys() if there.get(name) != places.get(name))
        raise ConfigError(f"{path} and its shards do not hold the same arrays: {', '.join(wrong)[:400]}")
    types = {name: shards[shard].types[name] for name, shard in places.items()}
    return Arrays(types, lambda name: shards[places[name]].fetch(name), str(path))


# Dicts


def _inside(source: Mapping, key: str) -> Mapping:
    inner = source.get(key)
    if not isinstance(inner, Mapping):
        raise ConfigError(f"the source has no dict at key={key!r}; it has {', '.join(map(str, source))[:400]}")
    return inner


def _of_dict(source: Mapping) -> Arrays:
    inner = [key for key, value in source.items() if isinstance(value, Mapping)]
    if inner:
        raise ConfigError(
            f"the source holds a dict at {inner[0]!r:.80}, and arrays by name are expected; give that dict, "
            f"source[{inner[0]!r:.80}], or names with dots"
        )
    arrays = {name: _array(name, value) for name, value in source.items()}
    return Arrays({name: (a.shape, a.dtype.name) for name, a in arrays.items()}, arrays.__getitem__, "the source")


def _array(name: Any, value: Any) -> np.ndarray:
    """A NumPy array of one of NumPy's, JAX's or PyTorch's, or of what has __array__; no copy where none is needed."""
    if isinstance(value, (str, bytes, bool, int, float, list, tuple)) or value is None:
        raise ConfigError(f"{name!r:.80} is {shortened(value)}, not an array; give numpy.asarray(...) of numbers")
    try:
        array = _of_tensor(value) if hasattr(value, "detach") else np.asarray(value)
    except Exception as error:
        raise ConfigError(f"{name!r:.80} is a {type(value).__name__} that is no array: {error}") from None
    if array.dtype.kind not in "biufcV" or (array.dtype.kind == "V" and not jnp.issubdtype(array.dtype, jnp.floating)):
        raise ConfigError(f"{name!r:.80} is a {type(value).__name__} of {array.dtype}, expected numbers")
    return array


def _of_tensor(tensor: Any) -> np.ndarray:
    """A tensor of PyTorch, by its own methods: NumPy has no bfloat16, which float32 holds exactly."""
    tensor = tensor.detach().cpu()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return np.asarray(tensor.float().numpy())


def shown(name: str, kind: tuple[tuple[int, ...], str]) -> str:
    """An array in one line of a message."""
    shape, dtype = kind
    return f"{json.dumps(name, ensure_ascii=False)} {dtype}{tuple(shape)}"
