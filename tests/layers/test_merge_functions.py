"""The lower-case merge functions: a layer and its call in one, on Symbols and on arrays."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

A, B = jnp.array([[1.0, -2.0, 3.0]]), jnp.array([[4.0, 5.0, -6.0]])

FUNCTIONS = {
    "add": (fl.add, fl.Add(), A + B),
    "subtract": (fl.subtract, fl.Subtract(), A - B),
    "multiply": (fl.multiply, fl.Multiply(), A * B),
    "average": (fl.average, fl.Average(), (A + B) / 2),
    "maximum": (fl.maximum, fl.Maximum(), jnp.maximum(A, B)),
    "minimum": (fl.minimum, fl.Minimum(), jnp.minimum(A, B)),
    "concatenate": (fl.concatenate, fl.Concatenate(), jnp.concatenate([A, B], -1)),
    "dot": (fl.dot, fl.Dot(-1), (A * B).sum(-1, keepdims=True)),
}


@pytest.mark.parametrize("function, layer, wanted", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_a_function_is_its_layer(function, layer, wanted):
    for inputs in ([A, B], (A, B)):
        np.testing.assert_allclose(function(inputs), wanted, rtol=1e-6)
    a, b = fl.Input((3,)), fl.Input((3,))
    model = fl.functional((a, b), function([a, b]))
    assert model.layers[0] == dataclasses.replace(layer, name=model.layers[0].name)
    np.testing.assert_allclose(model.apply({}, (A, B)), wanted, rtol=1e-6)


def test_axes_stand_second_as_in_keras():
    x = jnp.arange(6.0).reshape(1, 2, 3)
    assert fl.concatenate([x, x], 1).shape == (1, 4, 3) and fl.concatenate([x, x], axis=2).shape == (1, 2, 6)
    assert fl.dot([x, x], 2).shape == (1, 2, 2) and fl.dot([x, x], axes=(1, 1)).shape == (1, 3, 3)


@pytest.mark.parametrize("function", [fl.add, fl.concatenate])
def test_one_array_is_no_list(function):
    with pytest.raises(fl.ConfigError, match=r"(add|concatenate) takes a list of Symbols or arrays, got"):
        function(A)


def test_one_input_is_enough_to_concatenate_only():
    np.testing.assert_array_equal(fl.concatenate([A]), A)
    with pytest.raises(fl.ShapeError, match="takes a tuple of at least 2 inputs"):
        fl.add([A])


def test_several_arguments_are_taken_as_the_layers_take_them():
    one = jnp.ones(2)
    assert fl.add(one, one).tolist() == fl.add([one, one]).tolist() == [2, 2]
    assert fl.multiply(i := fl.Input((2,)), i).shape == (None, 2)
