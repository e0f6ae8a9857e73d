"""Wrong initializers, regularizers, constraints and activations: their options, their names, and what they are called with."""

import dataclasses
import inspect
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from wrong_inputs import NO_ARRAYS, NO_SHAPES, SYMBOL
from wrong_programs import KEY, Program, called, shown
from wrong_values import (
    AXES,
    FLAG,
    FROM_ZERO,
    NUMBER,
    POOL,
    POSITIVE,
    Means,
    an_integer,
    each,
    either,
    number,
    one_of,
    or_none,
    plain,
    rule,
    whole,
)  # fmt: skip

from fnlayers.functions import activations, constraints, initializers, regularizers
from fnlayers.functions.initializers.base import RandomInitializer
from fnlayers.functions.windows import WINDOWS

TABLES: dict[str, dict[str, Any]] = {
    "initializer": initializers.INITIALIZERS,
    "regularizer": regularizers.REGULARIZERS,
    "constraint": constraints.CONSTRAINTS,
}
CLASSES = sorted({cls for table in TABLES.values() for cls in table.values()}, key=lambda cls: cls.__name__)
FUNCTIONS = sorted({f.__name__: f for f in activations.ACTIVATIONS.values() if f is not activations.linear}.items())
LOOK_UP: dict[str, Callable] = {
    "initializer": initializers.initializer,
    "regularizer": regularizers.regularizer,
    "constraint": constraints.constraint,
    "activation": activations.activation,
}


def values(value: Any) -> bool | None:
    """Of Constant: numbers in nested tuples, whose rows have one length."""
    try:
        return np.asarray(value).dtype.kind in "fiubc" and not np.isnan(value).any()
    except (ValueError, TypeError):
        return False


SOME_AXES = or_none(each(whole(-10, 10)))
MEANINGS: dict[str, Means] = {
    "seed": or_none(an_integer), "mean": NUMBER, "stddev": FROM_ZERO, "minval": number(-math.inf, 0.05), "gain": NUMBER,
    "maxval": number(-0.05), "scale": POSITIVE, "distribution": one_of("uniform", "truncated_normal", "untruncated_normal", "normal"),
    "input_axes": SOME_AXES, "output_axes": SOME_AXES, "value": values, "side": one_of("real", "imag"), "periodic": FLAG,
    "window": or_none(either(one_of(*WINDOWS), each(NUMBER))), "scaling": one_of("density", "spectrum", None),
    "l1": or_none(FROM_ZERO), "l2": or_none(FROM_ZERO), "factor": FROM_ZERO, "max_value": FROM_ZERO, "min_value": FROM_ZERO,
    "rate": NUMBER, "axis": AXES,
}  # fmt: skip
MODES = {
    "VarianceScaling": one_of("fan_in", "fan_out", "fan_avg"),
    "OrthogonalRegularizer": one_of("rows", "columns"),
}
OF_ACTIVATIONS: dict[str, Means] = {
    **dict.fromkeys(("negative_slope", "threshold", "alpha", "b", "default_value"), NUMBER),
    "max_value": or_none(NUMBER),
    "approximate": FLAG,
    "axis": either(whole(-2, 1), each(whole(-2, 1))),
}


def wrong_functions(rng: random.Random) -> Iterator[Program]:
    """An initializer, regularizer, constraint or activation that cannot mean anything, or a call of one."""
    kinds = (_options, _names, _look_up, _initializer, _of_weight, _activation, _activation_option)
    while True:
        program = rng.choice(kinds)(rng)
        if program is not None:
            yield program


def _options(rng: random.Random) -> Program | None:
    cls = rng.choice(CLASSES)
    options = [field.name for field in dataclasses.fields(cls)]
    if not options:
        return None
    name, value = rng.choice(options), rng.choice(POOL)
    means = MODES[cls.__name__] if name == "mode" else MEANINGS[name]
    if means(plain(value)) is not False:
        return None
    return Program(f"{cls.__name__}({name}={shown(value)})", called(cls, (), {name: value}), (name,))


def _names(rng: random.Random) -> Program | None:
    cls = rng.choice(CLASSES)
    options = [field.name for field in dataclasses.fields(cls)]
    kind = rng.choice(["misspelt", "surplus", "twice"])
    if kind == "surplus":
        return Program(f"{cls.__name__} with too much", called(cls, (0.5,) * (len(options) + 1), {}), (cls.__name__,))
    if not options:
        return None
    name = rng.choice(options)
    if kind == "twice":
        return Program(f"{cls.__name__} with {options[0]} twice", called(cls, (0.5,), {options[0]: 0.5}), (options[0],))
    wrong = rng.choice([f"{name}s", name.upper(), name[1:]])
    return (
        Program(f"{cls.__name__}({wrong}=1)", called(cls, (), {wrong: 1}), (wrong,)) if wrong not in options else None
    )


def _look_up(rng: random.Random) -> Program | None:
    kind, value = rng.choice(sorted(LOOK_UP)), rng.choice(POOL)
    if rule(f"{kind}s", kind != "initializer")(value) is not False:
        return None
    return Program(f"{kind}({shown(value)})", called(LOOK_UP[kind], (value,), {}), (kind,))


def _initializer(rng: random.Random) -> Program | None:
    """A call with another shape, dtype or key."""
    cls = rng.choice(sorted(set(initializers.INITIALIZERS.values()), key=lambda cls: cls.__name__))
    shape, dtype, key = {"STFT": (4, 1, 3)}.get(cls.__name__, (3, 4)), "float32", KEY
    kind = rng.choice(["shape", "dtype", "key", "rank"])
    must, words = True, (kind, "weight", "float", "frame")
    if kind == "shape":
        shape = rng.choice(NO_SHAPES)
    elif kind == "dtype":
        dtype = rng.choice(
            ["sam", "", 3, object(), "str", object, "datetime64[s]", None, (2, 3), np.ones(3), print, 1j, {}, SYMBOL]
        )
    elif kind == "rank":
        shape, must = rng.choice([(), (3,), (2, 3, 4), (0, 3), (3, 0), (1, 1, 1, 1, 1)]), False
    elif issubclass(cls, RandomInitializer):
        key = rng.choice(POOL)
    else:
        return None
    text = f"{cls.__name__}()({shown(key)[:20]}, {shown(shape)}, {shown(dtype)})"
    return Program(text, lambda: jax.eval_shape(lambda: cls()(key, shape, dtype)), words, must)


def _of_weight(rng: random.Random) -> Program:
    """A regularizer or constraint of what is not a weight of real numbers, or has not its axes."""
    classes = sorted(
        {*regularizers.REGULARIZERS.values(), *constraints.CONSTRAINTS.values()}, key=lambda cls: cls.__name__
    )
    cls = rng.choice(classes)
    factory = (
        cls(axis=rng.choice([3, -4, (0, 5), (1, 1), (0, -2)])) if hasattr(cls, "axis") and rng.random() < 0.5 else cls()
    )
    right = np.ones((2, 3), "float32")
    value = (
        right if factory != cls() else rng.choice([*NO_ARRAYS, right * 1j, right > 0, [[1.0, 2.0]], "l2", 10**30 * 1j])
    )
    return Program(
        f"{factory}({shown(value)})", lambda: jax.eval_shape(lambda: factory(value)), (cls.__name__, "array", "axes")
    )


def _activation(rng: random.Random) -> Program:
    name, function = rng.choice(FUNCTIONS)
    right = np.ones((2, 4), "float32")
    value = rng.choice(
        [
            *NO_ARRAYS,
            right * 1j,
            right > 0,
            [1.0, 2.0],
            1j,
            True,
            right,
            right.astype("int32"),
            right[0],
            right[0, 0],
            2.5,
            3,
        ]
    )
    is_number = (
        isinstance(value, (int, float, np.ndarray, np.generic))
        and getattr(value, "dtype", right.dtype).kind in "fi"
        and value is not True
    )
    options = {"threshold": {"threshold": 0.0, "default_value": 1.0}}.get(name, {})
    run = called(lambda: jax.eval_shape(lambda: function(value, **options)), (), {})
    return Program(f"{name}({shown(value)})", run, (name, "array", "axis", "symbol"), not is_number)


def _activation_option(rng: random.Random) -> Program | None:
    name, function = rng.choice(FUNCTIONS)
    options = list(inspect.signature(function).parameters)[1:]
    if not options:
        return None
    needed = {"threshold": {"threshold": 0.0, "default_value": 1.0}}.get(name, {})
    option, value = rng.choice(options), rng.choice(POOL)
    means = OF_ACTIVATIONS[option]
    if option == "axis" and name not in ("softmax", "log_softmax"):
        means = whole(-2, 1)
    if hasattr(value, "dtype") or means(plain(value)) is not False:
        return None  # arrays count as numbers, a learned slope for one
    x = np.ones((2, 4), "float32")
    return Program(f"{name}({option}={shown(value)})", called(function, (x,), needed | {option: value}), (option, name))
