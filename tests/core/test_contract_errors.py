"""Errors of the contract, by their text: which layer, what it got, what to write."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
NET = fl.Sequential([fl.Conv2D(4, 3), fl.BatchNormalization(), fl.Flatten(), fl.Dropout(0.5), fl.Dense(2)], name="net")
SHAPE = (None, 6, 6, 1)


def inner():
    return fl.Sequential([fl.Sequential([NET], name="outer")])


def init(layer, shape):
    return lambda: layer.init(KEY, shape)


ERRORS = {
    "wrong rank": (
        init(inner(), (None, 6, 6)),
        fl.ShapeError,
        r"^outer/net/conv2d: Conv2D\(filters=4, kernel_size=3\) takes 4 axes \(batch, height, width, channels\), got",
    ),
    "unknown axis": (
        init(inner(), (None, 6, 6, None)),
        fl.ShapeError,
        r"^outer/net/conv2d: axis -1 \(channels\) of \(None, 6, 6, None\) must be known; write its size in the shape",
    ),
    "unknown length flattened": (
        init(fl.Sequential([fl.Flatten(), fl.Dense(2)]), (None, None, 3)),
        fl.ShapeError,
        r"^flatten: axis 1 of \(None, None, 3\) must be known",
    ),
    "misspelt argument": (lambda: fl.Dense(unit=3), fl.ConfigError, r"Dense has no argument 'unit'; did you mean 'units'"),
    "unknown argument": (lambda: fl.Identity(banana=3), fl.ConfigError, r"'banana'; it takes name, trainable, dtype"),
    "missing argument": (lambda: fl.Conv2D(3), fl.ConfigError, r"Conv2D needs kernel_size; write Conv2D\(kernel_size=...\)"),
    "too many arguments": (lambda: fl.Flatten(None, 2), fl.ConfigError, r"Flatten takes 1 positional arguments, got 2"),
    "argument twice": (lambda: fl.Dense(3, units=4), fl.ConfigError, r"Dense got 'units' twice"),
    "array as option": (lambda: fl.Dense(np.ones(3)), fl.ConfigError, r"array of shape \(3,\) .* layers hold no arrays"),
    "change": (lambda: setattr(fl.Dense(3), "units", 4), fl.ConfigError, r"Dense does not change; write dataclasses.repl"),
    "array given": (
        lambda: fl.Dense(3)(jnp.ones((2, 3))),
        fl.ConfigError,
        r"Dense holds no weights; write params = layer.init\(rng, x.shape\), then layer.apply\(params, x\)",
    ),
    "symbol given": (lambda: fl.Dense(3).apply({}, fl.Input((3,))), fl.ConfigError, r"run and apply take arrays; to build"),
    "symbol as array": (lambda: np.sin(fl.Input((3,))), fl.ConfigError, r"is not an array yet; .* fnlayers.Lambda"),
    "no key": (lambda: fl.Dense(3).init(0, (2, 3)), fl.MissingError, r"takes a random key, got 0; write jax.random.key\(0\)"),
    "no shape": (init(fl.Dense(3), 7), fl.ShapeError, r"7 is not a shape; write a tuple with the batch axis"),
    "negative size": (init(fl.Dense(3), (2, -3)), fl.ShapeError, r"\(2, -3\) has a negative size"),
    "policy": (lambda: fl.Dense(3, dtype="int8"), fl.ConfigError, r"dtype='int8' is no dtype policy; choose from float32"),
    "activation": (lambda: fl.Dense(3, "rely"), fl.ConfigError, r"Dense: activation='rely' is unknown; did you mean .*'relu'"),
    "units": (lambda: fl.Dense(0), fl.ConfigError, r"units=0 is wrong; give a whole number of at least 1"),
    "groups and channels": (
        init(fl.Conv2D(9, 3, groups=3), (None, 6, 6, 4)),
        fl.ShapeError,
        r"groups=3 does not divide the 4 input channels; choose groups from 1$",
    ),
    "groups and filters": (lambda: fl.Conv2D(8, 3, groups=3), fl.ConfigError, r"groups=3 does not divide filters=8"),
    "window": (init(fl.Conv1D(2, 5), (None, 3, 1)), fl.ShapeError, r"a window of 5 does not fit the input's 3, .* empty"),
    "pool": (init(fl.MaxPooling2D(4), (None, 3, 8, 1)), fl.ShapeError, r"a window of 4 does not fit the input's 3"),
    "strides and dilation": (
        lambda: fl.Conv2D(2, 3, strides=2, dilation_rate=2), fl.ConfigError, r"cannot both be above 1; use one of them",
    ),
    "negative stride": (lambda: fl.Conv1D(2, 3, strides=-1), fl.ConfigError, r"strides=-1 is wrong; give an integer of at"),
    "padding": (lambda: fl.Conv2D(2, 3, padding="causal"), fl.ConfigError, r"padding='causal' is unknown; choose from valid"),
    "axis": (init(fl.BatchNormalization(axis=4), (2, 3)), fl.ShapeError, r"names axis 4, but its input has the axes 0 to 1"),
    "integers dropped": (
        lambda: fl.Dropout(0.5).apply({}, jnp.ones((2, 3), int)), fl.ShapeError, r"takes floating numbers, got int32",
    ),
    "shapes joined": (
        init(fl.Concatenate(1), ((2, 3, 4), (2, 3, 5))), fl.ShapeError, r"differ on axis 2, and may only on axis 1",
    ),
    "shapes added": (init(fl.Add(), ((2, 3), (2, 4))), fl.ShapeError, r"\(2, 3\) and \(2, 4\) do not fit on axis 1"),
    "one input merged": (init(fl.Add(), (2, 3)), fl.ShapeError, r"takes a tuple of at least 2 inputs.* write layer\(a, b\)"),
    "reshape": (init(fl.Reshape((5,)), (None, 6)), fl.ShapeError, r"has 6 numbers for each example, which do not fit"),
    "crop": (init(fl.Cropping1D(2), (None, 4, 1)), fl.ShapeError, r"cuts 4 of 4 cells, which leaves nothing"),
    "mask dtype": (
        lambda: fl.Identity().run({}, jnp.ones((2, 3)), mask=jnp.ones((2, 3))),
        fl.ShapeError, r"a mask is a boolean array, got float32; write mask = lengths",
    ),
    "mask shape": (
        lambda: fl.Identity().run({}, jnp.ones((2, 3)), mask=jnp.ones((2, 4), bool)),
        fl.ShapeError, r"the mask has shape \(2, 4\), but x has shape \(2, 3\)",
    ),
    "params of another shape": (
        lambda: fl.Dense(3).apply(fl.Dense(3).init(KEY, (2, 4)), jnp.ones((2, 5))),
        fl.ShapeError, r"float32\(2, 5\), for which kernel has shape \(5, 3\), but params hold \(4, 3\)",
    ),
    "no params": (lambda: fl.Dense(3).apply({}, jnp.ones((2, 5))), fl.MissingError, r"has no kernel, bias in its params"),
    "input in Sequential": (lambda: fl.Sequential([fl.Input((3,))]), fl.ConfigError, r"takes no Input: give the shape to init"),
    "function in Sequential": (lambda: fl.Sequential([jnp.sin]), fl.ConfigError, r"wrap a function in fnlayers.Lambda"),
    "names collide": (
        lambda: fl.Sequential([fl.Dense(3, name="a"), fl.Dense(4, name="a")]), fl.ConfigError, r"two layers are named 'a'",
    ),
    "slash in a name": (lambda: fl.Dense(3, name="a/b"), fl.ConfigError, r"name='a/b' is no name"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_says_where_and_what_to_write(name):
    act, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        act()


def test_state_and_key_are_asked_for_by_path():
    params, x = NET.init(KEY, SHAPE), jnp.ones((2, 6, 6, 1))
    with pytest.raises(
        fl.MissingError, match=r"^batch_normalization: .*state = model.init_state\(shape\), and pass state="
    ):
        NET.apply(params, x)
    with pytest.raises(fl.MissingError, match=r"^dropout: Dropout\(rate=0.5\) draws .* pass rng=jax.random.key"):
        NET.run(params, x, state=NET.init_state(SHAPE), train=True)
    with pytest.raises(fl.MissingError, match=r"apply\(train=True\) would drop new state; write out = model.run"):
        NET.apply(params, x, state=NET.init_state(SHAPE), rng=KEY, train=True)


def test_a_foreign_error_carries_the_layers_path():
    def fail(x):
        raise RuntimeError("broken inside")

    model = fl.Sequential([fl.Sequential([fl.Lambda(fail, name="bad")], name="block")])
    with pytest.raises(RuntimeError, match="broken inside") as caught:
        model.apply({}, jnp.ones((2, 3)))
    assert caught.value.__notes__[0].startswith("in layer block/bad: Lambda(")
    assert caught.value.__notes__[0].endswith("given float32(2, 3)")
