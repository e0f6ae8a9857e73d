"""Losses on probabilities. The numbers are those of Keras 3.15.1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.training import losses

ROWS = np.array([[0.2, 0.3, 0.5], [0, 1, 0], [2, 1, 1]], "float32")  # the last one is divided by its sum
CLASSES = np.array([2, 0, 1])
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
ANSWERS = np.array([[0.25, 1, 0], [0.5, 0.9, 1e-9]], "float32")
TRUTH = np.array([[1, 0, 1], [0, 1, 0]])


def test_numbers_of_keras():
    expected = [0.6931471824645996, 16.11809539794922, 1.3862943649291992]
    np.testing.assert_allclose(losses.sparse_categorical_crossentropy(ROWS, CLASSES), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.categorical_crossentropy(ROWS, ONE_HOT), expected, rtol=1e-6)
    smooth = losses.categorical_crossentropy(ROWS, ONE_HOT, label_smoothing=0.2)
    np.testing.assert_allclose(smooth, [0.7882882952690125, 15.043556213378906, 1.3400845527648926], rtol=1e-6)
    binary = losses.binary_crossentropy(ANSWERS, TRUTH)
    assert binary.shape == ANSWERS.shape
    np.testing.assert_allclose(binary.mean(-1), [11.148924827575684, 0.26616930961608887], rtol=1e-6)
    binary = losses.binary_crossentropy(ANSWERS, TRUTH, label_smoothing=0.2)
    np.testing.assert_allclose(binary.mean(-1), [10.043622016906738, 0.8766798973083496], rtol=1e-6)


def test_gradients_of_keras():
    gradient = jax.grad(lambda p: losses.sparse_categorical_crossentropy(p, CLASSES).sum())(ROWS)
    np.testing.assert_allclose(gradient, [[1, 1, -1], [0, 0, 0], [0.25, -0.75, 0.25]], rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda p: losses.binary_crossentropy(p, TRUTH).mean(-1).sum())(ANSWERS)
    np.testing.assert_allclose(gradient, [[-4 / 3, 0, 0], [2 / 3, -1 / 2.7, 0]], rtol=1e-5, atol=1e-6)


def test_any_axis_and_half_precision():
    rows = np.arange(1, 13, dtype="float32").reshape(2, 3, 2)
    labels = np.array([[0, 1], [2, 1]])
    expected = [[2.1972246170043945, 1.0986123085021973], [0.8979415893554688, 1.0986123085021973]]
    np.testing.assert_allclose(losses.sparse_categorical_crossentropy(rows, labels, axis=1), expected, rtol=1e-6)
    one_hot = jax.nn.one_hot(labels, 3, axis=1)
    np.testing.assert_allclose(losses.categorical_crossentropy(rows, one_hot, axis=1), expected, rtol=1e-6)
    assert np.isfinite(losses.binary_crossentropy(jnp.array([[1.0, 0.0]], "bfloat16"), TRUTH[:1, 1:])).all()


def test_what_is_no_class_shows():
    assert np.isnan(losses.sparse_categorical_crossentropy(ROWS, jnp.array([-1, 3, 1])))[:2].all()
    for wrong in (ONE_HOT, CLASSES[:, None], CLASSES.astype("float32")):
        with pytest.raises(fl.ShapeError, match=r"takes class numbers of shape \(3,\) .* use categorical_crossentropy"):
            losses.sparse_categorical_crossentropy(ROWS, wrong)
    with pytest.raises(fl.ShapeError, match="for class numbers use sparse_categorical_crossentropy"):
        losses.categorical_crossentropy(ROWS, CLASSES)
    with pytest.raises(fl.ShapeError, match="two arrays of one shape"):
        losses.binary_crossentropy(ANSWERS, TRUTH[:, 0])


def test_equal_to_the_loss_on_logits():
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    labels = np.array([0, 2, 1, 1])
    on_logits = -jax.nn.log_softmax(logits)[np.arange(4), labels]
    np.testing.assert_allclose(
        fl.losses.sparse_categorical_crossentropy(jax.nn.softmax(logits), labels), on_logits, rtol=1e-5
    )
