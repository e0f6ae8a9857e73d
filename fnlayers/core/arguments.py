"""The arguments of a layer: which a call has, and what to write for those that it does not have."""

import functools
import inspect
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import FunctionType
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import did_you_mean


def bound(cls: Any, args: tuple, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given, by name."""
    positional, names, needed = _arguments(cls)
    written = f"; write {cls.written_as}" if cls.written_as else ""
    if len(args) > len(positional):
        by_name = ", ".join(sorted(set(names) - set(positional)))
        listed = f"; it takes {', '.join(positional) or 'none'}, and by name {by_name}"
        raise ConfigError(
            f"{cls.__name__} takes {len(positional)} positional arguments, got {len(args)}{written or listed}"
        )
    values = dict(zip(positional, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            raise ConfigError(f"{cls.__name__} has no argument {name!r}; {_instead(name, names)}")
        if name in values:
            raise ConfigError(f"{cls.__name__} got {name!r} twice, by position and by name; give it once")
        values[name] = value
    absent = [name for name in needed if name not in values]
    if absent:
        raise ConfigError(
            f"{cls.__name__} needs {' and '.join(absent)}{written or f'; write {cls.__name__}({absent[0]}=...)'}"
        )
    return values


def own_init(cls: type) -> str:
    """What to say of a layer's class with an __init__ of its own."""
    return (
        f"{cls.__name__} has an __init__ of its own, and a layer has none: write its options as fields, as in "
        f"@fnlayers.layerclass class {cls.__name__}(fnlayers.Layer): units: int = 32, and check them in check(self)"
    )


AUTHORED = {
    "check": (),
    "check_shape": ("shape",),
    "weights": ("shape",),
    "children": ("shape",),
    "call": ("params", "x"),
    "forward": ("params", "x", "ctx"),
}


def check_methods(cls: type) -> None:
    """Raise ConfigError for a class that writes a layer's methods as another library's layers have them."""
    if "__call__" in vars(cls):
        raise ConfigError(
            f"{cls.__name__} has a __call__ of its own, and calling a layer builds a graph; write its output as "
            "def call(self, params, x)"
        )
    for name, arguments in AUTHORED.items():
        method = vars(cls).get(name)
        if isinstance(method, FunctionType) and not _takes(method, 1 + len(arguments)):
            of_params = "; params holds the arrays that weights(self, shape) declares" if "params" in arguments else ""
            raise ConfigError(
                f"{cls.__name__}.{name} takes {inspect.signature(method)}; write "
                f"def {name}({', '.join(('self', *arguments))}){of_params}"
            )


def _takes(method: FunctionType, positional: int) -> bool:
    """Whether it can be called with so many arguments by position, and no others. (A signature takes far longer.)"""
    code = method.__code__
    least = code.co_argcount - len(method.__defaults__ or ())
    most = math.inf if code.co_flags & inspect.CO_VARARGS else code.co_argcount
    return least <= positional <= most and code.co_kwonlyargcount <= len(method.__kwdefaults__ or ())


@functools.cache
def _arguments(cls: type) -> tuple[list[str], list[str], list[str]]:
    """The names of the fields that may be given by position, of all, and of those without a default."""
    _check_decorated(cls)
    listed = fields(cls)
    positional = [f.name for f in listed if not f.kw_only]
    return positional, [f.name for f in listed], [f.name for f in listed if f.default is MISSING]


def _check_decorated(cls: type) -> None:
    """Raise ConfigError for a class with annotated names that @layerclass did not make fields of."""
    for base in cls.__mro__:
        if "__dataclass_fields__" in vars(base) or base is object:
            continue
        names = [name for name, kind in vars(base).get("__annotations__", {}).items() if "ClassVar" not in str(kind)]
        if names:
            raise ConfigError(
                f"{base.__name__} has fields ({', '.join(names)}), but its class is not decorated; write "
                f"@fnlayers.layerclass above class {base.__name__}"
            )


# Keras 2's arguments, which tutorials still use, and today's way.
_KERAS_2 = {
    "input_shape": "start the model with fnlayers.Input(shape), or give the shape to init: (None, *input_shape)",
    "input_dim": "start the model with fnlayers.Input((input_dim,)), or give the shape to init: (None, input_dim)",
    "batch_input_shape": "start the model with fnlayers.Input(shape, batch_size), or give the shape to init",
    "batch_shape": "start the model with fnlayers.Input(shape, batch_size), or give the shape to init",
    "batch_size": "start the model with fnlayers.Input(shape, batch_size), or give the shape to init",
    "input_length": "leave it out: the length is read from the shape",
    "weights": "leave it out: weights are in params, and are given to apply (or write an initializer for them)",
    "dynamic": "leave it out: layers are pure functions, compiled or not",
    "autocast": "choose a dtype policy, such as dtype='mixed_bfloat16'",
    "implementation": "leave it out: the algorithm is chosen by shape and platform",
    "use_cudnn": "leave it out: the algorithm is chosen by shape and platform",
    "init": "write kernel_initializer",
    "W_regularizer": "write kernel_regularizer",
    "b_regularizer": "write bias_regularizer",
    "nb_filter": "write filters",
    "subsample": "write strides",
    "border_mode": "write padding",
    "dim_ordering": "write data_format",
    "output_dim": "write units",
    "p": "write rate",
    "lr": "give the learning rate to the optimizer, as in optax.adam(1e-3)",
    "learning_rate": "give it to the optimizer, as in optax.adam(1e-3)",
}
_RENAMED = {"alpha": ("negative_slope",), "theta": ("threshold",), "noise": ("stddev",)}


def _instead(name: str, names: list[str]) -> str:
    """What to write for an argument that a layer does not have."""
    for new in _RENAMED.get(name, ()):
        if new in names:
            return f"write {new}"
    if name in _KERAS_2:
        old = _KERAS_2[name]
        if not old.startswith("write ") or old.removeprefix("write ") in names:
            return f"that is Keras 2's: {old}" if name != "learning_rate" else old
    return did_you_mean(name, names) or f"it takes {', '.join(names)}"
