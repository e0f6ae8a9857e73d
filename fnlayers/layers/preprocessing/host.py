"""Layers that run on the host, with NumPy: strings live nowhere else, and ids of 64 bits need no jax there."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jax.core import Tracer

from fnlayers.core.errors import ConfigError, ShapeError, brief, shortened
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import ArrayType
from fnlayers.core.strings import STRING, as_arrays, is_string_dtype, is_strings
from fnlayers.layers.preprocessing.vocabulary import as_bytes
from fnlayers.ops.categories import encode_each, encode_rows


@layerclass
class HostLayer(Layer):
    """Base of layers that take arrays of NumPy and lists, strings among them, and give arrays of NumPy.

    An author writes `encode(x)`, and `encoded_type(types)`, since nothing of it can be traced. A string cannot go into
    a compiled program: run the layer before it, and train on what it returns.

    Mask: refused.
    """

    on_host: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "none"

    def encode(self, x: Any) -> Any:
        """The output for arrays of NumPy."""
        raise ConfigError(f"{type(self).__name__} defines no encode; write it")

    def encode_traced(self, x: Any) -> Any:
        """The output within a compiled program, where it is possible."""
        raise ConfigError(
            f"{brief(self)} runs on the host, and cannot be part of a compiled program (jit, vmap, grad, fit): "
            "encode before it, ids = layer.apply({}, x), and give the program the ids"
        )

    def encoded_type(self, types: Any) -> ArrayType:
        """The ArrayType of the output for inputs of those types."""
        raise ConfigError(f"{type(self).__name__} defines no encoded_type; write it")

    @property
    def in_dtype(self) -> Any:
        """Strings."""
        return STRING

    def call(self, params: Any, x: Any) -> Any:
        """`encode`, outside of jit."""
        leaves = x if isinstance(x, (tuple, list)) else (x,)
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return self.encode_traced(x)
        arrays = [leaf if isinstance(leaf, np.ndarray) else np.asarray(leaf) for leaf in leaves]
        for leaf in arrays:
            refuse_masked(self, leaf)
        return self.encode(tuple(arrays) if isinstance(x, (tuple, list)) else arrays[0])

    def _compose(self, types: Any) -> Any:
        self.check_shape(types.shape if isinstance(types, ArrayType) else tuple(t.shape for t in types))
        return self.encoded_type(types)


class Flat(NamedTuple):
    """The elements of an array, or of rows of several lengths, one after the other.

    Arguments:
        items: a list of bytes, or an array of integers.
        shape: of the array; of rows (number of rows,).
        lengths: of the rows; None for an array.
    """

    items: Any
    shape: tuple[int, ...]
    lengths: np.ndarray | None = None


def is_ragged(x: np.ndarray) -> bool:
    """Whether it is an array of rows of several lengths: of lists or arrays."""
    return x.dtype == object and x.ndim == 1 and x.size > 0 and isinstance(x[0], (list, tuple, np.ndarray))


def rows_in(layer: Layer, x: np.ndarray) -> list[list]:
    """The rows of several lengths in an array; ConfigError for a row that is none, as a string would fall apart."""
    for at, row in enumerate(x):
        if not isinstance(row, (list, tuple, np.ndarray)):
            raise ConfigError(f"{brief(layer)} takes rows that are lists, and row {at} is {row!r}; write [{row!r}]")
    return [list(row) for row in x]


def refuse_masked(layer: Layer, x: np.ndarray) -> None:
    """Raise ConfigError for a masked array, whose masked elements would count."""
    if isinstance(x, np.ma.MaskedArray):
        raise ConfigError(f"{brief(layer)} got a masked array; write x.filled(value), or x.compressed()")


def rows_of(rows: list[list]) -> Flat:
    """Lists of several lengths."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return Flat([item for row in rows for item in row], (len(rows),), lengths)


def flat_strings(layer: Layer, x: np.ndarray) -> Flat:
    """The strings of an array, or of rows, as bytes.

    Raises:
        ConfigError: for what is not a string, with its position.
    """
    if is_ragged(x):
        flat = rows_of(rows_in(layer, x))
        return flat._replace(items=_all_bytes(layer, flat.items))
    if x.size and not is_string_dtype(x.dtype):
        raise ConfigError(f"{brief(layer)} takes strings, got an array of {x.dtype}; write x.astype(str)")
    return Flat(_all_bytes(layer, x.ravel().tolist()), x.shape)


def _all_bytes(layer: Layer, items: list) -> list[bytes]:
    try:
        return [item if type(item) is bytes else as_bytes(item) for item in items]
    except AttributeError:
        at = next(i for i, item in enumerate(items) if not isinstance(item, (str, bytes)))
        raise ConfigError(
            f"{brief(layer)} takes strings, and element {at} is {items[at]!r} of type {type(items[at]).__name__}; "
            "replace what is missing by '', and write numbers as str(number)"
        ) from None
    except ConfigError as error:
        raise ConfigError(f"{brief(layer)}: {error}") from None


def flat_integers(layer: Layer, x: np.ndarray) -> Flat:
    """The integers of an array, or of rows; the fraction of floats is cut off, as in Keras.

    Raises:
        ConfigError: for strings, NaN and infinity, and numbers that 64 bits do not hold.
    """
    if is_ragged(x):
        flat = rows_of(rows_in(layer, x))
        return flat._replace(items=_as_int64(layer, np.array(flat.items or [0])[: len(flat.items)]))
    return Flat(_as_int64(layer, x).ravel(), x.shape)


def _as_int64(layer: Layer, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "biuf" and x.size:
        raise ConfigError(f"{brief(layer)} takes integers, got {_described(x)}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise ConfigError(
            f"{brief(layer)} takes integers, and {int((~np.isfinite(x)).sum())} elements are NaN or infinite; replace "
            "them by a number of their own, such as the mask's"
        )
    if x.size and x.dtype.kind in "uf" and (abs(x.astype(np.float64)) >= 2.0**63).any():
        raise ConfigError(f"{brief(layer)} takes integers of 64 bits, got {x.max()}; hash larger ones as strings")
    return x.astype(np.int64)


def _described(x: np.ndarray) -> str:
    if x.dtype == object and not any(isinstance(item, (str, bytes)) for item in x.ravel()):
        return "an array of objects; write x.astype('int64'), and hash what 64 bits do not hold as strings"
    return "strings; for these write StringLookup" if is_strings(x) else f"an array of {x.dtype}"


def encoded(ids: np.ndarray, flat: Flat, mode: str, depth: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Ids of all elements in one of the output modes, rows with the weights; those below 0 count nowhere.

    Shapes: as `ops.encode_categories` has them; rows of several lengths stay so in the modes int and one_hot.
    """
    if flat.lengths is not None:
        return _encoded_rows(ids, flat.lengths, mode, depth, weights)
    ids = ids.reshape(flat.shape)
    if mode == "int":
        return ids
    ids = np.atleast_1d(ids)
    if mode == "one_hot":
        return encode_each(ids[..., 0] if ids.ndim > 1 and ids.shape[-1] == 1 else ids, depth)
    ids = np.moveaxis(ids, min(ids.ndim - 1, 1), -1)  # the axis that a row lies along
    *leading, width = ids.shape
    rows = np.repeat(np.arange(math.prod(leading)), width)
    table = encode_rows(ids.ravel(), rows, (math.prod(leading), depth), mode != "multi_hot", weights)
    return table.reshape(*leading, depth)


def _encoded_rows(
    ids: np.ndarray, lengths: np.ndarray, mode: str, depth: int, weights: np.ndarray | None
) -> np.ndarray:
    if mode in ("int", "one_hot"):
        return cut(ids if mode == "int" else encode_each(ids, depth), lengths)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    return encode_rows(ids, rows, (len(lengths), depth), mode != "multi_hot", weights)


def cut(items: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """An array of objects, each the array of one row."""
    ragged = np.empty(len(lengths), object)
    ends = np.cumsum(lengths)
    for row, (start, end) in enumerate(zip(ends - lengths, ends, strict=True)):
        ragged[row] = items[start:end]
    return ragged


def check_last_axis(layer: Layer, shape: Shape, mode: str) -> None:
    """Raise ShapeError where it is open whether there is a last axis of size 1, which the mode "one_hot" replaces."""
    if mode == "one_hot" and len(shape) > 1 and shape[-1] is None:
        raise ShapeError(
            f"{brief(layer)}: the last axis of {tuple(shape)} must be known, since one of size 1 becomes the vectors; "
            "write its size"
        )


def encoded_shape(shape: Shape, mode: str, depth: int | None) -> tuple:
    """The shape of what `encoded` gives for an array of that shape."""
    if mode == "int":
        return tuple(shape)
    shape = tuple(shape) or (1,)
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*(shape[:1] if len(shape) > 1 else ()), *shape[2:], depth)


def one_array(layer: Layer, shape: Any) -> None:
    """Raise ShapeError for several inputs."""
    if not all(n is None or isinstance(n, int) for n in shape):
        raise ShapeError(f"{brief(layer)} takes one array, got several: {shape!r}; call it for each")


def batches_of(
    layer: Layer, data: Any, verbose: bool, steps: int | None = None, lists_are_arrays: bool = True
) -> Iterator[tuple[np.ndarray, bool]]:
    """What `adapt` looks at, batch by batch, each with whether it is the whole data; a bar where someone looks at it.

    Arguments:
        layer: which adapts.
        data: an array, a list, or any iterable of those, which is read once.
        verbose: False shows nothing.
        steps: how many batches to read; None: all.
        lists_are_arrays: whether a list that holds no arrays is one.
    """
    check_steps(layer, steps)
    is_array = hasattr(data, "__array__") and not hasattr(data, "columns")  # which a DataFrame has
    is_list = isinstance(data, (list, tuple)) and not any(map(_holds_arrays, data))
    if is_array or (is_list and lists_are_arrays):
        yield _one_batch(layer, data), True
        return
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes, Mapping)) or hasattr(data, "columns"):
        raise ConfigError(f"{brief(layer)}: adapt takes an array or an iterable of batches, got {shortened(data)}")
    from tqdm.auto import tqdm

    shown = tqdm(data, desc=f"adapt {type(layer).__name__}", unit="batch", disable=None if verbose else True)
    for count, batch in enumerate(shown):
        if steps is not None and count >= steps:
            break
        yield _one_batch(layer, batch), False


def check_steps(layer: Layer, steps: Any) -> None:
    """Raise ConfigError for a number of batches that is none."""
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1):
        raise ConfigError(f"{brief(layer)}: steps={steps!r}; give a number of batches of at least 1, or None for all")


def _holds_arrays(item: Any) -> bool:
    return any(hasattr(part, "__array__") for part in (item if isinstance(item, tuple) else (item,)))


def _one_batch(layer: Layer, batch: Any) -> np.ndarray:
    if isinstance(batch, tuple) and any(hasattr(part, "__array__") for part in batch):
        raise ConfigError(f"{brief(layer)}: adapt got a batch of {len(batch)} arrays; write (x for x, y in data)")
    array = as_arrays(list(batch) if isinstance(batch, tuple) else batch)
    array = array if isinstance(array, np.ndarray) else np.asarray(array)
    refuse_masked(layer, array)
    return array


def finite_numbers(layer: Layer, batch: Any, dtype: str | None = None) -> np.ndarray:
    """A batch as floats; ConfigError for anything but numbers, for NaN and infinity."""
    batch = np.asarray(batch)
    if batch.dtype.kind not in "biuf":
        raise ConfigError(f"{brief(layer)}: adapt takes numbers, got an array of {batch.dtype}")
    if not np.isfinite(batch).all():
        count = int((~np.isfinite(batch)).sum())
        raise ConfigError(
            f"{brief(layer)}: adapt found {count} elements that are NaN or infinite; replace or leave them out, as "
            "in data[np.isfinite(data)]"
        )
    return batch if dtype is None else batch.astype(dtype)
