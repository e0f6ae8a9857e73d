"""Strings as inputs: they live on the host, in arrays of NumPy, and no dtype of jax is one of theirs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

STRING = "string"  # the dtype of an ArrayType, and of an Input, whose arrays hold strings
BEFORE_NUMBERS = "put fnlayers.StringLookup, TextVectorization or Hashing before it"


def is_string_dtype(dtype: Any) -> bool:
    """Whether arrays of that dtype may hold strings: str, bytes, or Python objects.

    >>> is_string_dtype(np.dtype("<U3")), is_string_dtype("string"), is_string_dtype(np.dtype("int32"))
    (True, True, False)
    """
    return dtype == STRING if isinstance(dtype, str) else getattr(dtype, "kind", "") in "USOT"


def is_strings(x: Any) -> bool:
    """Whether x is an array of NumPy that may hold strings."""
    return isinstance(x, np.ndarray) and is_string_dtype(x.dtype)


def as_arrays(x: Any) -> Any:
    """The nest with an array for each list, and for each string by itself; tuples and dicts hold several inputs.

    A DataFrame becomes a dict of its columns.

    A list of lists of several lengths becomes an array of objects, one list a row. No string loses a NUL at its end,
    as it would in NumPy's own arrays of str.

    >>> as_arrays((["a", "b"], [1, 2]))
    (array(['a', 'b'], dtype=object), array([1, 2]))
    """
    if isinstance(x, Mapping):
        return {key: as_arrays(value) for key, value in x.items()}
    if hasattr(x, "columns") and hasattr(x, "__getitem__"):  # a DataFrame
        return {key: np.asarray(x[key]) for key in x.columns}
    if isinstance(x, tuple):
        return tuple(map(as_arrays, x))
    if isinstance(x, (str, bytes, np.str_, np.bytes_)):
        return _filled((), [x])
    if not isinstance(x, list):
        return x
    shape = _shape(x)
    if shape is None:
        return _filled((len(x),), x)
    items = x
    for _ in shape[1:]:
        items = [item for row in items for item in row]
    has_strings = any(isinstance(item, (str, bytes)) for item in items)
    return _filled(shape, items) if has_strings else np.array(x)


def _shape(x: Any) -> tuple[int, ...] | None:
    """The shape of nested lists; None where rows differ."""
    if not isinstance(x, (list, tuple)):
        return ()
    inner = {_shape(item) for item in x} or {()}
    return None if None in inner or len(inner) > 1 else (len(x), *next(iter(inner)))  # type: ignore[misc]


def _filled(shape: tuple[int, ...], items: list) -> np.ndarray:
    array = np.empty(len(items), object)
    for position, item in enumerate(items):
        array[position] = item
    return array.reshape(shape)
