"""FeatureSpace: a table, as a dict of its columns, becomes one array of numbers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnlayers.core.context import Context, Out, has_mask
from fnlayers.core.dtypes import policy
from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import ArrayType
from fnlayers.core.strings import STRING, as_arrays, is_string_dtype
from fnlayers.core.symbol import Input, Symbol
from fnlayers.core.trace import trace
from fnlayers.half_precision import accumulation_dtype
from fnlayers.layers.common import check_count
from fnlayers.layers.preprocessing import columns
from fnlayers.layers.preprocessing.columns import (
    FLOATS,
    Feature,
    checked_cross,
    checked_feature,
    of_column,
    typed_column,
)
from fnlayers.layers.preprocessing.host import Flat, check_steps, encoded, finite_numbers, refuse_masked
from fnlayers.layers.preprocessing.tabular import Discretization
from fnlayers.ops.categories import encode_categories
from fnlayers.plain_data import FrozenDict

__all__ = ["FeatureSpace"]

LEARNED = ("vocabulary", "bin_boundaries", "mean")  # options that are None until a layer has adapted
ROWS_AT_ONCE = 32  # in which Keras reads a table: the boundaries of bins depend on it


@layerclass
class FeatureSpace(Layer):
    """A table as a dict of columns -> one array of numbers, or a dict of arrays: each column by a layer of its own.

    `adapt` returns a space whose layers have learned from a table: it is plain data, and saved as such. With columns of
    strings, hashes or crosses it runs on the host, and gives arrays of NumPy; a space of numbers alone runs within
    compiled programs, too, as the first layer of a model. NaN in a column of floats stays NaN.

    Arguments:
        features: for each column the name of its kind, or a Feature as the functions of that name make it:
            "float", "float_normalized" (mean 0, variance 1), "float_rescaled", "float_discretized" (bins),
            "integer_categorical", "string_categorical" (a vocabulary), "integer_hashed", "string_hashed" (buckets).
            `FeatureSpace.feature(dtype, layer, output_mode)` is a column that goes through a layer of yours.
        output_mode: "concat": one array, of the columns in the order of their names and then the crosses; "dict": a
            dict of them.
        crosses: tuples of names of columns, or `FeatureSpace.cross(names, crossing_dim)`: columns that are hashed
            together, after their layers.
        crossing_dim, hashing_dim: the number of buckets of crosses, and of the kinds "..._hashed", that say no other.
        num_discretization_bins: the number of bins of the kind "float_discretized".

    Shapes: a dict of (rows,) or (rows, n), n = 1 unless a row has several, -> (rows, features); of numbers and strings
        (one row) -> (features,). Lists and DataFrames are taken, too. The columns are those of `features`, no others.
    Mask: refused.

    Example:
        >>> space = FeatureSpace({"city": "string_categorical", "size": "float_normalized"})
        >>> space = space.adapt({"city": ["Rome", "Oslo", "Rome"], "size": [1.0, 2.0, 3.0]}, verbose=False)
        >>> space.apply({}, {"city": ["Oslo", "Bern"], "size": [2.0, 2.0]}).tolist()
        [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """

    features: Mapping[str, Any]
    output_mode: Literal["concat", "dict"] = "concat"
    crosses: Sequence[Any] | None = ()
    crossing_dim: int = 32
    hashing_dim: int = 32
    num_discretization_bins: int = 32

    on_host: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "none"
    casts_params: ClassVar[bool] = False

    feature = staticmethod(columns.feature)
    cross = staticmethod(columns.cross)
    float = staticmethod(columns.float_as_it_is)
    float_rescaled = staticmethod(columns.float_rescaled)
    float_normalized = staticmethod(columns.float_normalized)
    float_discretized = staticmethod(columns.float_discretized)
    integer_categorical = staticmethod(columns.integer_categorical)
    string_categorical = staticmethod(columns.string_categorical)
    integer_hashed = staticmethod(columns.integer_hashed)
    string_hashed = staticmethod(columns.string_hashed)

    def check(self) -> None:
        """Features by the names of columns, and crosses of these."""
        if not isinstance(self.features, Mapping) or not self.features:
            raise ConfigError(f"FeatureSpace: features={self.features!r}; give a dict of columns: {{'age': 'float'}}")
        if strange := [name for name in self.features if not isinstance(name, str) or not name]:
            raise ConfigError(f"FeatureSpace: a column has a name, a string that is not empty; got {strange[0]!r}")
        if self.crosses is not None and not isinstance(self.crosses, tuple):
            raise ConfigError(
                f"FeatureSpace: crosses={self.crosses!r}; give a list of tuples of names of columns: [('city', 'age')]"
            )
        features = {}
        for name, feature in self.features.items():
            with of_column(name):
                features[name] = checked_feature(self, feature)
        object.__setattr__(self, "features", FrozenDict(features))
        crosses = tuple(checked_cross(self, cross) for cross in self.crosses or ())
        object.__setattr__(self, "crosses", crosses)
        names = Counter([*features, *(cross.name for cross in crosses)])
        if twice := [name for name, count in names.items() if count > 1]:
            raise ConfigError(f"FeatureSpace: two features or crosses are named {twice[0]!r}; rename a column")
        for name in ("crossing_dim", "hashing_dim", "num_discretization_bins"):
            check_count(self, name)

    @property
    def encoded_features(self) -> dict[str, Feature]:
        """The features and crosses in the order in which they are joined: by name, the crosses last."""
        crosses = {cross.name: cross.feature for cross in self.crosses or ()}
        return {name: self.features[name] for name in sorted(self.features)} | {n: crosses[n] for n in sorted(crosses)}

    @property
    def gives_numpy(self) -> bool:
        """Whether one of the layers runs on the host alone."""
        layers = [feature.preprocessor for feature in self.features.values()]
        strings = any(feature.dtype == STRING for feature in self.features.values())
        return strings or bool(self.crosses) or any(layer is not None and layer.on_host for layer in layers)

    @property
    def in_dtype(self) -> Any:
        """What each column holds."""
        return FrozenDict({name: feature.dtype for name, feature in self.features.items()})

    @property
    def in_shape(self) -> Shape:
        """A column of one number or string a row."""
        return FrozenDict(dict.fromkeys(self.features, (None, 1)))

    def get_inputs(self) -> dict[str, Symbol]:
        """An Input for each column, to begin a graph: `functional(inputs, Dense(1)(space(inputs)))`."""
        return {name: Input((1,), dtype=feature.dtype, name=name) for name, feature in self.features.items()}

    def check_shape(self, shape: Shape) -> None:
        """The columns of the features, of as many rows."""
        if not isinstance(shape, Mapping):
            raise ShapeError(f"{brief(self)} takes a dict of columns, got {shape!r}; write {{'name': column, ...}}")
        lacking, surplus = ([n for n in a if n not in b] for a, b in ((self.features, shape), (shape, self.features)))
        if lacking or surplus:
            raise ShapeError(
                f"{brief(self)} takes the columns {', '.join(self.features)} (missing: {_listed(lacking)}; "
                f"unexpected: {_listed(surplus)}); write {{name: table[name] for name in space.features}}"
            )
        for name, sizes in shape.items():
            nested = any(isinstance(size, (tuple, list, Mapping)) for size in sizes)
            if nested or isinstance(sizes, Mapping) or len(sizes) > 2:
                raise ShapeError(f"column {name!r} has the shape {sizes!r}; give (rows,) or (rows, n)")
        rows = {name: sizes[:1] for name, sizes in shape.items() if sizes[:1] != (None,)}
        if len(set(rows.values())) > 1:
            listed = ", ".join(f"{name} {shape[name]}" for name in rows)
            raise ShapeError(f"{brief(self)} takes columns of as many rows, got {listed}")

    def children(self, shape: Shape) -> dict[str, tuple[Layer, Shape]]:
        """The layer of each column, and of each cross."""
        self.check_shape(shape)
        sizes = {name: _table_shape(sizes) for name, sizes in shape.items()}
        own = {name: (feature.preprocessor, sizes[name]) for name, feature in self.features.items()}
        crosses = {
            cross.name: (cross.feature.preprocessor, tuple(sizes[name] for name in cross.feature_names))
            for cross in self.crosses or ()
        }
        absent = {name for name, pair in own.items() if pair[0] is None} | set(self.unadapted())
        return {name: pair for name, pair in (own | crosses).items() if name not in absent}  # type: ignore[misc]

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Each column by its layer, then the crosses of what these gave, then vectors."""
        if has_mask(ctx.mask):
            raise ConfigError(f"{brief(self)} does not support a mask: a table has no steps; leave it out")
        self._check_adapted()
        self._check_params(params)
        columns = {}
        for name, column in self.columns(x).items():
            layer = self.features[name].preprocessor
            columns[name] = column if layer is None else ctx.run(name, layer, params, column).y
        for cross in self.crosses or ():
            layer, parts = cross.feature.preprocessor, tuple(columns[name] for name in cross.feature_names)
            columns[cross.name] = ctx.run(cross.name, layer, params, parts).y  # type: ignore[arg-type]
        return Out(self._merged(columns, one_row=all(np.ndim(column) == 0 for column in x.values())))

    def columns(self, x: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a table, each (rows, n), in its dtype.

        Raises:
            ShapeError, ConfigError: for other columns than those of the features, and for other types.
        """
        self.check_shape({name: np.shape(column) for name, column in x.items()})
        columns = {}
        for name, feature in self.features.items():
            with of_column(name):
                column = x[name] if hasattr(x[name], "dtype") else np.asarray(x[name])
                refuse_masked(self, column)
                column = typed_column(column, feature.dtype, accumulation_dtype(policy(self.dtype).compute))
                columns[name] = column.reshape(_table_shape(column.shape))
        return columns

    def _merged(self, columns: Mapping[str, Any], one_row: bool) -> Any:
        """Vectors of what the layers gave, as one array or a dict."""
        on_host = self.gives_numpy and not any(isinstance(y, Tracer) for y in columns.values())
        dtype, xp, parts = policy(self.dtype).compute, np if on_host else jnp, {}
        for name, feature in self.encoded_features.items():
            with of_column(name):
                self._output_type(feature, ArrayType(np.shape(columns[name]), _dtype_name(columns[name])))
                encoded = _encoded(columns[name], feature, dtype)
                parts[name] = xp.asarray(encoded[0] if one_row else encoded)
        return parts if self.output_mode == "dict" else xp.concatenate(list(parts.values()), axis=-1)

    def _output_type(self, feature: Feature, encoded: ArrayType) -> ArrayType:
        """The type of a column's part of the output, from that of what its layer gives.

        Raises:
            ConfigError: for strings and numbers of categories, which have no place in one array.
        """
        if feature.output_mode == "int" and self.output_mode == "dict":
            return encoded
        compute = policy(self.dtype).compute.name
        if encoded.dtype == STRING or feature.output_mode == "int":
            raise ConfigError(
                f"the feature is not encoded as floats (it has the dtype {encoded.dtype}, and output_mode="
                f"{feature.output_mode!r}), and cannot be joined with others; give the space output_mode='dict', or "
                "the feature 'one_hot'"
            )
        if feature.output_mode == "float":
            return ArrayType(encoded.shape, compute)
        return ArrayType((*encoded.shape[:1], *encoded.shape[2:], feature.size), compute)

    def _compose(self, types: Any) -> Any:
        """From the types of the columns by those of their layers."""
        self.check_shape({name: t.shape for name, t in types.items()} if isinstance(types, Mapping) else types)
        column_types = {}
        for name, feature in self.features.items():
            with of_column(name):
                raw = ArrayType(_table_shape(types[name].shape), feature.dtype)
                column_types[name] = raw if feature.preprocessor is None else trace(feature.preprocessor, raw)
        for cross in self.crosses or ():
            with of_column(cross.name):
                parts = tuple(column_types[name] for name in cross.feature_names)
                column_types[cross.name] = trace(cross.feature.preprocessor, parts)  # type: ignore[arg-type]
        output_types = {}
        for name, feature in self.encoded_features.items():
            with of_column(name):
                output_types[name] = self._output_type(feature, column_types[name])
        if not any(t.shape for t in types.values()):
            output_types = {name: ArrayType(t.shape[1:], t.dtype) for name, t in output_types.items()}
        return FrozenDict(output_types) if self.output_mode == "dict" else _joined(list(output_types.values()))

    # Learning

    def adapt(self, data: Any, *, verbose: bool = True, steps: int | None = None) -> "FeatureSpace":
        """The space whose layers have learned from a table, which is read once.

        Arguments:
            data: a dict of columns, a DataFrame, or any iterable of such batches.
            verbose: whether to show a bar where someone looks at it.
            steps: how many batches to read; None: all.

        Raises:
            ConfigError: for columns in which there is nothing, or NaN or infinity among floats.
        """
        learner = self.learner()
        for table, whole in _tables(self, data, verbose, steps):
            learner.add(table, whole)
        return learner.learned()

    def learner(self) -> "Columns":
        """What the columns teach."""
        return Columns(self)

    def unadapted(self) -> list[str]:
        """The columns whose layers have yet to learn."""
        layers = {name: feature.preprocessor for name, feature in self.features.items()}
        return [name for name, layer in layers.items() if _learns(layer)]

    def _check_adapted(self) -> None:
        if names := self.unadapted():
            raise ConfigError(f"{brief(self)} has not learned {', '.join(names)}; write space = space.adapt(table)")

    def _check_params(self, params: Mapping[str, Any]) -> None:
        """Raise ConfigError for params of what is no layer of the space; its layers check their own."""
        layers = [name for name, feature in self.encoded_features.items() if feature.preprocessor is not None]
        empty = (name for name, value in params.items() if isinstance(value, Mapping) and not value)
        if surplus := sorted(map(str, params.keys() - set(layers) - set(empty))):
            raise ConfigError(
                f"{brief(self)} was given params with {', '.join(surplus)}, and its layers are {_listed(layers)}; pass "
                "what init returned for this space: {}, unless a layer of yours has weights"
            )


class Columns:
    """What the layers of a FeatureSpace have learned so far: a Learner of tables.

    Arguments:
        space: the FeatureSpace.
    """

    def __init__(self, space: FeatureSpace) -> None:
        self.space, self.rows = space, 0
        layers: dict[str, Any] = {name: space.features[name].preprocessor for name in space.unadapted()}
        self.learners = {name: layer.learner() for name, layer in layers.items()}

    def add(self, table: Mapping[str, Any], whole: bool) -> None:
        """Learn from a batch of rows, each column by its layer."""
        for name, column in self.space.columns(table).items():
            self.rows += len(column)
            with of_column(name):
                feature = self.space.features[name]
                if feature.dtype == FLOATS:
                    finite_numbers(self.space, column)
                for part in _parts(feature, np.asarray(column), whole) if name in self.learners else ():
                    self.learners[name].add(part, False)

    def learned(self) -> FeatureSpace:
        """The space of layers that have learned."""
        if not self.rows:
            raise ConfigError(f"{brief(self.space)}: adapt found no rows; give a table that has some")
        features = dict(self.space.features)
        for name, learner in self.learners.items():
            with of_column(name):
                feature = features[name]
                size = feature.size if isinstance(feature.preprocessor, Discretization) else feature.depth
                features[name] = feature._replace(preprocessor=learner.learned(), depth=size)
        return replace(self.space, features=features)


def _parts(feature: Feature, column: np.ndarray, whole: bool) -> Iterator[np.ndarray]:
    """A column as its layer reads it: where it matters, in as many rows at once as Keras."""
    if not (whole and isinstance(feature.preprocessor, Discretization)):
        yield column
        return
    for start in range(0, len(column), ROWS_AT_ONCE):
        yield column[start : start + ROWS_AT_ONCE]


def _learns(layer: Any) -> bool:
    return hasattr(layer, "learner") and any(getattr(layer, name, ()) is None for name in LEARNED)


def _tables(space: Layer, data: Any, verbose: bool, steps: int | None) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """The tables that `adapt` looks at, each as a dict with whether it is the whole data."""
    check_steps(space, steps)
    table = as_arrays(data)
    if isinstance(table, Mapping):
        yield table, True
        return
    if not isinstance(data, Iterable) or hasattr(data, "__array__") or isinstance(data, (str, bytes)):
        raise ConfigError(
            f"{brief(space)}: adapt takes a dict of columns, a DataFrame, or an iterable of such batches, got "
            f"{type(data).__name__}"
        )
    from tqdm.auto import tqdm

    shown = tqdm(data, desc="adapt FeatureSpace", unit="batch", disable=None if verbose else True)
    for count, batch in enumerate(shown):
        if steps is not None and count >= steps:
            break
        table = as_arrays(batch)
        if not isinstance(table, Mapping):
            raise ConfigError(
                f"{brief(space)}: adapt got a batch of type {type(batch).__name__}; give dicts of columns, as by "
                "(x for x, y in data)"
            )
        yield table, False


def _table_shape(shape: Shape) -> tuple[int | None, ...]:
    """The shape of a column as (rows, n)."""
    return (*shape, *(1,) * (2 - len(shape)))


def _dtype_name(array: Any) -> str:
    return STRING if is_string_dtype(array.dtype) else str(array.dtype)


def _encoded(y: Any, feature: Feature, dtype: np.dtype) -> Any:
    """What a layer gave in the mode of the feature; ids on the host become vectors there."""
    if feature.output_mode == "int":
        return y
    if feature.output_mode == "float":
        return jnp.asarray(y, dtype)
    depth = feature.size or 0
    if isinstance(y, jax.Array):
        return encode_categories(y, depth, "multi_hot", dtype)
    return encoded(y.ravel(), Flat(y.ravel(), y.shape), "multi_hot", depth, np.ones(depth, dtype))


def _joined(types: list[ArrayType]) -> ArrayType:
    """The type of arrays that are joined along their last axis."""
    sizes = [t.shape[-1] for t in types]
    return ArrayType((*types[0].shape[:-1], None if None in sizes else sum(sizes)), types[0].dtype)  # type: ignore[arg-type]


def _listed(names: list) -> str:
    return ", ".join(map(str, names)) or "none"
