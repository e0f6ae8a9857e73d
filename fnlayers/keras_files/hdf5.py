"""The one door to HDF5 files: names, attributes and plain arrays, of which nothing is believed.

h5py says where things lie; their bytes are read by us (`hdf5_arrays.py`) once what a file declares has been compared
with what it stores. Only hard links are followed, and whatever h5py raises becomes an error of ours.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError, LayerError, MissingError
from fnlayers.keras_files import limits
from fnlayers.keras_files.hdf5_arrays import Stored, StoredArray
from fnlayers.keras_files.hdf5_attributes import attribute_of
from fnlayers.keras_files.hdf5_records import SIGNATURE, Strings, check_superblock
from fnlayers.keras_files.sections import Section, open_regular

__all__ = ["SIGNATURE", "Hdf5", "Stored", "open_hdf5"]


@contextmanager
def open_hdf5(source: bytes | Path | Section) -> Iterator["Hdf5"]:
    """An HDF5 file to read from: its bytes, its path, or a section of another file.

    Raises:
        FileNotFoundError: there is no such file.
        MissingError: h5py is not installed.
        ConfigError: it is no HDF5 file, or it is damaged, at once or in the methods of what is returned.
    """
    h5py = _h5py()
    if isinstance(source, Path):
        with open_regular(source) as file, open_hdf5(Section(file)) as opened:
            yield opened
        return
    section = Section(source) if isinstance(source, bytes) else source
    check_superblock(section)
    with _refusing("the file"):
        file = h5py.File(section, "r")
    try:
        yield Hdf5(file, section)
    finally:
        with _refusing("the file"):
            file.close()


class Hdf5:
    """An open HDF5 file. Places are paths such as "layers/dense/vars/0"; "" is the root."""

    def __init__(self, file: Any, section: Section) -> None:
        self._file, self._section, self._strings = file, section, Strings(section)
        self._read: dict[str, tuple[int, int]] = {}  # of each array read: its bytes in the file, and in memory
        self._places: list[str] | None = None  # of all arrays, once they were asked for

    def attributes(self, place: str = "") -> dict[str, Any]:
        """The attributes of a group or array: numbers, strings, and lists of them.

        Keras 2 splits a long list into weight_names0, weight_names1, ...: these come as one weight_names.
        """
        h5a = _h5py().h5a
        with _refusing(place):
            handle = self._object(place)
            count = h5a.get_num_attrs(handle)
            if count > limits.MAX_ATTRIBUTES:
                raise ConfigError(f"it has {count} attributes; at most {limits.MAX_ATTRIBUTES} are read")
            names: list[bytes] = []
            h5a.iterate(handle, lambda name, *_: names.append(name))
            values = {}
            for name in names:
                values[_text(name)] = attribute_of(handle, name, self._section, self._strings)
        return _joined(values)

    def names(self, place: str = "") -> list[str]:
        """The children of a group: in the order in which they were made if the file tracks it, else sorted."""
        with _refusing(place):
            return _children(self._object(place))

    def is_group(self, place: str) -> bool:
        """Whether it is a group; False for an array, and where there is nothing."""
        with _refusing(place):
            try:
                return isinstance(self._object(place), _h5py().h5g.GroupID)
            except MissingError:
                return False

    def arrays(self) -> list[str]:
        """The places of all arrays, each of which is reached in one way alone. The file is walked through once."""
        if self._places is None:
            self._places = self._walked()
        return list(self._places)

    def _walked(self) -> list[str]:
        h5py = _h5py()
        places, waiting, seen = [], [("", self._open(""))], set()
        while waiting:
            here, opened = waiting.pop()
            with _refusing(here):
                if isinstance(opened, h5py.h5d.DatasetID):
                    places.append(here)
                    continue
                address = h5py.h5o.get_info(opened).addr
                if address in seen or len(waiting) + len(places) > limits.MAX_OBJECTS:
                    raise ConfigError(
                        f"the group is inside itself or another one as well, or there are more than "
                        f"{limits.MAX_OBJECTS} groups and arrays"
                    )
                seen.add(address)
                inner = [(f"{here}/{name}" if here else name, _opened(opened, name)) for name in _children(opened)]
                waiting += reversed(inner)
        return places

    def stored(self, place: str) -> Stored:
        """The shape, dtype and bytes of an array, without reading it: they are what the file really stores.

        Raises:
            MissingError: there is no such array.
            ConfigError: it is anything but a plain array of numbers with all its bytes in the file.
        """
        with _refusing(place):
            return self._array(place).stored

    def read(self, place: str) -> np.ndarray:
        """The array there, in the machine's byte order; raises what `stored` raises."""
        with _refusing(place):
            array = self._array(place)
            self._count(place, array)
            return array.read(self._section)

    def _count(self, place: str, array: StoredArray) -> None:
        """Refuse arrays that lie over each other, and what expands to too much, before they are read."""
        self._read[place] = array.in_file, array.stored.nbytes
        in_file, in_memory = map(sum, zip(*self._read.values(), strict=True))
        if in_file > self._section.length:
            raise ConfigError("the arrays take more bytes than the file has: they lie over each other")
        if in_memory > limits.most_expanded(self._section.length):
            raise ConfigError(f"the arrays expand to {in_memory} bytes, from a file of {self._section.length}")

    def _array(self, place: str) -> StoredArray:
        handle = self._object(place)
        if not isinstance(handle, _h5py().h5d.DatasetID):
            raise MissingError(f"the file has a group {place}, where an array is expected")
        return StoredArray.of(handle, self._section, self._strings)

    def _open(self, place: str) -> Any:
        with _refusing(place):
            return self._object(place)

    def _object(self, place: str) -> Any:
        """The open group or dataset, followed name by name through hard links."""
        handle = self._file["/"].id
        for name in place.split("/") if place else ():
            if name in ("", ".", "..") or "\0" in name:
                raise MissingError(f"{place[:200]!r} is not a place in a file")
            if not isinstance(handle, _h5py().h5g.GroupID) or name.encode() not in handle:
                raise MissingError(f"the file has no {place[:200]}")
            handle = _child(handle, name)
        return handle


def _children(group: Any) -> list[str]:
    """The names in an open group, all of which are hard links."""
    h5py = _h5py()
    if not isinstance(group, h5py.h5g.GroupID):
        raise ConfigError("it is not a group")
    count = group.get_num_objs()
    if count > limits.MAX_OBJECTS:
        raise ConfigError(f"it has {count} children; at most {limits.MAX_OBJECTS} are read")
    tracked = group.get_create_plist().get_link_creation_order() & h5py.h5p.CRT_ORDER_TRACKED
    names: list[bytes] = []
    group.links.iterate(names.append, idx_type=h5py.h5.INDEX_CRT_ORDER if tracked else h5py.h5.INDEX_NAME)
    for name in names:
        _check_hard(group, name)
    return [_text(name) for name in names]


def _child(group: Any, name: str) -> Any:
    """The group or dataset that an open group has under a name."""
    _check_hard(group, name.encode())
    return _opened(group, name)


def _opened(group: Any, name: str) -> Any:
    """The same, of a link that is known to be hard."""
    h5py = _h5py()
    handle = h5py.h5o.open(group, name.encode())
    if not isinstance(handle, (h5py.h5g.GroupID, h5py.h5d.DatasetID)):
        raise ConfigError(f"{name[:200]!r} is neither a group nor an array")
    return handle


def _check_hard(group: Any, name: bytes) -> None:
    if group.links.get_info(name).type != _h5py().h5l.TYPE_HARD:
        raise ConfigError(f"{_text(name)!r} is a link to elsewhere; links are not followed")


def _text(name: bytes) -> str:
    """A name of the file; h5py gives bytes."""
    text = name.decode()
    if not text or len(text) > limits.MAX_NAME:
        raise ConfigError(f"a name in the file has {len(text)} characters; from 1 to {limits.MAX_NAME} are read")
    return text


def _joined(values: dict[str, Any]) -> dict[str, Any]:
    """The attributes with name0, name1, ... put together as name."""
    joined = {}
    for name, value in values.items():
        base = name.rstrip("0123456789")
        if base == name or base in values or not isinstance(values.get(f"{base}0"), list):
            joined[name] = value
        elif name == f"{base}0":
            joined[base] = joined_list = []
            number = 0
            while isinstance(part := values.get(f"{base}{number}"), list):
                joined_list += part
                number += 1
    return joined


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingError("reading Keras's files needs h5py; pip install 'fnlayers[keras]'") from None
    return h5py


@contextmanager
def _refusing(place: str) -> Iterator[None]:
    """Whatever h5py raises over a file's content is a ConfigError that names the place."""
    try:
        yield
    except LayerError as error:
        if place and place not in str(error):
            error.args = (f"{place[:200]}: {error}",)
        raise
    except Exception as error:  # h5py: OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, ...
        message = re.sub(r"\s+", " ", str(error))[:200]
        raise ConfigError(f"{place[:200] or 'the root'} cannot be read: {message}") from None
