"""Symbols: stand-ins for arrays, from which a graph is built. A Symbol is immutable, and holds its call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnlayers.core.elsewhere import AbsentError
from fnlayers.core.errors import ConfigError, shortened
from fnlayers.core.one_step import refuse_cell
from fnlayers.core.shapes import ArrayType, canonical, is_shape
from fnlayers.core.strings import STRING
from fnlayers.core.trace import trace
from fnlayers.plain_data import FrozenDict, freeze, map_nest, nest_leaves

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


# NumPy's functions behind operators, and the Operations that they are
UFUNCS: Mapping[str, str] = FrozenDict(
    add="Add",
    subtract="Subtract",
    multiply="Multiply",
    divide="TrueDivide",
    true_divide="TrueDivide",
    floor_divide="FloorDivide",
    remainder="Mod",
    power="Power",
    matmul="Matmul",
)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer while a graph is built: the layer, and its nest of Symbols."""

    layer: "Layer"
    inputs: Any


@dataclass(frozen=True, eq=False, repr=False)
class Symbol:
    """An array that is not there yet: its shape (with the batch axis), its dtype, and the call that returns it.

    `index` says which of the call's outputs it is, in the order in which jax.tree lists them.
    """

    shape: tuple[int | None, ...]
    dtype: str
    call: Call | None = None
    index: int = 0
    name: str | None = None
    masked: int = 0  # how many of its first axes its mask has

    @property
    def type(self) -> ArrayType:
        """Shape, dtype and mask together."""
        return ArrayType(self.shape, self.dtype, self.masked)

    @property
    def ndim(self) -> int:
        """The number of axes, that of the batch included."""
        return len(self.shape)

    def __repr__(self) -> str:
        origin = f"from {self.call.layer!r}" if self.call else f"an input{f' named {self.name}' if self.name else ''}"
        return f"<Symbol {self.type}, {origin}>"

    # Arithmetic and slices are Operations: plain data that save and load. Those are layers, and layers know Symbols, so
    # they are imported where they are used.

    def _operation(self, function: str, *arguments: Any) -> "Symbol":
        from fnlayers.core.operation import operate

        return operate(function, *arguments)

    def __add__(self, other: Any) -> "Symbol":
        return self._operation("Add", self, other)

    def __radd__(self, other: Any) -> "Symbol":
        return self._operation("Add", other, self)

    def __sub__(self, other: Any) -> "Symbol":
        return self._operation("Subtract", self, other)

    def __rsub__(self, other: Any) -> "Symbol":
        return self._operation("Subtract", other, self)

    def __mul__(self, other: Any) -> "Symbol":
        return self._operation("Multiply", self, other)

    def __rmul__(self, other: Any) -> "Symbol":
        return self._operation("Multiply", other, self)

    def __truediv__(self, other: Any) -> "Symbol":
        return self._operation("TrueDivide", self, other)

    def __rtruediv__(self, other: Any) -> "Symbol":
        return self._operation("TrueDivide", other, self)

    def __floordiv__(self, other: Any) -> "Symbol":
        return self._operation("FloorDivide", self, other)

    def __rfloordiv__(self, other: Any) -> "Symbol":
        return self._operation("FloorDivide", other, self)

    def __mod__(self, other: Any) -> "Symbol":
        return self._operation("Mod", self, other)

    def __rmod__(self, other: Any) -> "Symbol":
        return self._operation("Mod", other, self)

    def __pow__(self, other: Any) -> "Symbol":
        return self._operation("Power", self, other)

    def __rpow__(self, other: Any) -> "Symbol":
        return self._operation("Power", other, self)

    def __matmul__(self, other: Any) -> "Symbol":
        return self._operation("Matmul", self, other)

    def __neg__(self) -> "Symbol":
        return self._operation("Negative", self)

    def __abs__(self) -> "Symbol":
        return self._operation("Absolute", self)

    def __pos__(self) -> "Symbol":
        return self

    def __getitem__(self, key: Any) -> "Symbol":
        from fnlayers.core.operation import sliced

        return sliced(self, key)

    # What asks for values, which are not there yet

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise ConfigError(
            f"{self!r} is not an array yet: it has no values to compare, count or compute with; wrap a function of "
            "arrays in fnlayers.Lambda(function) and call that (arithmetic and slices work as they are)"
        )

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> "Symbol":
        """What NumPy asks for `numpy.sqrt(2) * x`."""
        if method != "__call__" or options or function.__name__ not in UFUNCS:
            self._refuse()
        return self._operation(UFUNCS[function.__name__], *inputs)

    __jax_array__ = property(_refuse)  # jax looks whether it is there, before anything else, and so says our words
    __array__ = _refuse
    __bool__ = __float__ = __int__ = __complex__ = __index__ = __len__ = __iter__ = __contains__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __invert__ = __round__ = __divmod__ = __rdivmod__ = _refuse
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __lshift__ = __rshift__ = _refuse

    def __eq__(self, other: Any) -> bool:
        """Whether it is the same Symbol; with another one, a number or an array there would be values to compare."""
        if self is other:
            return True
        if isinstance(other, (Symbol, int, float, complex)) or hasattr(other, "dtype"):
            raise ConfigError(
                f"{self!r} == {other!r} compares values, which are not there yet; write fnlayers.Lambda(lambda x: "
                "x == ...) and call that, or `is` to ask for the same Symbol"
            )
        return NotImplemented

    __hash__ = object.__hash__

    def __setitem__(self, key: Any, value: Any) -> None:
        raise ConfigError(
            f"{self!r} does not change; write fnlayers.Lambda(lambda x: x.at[...].set(...)) and call that"
        )

    if not TYPE_CHECKING:  # a type checker knows what is there

        def __getattr__(self, name: str) -> Any:  # asked for what is absent alone
            problem = f"a Symbol has no {name!r}"
            if name.startswith("_") or not hasattr(jax.Array, name):
                raise AbsentError(problem)
            written = f"x.{name}(...)" if callable(getattr(jax.Array, name)) else f"x.{name}"
            raise AbsentError(
                f"{problem}: it is not an array yet; write fnlayers.Lambda(lambda x: {written}) and call that"
            )


def _flatten(symbol: Symbol) -> Any:
    """What jax asks of whatever is given to one of its functions: so it says our words, and not that of a type."""
    symbol._refuse()


jax.tree_util.register_pytree_node(Symbol, _flatten, lambda _, children: children[0])


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: str | None = "float32",
    name: str | None = None,
    *,
    batch_shape: Any = None,
) -> Symbol:
    """Start a graph, or a Sequential: the Symbol of an input.

    Arguments:
        shape: the shape WITHOUT the batch axis, as in Keras; None where unknown.
        batch_size: the batch axis, None: any.
        dtype: the dtype of the arrays that will come; "string" for a model that begins with a layer that takes those.
        name: the name to bind this input by, when inputs come as a dict.
        batch_shape: the shape with the batch axis, in place of shape and batch_size.

    Example:
        >>> Input((28, 28, 1))
        <Symbol float32(None, 28, 28, 1), an input>
    """
    if batch_shape is not None:
        if shape is not None or batch_size is not None or not is_shape(batch_shape) or not batch_shape:
            raise ConfigError(
                f"Input(batch_shape={batch_shape!r}): write it alone, a tuple of sizes with the batch axis, such as "
                "(None, 28, 28, 1)"
            )
        batch_size, *shape = batch_shape
    if shape is None or not is_shape(shape):
        raise ConfigError(f"Input(shape={shape!r}): write a tuple of sizes without the batch axis, such as (28, 28, 1)")
    try:
        dtype = STRING if dtype == STRING else jnp.dtype(dtype or "float32").name
    except TypeError:
        raise ConfigError(f"Input(dtype={dtype!r}) is not a dtype; write one such as 'float32' or 'int32'") from None
    return Symbol(canonical((batch_size, *shape)), dtype, name=name)


InputLayer = Input  # Keras's name of the same, where it stands among the layers of a Sequential


def call_symbolically(layer: "Layer", x: Any) -> Any:
    """The Symbols of a layer's outputs; a wrong shape is an error here, at the line that wrote it."""
    x = _with_constants(layer, x)
    types = trace(layer, freeze(map_nest(lambda symbol: symbol.type, x)))
    refuse_cell(layer, freeze(map_nest(lambda symbol: symbol.shape, x)))
    call = Call(layer, freeze(x))
    leaves, structure = jax.tree.flatten(types)
    symbols = [Symbol(t.shape, t.dtype, call, index, masked=t.masked) for index, t in enumerate(leaves)]
    return jax.tree.unflatten(structure, symbols)


def _with_constants(layer: "Layer", x: Any) -> Any:
    """Arrays among the Symbols that a layer is called with become Symbols, whose Operations hold them."""
    from fnlayers.core.operation import constant_symbol

    leaves = nest_leaves(x)
    first = next(leaf for leaf in leaves if isinstance(leaf, Symbol))
    for leaf in leaves:
        if not isinstance(leaf, (Symbol, np.ndarray, jax.Array)) or isinstance(leaf, Tracer):
            raise ConfigError(
                f"{type(layer).__name__} is called with {shortened(leaf)}, together with {first!r}; it takes Symbols, "
                "and arrays whose values are known"
            )
    return map_nest(lambda leaf: leaf if isinstance(leaf, Symbol) else constant_symbol(first, leaf), x)
