"""Errors by their text: each says which layer, what it got, and what to write instead."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X = jnp.ones((2, 4))
MASK = jnp.ones((2, 4), bool)
MODEL = fl.Sequential([fl.Dense(3), fl.Sequential([fl.Dropout(0.5), fl.BatchNormalization()], name="inner")])
PARAMS, STATE = MODEL.init(KEY, X.shape), MODEL.init_state(X.shape)
A, B = fl.Input((4,), name="a"), fl.Input((3,), name="b")
INTS = fl.Input((4,), dtype="int32", name="i")
COUNTS = fl.functional(INTS, fl.Embedding(5, 2)(INTS))
PAIR = fl.functional((A, B), fl.Concatenate()(A, B))


@fl.layerclass
class Nothing(fl.Layer):
    """Defines neither call nor forward."""


@fl.layerclass
class Forgetful(fl.Layer):
    """Returns no state, though it declares some."""

    def weights(self, shape):
        return {"count": fl.State(())}

    def forward(self, params, x, ctx):
        return fl.Out(x)


@fl.layerclass
class Unlike(fl.Layer):
    """Declares an array where a Param or State is due."""

    def weights(self, shape):
        return {"w": jnp.ones(3)}


@fl.layerclass
class Broken(fl.Layer):
    """Raises an error that knows nothing of layers."""

    def call(self, params, x):
        raise ZeroDivisionError("no such luck")


CONFIG = [
    # arguments
    (lambda: fl.Dense(3, actvation="relu"), "Dense has no argument 'actvation'; did you mean 'activation'?"),
    (lambda: fl.Flatten(frobnicate=1), r"Flatten has no argument 'frobnicate'; it takes .*data_format"),
    (lambda: fl.Dense(), r"Dense needs units; write Dense\(units=...\)"),
    (lambda: fl.Conv2D(), r"Conv2D needs filters and kernel_size; write Conv2D\(filters=...\)"),
    (lambda: fl.Flatten(None, 2), "Flatten takes 1 positional arguments, got 2"),
    (lambda: fl.Dense(3, units=4), "Dense got 'units' twice, by position and by name"),
    (lambda: fl.Dense(3, name="a/b"), "name='a/b' is not a name; give a non-empty string without '/'"),
    (lambda: fl.Dense(3, name=""), "name='' is not a name"),
    (lambda: fl.Dense(3, dtype="half"), "dtype='half' is unknown; choose from float32, bfloat16"),
    (lambda: fl.Dense(np.ones(3)), r"an array of shape \(3,\) was given as an option, and options hold no arrays"),
    (lambda: fl.Lambda(jnp.sum, arguments={"a": jnp.ones(2)}), r"an array of shape \(2,\) .*\(array.tolist\(\)\)"),
    (lambda: setattr(fl.Dense(3), "units", 4), r"Dense does not change; write dataclasses.replace\(layer, units=...\)"),
    # calling a layer
    (lambda: fl.Dense(3)(X), r"Dense holds no weights; write params = layer.init\(rng, x.shape\)"),
    (lambda: fl.Dense(3).apply({}, A), "run and apply take arrays; to build a graph, call the layer itself"),
    (lambda: np.tanh(A), "is not an array yet: .* wrap a function of arrays in fnlayers.Lambda"),
    (lambda: fl.Input(4), r"Input\(shape=4\): write a tuple of sizes without the batch axis"),
    # writing a layer
    (lambda: Nothing().apply({}, X), "Nothing defines neither call nor forward; write one of them"),
    (lambda: Unlike().init(KEY, (2,)), "must name a Param or State for each array"),
    # masks
    (lambda: fl.Flatten().apply({}, X, mask=MASK), r"Flatten\(\) does not support a mask, .* fnlayers.DropMask\(\)"),
    # containers
    (lambda: fl.Sequential(fl.Dense(3)), "Sequential takes a list of layers, got Dense"),
    (lambda: fl.Sequential([fl.Dense(3), fl.Input((4,))]), "Sequential takes one Input, before its layers"),
    (lambda: fl.Sequential([jnp.tanh]), "Sequential takes layers, got .*; wrap a function in fnlayers.Lambda"),
    (lambda: fl.Sequential([fl.Dense(1, name="d"), fl.Dense(2, name="d")]), "two layers are named 'd'.*the same object"),
    (lambda: fl.functional(A, X), "outputs are Symbols, made by fnlayers.Input"),
    (lambda: fl.functional((A, A), fl.Dense(1)(A)), "one Symbol occurs twice among the inputs"),
    (lambda: fl.functional(A, fl.Add()(A, fl.Input((4,)))), "depends on .* not among the inputs; add it to them"),
    (lambda: fl.functional((A, fl.Input((4,), name="a")), A), "two inputs have one name, among a, a; rename one"),
    (lambda: fl.Repeat(3, 2), "Repeat takes a layer, got 3"),
    (lambda: fl.Repeat(fl.Dense(3), 0), "give a whole number of at least 1"),
    (lambda: fl.TimeDistributed(jnp.tanh), "TimeDistributed takes a layer"),
]  # fmt: skip

SHAPE = [
    (lambda: fl.Add()(A, jnp.ones((2, 4))), "are not of one batch"),
    (lambda: fl.Dense(3).init(KEY, (2, None)), r"axis -1 \(features\) of \(2, None\) must be known"),
    (lambda: fl.Dense(3).init(KEY, ()), r"the input has shape \(\), which has no axis -1 \(features\)"),
    (lambda: fl.Dense(3).init(KEY, ((2, 3), (2, 3))), "one input"),
    (lambda: fl.Dense(3).init(KEY, (2, -1)), r"shape \(2, -1\) has a negative size; write None"),
    (lambda: fl.Dense(3).init(KEY, "ab"), "'ab' is not a shape; write a tuple with the batch axis"),
    (lambda: fl.Dense(3).apply(fl.Dense(3).init(KEY, (2, 5)), X), r"kernel has shape \(4, 3\), but params hold \(5, 3\)"),
    (lambda: fl.Repeat(fl.Dense(3), 2).init(KEY, (2, 4)), r"maps \(2, 4\) to \(2, 3\)"),
    (lambda: fl.Identity().apply({}, X, mask=jnp.ones((2, 4))), r"a mask is a boolean array, got float32.*astype\(bool\)"),
    (lambda: fl.Identity().apply({}, X, mask=jnp.ones((2, 3), bool)), r"the mask has shape \(2, 3\), but x has shape"),
    (lambda: PAIR.apply({}, X), r"structured as \('a', 'b'\), got 'array'.*; bind by name or by position"),
    (lambda: PAIR.apply({}, (X,)), r"structured as \('a', 'b'\), got \('array',\)"),
    (lambda: PAIR.apply({}, {"a": X, "c": X}), r"missing: b; unexpected: c"),
    (lambda: PAIR.apply({}, (X, X)), r"input 'b' was declared as \(None, 3\), got \(2, 4\)"),
    (lambda: PAIR.init(KEY, (None, 4)), "the model's shape is structured as"),
    (lambda: COUNTS.apply({}, X), r"input 'i' was declared as int32, got float32; cast it yourself if you mean it"),
    (lambda: fl.Add().apply({}, (X, X), mask=MASK), "masks are nested like the inputs, with None for"),
    (lambda: fl.Add().apply({}, (X, X), mask=(MASK,)), "masks are nested like the inputs, with None for"),
    (lambda: fl.Identity().apply({}, {"a": X, "b": X}, mask={"b": MASK}), "nested like the inputs.*got dict for {a: float32"),
    (lambda: fl.Identity().apply({}, X, mask=[MASK, MASK]), "masks are nested like the inputs.*got list for float32"),
]  # fmt: skip

MISSING = [
    (lambda: fl.Dense(3).init(0, (2, 4)), r"Dense.init takes a random key, got 0; write jax.random.key\(0\)"),
    (lambda: fl.Dense(3).init(None, (2, 4)), "takes a random key, got None"),
    (lambda: fl.Dense(3).apply({}, X), r"has no kernel, bias in its params \(they hold: nothing\)"),
    (lambda: fl.Dense(3).apply(None, X), "got NoneType for params; pass what init returned"),
    (lambda: fl.Dense(3).apply({"kernel": jnp.ones((4, 3)), "b": 0}, X), r"has no bias in its params \(they hold: kernel, b\)"),
    (lambda: fl.LSTM(3).apply({"cell": {}}, jnp.ones((1, 2, 3))), "LSTM.* has no cell/kernel, cell/recurrent_kernel, cell/bias"),
    (lambda: fl.LayerNormalization().apply({"gamma": jnp.ones(4)}, X), r"has no beta in its params \(they hold: gamma\)"),
    (lambda: fl.Sequential([fl.Dense(3)]).apply(PARAMS["dense"], X), r"dense: .* has no kernel, bias in its params"),
    (lambda: MODEL.apply(PARAMS, X), r"inner/batch_normalization: .*has state \(moving_mean\)"),
    (lambda: MODEL.run(PARAMS, X, state=STATE, train=True), r"inner/dropout: .*pass rng=jax.random.key\(...\)"),
    (lambda: MODEL.apply(PARAMS, X, state=STATE, rng=KEY, train=True), r"apply\(train=True\) would drop new state"),
    (lambda: fl.ActivityRegularization(1.0).apply({}, X, train=True), r"apply\(train=True\) would drop losses"),
    (lambda: Forgetful().run({}, X, state=Forgetful().init_state((2,))), r"got the state \['count'\] and returned \[\]"),
]  # fmt: skip


@pytest.mark.parametrize(
    "make, message, error",
    [
        *((make, message, fl.ConfigError) for make, message in CONFIG),
        *((make, message, fl.ShapeError) for make, message in SHAPE),
        *((make, message, fl.MissingError) for make, message in MISSING),
    ],
)
def test_errors_say_what_to_write(make, message, error):
    with pytest.raises(error, match=message) as caught:
        make()
    assert isinstance(caught.value, ValueError)


def test_a_foreign_error_keeps_its_type_and_says_where_it_arose():
    model = fl.Sequential([fl.Dense(3), fl.Sequential([Broken(name="bad")])])
    with pytest.raises(ZeroDivisionError, match="no such luck") as caught:
        model.apply(model.init(KEY, X.shape), X)
    assert caught.value.__notes__ == ["in layer sequential/bad: Broken(name='bad'), given float32(2, 3)"]


def test_an_error_inside_containers_names_the_path_once():
    inner = fl.Sequential([fl.Conv2D(2, 3)], name="inner")
    model = fl.Sequential([fl.Dense(3), inner])
    for act in (lambda: model.init(KEY, (2, 4)), lambda: model.apply({"dense": fl.Dense(3).init(KEY, (2, 4))}, X)):
        with pytest.raises(fl.ShapeError) as caught:
            act()
        assert caught.value.path == ("inner", "conv2d")
        assert str(caught.value).startswith(
            "inner/conv2d: Conv2D(filters=2, kernel_size=3) takes 4 axes (batch, height"
        )


def test_a_wrong_shape_is_an_error_at_the_line_that_wrote_it():
    y = fl.Flatten()(fl.Input((4, 4, 1)))
    with pytest.raises(fl.ShapeError, match=r"takes 4 axes .* got the shape \(None, 16\)"):
        fl.Conv2D(2, 3)(y)


def test_an_unknown_state_is_not_dropped():
    with pytest.raises(fl.ConfigError, match="was given state with 'what', which it does not have"):
        fl.Dense(3).run(fl.Dense(3).init(KEY, (2, 4)), X, state={"what": jnp.ones(1)})


def test_errors_of_a_traced_shape_say_none_for_unknown_sizes():
    """Sizes that stand for unknown ones while shapes are traced show in no message."""
    for shape, make in [
        ((None, None, 3), fl.Lambda(lambda x: x.reshape(2, 3))),
        ((None, None, 3), fl.Sequential([fl.Conv1D(4, 2), fl.Lambda(lambda x: x @ jnp.ones((3, 3)))])),
        ((None, None, None), fl.Sequential([fl.Lambda(lambda x: x[..., 1:]), fl.Dense(2)])),
    ]:
        with pytest.raises(Exception) as caught:
            make.out_shape(shape)
        text = "".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
        assert "None" in text and not re.search(r"\d{2,}", text.replace("float32", "")), text
