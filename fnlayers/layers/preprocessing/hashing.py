"""Hashed categories: numbers of buckets for strings and integers, by themselves and crossed with others."""

from collections.abc import Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal

import numpy as np

from fnlayers.core.dtypes import INTEGERS, IntegerName, PolicyName, policy
from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.layer import Shape, layerclass
from fnlayers.core.shapes import ArrayType
from fnlayers.core.strings import is_string_dtype
from fnlayers.layers.preprocessing.hashed import Salt, check_salt, hash_buckets, refuse_sparse
from fnlayers.layers.preprocessing.host import (
    Flat,
    HostLayer,
    check_last_axis,
    encoded,
    encoded_shape,
    flat_integers,
    flat_strings,
    is_ragged,
    one_array,
)
from fnlayers.ops.hashing import fingerprint64, fingerprint_cat64

__all__ = ["HashedCrossing", "Hashing"]

CROSS_KEY = 0xDECAFCAFFE  # the fingerprint that crossing starts with
MOST_BUCKETS = 2**63 - 1  # that num_bins=0 stands for


@layerclass
class Hashing(HostLayer):
    """The number of the bucket that each string or integer falls into, by its hash; or vectors and counts of them.

    The hash is FarmHash's Fingerprint64 of the string in UTF-8; integers are hashed as decimal text, floats without
    their fraction, booleans as "true" and "false". It runs on the host, and gives arrays of NumPy.

    Arguments:
        num_bins: how many buckets there are.
        mask_value: what falls into bucket 0, and nothing else does. None: there is none.
        salt: an integer or a pair: the key of SipHash-2-4, which then takes the place of FarmHash.
        output_mode: "int": the number of each element's bucket. "one_hot": a vector for each. "multi_hot", "count": a
            vector for each row, whether an element is in the bucket, or how many are.
        sparse: False; results are dense.
        dtype: of the output: "int64" or "int32" in the mode "int", else of the vectors. None: "int64", and "float32".

    Shapes: as `StringLookup`, with num_bins for the tokens.
    Mask: refused.

    Example:
        >>> Hashing(3).apply({}, ["A", "B", "C", "D", "E"]).tolist()
        [1, 0, 1, 1, 2]
    """

    num_bins: int
    mask_value: int | float | str | bytes | None = None
    salt: Salt = None
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int"
    sparse: bool = False
    dtype: PolicyName | IntegerName | None = field(default=None, kw_only=True)

    integer_policies: ClassVar[bool] = True

    def check(self) -> None:
        """Buckets, a salt, and a dtype that goes with the mode."""
        check_salt(self)
        refuse_sparse(self)
        check_integers(self)
        if not isinstance(self.num_bins, int) or self.num_bins < 1:
            raise ConfigError(f"Hashing: num_bins={self.num_bins!r} is wrong; give a number of at least 1")

    def check_shape(self, shape: Shape) -> None:
        """One array."""
        one_array(self, shape)
        check_last_axis(self, shape, self.output_mode)

    def encode(self, x: Any) -> Any:
        """The buckets in the output mode."""
        if self.output_mode == "one_hot" and x.ndim and x.shape[-1] == 1:
            x = x[..., 0]
        flat = self._strings(x)
        masked = self.mask_value is not None and self.num_bins > 1
        ids = hash_buckets(flat.items, self.num_bins - masked, self.salt)
        if masked:
            ids = np.where(self._is_mask(x, flat), 0, 1 + ids)
        return _as(encoded(ids, flat, self.output_mode, self.num_bins), output_dtype(self))

    def encoded_type(self, types: ArrayType) -> ArrayType:
        """As the mode has it."""
        shape = encoded_shape(types.shape, self.output_mode, self.num_bins)
        return ArrayType(shape, output_dtype(self).name)

    def _strings(self, x: np.ndarray) -> Flat:
        """The elements as they are hashed."""
        if _holds_strings(x):
            return flat_strings(self, x)
        if x.dtype == bool:
            return Flat([b"true" if item else b"false" for item in x.ravel().tolist()], x.shape)
        flat = flat_integers(self, x)
        return flat._replace(items=[b"%d" % item for item in flat.items.tolist()])

    def _is_mask(self, x: np.ndarray, flat: Flat) -> np.ndarray:
        value = self.mask_value
        if isinstance(value, (str, bytes)):
            key = value if isinstance(value, bytes) else value.encode()
            if flat.items and not _holds_strings(x):
                raise ConfigError(f"{brief(self)} masks the string {value!r}, and got numbers; give mask_value as one")
            return np.array([item == key for item in flat.items], bool)
        if _holds_strings(x):
            raise ConfigError(f"{brief(self)} masks the number {value!r}, and got strings; give mask_value as a string")
        if is_ragged(x):
            x = np.array([item for row in x for item in row])
        return np.asarray(x == value).ravel()


@layerclass
class HashedCrossing(HostLayer):
    """The number of the bucket that the combination of several features falls into, by their hashes, in order.

    Strings are hashed by FarmHash's Fingerprint64, integers are taken as they are, so that 1 and "1" differ. It runs on
    the host, and gives arrays of NumPy.

    Arguments:
        num_bins: how many buckets there are; 0: 2^63 - 1.
        output_mode: "int": the number of each bucket; "one_hot": a vector for each.
        sparse: False; results are dense.
        dtype: of the output. None: "int64" in the mode "int", "float32" for vectors.

    Shapes: two or more arrays of one shape, (), (n,) or (n, 1) -> the same; as vectors (n, num_bins).
    Mask: refused.

    Example:
        >>> HashedCrossing(5).apply({}, (["A", "B", "A"], [101, 101, 102])).tolist()
        [1, 4, 3]
    """

    num_bins: int
    output_mode: Literal["int", "one_hot"] = "int"
    sparse: bool = False
    dtype: PolicyName | IntegerName | None = field(default=None, kw_only=True)

    integer_policies: ClassVar[bool] = True

    def check(self) -> None:
        """Buckets, and a dtype that goes with the mode."""
        refuse_sparse(self)
        least = 0 if self.output_mode == "int" else 1
        if not isinstance(self.num_bins, int) or self.num_bins < least:
            raise ConfigError(f"HashedCrossing: num_bins={self.num_bins!r} is wrong; give a number of at least {least}")

    def check_shape(self, shape: Shape) -> None:
        """Two or more arrays of one shape."""
        shapes = list(shape) if all(isinstance(s, (tuple, list)) for s in shape) else [shape]
        if len(shapes) < 2:
            raise ShapeError(f"{brief(self)} takes two or more arrays in a tuple, got {tuple(shape)}")
        first = tuple(shapes[0])
        if any(tuple(other) != first for other in shapes) or len(first) > 2 or first[1:] not in ((), (1,), (None,)):
            raise ShapeError(
                f"{brief(self)} takes arrays of one shape, (), (n,) or (n, 1), got {', '.join(map(str, shapes))}"
            )

    def encode(self, x: Any) -> Any:
        """The buckets in the output mode."""
        if len({a.shape for a in x}) > 1:
            self.check_shape([a.shape for a in x])
        joined = np.full(x[0].size, CROSS_KEY, np.uint64)
        for feature in x:
            joined = fingerprint_cat64(joined, self._hashes(feature))
        ids = (joined % np.uint64(self.num_bins or MOST_BUCKETS)).astype(np.int64)
        return _as(encoded(ids, Flat(ids, x[0].shape), self.output_mode, self.num_bins), output_dtype(self))

    def encoded_type(self, types: Sequence[ArrayType]) -> ArrayType:
        """As the mode has it."""
        shape = encoded_shape(types[0].shape, self.output_mode, self.num_bins)
        return ArrayType(shape, output_dtype(self).name)

    def _hashes(self, x: np.ndarray) -> np.ndarray:
        if _holds_strings(x):
            return fingerprint64(flat_strings(self, x).items)
        if x.dtype.kind not in "iu":
            raise ConfigError(
                f"{brief(self)} crosses strings and integers, got an array of {x.dtype}; put Discretization before "
                "numbers, or write x.astype(int)"
            )
        return x.astype(np.int64).ravel().view(np.uint64)


def _holds_strings(x: np.ndarray) -> bool:
    """Whether an array, or rows of several lengths, hold strings."""
    if is_ragged(x):
        return any(isinstance(item, (str, bytes)) for row in x for item in row)
    return is_string_dtype(x.dtype)


def check_integers(layer: Any) -> None:
    """Raise ConfigError for floating numbers of buckets."""
    if layer.output_mode == "int" and layer.dtype is not None and layer.dtype not in INTEGERS:
        raise ConfigError(
            f"{type(layer).__name__}: dtype={layer.dtype!r} goes with vectors; give 'int32' or 'int64' in the "
            "mode 'int'"
        )


def output_dtype(layer: Any) -> np.dtype:
    """The dtype of the output: of the option, or by the mode."""
    if layer.dtype is None:
        return np.dtype("int64" if layer.output_mode == "int" else "float32")
    return policy(layer.dtype).compute


def _as(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The array, or rows of several lengths, in that dtype."""
    if y.dtype != object:
        return y.astype(dtype)
    y[:] = [row.astype(dtype) for row in y]
    return y
