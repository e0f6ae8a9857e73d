"""Wrong inputs of layers: params, state, x, mask, key, initial states or shapes of a right call with one thing replaced.

Whether such a call must be refused is known of most; of the others (another rank, another number of inputs) only that
an error, if there is one, is in the library's own words.
"""

import functools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from wrong_programs import KEY, RIGHT, Program, shown
from wrong_values import POOL

import fnlayers as fl
from cases import Case
from fnlayers.core.shapes import is_shape
from fnlayers.plain_data import map_nest, nest_leaves

SYMBOL = fl.Input((3,))
NO_ARRAYS: tuple[Any, ...] = (
    "a", b"a", object(), None, ..., print, fl.Dense, fl.Dense(2), SYMBOL, np.array("a"), np.array([None, 1]), np.array(["a", "b"]),
    np.array([1, "a"], object), {1, 2}, slice(2), ValueError("x"), np.zeros(2, "datetime64[s]"), range(3), iter(()),
)  # fmt: skip
NO_SHAPES: tuple[Any, ...] = (
    "ab", "", 3, 2.5, True, object(), (None, math.nan), (2.5, 3), (2, -3), (2, "3"), ((2, 3), 4), {"a": 3}, (2, 1j), np.ones(3),
    np.ones((2, 3)), jnp.ones((2, 3)), SYMBOL, fl.Dense, fl.Dense(2), (2, (3,), None), {1, 2}, print, (2, math.inf), [[2.5]], (True, 3),
    (2, 10**30),
)  # fmt: skip
NO_TREES: tuple[Any, ...] = (
    3,
    "params",
    [1],
    (np.ones(3),),
    np.ones(3),
    fl.Dense(2),
    fl.Dense,
    object(),
    print,
    {1: 2},
    SYMBOL,
)
WORDS = (
    "params",
    "state",
    "x ",
    "shape",
    "mask",
    "rng",
    "key",
    "input",
    "train",
    "array",
    "symbol",
    "takes",
    "carry",
    "axis",
    "axes",
    "given",
    "got",
    "class",
    "batch",
    "weight",
    "elements",
    "features",
    "channels",
    "layer",
)


class Arguments(NamedTuple):
    """The arguments of a right call of a layer."""

    layer: fl.Layer
    params: Any
    x: Any
    state: Any
    mask: Any = None
    rng: Any = None
    train: Any = False


@functools.cache
def given_of(name: str) -> Arguments:
    """A right call of the layer of that name in the table."""
    case = RIGHT[name]
    return Arguments(case.layer, case.weights(fl.Param), case.inputs(), case.weights(fl.State))


def run(arguments: Arguments) -> Any:
    layer, params, x, state, mask, rng, train = arguments
    return jax.eval_shape(lambda: layer.run(params, x, state=state, mask=mask, rng=rng, train=train).y)


def wrong_inputs(rng: random.Random) -> Iterator[Program]:
    """A call of a layer with one input that cannot mean anything, or may not."""
    names, kinds = (
        sorted(set(RIGHT) - {"Functional", "Pair", "Lambda"}),
        (_params, _state, _x, _many, _mask, _key, _carry, _shape, _symbol),
    )
    while True:
        name = rng.choice(names)
        program = rng.choice(kinds)(rng, RIGHT[name], given_of(name))
        if program is not None:
            what, call, must = program
            yield Program(f"{name}: {what}", call, WORDS, must)


Found = tuple[str, Callable[[], Any], bool] | None


def _call(what: str, arguments: Arguments, must: bool = True) -> Found:
    return what, lambda: run(arguments), must


def _paths(tree: Any, path: tuple = ()) -> list[tuple]:
    if isinstance(tree, Mapping):
        return [inner for name, sub in tree.items() for inner in _paths(sub, (*path, name))]
    return [path]


def _put(tree: Any, path: tuple, value: Any) -> Any:
    """The tree with another value at the path; without it where the value is DROP."""
    name, *rest = path
    if rest:
        return {**tree, name: _put(tree[name], tuple(rest), value)}
    return {k: v for k, v in tree.items() if k != name} if value is DROP else {**tree, name: value}


DROP = object()


def _wrong_tree(rng: random.Random, tree: Any, is_container: bool) -> tuple[str, Any] | None:
    """Params or state with one thing wrong."""
    kind = rng.choice(["whole", "missing", "size", "rank", "leaf", "complex", "surplus", "other"])
    if kind == "whole":
        value = rng.choice(NO_TREES)
        return shown(value), value
    if kind == "other" or kind == "surplus":
        if is_container:
            return None
        if kind == "surplus":
            return "a surplus array", {**tree, "surplus": np.ones(2, "float32")}
        name = rng.choice(sorted(RIGHT))
        other = given_of(name)[rng.choice([1, 3])]
        return (f"those of {name}", other) if _sizes(other) != _sizes(tree) else None
    paths = [path for path in _paths(tree) if path]
    if not paths:
        return None
    path = rng.choice(paths)
    array = functools.reduce(lambda t, name: t[name], path, tree)
    where = "/".join(map(str, path))
    if kind == "missing":
        return f"without {where}", _put(tree, path, DROP)
    if kind == "size" and array.ndim:
        axis = rng.randrange(array.ndim)
        sizes = [n + (i == axis) for i, n in enumerate(array.shape)]
        return f"{where} of shape {sizes}", _put(tree, path, np.ones(sizes, array.dtype))
    if kind == "rank":
        sizes = rng.choice([(*array.shape, 1), (1, *array.shape), array.shape[1:]])
        return (
            (f"{where} of shape {sizes}", _put(tree, path, np.ones(sizes, array.dtype)))
            if sizes != array.shape
            else None
        )
    if kind == "complex":
        return f"{where} complex", _put(tree, path, np.asarray(array) * (1 + 1j))
    if kind == "leaf":
        value = rng.choice([*NO_ARRAYS, np.asarray(array).tolist(), {"a": array}])
        return f"{where} = {shown(value)}", _put(tree, path, value)
    return None


def _sizes(tree: Any) -> Any:
    return {
        path: getattr(functools.reduce(lambda t, name: t[name], path, tree), "shape", None)
        for path in _paths(tree)
        if path
    }


def _is_container(layer: fl.Layer) -> bool:
    return layer.has_children and layer.casts_inputs == "none"


def _params(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    wrong = _wrong_tree(rng, arguments.params, _is_container(arguments.layer))
    return wrong and _call(f"params: {wrong[0]}", arguments._replace(params=wrong[1]))


def _state(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    wrong = _wrong_tree(rng, arguments.state, False)
    return wrong and _call(f"state: {wrong[0]}", arguments._replace(state=wrong[1]))


def _other(rng: random.Random, shape: tuple) -> tuple[int, ...]:
    """A shape of another rank, or with another size."""
    axis = rng.randrange(len(shape)) if shape else 0
    return rng.choice([
        (*shape, 2), shape[:-1], shape[1:], (), (1, *shape), *[shape[:axis] + (max(0, n),) + shape[axis + 1 :] for n in (0, shape[axis] + 1, shape[axis] - 1)],
    ])  # fmt: skip


def _x(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    if isinstance(arguments.layer, fl.CopyMask):
        return None  # the second input is looked at for its mask alone
    leaves = nest_leaves(arguments.x)
    at = rng.randrange(len(leaves))

    def with_leaf(value: Any) -> Arguments:
        numbers = iter(range(len(leaves)))
        return arguments._replace(x=map_nest(lambda a: value if next(numbers) == at else a, arguments.x))

    kind = rng.choice(["shape", "junk", "complex"])
    array = np.asarray(leaves[at])
    if kind == "shape":
        shape = _other(rng, array.shape)
        sizes = map_nest(lambda a: np.shape(a), with_leaf(np.zeros(shape)).x)
        return _call(
            f"x[{at}] of shape {shape}", with_leaf(np.ones(shape, array.dtype)), _declares_other(arguments, sizes)
        )
    if kind == "junk":
        value = rng.choice(NO_ARRAYS)
        return _call(f"x[{at}] = {shown(value)}", with_leaf(value))
    return f"x[{at}] complex", lambda: _loses_nothing(run(with_leaf(array * (1 + 1j)))), False


def _loses_nothing(y: Any) -> None:
    if not any(jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in jax.tree.leaves(y)):
        raise TypeError("the imaginary part was lost")


def _declares_other(arguments: Arguments, shape: Any) -> bool:
    """Whether the layer refuses inputs of that shape, or declares other sizes for them."""
    try:
        specs = jax.tree.leaves(
            jax.eval_shape(lambda: (arguments.layer.init(KEY, shape), arguments.layer.init_state(shape)))
        )
    except Exception:
        return True
    return [a.shape for a in specs] != [a.shape for a in jax.tree.leaves((arguments.params, arguments.state))]


def _many(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    """Another number of inputs, or another structure."""
    x = arguments.x
    leaves = nest_leaves(x)
    wrong = rng.choice(
        [
            (x, x),
            [x],
            (),
            [],
            {},
            {"a": x},
            {"x": x, "y": x},
            (x, x, x, x, x, x, x),
            (*leaves, leaves[0]),
            leaves[0],
            tuple(leaves[:-1]),
            ((leaves[0],),),
        ]
    )
    return (
        _call(f"x = {map_nest(np.shape, wrong)}", arguments._replace(x=wrong), not nest_leaves(wrong))
        if jax.tree.structure(wrong) != jax.tree.structure(x)
        else None
    )


def _mask(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    if not is_shape(case.shape):
        value = rng.choice([np.ones(3), "a", 1, object(), np.ones((2, 2, 2, 2, 2, 2, 2), bool), SYMBOL])
        return _call(f"mask = {shown(value)}", arguments._replace(mask=value))
    sizes = tuple(np.shape(arguments.x))
    wrong = rng.choice([
        np.ones(sizes[:2], "int32"), np.ones(sizes[:2], "float32"), np.ones((*sizes[:-1], sizes[-1] + 1), bool), np.ones((*sizes, 1), bool),
        np.ones((sizes[0] + 1,), bool), np.ones(sizes[:2]).tolist(), "a", 1, True, object(), SYMBOL, np.array("a"), (np.ones(sizes[:1], bool),),
        {"a": np.ones(sizes[:1], bool)}, fl.Dense, np.ones(sizes[:2], object), print,
    ])  # fmt: skip
    return _call(f"mask = {shown(wrong)}", arguments._replace(mask=wrong))


def _key(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    if rng.random() < 0.5:
        value = rng.choice([value for value in POOL if value is not None])
        return _call(f"rng = {shown(value)}", arguments._replace(rng=value, train=rng.random() < 0.5))
    value = rng.choice([value for value in POOL if not isinstance(value, (bool, np.bool_))])
    return _call(f"train = {shown(value)}", arguments._replace(train=value, rng=KEY))


def _carry(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    layer, x = arguments.layer, arguments.x
    if not isinstance(
        layer, (fl.RNN, fl.LSTM, fl.GRU, fl.SimpleRNN, fl.ConvLSTM1D, fl.ConvLSTM2D, fl.ConvLSTM3D, fl.Cell)
    ) or not hasattr(x, "shape"):
        return None
    carry_types = jax.eval_shape(
        lambda: (
            layer.start(x.shape, "float32")
            if isinstance(layer, fl.Cell)
            else layer.make_cell().initial_carry(layer.step_shape(x.shape))
        )
    )
    carry = [np.zeros(leaf.shape, "float32") for leaf in jax.tree.leaves(carry_types)]
    kind = rng.choice(["fewer", "more", "batch", "size", "rank", "junk", "complex"])
    at = rng.randrange(len(carry))
    array = carry[at]
    wrong = {
        "fewer": carry[:-1] if len(carry) > 1 else [*carry, array, array],
        "more": [*carry, array],
        "batch": [*carry[:at], np.zeros((array.shape[0] + 1, *array.shape[1:]), "float32"), *carry[at + 1 :]],
        "size": [*carry[:at], np.zeros((*array.shape[:-1], array.shape[-1] + 1), "float32"), *carry[at + 1 :]],
        "rank": [*carry[:at], array[0], *carry[at + 1 :]],
        "junk": [*carry[:at], rng.choice([junk for junk in NO_ARRAYS if junk is not None]), *carry[at + 1 :]],
        "complex": [*carry[:at], array * 1j, *carry[at + 1 :]],
    }[kind]
    return _call(f"initial state: {kind}", arguments._replace(x=(x, *wrong)))


def _shape(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    layer = arguments.layer
    verb = rng.choice(["init", "init_state", "out_shape", "specs"])
    call = (lambda shape: jax.eval_shape(lambda: layer.init(KEY, shape))) if verb == "init" else getattr(layer, verb)
    if rng.random() < 0.5:
        value = rng.choice(NO_SHAPES)
        return f"{verb}({shown(value)})", lambda: call(value), True
    if not is_shape(case.shape):
        wrong = rng.choice([(None, 3), (), [], {}, {"a": (2, 3)}, ((2, 3),), ((2, 3),) * 7, ((), ())])
        return f"{verb}({wrong})", lambda: call(wrong), False
    wrong = _other(rng, tuple(case.shape))
    wrong = rng.choice([wrong, (wrong, wrong), {"a": wrong}, (None,) * len(case.shape), [wrong]])
    return f"{verb}({wrong})", lambda: call(wrong), False


def _symbol(rng: random.Random, case: Case, arguments: Arguments) -> Found:
    layer, x = arguments.layer, arguments.x
    array = nest_leaves(x)[0]
    symbol = fl.Input(np.shape(array)[1:])
    wrong: list[tuple[str, Callable[[], Any], bool]] = [
        ("called with an array", lambda: layer(array), True),
        ("called with a Symbol and an array", lambda: layer(symbol, array), True),
        ("called with nothing", lambda: layer(), True),
        ("called with junk", lambda: layer(rng.choice(NO_ARRAYS[:-1])), False),
        (
            "called with a Symbol of another shape",
            lambda: layer(fl.Input(_other(random.Random(0), np.shape(array))[1:])),
            False,
        ),
        ("called with several Symbols", lambda: layer(symbol, symbol, symbol, symbol, symbol), False),
        ("functional of arrays", lambda: fl.functional(array, symbol), True),
        ("functional to arrays", lambda: fl.functional(symbol, array), True),
        ("functional of a layer", lambda: fl.functional(symbol, layer), True),
        ("functional from a layer", lambda: fl.functional(layer, symbol), True),
        ("in a Sequential as a Symbol", lambda: fl.Sequential([layer, symbol]), True),
        ("in a Sequential with the class", lambda: fl.Sequential([layer, type(layer)]), True),
    ]
    return rng.choice(wrong)
