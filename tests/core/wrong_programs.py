"""Wrong programs, made from the signatures of all that is public: one argument or input of a right program replaced.

`complaint` says what is wrong with what the library answers: it must refuse each of them, in its own words, which name
what was given and say what to write.
"""

import dataclasses
import math
import random
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from wrong_values import (
    MEANINGS,
    NUMBER,
    POOL,
    SIGNALS,
    SIGNALS_OF,
    Means,
    a_flag,
    a_function,
    a_key,
    a_layer,
    a_path,
    a_shape,
    an_array,
    either,
    never,
    numbers,
    of_spectrogram,
    one_of,
    or_none,
    pairs,
    plain,
    sizes,
    whole,
)  # fmt: skip

import fnlayers as fl
from cases import CASES, Case
from fnlayers.layers.preprocessing.image_base import ImageLayer

SOUNDS = (fl.STFTSpectrogram, fl.MelSpectrogram)
KEY = jax.random.key(0)
ADVICE = re.compile(
    r"give|write|encode |choose|did you mean|make |makes |use |pass |takes |need|must|cast|put|declare|begin|call |number |cut ",
    re.I,
)
PRIVATE = re.compile(r"(?<![\w.])_[a-z]\w*|fnlayers\.\w+\.\w+\.|<locals>| object at 0x")


class Program(NamedTuple):
    """A wrong program: how it reads, how it runs, words of which its error has one, whether it must be refused."""

    text: str
    run: Callable[[], Any]
    words: tuple[str, ...]
    must: bool = True


def complaint(program: Program) -> str | None:
    """What is wrong with how the library takes a wrong program; None: it is refused as it should be."""
    try:
        program.run()
    except Exception as error:
        return _of_error(program, error)
    return f"{program.text}: accepted" if program.must else None


def _of_error(program: Program, error: Exception) -> str | None:
    text = str(error)
    own = isinstance(error, (ValueError, OSError)) and not _from_jax(error)
    if not own:
        return f"{program.text}: {type(error).__name__}: {text[:200]}"
    if not any(word.lower() in text.lower() for word in program.words):
        return f"{program.text}: does not name {' or '.join(program.words)}: {text[:300]}"
    if not ADVICE.search(text):
        return f"{program.text}: does not say what to write: {text[:300]}"
    if match := PRIVATE.search(text):
        return (
            None
            if match[0] in program.text or "object at" in match[0]
            else f"{program.text}: shows {match[0]}: {text[:300]}"
        )
    return f"{program.text}: {len(text)} characters" if len(text) > 1200 else None


def _from_jax(error: Exception) -> bool:
    """Whether an error was raised outside of this library."""
    if isinstance(error, fl.LayerError):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return "fnlayers/" not in last.replace("\\", "/") or "site-packages/jax" in last


# Options of layers


def first_cases() -> dict[str, Case]:
    """A right layer of each class, as the table has it; those that run on the host have tests of their own."""
    first: dict[str, Case] = {}
    for case in CASES:
        first.setdefault(type(case.layer).__name__, case)
    return first


RIGHT = first_cases()


def meaning(cls: type, name: str) -> Callable[[Any], bool | None]:
    """What the argument of a class may be: by its name, and where that says too little by the rank of the class."""
    if issubclass(cls, SOUNDS):
        return of_spectrogram(RIGHT[cls.__name__].layer, name)
    if issubclass(cls, (ImageLayer, fl.FeatureSpace)):
        return SIGNALS_OF.get(cls.__name__, {}).get(name) or SIGNALS.get(name) or MEANINGS[name]
    digits = [int(letter) for letter in cls.__name__ if letter in "123"]
    rank = digits[0] if digits else 2
    if name in ("kernel_size", "pool_size", "output_size", "size", "dilation_rate", "strides", "output_padding"):
        means = sizes(rank, least=0 if name == "output_padding" else 1)
        return or_none(means) if name == "output_padding" or (name == "strides" and "Pool" in cls.__name__) else means
    if name == "padding" and cls.__name__.startswith("ZeroPadding") or name == "cropping":
        return pairs(rank)
    if cls is fl.Operation and name in ("function", "arguments"):
        return lambda value: (
            (isinstance(value, str) and hasattr(jnp, value))
            if name == "function"
            else isinstance(value, tuple) and None
        )
    if cls is fl.GroupNormalization and name == "groups":
        return lambda value: value == -1 or MEANINGS[name](value)  # Keras: a group for each channel
    if name == "scale" and cls.__name__ in ("Rescaling", "CustomScaleLayer"):
        return numbers if cls is fl.Rescaling else NUMBER
    if cls is fl.LoRA and name in ("rank", "alpha"):
        return whole(1) if name == "rank" else or_none(NUMBER)
    if cls is fl.Normalization and name == "axis":
        return or_none(MEANINGS[name])
    return a_function if name == "function" else MEANINGS[name]


def wrong_options(rng: random.Random) -> Iterator[Program]:
    """A layer with one option that cannot mean anything."""
    names = sorted(set(RIGHT) - {"Functional", "Pipeline"})
    while True:
        cls = fl.LAYERS[rng.choice(names)]
        case = RIGHT[cls.__name__]
        name, value = rng.choice([f.name for f in dataclasses.fields(cls)]), rng.choice(POOL)
        if meaning(cls, name)(plain(value)) is False:
            options = {f.name: getattr(case.layer, f.name) for f in dataclasses.fields(cls)} | {name: value}
            yield Program(f"{cls.__name__}({name}={shown(value)})", _made(cls, options, case.shape), (name,))


def _made(cls: type, options: dict[str, Any], shape: Any) -> Callable[[], Any]:
    def run() -> None:
        layer = cls(**options)
        jax.eval_shape(lambda: layer.init(KEY, shape))
        layer.out_shape(shape)

    return run


def wrong_names(rng: random.Random) -> Iterator[Program]:
    """A layer whose arguments are misspelt, too many, given twice, or missing."""
    names = sorted(set(RIGHT) & set(fl.LAYERS))
    while True:
        cls = fl.LAYERS[rng.choice(names)]
        options = [f.name for f in dataclasses.fields(cls)]
        needed = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
        required = {name: getattr(RIGHT[cls.__name__].layer, name) for name in needed}
        name = rng.choice(options)
        kind = rng.choice(["misspelt", "surplus", "missing", "twice"])
        if kind == "misspelt":
            at = rng.randrange(len(name))
            wrong = rng.choice([name[:at] + name[at + 1 :], f"{name}s", name.replace("_", ""), name.upper()])
            if wrong in options or not wrong:
                continue
            run = called(cls, (), required | {wrong: 1})
            yield Program(f"{cls.__name__}({wrong}=1)", run, (repr(wrong),))
        elif kind == "surplus":
            many = (None,) * (len(options) + rng.randrange(1, 4))
            yield Program(f"{cls.__name__}(*{len(many)} arguments)", called(cls, many, {}), ("positional arguments",))
        elif kind == "missing" and needed:
            left = {key: value for key, value in required.items() if key != needed[0]}
            yield Program(f"{cls.__name__}() without {needed[0]}", called(cls, (), left), (needed[0],))
        elif kind == "twice" and needed:
            run = called(cls, tuple(required.values()), {needed[0]: 1})
            yield Program(f"{cls.__name__} with {needed[0]} twice", run, (needed[0],))


# Calls of public functions

MODEL = fl.Sequential([fl.Dense(3, name="one"), fl.Dense(2, name="two")])
SHAPE = (4, 5)
PARAMS = MODEL.init(KEY, SHAPE)
X, Y = np.ones(SHAPE, "float32"), np.ones((4, 2), "float32")
TRAINING = {"loss": optax.squared_error, "optimizer": optax.sgd(0.1)}

# function, the arguments of a right call by name; those that some other value may replace are left alone
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, Means]]] = {
    "init": (MODEL.init, {"rng": KEY, "shape": SHAPE}, {"rng": a_key, "shape": a_shape}),
    "out_shape": (MODEL.out_shape, {"shape": SHAPE}, {"shape": a_shape}),
    "init_state": (MODEL.init_state, {"shape": SHAPE}, {"shape": a_shape}),
    "apply": (
        MODEL.apply,
        {"params": PARAMS, "x": X, "train": False},
        {"params": never, "x": an_array, "train": a_flag},
    ),
    "penalty": (fl.penalty, {"model": MODEL, "shape": SHAPE}, {"model": a_layer, "shape": a_shape}),
    "project": (fl.project, {"model": MODEL, "shape": SHAPE}, {"model": a_layer, "shape": a_shape}),
    "trainable_mask": (fl.trainable_mask, {"model": MODEL, "shape": SHAPE}, {"model": a_layer, "shape": a_shape}),
    "freeze": (fl.freeze, {"model": MODEL}, {"model": a_layer}),
    "thaw": (fl.thaw, {"model": MODEL}, {"model": a_layer}),
    "summary": (fl.summary, {"model": MODEL, "shape": SHAPE}, {"model": a_layer, "shape": a_shape}),
    "show.graph": (fl.show.graph, {"model": MODEL, "shape": SHAPE}, {"model": a_layer, "shape": a_shape}),
    "make_step": (
        fl.make_step,
        {"model": MODEL, **TRAINING, "guard": True},
        {"model": a_layer, "loss": a_function, "optimizer": never, "guard": either(a_flag, one_of("skip"))},
    ),
    "predict": (
        fl.predict,
        {"model": MODEL, "params": PARAMS, "x": X, "batch_size": 2},
        {"model": a_layer, "params": never, "x": either(an_array, a_function), "batch_size": whole(1, math.inf)},
    ),
    "fit": (
        fl.fit,
        {"model": MODEL, "data": (X, Y), **TRAINING, "epochs": 1, "batch_size": 4, "shuffle": True, "remainder": "run"},
        {
            "model": a_layer,
            "data": either(a_function, an_array),
            "loss": a_function,
            "optimizer": never,
            "epochs": whole(0, math.inf),
            "batch_size": whole(1, math.inf),
            "shuffle": a_flag,
            "remainder": or_none(one_of("pad", "run", "drop")),
        },
    ),
    "load": (fl.load, {"path": "absent.safetensors"}, {"path": a_path}),
    "load_keras": (fl.load_keras, {"path": "absent.keras"}, {"path": a_path}),
    "save": (
        fl.save,
        {"path": "absent/m.safetensors", "model": MODEL, "params": PARAMS},
        {"path": a_path, "model": a_layer, "params": never},
    ),
}


def wrong_calls(rng: random.Random) -> Iterator[Program]:
    """A call of a public function with one argument that cannot mean anything."""
    while True:
        name = rng.choice(sorted(CALLS))
        function, right, means = CALLS[name]
        argument, value = rng.choice(sorted(means)), rng.choice(POOL)
        if means[argument](plain(value)) is False:
            run = called(function, (), right | {argument: value})
            yield Program(
                f"{name}({argument}={shown(value)})", run, (argument, name, _short(value), "x ", "batch", "data")
            )


def _short(value: Any) -> str:
    return str(value)[:10]


def called(function: Callable, args: tuple, kwargs: dict[str, Any]) -> Callable[[], Any]:
    return lambda: function(*args, **kwargs)


def shown(value: Any) -> str:
    return f"{str(value)[:40]!r} of {type(value).__name__}"
