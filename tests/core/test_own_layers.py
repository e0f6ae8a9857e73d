"""Layers of one's own that are written as in another library: each error says what to write here."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

X, KEY = jnp.ones((2, 3)), jax.random.key(0)


def layer_with(**methods):
    return type("Mine", (fl.Layer,), methods)()


def undecorated(**base):
    class Mine(fl.Layer):
        units: int = 3

    return type("Yours", (Mine,), {})(**base)


def with_init(decorate):
    class Mine(fl.Layer):
        units: int = 3

        def __init__(self, units):
            self.units = units

    return decorate(Mine)


def dataclass_of():
    @dataclasses.dataclass
    class Mine(fl.Layer):
        units: int = 3

    return Mine(4)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (undecorated, r"Mine has fields \(units\), but its class is not decorated; write @fnlayers.layerclass above"),
        (lambda: undecorated(units=4), "write @fnlayers.layerclass above class Mine"),
        (lambda: with_init(lambda cls: cls), "Mine has an __init__ of its own, .* options as fields"),
        (lambda: with_init(fl.layerclass), "Mine has an __init__ of its own, .* check them in check"),
        (dataclass_of, "Mine has an __init__ of its own, .* @fnlayers.layerclass"),
    ],
)
def test_classes_that_are_no_layer_classes(make, text):
    with pytest.raises(fl.ConfigError, match=text):
        make()


@pytest.mark.parametrize(
    ("methods", "text"),
    [
        ({"call": lambda self, x: x}, r"Mine.call takes \(self, x\); write def call\(self, params, x\); params holds"),
        ({"call": lambda self, params, x, train: x}, r"write def call\(self, params, x\)"),
        ({"call": lambda self, params, x, *, train: x}, r"write def call\(self, params, x\)"),
        ({"forward": lambda self, params, x: x}, r"write def forward\(self, params, x, ctx\)"),
        ({"weights": lambda self: {}}, r"Mine.weights takes \(self\); write def weights\(self, shape\)$"),
        ({"__call__": lambda self, x: x}, r"has a __call__ of its own, .* def call\(self, params, x\)"),
    ],
)
def test_methods_with_other_arguments(methods, text):
    with pytest.raises(fl.ConfigError, match=text):
        layer_with(**methods)


def test_methods_may_take_more():
    taken = {"call": lambda self, *arrays: arrays[1], "weights": lambda self, shape, scale=2: {}}
    assert layer_with(**taken).apply({}, X) is X


def test_class_variables_need_no_decoration():
    class Mine(fl.Layer):
        passes_mask: "ClassVar[bool]" = True  # noqa: F821

        def call(self, params, x):
            return x

    assert Mine().apply({}, X) is X


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (lambda x: 2 * x, r"Mine\(\): forward returned float32\(2, 3\); return fnlayers.Out\(y\)"),
        (lambda x: None, "forward returned None; .* or name it call"),
        (lambda x: (x, {}), "forward returned tuple"),
        (lambda x: fl.Out(x, None), r"forward returned Out\(y=float32\(2, 3\), state=None, losses=tuple\)"),
        (lambda x: fl.Out(x, {}, None, jnp.ones(())), "a tuple of losses"),
        (lambda x: fl.Out(None), r"forward returned Out\(y=None"),
    ],
)
def test_what_forward_returns(returned, text):
    layer = layer_with(forward=lambda self, params, x, ctx: returned(x))
    with pytest.raises(fl.ConfigError, match=text):
        layer.run({}, X)
    with pytest.raises(fl.ConfigError, match=f"mine: Mine.*{text[-12:]}"):  # with its path
        fl.Sequential([layer, fl.Dense(2)]).init(KEY, X.shape)


def test_what_call_returns():
    for returned, text in ((None, "call returned None; end it with return y"), (fl.Out(X), "call returned an Out")):
        with pytest.raises(fl.ConfigError, match=text):
            layer_with(call=lambda self, params, x, returned=returned: returned).apply({}, X)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (lambda shape: None, r"weights\(\) must return a dict, .*, got NoneType"),
        (lambda shape: [fl.Param((3,))], r"weights\(\) must return a dict, .*, got list"),
        (lambda shape: {"w": (3,)}, "must name a Param or State for each array, got tuple"),
        (lambda shape: {"w": fl.Param(3)}, "the shape 3 of a Param is not a tuple of known sizes"),
        (
            lambda shape: {"w": fl.Param(shape)},
            r"the shape \(None, 3\) of a Param is not a tuple of .*; write .fnlayers.known",
        ),
    ],
)
def test_what_weights_returns(weights, text):
    with pytest.raises(fl.LayerError, match=rf"Mine\(\): .*{text}"):
        layer_with(weights=lambda self, shape: weights(shape)).init(KEY, (None, 3))


@pytest.mark.parametrize("children", [{"d": fl.Dense(3)}, [fl.Dense(3)], {"d": (fl.Dense, (None, 3))}, None])
def test_what_children_returns(children):
    with pytest.raises(fl.ConfigError, match=r"children\(shape\) must return {name: \(layer, shape of its input\)}"):
        layer_with(children=lambda self, shape: children).init(KEY, (None, 3))


@pytest.mark.parametrize("x", [X, np.ones((2, 3)), {"a": X}, jax.ShapeDtypeStruct((2, 3), "float32")])
def test_an_array_in_place_of_a_shape(x):
    layer = fl.Dense(2)
    for verb in (lambda: layer.init(KEY, x), lambda: layer.init_state(x), lambda: layer.out_shape(x)):
        with pytest.raises(fl.ShapeError, match=r"got an array of shape \(2, 3\); write x.shape$"):
            verb()


@pytest.mark.parametrize("rng", [0, None, (2, 3), np.random.default_rng(0)])
def test_what_is_no_random_key(rng):
    with pytest.raises(fl.MissingError, match=r"Dense.init takes a random key, got .*; write jax.random.key\(0\)"):
        fl.Dense(2).init(rng, (None, 3))


def test_count_takes_params():
    with pytest.raises(fl.ConfigError, match=r"count takes params, got a layer, Dense\(units=2\)"):
        fl.count(fl.Dense(2))
