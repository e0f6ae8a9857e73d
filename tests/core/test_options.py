"""A field is of its declared type, or the layer is not made; what an annotation says is checked without more words."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

WRONG = [
    (lambda: fl.Dense(3, use_bias="False"), "Dense: use_bias='False' is wrong; give True or False"),
    (lambda: fl.Dense(3, use_bias=1), "use_bias=1 is wrong"),
    (lambda: fl.Dense(3, trainable=2), "trainable=2 is wrong; give True or False"),
    (lambda: fl.Dense(3, dtype=[]), r"dtype=\(\) is unknown; choose from"),
    (lambda: fl.Dense(3, dtype=""), "dtype='' is unknown; choose from"),
    (lambda: fl.LSTM(3, return_sequences="False"), "return_sequences='False' is wrong"),
    (lambda: fl.LSTM(3, return_state=[False]), r"return_state=\(False,\) is wrong"),
    (lambda: fl.ReLU(max_value=[1, 2, 3]), r"max_value=\(1, 2, 3\) is wrong; give a number or None"),
    (lambda: fl.Dense(3, kernel_regularizer="l3"), "Dense: kernel_regularizer: regularizer='l3' is unknown"),
    (lambda: fl.Dense(3, kernel_initializer="onse"), "kernel_initializer: initializer='onse' .* did you mean .*'ones'"),
    (lambda: fl.Dense(3, kernel_initializer=None), "kernel_initializer=None is wrong; give a string or a function"),
    (lambda: fl.Dense(3, kernel_initializer=fl.regularizers.L2()), "one of the regularizers; give one of .*initializers"),
    (lambda: fl.Dense(3, kernel_regularizer=fl.activations.relu), "is one of the activations"),
    (lambda: fl.LayerNormalization(1e-3, -1), "axis=0.001 is wrong"),
    (lambda: fl.Dense(3, activation=fl.ReLU), r"ReLU is a class; write ReLU\(...\)"),
    (lambda: fl.Dense(3, activation=fl.PReLU()), r"activation=PReLU\(\) is more than a function .* put it after this"),
    (lambda: fl.Dense(3, activation=fl.Dropout(0.5)), "is more than a function of one array"),
    (lambda: fl.Sequential([fl.Flatten]), r"holds the class Flatten; make a layer: Flatten\(...\)"),
    (lambda: fl.TimeDistributed(fl.Dense), "layer holds the class Dense"),
    (lambda: jax.jit(lambda r: fl.Dropout(r).apply({}, jnp.ones(2)))(0.5), "a traced value .* as an option"),
    (lambda: fl.LeakyReLU(alpha=0.1), "LeakyReLU has no argument 'alpha'; write negative_slope"),
    (lambda: fl.Dense(3, input_shape=(4,)), r"has no argument 'input_shape'; that is Keras 2's: .* fnlayers.Input"),
    (lambda: fl.Embedding(3, 2, input_length=4), "'input_length'; that is Keras 2's: leave it out"),
    (lambda: fl.Dense(3, weights=[]), "'weights'; that is Keras 2's"),
    (lambda: fl.BatchNormalization(epsilon=-1), "epsilon: -1 is wrong; give a finite number from 0"),
    (lambda: fl.RMSNormalization(epsilon=float("inf")), "epsilon=inf is wrong; infinity is not a number to compute with"),
    (lambda: fl.LayerNormalization(epsilon=np.nan), "epsilon=nan is wrong; NaN is not a number"),
    (lambda: fl.ELU(jnp.nan), "alpha=nan is wrong"),
    (lambda: fl.ReLU(max_value=np.nan), "max_value=nan is wrong"),
    (lambda: fl.Dropout(float("nan")), "rate=nan is wrong"),
    (lambda: fl.Dense(3, lr=0.1), "'lr'.* optax"),
]  # fmt: skip

ALIKE = [
    (lambda: fl.Reshape(np.array([2, 4])), fl.Reshape((2, 4))),
    (lambda: fl.Softmax(axis=np.int64(1)), fl.Softmax(axis=1)),
    (lambda: fl.Dropout(jnp.float32(0.5)), fl.Dropout(0.5)),
    (lambda: fl.Dense(jnp.int32(3), use_bias=np.bool_(False)), fl.Dense(3, use_bias=False)),
    (lambda: fl.Conv2D(3, (np.int8(2), jnp.int32(3))), fl.Conv2D(3, (2, 3))),
    (lambda: fl.ZeroPadding2D(np.array([[1, 1], [2, 2]])), fl.ZeroPadding2D(((1, 1), (2, 2)))),
]


@pytest.mark.parametrize("make, message", WRONG)
def test_a_field_of_another_type_is_refused_when_the_layer_is_made(make, message):
    with pytest.raises(fl.ConfigError, match=message):
        make()


@pytest.mark.parametrize("make, plain", ALIKE)
def test_numbers_of_numpy_and_jax_are_taken_as_what_they_are(make, plain):
    assert make() == plain and hash(make()) == hash(plain)


def test_an_activation_may_be_a_layer_without_weights():
    layer, x = fl.Dense(3, activation=fl.Softmax(axis=1)), jnp.arange(24.0).reshape(2, 4, 3)
    params = layer.init(jax.random.key(0), x.shape)
    plain = fl.Dense(3).apply(params, x)
    np.testing.assert_allclose(layer.apply(params, x), jax.nn.softmax(plain, axis=1), rtol=1e-6)


@fl.layerclass
class Own(fl.Layer):
    """A layer of one's own: its annotations are all that it needs."""

    mode: Literal["sum", "mean"] = "sum"
    sizes: "Sequence[int]" = ()
    count: int | None = None
    anything: "NotThere" = 0  # noqa: F821

    def call(self, params, x):
        return x


def test_a_layer_of_ones_own_is_checked_by_its_annotations():
    """Where one annotation means nothing at run time, the class is not checked, and works."""
    assert Own(mode="mode", sizes=3).mode == "mode"

    @fl.layerclass
    class Checked(fl.Layer):
        mode: Literal["sum", "mean"] = "sum"
        sizes: Sequence[int] = ()
        count: int | None = None

    assert Checked(sizes=np.array([1, 2]), count=np.int64(4)).sizes == (1, 2)
    for options, message in (
        ({"mode": "mode"}, "choose from sum, mean"),
        ({"sizes": 3}, "sizes=3"),
        ({"count": 2.5}, "2.5"),
    ):
        with pytest.raises(fl.ConfigError, match=message):
            Checked(**options)
