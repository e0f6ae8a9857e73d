"""Single array functions as nodes of a graph, from a closed table: what Keras writes for `x + 1` or `x[:, 0]`."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnlayers.core.context import Context, Out
from fnlayers.core.dtypes import cast, policy
from fnlayers.core.errors import ConfigError, LayerError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.operations import OPERATIONS
from fnlayers.core.options import is_integer
from fnlayers.core.shapes import is_shape
from fnlayers.core.symbol import Symbol
from fnlayers.core.values import check_values
from fnlayers.plain_data import FrozenDict, choices, freeze, map_nest, nest_leaves

__all__ = ["Operation"]


class Slot(NamedTuple):
    """The place of the `index`-th array among an Operation's arguments."""

    index: int


class Cut(NamedTuple):
    """A slice, start:stop:step, as plain data."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


class Constant(NamedTuple):
    """An array of numbers as plain data: nested tuples, and the name of their dtype."""

    values: Any
    dtype: str

    @classmethod
    def of(cls, array: Any) -> "Constant":
        """That of an array of NumPy or jax."""
        array = np.asarray(array)
        _check_size(array.size)
        return cls(freeze(array.tolist()), array.dtype.name)

    @property
    def array(self) -> np.ndarray:
        """The numbers as an array, of no axis or of several."""
        return np.array(self.values, jnp.dtype(self.dtype))

    def check(self) -> None:
        """Real numbers that the dtype holds, and not too many to be compared and hashed at every call."""
        if self.dtype not in DTYPES:
            raise ConfigError(f"a constant: {choices('dtype', self.dtype, DTYPES)}")
        try:
            values = np.array(self.values)
            with np.errstate(over="ignore"):
                array = self.array
                stored = array.astype(jax.dtypes.canonicalize_dtype(array.dtype)) if values.dtype.kind == "f" else array
        except (TypeError, ValueError, OverflowError) as error:
            raise self._wrong(f"is not an array of {self.dtype}: {error}") from None
        _check_size(values.size)
        check_values(array, "the constant")
        if values.dtype.kind not in "biuf" or (values != values).any():
            raise self._wrong("holds what is not a number; give numbers, none of them NaN")
        whole = array.dtype.kind in "biu"
        if not np.array_equal(array, values) if whole else (np.isinf(stored) != np.isinf(values)).any():
            raise self._wrong(f"is not of {self.dtype}; give numbers that are")

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"the constant {str(self.values)[:80]} {what}")


def _check_size(size: int) -> None:
    if size > MOST_NUMBERS:
        raise ConfigError(
            f"a constant of {size} numbers, where at most {MOST_NUMBERS} are taken; make it an input of the model, or "
            "a weight of a layer of yours"
        )


# Of constants.
MOST_NUMBERS = 10_000
DTYPES = (
    *("float32", "float16", "bfloat16", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)


def is_part(value: Any) -> bool:
    """Whether a value among an Operation's arguments is one of the tuples above, and no nest of arguments."""
    return isinstance(value, (Slot, Cut, Constant))


@layerclass
class Operation(Layer):
    """One function of the table OPERATIONS, on arrays and constants.

    Arguments:
        function: its name, as Keras names the operation ("Add", "GetItem", "Mean").
        arguments: its positional arguments: numbers, tuples, `Cut`s, "..." for an ellipsis, a `Slot` for an array that
            the operation is given, a `Constant` for one that it holds.
        options: its keyword arguments.
        dtype: the policy whose compute dtype floating inputs and constants are cast to; None: they stay as they are.

    Shapes: what the function makes of them.
    Mask: ended, as in Keras.

    Example:
        >>> Operation("Multiply", (Slot(0), 2.0)).apply({}, jnp.ones(2)).tolist()
        [2.0, 2.0]
    """

    function: str
    arguments: tuple = (Slot(0),)
    options: Mapping[str, Any] = FrozenDict()

    casts_inputs: ClassVar[str] = "none"

    def check(self) -> None:
        """A function of the table, and constants that jax can hold."""
        if self.function not in OPERATIONS:
            raise ConfigError(f"Operation: {choices('function', self.function, sorted(OPERATIONS))}")
        for value in nest_leaves((self.arguments, dict(self.options)), is_part):
            if isinstance(value, Constant):
                value.check()

    def check_shape(self, shape: Shape) -> None:
        """An array for each slot."""
        slots = [v.index for v in nest_leaves(self.arguments, is_part) if isinstance(v, Slot)]
        count = 0 if isinstance(shape, Mapping) else 1 if is_shape(shape) else len(shape)
        if count != max(slots, default=0) + 1:
            raise ShapeError(f"{self!r} takes {max(slots, default=0) + 1} arrays, alone or in a tuple, got {shape!r}")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """The function of the table, on the arrays of x and the constants."""
        arrays = x if isinstance(x, (tuple, list)) else (x,)

        def as_computed(array: Any) -> Any:
            return array if self.dtype is None else cast(array, policy(self.dtype).compute)

        def fill(value: Any) -> Any:
            if isinstance(value, Slot):
                return jnp.asarray(as_computed(arrays[value.index]))
            if isinstance(value, Constant):
                return as_computed(jnp.asarray(value.array))
            if isinstance(value, Cut):
                return slice(*value)
            return Ellipsis if value == "..." else value

        def fill_option(value: Any) -> Any:
            return value.array if isinstance(value, Constant) else value

        filled = map_nest(fill, self.arguments, is_leaf=is_part)
        options = {name: map_nest(fill_option, value, is_leaf=is_part) for name, value in self.options.items()}
        return Out(OPERATIONS[self.function](*filled, **options))


def operate(function: str, *arguments: Any) -> Any:
    """The Symbol of a function of the table, of Symbols, numbers and arrays: what `x * 2` and `x + y` mean."""
    symbols = [value for value in arguments if isinstance(value, Symbol)]
    slots = iter(range(len(symbols)))
    filled = tuple(
        Slot(next(slots)) if isinstance(value, Symbol) else _constant(function, value) for value in arguments
    )
    try:
        return Operation(function, filled)(*symbols)
    except LayerError:
        raise
    except (TypeError, ValueError) as error:
        types = " and ".join(str(symbol.type) for symbol in symbols)
        raise ShapeError(f"{function} does not take {types}: {str(error).splitlines()[0]}") from error


def constant_symbol(symbol: Symbol, array: Any) -> Symbol:
    """The Symbol of an array that a layer is called with besides Symbols: it is there whatever the first of them is."""
    return Operation("Copy", (Constant.of(array),))(symbol)


def held_constant(layer: Layer) -> Constant | None:
    """The array of such a Symbol's layer; None for all other layers."""
    copied = layer.arguments[:1] if isinstance(layer, Operation) and layer.function == "Copy" else ()
    return next((value for value in copied if isinstance(value, Constant)), None)


def sliced(x: Symbol, key: Any) -> Any:
    """The Symbol of `x[key]`: integers, slices, None and an ellipsis. Axis 0 is the batch."""
    keys = key if isinstance(key, tuple) else (key,)
    indices = [k for k in keys if k is not None and k is not Ellipsis]
    if len(indices) > len(x.shape) or sum(k is Ellipsis for k in keys) > 1:
        raise ShapeError(f"{x!r} has {len(x.shape)} axes, the batch among them; [{key!r}] asks for {len(indices)}")
    axes = iter(_axes(keys, len(x.shape) - len(indices)))
    cuts = tuple(_cut(x, k, None if k is None or k is Ellipsis else next(axes)) for k in keys)
    return Operation("GetItem", (Slot(0), cuts))(x)


def _axes(keys: tuple, skipped: int) -> list[int]:
    """The axis of each integer and slice; an ellipsis stands for as many axes as are left."""
    axes, axis = [], 0
    for key in keys:
        if key is Ellipsis:
            axis += skipped
        elif key is not None:
            axes.append(axis)
            axis += 1
    return axes


def _cut(x: Symbol, key: Any, axis: int | None) -> Any:
    """One part of a slice as plain data; jax would take the last element for an integer beyond it."""
    key = _frozen(key)
    if key is None:
        return None
    if key is Ellipsis:
        return "..."
    parts = tuple(map(_frozen, (key.start, key.stop, key.step))) if isinstance(key, slice) else (key,)
    if not all(is_integer(part) or (part is None and len(parts) == 3) for part in parts) or parts[2:] == (0,):
        raise ConfigError(f"{x!r}[{key!r}]: a slice is made of integers, steps other than 0, None and ...")
    if isinstance(key, slice):
        return Cut(*parts)
    size = None if axis is None else x.shape[axis]
    if size is not None and not -size <= key < size:
        raise ShapeError(f"{x!r}[{key!r}]: axis {axis} has {size} elements; write a number from {-size} to {size - 1}")
    return key


def _frozen(value: Any) -> Any:
    try:
        return freeze(value)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _constant(function: str, value: Any) -> Any:
    if isinstance(value, (np.ndarray, jax.Array)) and value.ndim and not isinstance(value, Tracer):
        return Constant.of(value)
    value = _frozen(value)
    if not isinstance(value, (bool, int, float)):
        raise ConfigError(
            f"{function} takes Symbols, numbers and arrays, got {value!r}; or wrap a function in fnlayers.Lambda"
        )
    return value
