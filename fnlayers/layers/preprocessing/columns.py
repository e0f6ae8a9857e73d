"""What a FeatureSpace does with each column of a table, and with several together, as plain data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, LayerError, brief
from fnlayers.core.layer import Layer
from fnlayers.core.strings import STRING, is_string_dtype
from fnlayers.layers.preprocessing.hashing import HashedCrossing, Hashing
from fnlayers.layers.preprocessing.lookup import IntegerLookup, StringLookup
from fnlayers.layers.preprocessing.lookup_base import Lookup
from fnlayers.layers.preprocessing.numeric import Normalization, Rescaling
from fnlayers.layers.preprocessing.tabular import Discretization
from fnlayers.plain_data import choices

FLOATS, INTEGERS = "float32", "int32"  # Keras's names for columns of numbers
ColumnType = Literal["float32", "int32", "string"]
NumberMode = Literal["int", "one_hot"]
ColumnMode = Literal["int", "one_hot", "float"]
MODES = get_args(ColumnMode)


@contextmanager
def of_column(name: str) -> Iterator[None]:
    """Errors that leave this block say which column they are about."""
    try:
        yield
    except LayerError as error:
        error.args = (f"column {name!r}: {error.args[0]}",)
        raise


class Feature(NamedTuple):
    """What becomes of a column.

    Arguments:
        dtype: what the column holds: "float32" numbers, "int32" integers (of 64 bits on the host), or "string".
        preprocessor: the layer that it goes through; None: it stays as it is.
        output_mode: "float": what the layer gives, as floats. "one_hot": a vector of the numbers of categories that it
            gives. "int": these numbers.
        depth: the size of such a vector; None: as many categories as the layer knows.
    """

    dtype: ColumnType
    preprocessor: Layer | None
    output_mode: ColumnMode
    depth: int | None = None

    @property
    def size(self) -> int | None:
        """The size of a vector of the mode "one_hot"; None where it is not known yet, or not at all."""
        layer = self.preprocessor
        if self.depth is not None:
            return self.depth
        if isinstance(layer, Lookup):
            return None if layer.vocabulary is None else layer.vocabulary_size()
        if isinstance(layer, Discretization):
            return layer.num_bins or len(layer.bin_boundaries) + 1  # type: ignore[arg-type]
        return layer.num_bins if isinstance(layer, (Hashing, HashedCrossing)) else None


class Cross(NamedTuple):
    """Columns that are hashed together.

    Arguments:
        feature_names: their names, in order.
        crossing_dim: the number of buckets.
        output_mode: "one_hot": a vector for the bucket; "int": its number.
    """

    feature_names: tuple[str, ...]
    crossing_dim: int
    output_mode: NumberMode = "one_hot"

    @property
    def name(self) -> str:
        """As Keras names it."""
        return "_X_".join(self.feature_names)

    @property
    def feature(self) -> Feature:
        """The cross as a column of its own."""
        return Feature(INTEGERS, HashedCrossing(self.crossing_dim), self.output_mode)


def feature(dtype: ColumnType, preprocessor: Layer | None, output_mode: ColumnMode) -> Feature:
    """A column that goes through a layer of one's own."""
    return Feature(dtype, preprocessor, output_mode)


def cross(feature_names: Sequence[str], crossing_dim: int, output_mode: NumberMode = "one_hot") -> Cross:
    """Columns that are hashed together into so many buckets."""
    return Cross(tuple(feature_names), crossing_dim, output_mode)


# Where a kind is given a name, the layer of the column is named f"{name}_preprocessor", as in Keras.


def float_as_it_is(name: str | None = None) -> Feature:
    """Numbers as they are: of no layer, so that a name, which Keras has for its own, names nothing."""
    _layer_name(name)
    return Feature(FLOATS, None, "float")


def float_rescaled(scale: Any = 1.0, offset: Any = 0.0, name: str | None = None) -> Feature:
    """Numbers times `scale`, plus `offset`."""
    return Feature(FLOATS, Rescaling(scale, offset, name=_layer_name(name)), "float")


def float_normalized(name: str | None = None) -> Feature:
    """Numbers of mean 0 and variance 1."""
    return Feature(FLOATS, Normalization(name=_layer_name(name)), "float")


def float_discretized(
    num_bins: int | None, bin_boundaries: Any = None, output_mode: NumberMode = "one_hot", name: str | None = None
) -> Feature:
    """The bin of each number: of `num_bins` with equally many numbers, or between boundaries that are given."""
    return Feature(FLOATS, Discretization(bin_boundaries, num_bins, name=_layer_name(name)), output_mode)


def integer_categorical(
    max_tokens: int | None = None,
    num_oov_indices: int = 1,
    output_mode: NumberMode = "one_hot",
    name: str | None = None,
) -> Feature:
    """Integers that stand for categories, which `adapt` lists."""
    return Feature(INTEGERS, IntegerLookup(max_tokens, num_oov_indices, name=_layer_name(name)), output_mode)


def string_categorical(
    max_tokens: int | None = None,
    num_oov_indices: int = 1,
    output_mode: NumberMode = "one_hot",
    name: str | None = None,
) -> Feature:
    """Strings that stand for categories, which `adapt` lists."""
    return Feature(STRING, StringLookup(max_tokens, num_oov_indices, name=_layer_name(name)), output_mode)


def integer_hashed(num_bins: int, output_mode: NumberMode = "one_hot", name: str | None = None) -> Feature:
    """The bucket that the hash of each integer falls into."""
    return Feature(INTEGERS, Hashing(num_bins, name=_layer_name(name)), output_mode)


def string_hashed(num_bins: int, output_mode: NumberMode = "one_hot", name: str | None = None) -> Feature:
    """The bucket that the hash of each string falls into."""
    return Feature(STRING, Hashing(num_bins, name=_layer_name(name)), output_mode)


def _layer_name(name: str | None) -> str | None:
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"name={name!r} is no name of a column; give a string")
    return None if name is None else f"{name}_preprocessor"


# A feature by the name of its kind, of a FeatureSpace with its sizes.
KINDS: Mapping[str, Callable[[Any], Feature]] = {
    "float": lambda space: float_as_it_is(),
    "float_normalized": lambda space: float_normalized(),
    "float_rescaled": lambda space: float_rescaled(),
    "float_discretized": lambda space: float_discretized(space.num_discretization_bins),
    "integer_categorical": lambda space: integer_categorical(),
    "string_categorical": lambda space: string_categorical(),
    "integer_hashed": lambda space: integer_hashed(space.hashing_dim),
    "string_hashed": lambda space: string_hashed(space.hashing_dim),
}


def checked_feature(space: Any, feature: Any) -> Feature:
    """The Feature that a kind's name, a Feature or a layer stands for.

    Raises:
        ConfigError: for anything else, and for a Feature whose parts are wrong.
    """
    if isinstance(feature, str):
        if feature not in KINDS:
            raise ConfigError(choices("the kind of feature", feature, KINDS))
        return KINDS[feature](space)
    if not isinstance(feature, Feature):
        raise ConfigError(
            f"{brief(feature)} is no feature; give the name of a kind ({', '.join(KINDS)}), or a layer of your own by "
            "FeatureSpace.feature(dtype, layer, output_mode)"
        )
    if feature.dtype not in (FLOATS, INTEGERS, STRING):
        raise ConfigError(choices("dtype", feature.dtype, (FLOATS, INTEGERS, STRING)))
    if feature.preprocessor is not None and not isinstance(feature.preprocessor, Layer):
        raise ConfigError(f"preprocessor={brief(feature.preprocessor)} is no layer; make one, such as StringLookup()")
    if feature.output_mode not in MODES:
        raise ConfigError(choices("output_mode", feature.output_mode, MODES))
    if feature.depth is not None and (not isinstance(feature.depth, int) or feature.depth < 1):
        raise ConfigError(f"depth={feature.depth!r} is wrong; give the size of a vector, or None")
    if feature.output_mode == "one_hot":
        _check_numbers(feature)
    return feature


def _check_numbers(feature: Feature) -> None:
    """Raise ConfigError for a layer that does not give the numbers of categories, or does not say how many."""
    layer: Any = feature.preprocessor
    mode = getattr(layer, "output_mode", "int")
    counted = isinstance(layer, (Lookup, Discretization, Hashing, HashedCrossing)) or feature.depth is not None
    if mode != "int" or getattr(layer, "invert", False) or not counted:
        raise ConfigError(
            f"output_mode='one_hot' takes the numbers of categories, which {brief(layer)} does not give; write "
            "output_mode='float' for vectors of the layer's own, or 'int'"
        )


def checked_cross(space: Any, cross: Any) -> Cross:
    """The Cross that a tuple of names stands for.

    Raises:
        ConfigError: for names that no feature has, fewer than two of them, or wrong sizes.
    """
    checked = cross if isinstance(cross, Cross) else None
    if checked is None and isinstance(cross, tuple):
        checked = Cross(cross, space.crossing_dim)
    if (
        checked is None
        or not all(isinstance(name, str) for name in checked.feature_names)
        or len(checked.feature_names) < 2
    ):
        raise ConfigError(f"{brief(cross)} is no cross; give a tuple of two or more names of features")
    if strange := [name for name in checked.feature_names if name not in space.features]:
        raise ConfigError(f"the cross {checked.feature_names} names {choices('a feature', strange[0], space.features)}")
    if not isinstance(checked.crossing_dim, int) or isinstance(checked.crossing_dim, bool) or checked.crossing_dim < 1:
        raise ConfigError(f"the cross {checked.feature_names}: crossing_dim={checked.crossing_dim!r}; give 1 or more")
    if checked.output_mode not in MODES[:2]:
        raise ConfigError(
            f"the cross {checked.feature_names}: {choices('output_mode', checked.output_mode, MODES[:2])}"
        )
    return checked


def typed_column(column: Any, dtype: str, floats: Any) -> Any:
    """An array as a feature of that dtype takes it: numbers in the dtype `floats`; integers and strings as they are.

    Raises:
        ConfigError: for an array of anything else.
    """
    numbers = column.dtype == bool or jnp.issubdtype(column.dtype, jnp.integer)
    fits = {
        FLOATS: numbers or jnp.issubdtype(column.dtype, jnp.floating),
        INTEGERS: numbers,
        STRING: is_string_dtype(column.dtype),
    }
    if not fits[dtype] and column.size:
        what, write = _TYPES[dtype]
        raise ConfigError(f"the column holds {what}, got {_contents(column)}; {write}")
    return column.astype(floats) if dtype == FLOATS else column


_TYPES = {  # what a column holds, and what to write where it does not
    FLOATS: ("numbers", "write column.astype('float32')"),
    INTEGERS: ("integers", "fill what is missing and write column.astype(int)"),
    STRING: ("strings", "write column.astype(str)"),
}


def _contents(column: Any) -> str:
    """What an array holds, in some words."""
    if column.dtype == object and (strange := [item for item in column.ravel() if not isinstance(item, (str, bytes))]):
        return f"objects, such as {strange[0]!r}"
    return "strings" if is_string_dtype(column.dtype) else str(column.dtype)
