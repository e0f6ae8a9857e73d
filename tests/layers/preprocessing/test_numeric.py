"""Rescaling and Normalization: what stands in no law; numbers of Keras are in tests/golden."""

import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

X = jnp.array([[4.0, 3.0], [0.0, -1.0]])


def test_integers_become_numbers_of_the_compute_dtype():
    image = jnp.array([[0, 51, 255]], "uint8")
    y = fl.Rescaling(1 / 255).apply({}, image)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, [[0, 0.2, 1]], rtol=1e-6)
    assert fl.Normalization(mean=1, variance=4, dtype="mixed_bfloat16").apply({}, image).dtype == "bfloat16"


def test_statistics_are_state_where_they_are_no_options():
    layer = fl.Normalization()
    state = layer.init_state((None, 2)) | {"mean": jnp.array([2.0, 1.0]), "variance": jnp.array([4.0, 0.0])}
    y, out = layer.apply({}, X, state=state), layer.run({}, X, state=state, train=True)
    np.testing.assert_allclose(y, [[1, 2e7], [-1, -2e7]])  # Keras: divided by 1e-7 at least
    assert out.state["mean"].tolist() == [2.0, 1.0] and out.state["count"].dtype == "int32"
    back = fl.Normalization(mean=[2.0, 1.0], variance=[4.0, 0.0], invert=True)
    np.testing.assert_allclose(back.apply({}, y), X, rtol=1e-6)


def test_half_precision_has_statistics_of_float32():
    """A variance of 1e6 is infinite in float16."""
    layer = fl.Normalization(mean=100.0, variance=1e6, dtype="float16")
    np.testing.assert_allclose(layer.apply({}, jnp.array([[1100.0]], "float16")), [[1.0]])


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: fl.Normalization(mean=1.0), "give both, or neither"),
        (lambda: fl.Normalization(mean=[1.0, 2.0], variance=1.0), r"mean has the shape \(2,\), variance \(\)"),
        (lambda: fl.Normalization(None, [1.0], [1.0]), "mean has 1 axes and axis=None names 0"),
        (lambda: fl.Normalization(mean=0.0, variance=-1.0), "variance=-1.0 is wrong"),
        (lambda: fl.Normalization((1, 1)), "names an axis twice"),
        (lambda: fl.Normalization(3).init_state((None, 2)), "names axis 3, but its input has the axes 0 to 1"),
        (lambda: fl.Normalization().init_state((None, None)), "axis -1|size"),
        (lambda: fl.Normalization(mean=[1.0] * 3, variance=[1.0] * 3).apply({}, X), "has 3 means along axis 1"),
        (lambda: fl.Rescaling([1.0, 2.0, 3.0]).apply({}, X), r"a scale of the shape \(3,\) does not broadcast"),
        (lambda: fl.Rescaling([[[1.0]]]).apply({}, X), "does not broadcast"),
        (lambda: fl.Rescaling([[1.0], [1.0, 2.0]]), "rows of several lengths"),
        (lambda: fl.Rescaling("1/255"), "give a number, or a tuple or nest of numbers"),
        (lambda: fl.LayerScale(1.0, 3).specs((None, 2)), "takes 3 channels"),
        (lambda: fl.CustomScaleLayer(1.0).apply({}, X), "takes two inputs of one shape"),
        (lambda: fl.StochasticDepth(1.5), "give a number from 0 to 1"),
    ],
)
def test_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()
