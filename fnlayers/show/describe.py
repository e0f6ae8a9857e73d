"""What a layer's name does not say: the function of a Lambda, the constants of an Operation, in a few words."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

from fnlayers.core.layer import Layer
from fnlayers.core.operation import Constant, Cut, Operation, Slot, is_part
from fnlayers.layers.activation import Activation
from fnlayers.layers.basic import Lambda
from fnlayers.models.pair import Pair
from fnlayers.plain_data import map_nest, nest_leaves

SHOWN_NUMBERS = 6  # of a constant


def function_of(layer: Layer) -> str:
    """The function that a layer wraps, with its constants; "" for all other layers.

    >>> function_of(Operation("GetItem", (Slot(0), (Cut(), 0)))), function_of(Lambda(sum, arguments={"start": 2}))
    ('GetItem(x, [:, 0])', 'sum(start=2)')
    """
    if isinstance(layer, Operation):
        return _operation(layer)
    if isinstance(layer, Lambda):
        return function_name(layer.function) + _arguments((), layer.arguments or {})
    if isinstance(layer, Activation):
        return layer.activation if isinstance(layer.activation, str) else function_name(layer.activation)
    return function_name(layer.apply_fn) if isinstance(layer, Pair) else ""


def function_name(function: Any) -> str:
    """A function's name; of a lambda where it was written."""
    if isinstance(function, functools.partial):
        return function_name(function.func) + _arguments(function.args, function.keywords)
    name = getattr(function, "__name__", type(function).__name__)
    code = getattr(function, "__code__", None)
    if name != "<lambda>" or code is None:
        return name
    return f"lambda, {pathlib.Path(code.co_filename).name}:{code.co_firstlineno}"


def _operation(layer: Operation) -> str:
    slots = [a for a in nest_leaves(layer.arguments, is_part) if isinstance(a, Slot)]
    alone = len({slot.index for slot in slots}) == 1

    def text_of(value: Any) -> str:
        if isinstance(value, Slot):
            return "x" if alone else f"x{value.index}"
        if isinstance(value, Constant):
            return _numbers(value.array)
        return _cut(value) if isinstance(value, Cut) else "..." if value == "..." else str(value)

    shown = [map_nest(text_of, argument, is_leaf=is_part) for argument in layer.arguments]
    texts = [a if isinstance(a, str) else f"[{', '.join(map(str, a))}]" for a in shown]
    texts += [f"{name}={value}" for name, value in layer.options.items()]
    return f"{layer.function}({', '.join(texts)})"


def _cut(cut: Cut) -> str:
    start, stop, step = ("" if n is None else str(n) for n in cut)
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def _numbers(array: Any) -> str:
    """Some numbers, or the shape of many."""
    return str(array.tolist()) if array.size <= SHOWN_NUMBERS else f"{array.dtype}{array.shape}"


def _arguments(positional: tuple, named: Any) -> str:
    texts = [*map(_short, positional), *(f"{name}={_short(value)}" for name, value in named.items())]
    return f"({', '.join(texts)})" if texts else ""


def _short(value: Any) -> str:
    return function_name(value) if isinstance(value, Callable) else str(value)
