"""Complex, boolean and integer inputs of layers that compute with real numbers: taken as what they are, or an error."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl
from fnlayers.core.errors import ConfigError

REAL = {
    "dense": (fl.Dense(2), (2, 3)),
    "conv": (fl.Conv1D(2, 1), (2, 3, 1)),
    "depthwise": (fl.DepthwiseConv1D(1), (2, 3, 1)),
    "norm": (fl.LayerNormalization(), (2, 3)),
    "lstm": (fl.LSTM(2), (2, 3, 1)),
    "inside": (fl.Sequential([fl.Flatten(), fl.Dense(2)]), (2, 3)),
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("array", [np.ones, jnp.ones])
def test_complex_inputs_are_refused_by_name(name, array):
    layer, shape = REAL[name]
    params = layer.init(jax.random.key(0), shape)
    with pytest.raises(ConfigError, match=r"real numbers, got .*the imaginary part would be lost"):
        jax.eval_shape(lambda x: layer.apply(params, x), array(shape) * (1 + 2j))


def test_complex_numbers_pass_where_nothing_is_lost():
    x = jnp.ones((2, 3)) * (1 + 2j)
    assert fl.Flatten().apply({}, x).dtype == "complex64"


def test_fit_refuses_complex_inputs_before_the_first_step():
    x = np.ones((4, 3)) * 1j
    with pytest.raises(ConfigError, match="Dense.*the imaginary part would be lost"):
        fl.fit(fl.Dense(1), (x, x[:, :1].imag), loss=optax.squared_error, optimizer=optax.sgd(0.1), verbose=False)


def test_booleans_count_as_0_and_1_in_layers_that_cast_all():
    layer = fl.Dense(1, kernel_initializer="ones")
    params = layer.init(jax.random.key(0), (1, 3))
    assert layer.apply(params, jnp.array([[True, False, True]])).tolist() == [[2.0]]


ORDERED = {
    "embedding": (fl.Embedding(5, 2), (2, 3)),
    "max": (fl.MaxPooling1D(2), (2, 4, 1)),
    "average": (fl.AveragePooling1D(2), (2, 4, 1)),
    "global": (fl.GlobalMaxPooling1D(), (2, 4, 1)),
    "softmax": (fl.Softmax(), (2, 3)),
    "relu": (fl.ReLU(), (2, 3)),
    "activation": (fl.Activation("tanh"), (2, 3)),
    "attention": (fl.MultiHeadAttention(1, 2), (2, 3, 2)),
    "subtract": (fl.Subtract(), ((2, 3), (2, 3))),
}


@pytest.mark.parametrize("name", ORDERED)
@pytest.mark.parametrize("dtype", ["complex64", "bool"])
def test_layers_that_order_numbers_take_neither_complex_ones_nor_booleans(name, dtype):
    layer, shape = ORDERED[name]
    several = isinstance(shape[0], tuple)
    x = tuple(jnp.zeros(s, dtype) for s in shape) if several else jnp.zeros(shape, dtype)
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0), shape))
    with pytest.raises(ConfigError, match=f"{type(layer).__name__}.* got {dtype}"):
        jax.eval_shape(layer.apply, params, x)


@pytest.mark.parametrize("cls", [fl.Maximum, fl.Minimum])
def test_complex_numbers_have_no_largest_one(cls):
    with pytest.raises(ConfigError, match="real numbers"):
        cls().apply({}, (jnp.ones((2, 3)) * 1j, jnp.ones((2, 3))))


@pytest.mark.parametrize(
    "make", [lambda i: fl.functional(i, fl.Flatten()(i)), lambda i: fl.Sequential([i, fl.Flatten()])]
)
def test_complex_numbers_for_a_real_input_are_refused(make):
    with pytest.raises(fl.ShapeError, match="declared as float32, got complex64, whose imaginary part"):
        make(fl.Input((3,))).apply({}, jnp.ones((2, 3)) * 1j)


@pytest.mark.parametrize(
    "layer",
    [
        fl.MultiHeadAttention(1, 2),
        fl.Attention(),
        fl.SinePositionEncoding(),
        fl.RotaryEmbedding(),
        fl.Repeat(fl.Dense(2), 2),
    ],
)
def test_integers_count_as_the_floats_they_are(layer):
    """Kernels, scores and waves were cut to integers."""
    x = np.array([[[1, 2], [3, 0], [-1, 4]]])
    params = layer.init(jax.random.key(0), x.shape)
    np.testing.assert_array_equal(layer.apply(params, x), layer.apply(params, x.astype("float32")))
