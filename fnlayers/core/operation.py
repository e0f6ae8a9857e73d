"""Single array functions as nodes of a graph, from a closed table: what Keras writes for `x + 1` or `x[:, 0]`."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnlayers.core.context import Context, Out
from fnlayers.core.dtypes import cast, policy
from fnlayers.core.errors import ConfigError, LayerError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import is_integer
from fnlayers.core.shapes import is_shape
from fnlayers.core.symbol import Symbol
from fnlayers.core.values import check_values
from fnlayers.functions import activations
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
        shown = f"the constant {str(self.values)[:80]}"
        if self.dtype not in DTYPES:
            raise ConfigError(f"a constant: {choices('dtype', self.dtype, DTYPES)}")
        leaves = nest_leaves(self.values)
        if not all(isinstance(leaf, (bool, int, float)) and leaf == leaf for leaf in leaves):
            raise ConfigError(f"{shown} holds what is not a number; give numbers, none of them NaN")
        _check_size(len(leaves))
        try:
            with np.errstate(over="ignore"):
                array = self.array
                whole = array.dtype.kind in "biu"
                stored = array if whole else array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
                values = np.array(self.values, None if whole else np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"{shown} is not an array of {self.dtype}: {error}") from None
        check_values(array, "the constant")
        if not np.array_equal(stored, values) if whole else (np.isinf(stored) != np.isinf(values)).any():
            raise ConfigError(f"{shown} is not of {self.dtype}; give numbers that are")


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

        filled = map_nest(fill, self.arguments, is_leaf=is_part)
        return Out(OPERATIONS[self.function](*filled, **self.options))


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
    taken = [k for k in keys if k is not None and k is not Ellipsis]
    if len(taken) > len(x.shape) or sum(k is Ellipsis for k in keys) > 1:
        raise ShapeError(f"{x!r} has {len(x.shape)} axes, the batch among them; [{key!r}] asks for {len(taken)}")
    axes = iter(_axes(keys, len(x.shape) - len(taken)))
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


def _reduce(function: Callable) -> Callable:
    return lambda x, axis=None, keepdims=False: function(x, axis=axis, keepdims=keepdims)


OPERATIONS: Mapping[str, Callable] = FrozenDict(
    # arithmetic
    Add=jnp.add,
    Subtract=jnp.subtract,
    Multiply=jnp.multiply,
    Divide=jnp.divide,
    TrueDivide=jnp.true_divide,
    FloorDivide=jnp.floor_divide,
    Mod=jnp.mod,
    Power=jnp.power,
    Negative=jnp.negative,
    Absolute=jnp.abs,
    Abs=jnp.abs,
    Sign=jnp.sign,
    Square=jnp.square,
    Sqrt=jnp.sqrt,
    Rsqrt=jax.lax.rsqrt,
    Reciprocal=jnp.reciprocal,
    Exp=jnp.exp,
    Expm1=jnp.expm1,
    Log=jnp.log,
    Log1p=jnp.log1p,
    Sin=jnp.sin,
    Cos=jnp.cos,
    Tanh=jnp.tanh,
    Floor=jnp.floor,
    Ceil=jnp.ceil,
    Round=lambda x, decimals=0: jnp.round(x, decimals),
    Maximum=jnp.maximum,
    Minimum=jnp.minimum,
    Clip=lambda x, x_min, x_max: jnp.clip(x, x_min, x_max),
    Matmul=jnp.matmul,
    Einsum=lambda *arrays, subscripts: jnp.einsum(subscripts, *arrays),
    # comparison and choice
    Equal=jnp.equal,
    NotEqual=jnp.not_equal,
    Greater=jnp.greater,
    GreaterEqual=jnp.greater_equal,
    Less=jnp.less,
    LessEqual=jnp.less_equal,
    LogicalAnd=jnp.logical_and,
    LogicalOr=jnp.logical_or,
    LogicalNot=jnp.logical_not,
    Where=jnp.where,
    # reductions
    Sum=_reduce(jnp.sum),
    Mean=_reduce(jnp.mean),
    Max=_reduce(jnp.max),
    Min=_reduce(jnp.min),
    Prod=_reduce(jnp.prod),
    Var=_reduce(jnp.var),
    Std=_reduce(jnp.std),
    Any=_reduce(jnp.any),
    All=_reduce(jnp.all),
    Argmax=_reduce(jnp.argmax),
    Argmin=_reduce(jnp.argmin),
    # shape
    GetItem=lambda x, key: x[key],
    Reshape=lambda x, newshape: jnp.reshape(x, newshape),
    Transpose=lambda x, axes=None: jnp.transpose(x, axes),
    ExpandDims=lambda x, axis: jnp.expand_dims(x, axis),
    Squeeze=lambda x, axis=None: jnp.squeeze(x, axis),
    Concatenate=lambda arrays, axis=0: jnp.concatenate(arrays, axis),
    Stack=lambda arrays, axis=0: jnp.stack(arrays, axis),
    Split=lambda x, indices_or_sections, axis=0: tuple(jnp.split(x, indices_or_sections, axis)),
    Repeat=lambda x, repeats, axis=None: jnp.repeat(x, repeats, axis),
    Flip=lambda x, axis=None: jnp.flip(x, axis),
    Copy=lambda x: x,
    Cast=lambda x, dtype: x.astype(dtype),
    ConvertToTensor=lambda x, dtype=None, sparse=None, ragged=None: x if dtype is None else x.astype(dtype),
    ZerosLike=lambda x, dtype=None: jnp.zeros_like(x, dtype),
    OnesLike=lambda x, dtype=None: jnp.ones_like(x, dtype),
    # activations; keras.ops.gelu approximates by default, unlike the activation
    Relu=activations.relu,
    Relu6=activations.relu6,
    Sigmoid=activations.sigmoid,
    Silu=activations.silu,
    Softplus=activations.softplus,
    Softmax=lambda x, axis=-1: activations.softmax(x, axis),
    LogSoftmax=lambda x, axis=-1: activations.log_softmax(x, axis),
    Gelu=lambda x, approximate=True: activations.gelu(x, approximate),
    Elu=lambda x, alpha=1.0: activations.elu(x, alpha),
    Selu=activations.selu,
    LeakyRelu=lambda x, negative_slope=0.2: activations.leaky_relu(x, negative_slope),
    OneHot=lambda x, num_classes, axis=-1, dtype="float32", sparse=False: jax.nn.one_hot(
        x, num_classes, axis=axis, dtype=dtype
    ),
)
