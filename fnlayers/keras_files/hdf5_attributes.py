"""Attributes of HDF5 files: numbers, strings, and lists of them."""

import math
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files import limits
from fnlayers.keras_files.hdf5_records import Strings
from fnlayers.keras_files.sections import Section


def attribute_of(owner: Any, name: bytes, section: Section, strings: Strings) -> Any:
    """An attribute of h5py's GroupID or DatasetID: a number, a string, or a list of them.

    Arguments:
        owner, name: which attribute.
        section, strings: the file, and what reads strings in it.

    Raises:
        ConfigError: it is anything else, larger than the file, or damaged.
    """
    import h5py
    import h5py.h5o

    attribute, shown = h5py.h5a.open(owner, name), repr(name.decode("utf-8", "replace")[:80])
    kind, shape = attribute.get_type(), attribute.shape
    if shape is None or math.prod(shape) == 0:
        return []
    count, most = math.prod(shape), min(section.length, limits.MAX_ATTRIBUTE_BYTES)
    if len(shape) > 1 or count * kind.get_size() > most:
        raise ConfigError(f"its attribute {shown} has the shape {shape}, which is not read")
    if isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str():
        values_read: list = strings.of(h5py.h5o.get_info(owner).addr, name, count)
    elif isinstance(kind, h5py.h5t.TypeStringID) or plain_dtype(kind) is not None:
        array = np.empty(shape, attribute.dtype)
        attribute.read(array)
        values_read = array.reshape(-1).tolist()
    else:
        raise ConfigError(f"its attribute {shown} is neither numbers nor strings")
    values = [_plain_value(value, shown) for value in values_read]
    return values if shape else values[0]


def plain_dtype(kind: Any) -> np.dtype | None:
    """The dtype of numbers of HDF5's standard types, and of h5py's booleans; None for everything else."""
    import h5py

    h5t = h5py.h5t
    if isinstance(kind, h5t.TypeEnumID):
        members = {kind.get_member_name(i): kind.get_member_value(i) for i in range(min(kind.get_nmembers(), 3))}
        return np.dtype(bool) if members == {b"FALSE": 0, b"TRUE": 1} and kind.get_size() == 1 else None
    if not isinstance(kind, (h5t.TypeIntegerID, h5t.TypeFloatID)) or kind.get_size() not in (1, 2, 4, 8):
        return None
    letter = "f" if isinstance(kind, h5t.TypeFloatID) else "i" if kind.get_sign() == h5t.SGN_2 else "u"
    if letter == "f" and kind.get_size() == 1:
        return None
    dtype = np.dtype(f"{'>' if kind.get_order() == h5t.ORDER_BE else '<'}{letter}{kind.get_size()}")
    return dtype if kind == h5t.py_create(dtype) else None


def _plain_value(value: Any, shown: str) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ConfigError(f"its attribute {shown} is no text in UTF-8") from None
    if not isinstance(value, (str, bool, int, float)):
        raise ConfigError(f"its attribute {shown} is neither numbers nor strings")
    return value
