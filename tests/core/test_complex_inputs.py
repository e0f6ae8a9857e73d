"""Complex inputs of layers that compute with real numbers: an error that names the layer, never the real part alone."""

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
    with pytest.raises(ConfigError, match=r"real numbers and was given .*the imaginary part would be lost"):
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
