"""Layers as plain dicts and back."""

import json
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
import pytest

import fnlayers as fl
from fnlayers.core.operation import Cut, Operation, Slot
from fnlayers.saving import from_config, to_config
from fnlayers.saving.config import MAX_LAYERS


def doubled(x: Any) -> Any:
    return 2 * x


@dataclass(frozen=True)
class Noisy:
    scale: float = 0.1

    def __call__(self, key: Any, shape: Any, dtype: Any) -> Any:
        return jnp.full(shape, self.scale, dtype)


@fl.layerclass
class Scaled(fl.Layer):
    """A layer of the user's own."""

    inner: fl.Layer
    by: Any = 1.0

    def children(self, shape: Any) -> Any:
        return {"inner": (self.inner, shape)}


def shared() -> fl.Sequential:
    layer = fl.Dense(3)
    return fl.Sequential([layer, fl.Dense(3), layer])


def graph() -> fl.Functional:
    a, b = fl.Input((3,), name="a"), fl.Input((3,), name="b", dtype="bfloat16")
    encoder = fl.Dense(2)
    return fl.functional({"b": b, "a": a}, (fl.Add()(encoder(a), encoder(b)), encoder(a)), name="pair")


LIBRARY = [
    fl.Dense(3),
    fl.Dense(3, "swish", kernel_initializer=fl.initializers.HeNormal(seed=2), bias_constraint="non_neg"),
    fl.Dense(3, fl.activations.gelu, kernel_regularizer=fl.regularizers.L1L2(0.1, 0.2), trainable=False),
    fl.Dense(3, fl.LeakyReLU(0.1), kernel_initializer=fl.initializers.Constant(((1.0, 2), (3, 4)))),
    fl.Dense(3, kernel_initializer=fl.initializers.Identity, name="with a class"),
    fl.Dense(3, kernel_initializer=fl.initializers.Identity(2.0)),
    fl.Conv2D(2, [1, 2], strides=1, dtype="mixed_bfloat16"),
    fl.Masking(-math.inf),
    fl.Masking(1e300),
    fl.Masking(-0.0),
    fl.Masking(3),
    Operation("GetItem", (Slot(0), (Cut(), Cut(1, None, 2), "..."))),
    fl.Sequential([]),
    fl.Sequential([fl.Sequential([fl.Dense(1)]), fl.RNN(fl.LSTMCell(2))]),
    shared(),
    graph(),
    fl.Repeat(fl.Sequential([fl.Dense(3), fl.LayerNormalization()]), 2),
    fl.TimeDistributed(fl.Dense(3)),
]


@pytest.mark.parametrize("layer", LIBRARY, ids=lambda layer: repr(layer)[:60])
def test_a_layer_comes_back_equal(layer: fl.Layer) -> None:
    text = json.dumps(to_config(layer), allow_nan=False)
    back = from_config(json.loads(text))
    assert back == layer
    assert repr(back) == repr(layer)  # 1 == 1.0 == True, but they print differently
    assert hash(back) == hash(layer)


GIVEN = [
    fl.Lambda(doubled, arguments={"a": (1, 2.0, None), "b": {"c": True}, "d": {}}),
    fl.Dense(3, doubled, kernel_initializer=Noisy(0.5)),
    Scaled(
        fl.Dense(3),
        by={
            1: "one",
            (2, 3): (),
            "bytes": b"x\xff",
        },
    ),
    fl.Pair(doubled, Noisy),
]


@pytest.mark.parametrize("layer", GIVEN, ids=lambda layer: repr(layer)[:60])
def test_what_the_caller_gives_comes_back_by_name(layer: fl.Layer) -> None:
    config = json.loads(json.dumps(to_config(layer)))
    assert from_config(config, [doubled, Noisy, Scaled]) == layer
    assert from_config(config, {"doubled": doubled, "Noisy": Noisy, "Scaled": Scaled}) == layer
    with pytest.raises(fl.ConfigError, match=r"pass what .* saving: layers=\["):
        from_config(config)


def test_all_absent_names_are_in_one_error() -> None:
    model = fl.Sequential([Scaled(fl.Dense(1, kernel_initializer=Noisy())), fl.Lambda(doubled)])
    with pytest.raises(fl.ConfigError, match=r"layers=\[Noisy, Scaled, doubled\]"):
        from_config(to_config(model))


def test_a_class_of_the_users_is_not_taken_for_the_librarys() -> None:
    @fl.layerclass
    class Dense(fl.Layer):
        units: int = 1

    config = to_config(Dense(3))
    with pytest.raises(fl.ConfigError, match="Dense"):
        from_config(config)
    assert type(from_config(config, [Dense])) is Dense
    assert type(from_config(to_config(fl.Dense(3)), [Dense])) is fl.Dense


def test_a_shared_layer_comes_back_shared() -> None:
    back = from_config(to_config(shared()))
    assert isinstance(back, fl.Sequential)
    assert back.layers[0] is back.layers[2]
    assert list(back.specs((None, 3))) == ["dense", "dense_1"]


def test_options_that_a_file_lacks_have_their_defaults() -> None:
    config = to_config(fl.Dense(3))
    assert config["fields"]["kernel_initializer"] == "glorot_uniform"  # all are written, whatever is default later
    assert from_config({"layer": "Dense", "fields": {"units": 3}}) == fl.Dense(3)


def named_alike() -> fl.Layer:
    def doubled(x: Any) -> Any:
        return x

    return fl.Sequential([fl.Lambda(doubled), fl.Lambda(globals()["doubled"])])


UNSAVABLE = {
    "a lambda": (fl.Sequential([fl.Lambda(lambda x: x)]), r"layers\[0\].function=.*`def`"),
    "a partial": (fl.Dense(3, partial(jnp.clip, max=1)), r"Dense.activation=.*`def`"),
    "two of one name": (named_alike(), "two functions or classes named doubled"),
    "a set": (Scaled(fl.Dense(1), by={1, 2}), "Scaled.by"),
    "a complex number": (Scaled(fl.Dense(1), by=1j), "Scaled.by"),
    "a huge integer": (Scaled(fl.Dense(1), by=10**50), "too many digits"),
    "no layer": (doubled, "a layer or model is needed"),
}


@pytest.mark.parametrize("what", UNSAVABLE)
def test_what_has_no_name_is_refused(what: str) -> None:
    layer, message = UNSAVABLE[what]
    with pytest.raises(fl.ConfigError, match=message):
        to_config(layer)


def nested(levels: int) -> dict:
    config: dict = {"layer": "Sequential", "fields": {"layers": []}}
    for _ in range(levels):
        config = {"layer": "Sequential", "fields": {"layers": [config]}}
    return config


DENSE = {"layer": "Dense", "fields": {"units": 3}}
HOSTILE = {
    "nothing": {},
    "a list": [],
    "a number": 3,
    "a tuple": (1, 2),
    "unknown layer": {"layer": "Evil", "fields": {}},
    "a module path": {"layer": "os.system", "fields": {"command": "true"}},
    "keras's keys": {"module": "pathlib", "class_name": "Path.touch", "config": "/tmp/x"},
    "both keys": {"layer": "Dense", "registered_name": "evil", "fields": {"units": 3}},
    "another order": {"fields": {"units": 3}, "layer": "Dense"},
    "a name that is not a string": {"layer": ["Dense"], "fields": {}},
    "null for the name": {"layer": None, "fields": {}},
    "no fields": {"layer": "Dense"},
    "a list of fields": {"layer": "Dense", "fields": [3]},
    "unknown field": {"layer": "Dense", "fields": {"units": 3, "evil": 1}},
    "a field that is not a string": {"layer": "Dense", "fields": {3: 3}},
    "absent field": {"layer": "Dense", "fields": {}},
    "a bool for a size": {"layer": "Dense", "fields": {"units": True}},
    "a negative size": {"layer": "Dense", "fields": {"units": -1}},
    "text for a number": {"layer": "ReLU", "fields": {"max_value": "1"}},
    "an activation with a path": {"layer": "Dense", "fields": {"units": 3, "activation": {"activation": "../relu"}}},
    "a function with fields": {"layer": "Activation", "fields": {"activation": {"given": "doubled", "fields": {}}}},
    "a loss as a layer": {"regularizer": "L2", "fields": {}},
    "an activation as a layer": {"activation": "relu"},
    "an unknown class": {"layer": "Dense", "fields": {"units": 3, "kernel_initializer": {"class": ["os", "Dense"]}}},
    "pickled code": {"layer": "Lambda", "fields": {"function": {"__lambda__": "gASVCgAAAAAAAACMAm9z"}}},
    "what is not a float": {"layer": "Masking", "fields": {"mask_value": {"float": "1"}}},
    "what is not a dict": {"layer": "Activation", "fields": {"activation": {"dict": 3}}},
    "a key twice": {
        "layer": "Lambda",
        "fields": {"function": {"activation": "relu"}, "arguments": {"dict": [["a", 1], ["a", 2]]}},
    },
    "a key that hashes not": {
        "layer": "Lambda",
        "fields": {"function": {"activation": "relu"}, "arguments": {"dict": [[{"float": []}, 1]]}},
    },
    "a list of no layers": {"layer": "Sequential", "fields": {"layers": [3]}},
    "layers of one name": {
        "layer": "Sequential",
        "fields": {"layers": [{"layer": "Dense", "fields": {"units": n, "name": "a"}} for n in (1, 2)]},
    },
    "a name with a slash": {"layer": "Dense", "fields": {"units": 3, "name": "../../escape"}},
    "a ref of one": {"layer": "Functional", "fields": {"layers": [], "nodes": [], "inputs": {"ref": 3}, "outputs": []}},
    "deep layers": nested(60),
    "very deep layers": nested(100_000),
    "many layers": {"layer": "Sequential", "fields": {"layers": [DENSE] * (MAX_LAYERS + 1)}},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_configs_are_refused(what: str) -> None:
    with pytest.raises(fl.ConfigError):
        from_config(HOSTILE[what], [doubled])


def test_layers_must_be_named_apart() -> None:
    def relu(x: Any) -> Any:
        return x

    with pytest.raises(fl.ConfigError, match="two things named relu"):
        from_config(DENSE, [fl.activations.relu, relu])
    for wrong in ("doubled", 3, [lambda x: x], [3]):
        with pytest.raises(fl.ConfigError, match="layers"):
            from_config(DENSE, wrong)  # type: ignore[arg-type]
