import functools

import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.training import metrics

PRED = jnp.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4]])


def test_classes():
    assert metrics.accuracy(PRED, jnp.array([1, 1, 2])).tolist() == [1, 0, 1]
    one_hot = jnp.eye(3)[jnp.array([1, 1, 2])]
    assert metrics.categorical_accuracy(PRED, one_hot).tolist() == [1, 0, 1]
    steps = metrics.accuracy(PRED[:, None].repeat(4, 1), jnp.ones((3, 4), int))
    assert steps.shape == (3, 4)


def test_binary():
    p, t = jnp.array([[0.2], [0.6], [0.5]]), jnp.array([[0], [1], [1]])
    assert metrics.binary_accuracy(p, t)[:, 0].tolist() == [1, 1, 0]
    logits = functools.partial(metrics.binary_accuracy, threshold=0.0)
    assert logits(p - 0.3, t)[:, 0].tolist() == [1, 1, 1]


def test_top_k():
    labels = jnp.array([2, 1, 0])
    assert metrics.top_k_accuracy(1)(PRED, labels).tolist() == [0, 0, 0]
    assert metrics.top_k_accuracy(2)(PRED, labels).tolist() == [1, 0, 1]
    assert metrics.top_k_accuracy(9)(PRED, labels).tolist() == [1, 1, 1]
    assert metrics.top_k_accuracy(9)(PRED * jnp.nan, labels).tolist() == [0, 0, 0]
    assert metrics.top_k_accuracy(3) == metrics.top_k_accuracy(3)
    with pytest.raises(fl.ConfigError, match="top_k_accuracy.k=0.: give a whole number"):
        metrics.top_k_accuracy(0)


def test_numbers():
    p, t = jnp.array([[1.0, 2.0]]), jnp.array([[2.0, 0.0]])
    assert metrics.mean_absolute_error(p, t).tolist() == [[1, 2]]
    assert metrics.mean_squared_error(p, t).tolist() == [[1, 4]]
    np.testing.assert_allclose(metrics.mean_absolute_percentage_error(p, t), [[50, 2e9]], rtol=1e-5)
    np.testing.assert_allclose(metrics.cosine_similarity(p, t), [1 / 5**0.5], rtol=1e-6)
    assert metrics.cosine_similarity(p * 0, t).tolist() == [0]


@pytest.mark.parametrize(
    ("metric", "p", "t", "text"),
    [
        (metrics.accuracy, (4, 3), (4, 1), r"accuracy takes class numbers of shape \(4,\) for y_pred \(4, 3\)"),
        (metrics.accuracy, (4, 3), (4, 3), "for one-hot labels use categorical_accuracy"),
        (metrics.binary_accuracy, (4, 1), (4,), r"got y_pred \(4, 1\) and y \(4,\)"),
        (metrics.mean_squared_error, (4, 1), (4,), "takes two arrays of one shape"),
    ],
)
def test_shapes_that_do_not_pair(metric, p, t, text):
    with pytest.raises(fl.ShapeError, match=text):
        metric(jnp.ones(p), jnp.ones(t, int))
    with pytest.raises(fl.ShapeError, match="takes class numbers"):
        metrics.accuracy(jnp.ones((4, 3)), jnp.ones(4))
