"""What layers refuse, and what they tell the user to write instead."""

import jax
import jax.numpy as jnp
import pytest

import fnlayers as fl
from cases import CASES

KEY = jax.random.key(0)

OPTIONS = [
    (lambda: fl.Dense(0), "Dense: units=0 is wrong; give a whole number of at least 1"),
    (lambda: fl.Dense(2.5), "Dense: units=2.5 is wrong"),
    (lambda: fl.Dense(True), "Dense: units=True is wrong"),
    (lambda: fl.Dense(3, activation="rleu"), "activation='rleu' is unknown; did you mean .*relu"),
    (lambda: fl.Conv2D(8, (3, 3, 3)), r"Conv2D: kernel_size=\(3, 3, 3\) is wrong; give .* or 2 of them"),
    (lambda: fl.Conv2D(8, 0), "Conv2D: kernel_size=0 is wrong; give an integer of at least 1"),
    (lambda: fl.Conv2D(8, 3, padding="full"), "Conv2D: padding='full' is unknown; choose from valid, same"),
    (lambda: fl.Conv2D(8, 3, padding="causal"), "padding='causal' is unknown; choose from valid, same"),
    (lambda: fl.Conv2D(8, 3, data_format="NCHW"), "data_format='NCHW' is unknown; choose from None, channels_last"),
    (lambda: fl.Conv1D(8, 3, strides=-1), "Conv1D: strides=-1 is wrong; give an integer of at least 1"),
    (lambda: fl.Conv2D(8, 3, groups=3), "groups=3 does not divide filters=8"),
    (lambda: fl.Conv2D(8, 3, strides=2, dilation_rate=2), "strides and dilation_rate cannot both be above 1"),  # trap 21
    (lambda: fl.MaxPooling2D(strides=(1, 2, 3)), r"MaxPooling2D: strides=\(1, 2, 3\) is wrong"),
    (lambda: fl.MaxPooling1D(padding="causal"), "padding='causal' is unknown"),
    (lambda: fl.Embedding(0, 3), "Embedding: input_dim=0 is wrong"),
    (lambda: fl.BatchNormalization(momentum=2), "momentum=2 is wrong; give a number from 0 to 1"),
    (lambda: fl.LayerNormalization(axis="last"), "axis='last' is wrong; give an integer or a tuple of them"),
    (lambda: fl.Dropout(1.5), "Dropout: rate=1.5 is wrong; give a number from 0 to 1"),
    (lambda: fl.Dropout("a"), "Dropout: rate='a' is wrong"),
    (lambda: fl.ReLU(max_value=-1.0), "ReLU: max_value=-1.0 is wrong; give a number of at least 0"),
    (lambda: fl.Masking(float("nan")), r"mask_value=nan is wrong; give a number \(NaN equals nothing\)"),  # trap 41
    (lambda: fl.Lambda(3), "Lambda: function=3 is not a function"),
    (lambda: fl.Reshape((-1, -1)), "has -1 more than once"),
    (lambda: fl.Reshape((2, 0)), "give a tuple of positive sizes"),
    (lambda: fl.ActivityRegularization(l1=-1.0), "l1 must be a finite number, 0 or more"),
    (lambda: fl.LSTM(3, unroll=-1), "unroll=-1 is wrong; give a bool or a number of steps"),
    (lambda: fl.LSTM(3, recurrent_activation="sig"), "LSTMCell: recurrent_activation='sig' is unknown; did you mean"),
    (lambda: fl.RNN(fl.Dense(3)), r"RNN takes a Cell, such as LSTMCell\(32\), got Dense"),
]  # fmt: skip

INPUTS = [
    (fl.Conv2D(8, 3), (2, 8, 8), r"takes 4 axes \(batch, height, width, channels\), got the shape \(2, 8, 8\)"),
    (fl.Conv2D(8, 3, data_format="channels_first"), (2, 8, 8), r"4 axes \(batch, channels, height, width\)"),
    (
        fl.Conv2D(8, 3),
        (2, 8, 8, None),
        r"Conv2D\(filters=8, kernel_size=3\): axis -1 \(channels\) of \(2, 8, 8, None\) must be known",
    ),
    (fl.Conv2D(9, 1, groups=3), (2, 8, 8, 4), "groups=3 does not divide the 4 input channels; choose groups from 1"),
    (fl.Conv2D(8, 1, groups=8), (2, 8, 8, 4), "choose groups from 1, 2, 4"),
    (fl.Conv2D(8, 3), (2, 2, 8, 1), "a window of 3 does not fit the input's 2, .*padding='same'"),
    (fl.Conv1D(8, 3, dilation_rate=4), (2, 8, 1), "a window of 9 does not fit the input's 8"),
    (fl.Conv2D(8, 3, padding="same"), (2, 0, 8, 1), "does not fit the input's 0"),
    (fl.Cropping1D(2), (2, 4, 1), "cuts 4 of 4 elements, which leaves none"),
    (fl.MaxPooling2D(3), (2, 2, 2, 1), "so its output would be empty; use padding='same', a smaller window"),
    (fl.AveragePooling1D(2), (2, 4), r"takes 3 axes \(batch, steps, channels\)"),
    (fl.GlobalMaxPooling3D(), (2, 4, 4, 1), r"takes 5 axes \(batch, depth, height, width, channels\)"),
    (fl.BatchNormalization(axis=3), (2, 4), "names axis 3, but its input has the axes 0 to 1"),
    (fl.BatchNormalization(), (4,), "axes, got the shape"),
    (fl.LayerNormalization(axis=(1, 4)), (2, 3, 4), "names axis 4, but its input has the axes 0 to 2"),
    (fl.LayerNormalization(), (2, None), "must be known; write its size in the shape given to init or Input"),
    (
        fl.Dropout(0.5, noise_shape=(None, 1)),
        (2, 3, 4),
        r"noise_shape=\(None, 1\) does not broadcast to its input \(2, 3, 4\)",
    ),
    (fl.AlphaDropout(0.5, noise_shape=(1, 1, 1)), (2, 3), "does not broadcast"),
    (fl.Dropout(0.5, noise_shape=(3, 1)), (1, 4), "does not broadcast"),
    (fl.Flatten(), (2, None, 3), r"^Flatten\(\): axis 1 of \(2, None, 3\) must be known; write its size"),
    (fl.Reshape((5,)), (2, 4), r"an input of \(2, 4\) has 4 elements for each example, which do not fit"),
    (fl.Reshape((3, -1)), (2, 4), "has 4 elements for each example"),
    (fl.PReLU(shared_axes=[5]), (2, 4), "names axis 5"),
    (fl.Masking(), (2,), "axes, got the shape"),
    (fl.LSTM(3), (2, 4), r"takes sequences \(batch, time, features\), got the shape \(2, 4\)"),
    (fl.LSTMCell(3), (2, 4, 5), r"takes 2 axes \(batch, features\)"),
    (fl.TimeDistributed(fl.Dense(3)), (4,), r"\(batch, time, ...\), got the shape"),
    (fl.Add(), (2, 4), r"takes a tuple of at least 2 inputs, got \(2, 4\); write layer\(a, b\)"),
    (fl.Add(), ((2, 4), (2, 3)), r"the shapes \(2, 4\) and \(2, 3\) do not fit on axis 1"),
    (fl.Subtract(), ((2, 4), (2, 4), (2, 4)), "takes a tuple of exactly 2 inputs"),
    (fl.Concatenate(), ((2, 4, 3), (2, 5, 3)), "differ on axis 1, and may only on axis 2"),
    (fl.Concatenate(axis=4), ((2, 4), (2, 4)), "names axis 4"),
    (fl.Concatenate(), ((2, 4), (2, 4, 3)), "differ in their number of axes"),
    (fl.Dense(3), ((2, 4), (2, 4)), "one input"),
]


@pytest.mark.parametrize("make, message", OPTIONS)
def test_options_without_a_meaning(make, message):
    with pytest.raises(fl.ConfigError, match=message):
        make()


@pytest.mark.parametrize("layer, shape, message", INPUTS)
def test_inputs_that_do_not_fit(layer, shape, message):
    """At init, while a graph is built, and (with shapes all known) at run."""
    with pytest.raises(fl.ShapeError, match=message):
        layer.init(KEY, shape)
    with pytest.raises(fl.ShapeError, match=message):
        several = isinstance(shape[0], tuple)
        layer(*(fl.Symbol(s, "float32") for s in (shape if several else (shape,))))
    if "None" not in str(shape):
        several = isinstance(shape[0], tuple)
        x = tuple(jnp.ones(s) for s in shape) if several else jnp.ones(shape)
        with pytest.raises(fl.LayerError):
            layer.run({}, x)


def refuses(case):
    return not isinstance(case.shape, dict) and type(case.layer).__name__ in REFUSE and len(case.shape) > 1


REFUSE = ("Flatten", "Reshape", "Conv1D", "Conv2D", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "Permute",
          "GlobalMaxPooling1D", "GlobalAveragePooling2D", "ZeroPadding1D", "UpSampling1D", "RepeatVector")  # fmt: skip


@pytest.mark.parametrize("one", {type(c.layer): c for c in CASES if refuses(c)}.values(), ids=str)
def test_a_mask_without_a_meaning_is_refused_with_the_way_out(one):
    mask = jnp.ones(one.shape[:2], bool)
    with pytest.raises(fl.ConfigError, match=r"does not support a mask, because .*; put fnlayers.DropMask\(\)"):
        one.run(mask=mask)
    model = fl.Sequential([fl.DropMask(), one.layer])
    model.run(model.init(KEY, one.shape), one.inputs(), mask=mask)


def test_a_mask_that_arises_inside_a_model_is_refused_there():
    model = fl.Sequential([fl.Embedding(5, 2, mask_zero=True), fl.Sequential([fl.Flatten(name="flat")], name="tail")])
    embed, ids = model.layers[0], jnp.ones((2, 3), "int32")
    for use in (lambda: model.init(KEY, (2, 3)), lambda: model.apply({"embedding": embed.init(KEY, (2, 3))}, ids)):
        with pytest.raises(fl.ConfigError, match="^tail/flat: "):
            use()


@pytest.mark.parametrize("layer", [fl.Dropout(0.5), fl.GaussianNoise(0.1), fl.AlphaDropout(0.5)])
def test_noise_on_integers_is_refused(layer):
    with pytest.raises(fl.ShapeError, match="takes floating numbers, got int32"):  # trap 34
        layer.apply({}, jnp.ones((2, 3), "int32"))
