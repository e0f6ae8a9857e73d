"""A confusion matrix as a picture."""

import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.show import confusion_matrix


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_row_is_colored_by_its_fractions_so_that_rare_classes_are_seen(tmp_path):
    figure = confusion_matrix([[900, 100, 0], [1, 9, 0], [0, 0, 0]], ["a", "b", "c"], tmp_path / "matrix.png")
    image = figure.axes[0].get_images()[0]
    np.testing.assert_allclose(image.get_array(), [[90, 10, 0], [10, 90, 0], [0, 0, 0]])
    assert texts(figure) == ["90", "10", "", "10", "90", "", "", "", ""]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted class", "true class")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "b", "c"]
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")


def test_it_takes_what_the_metric_counts():
    metric = fl.metrics.ConfusionMatrix(2)
    sums = metric.update(metric.init(), jnp.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), jnp.array([0, 0, 1]))
    assert texts(confusion_matrix(metric.result(sums), counts=True)) == ["1", "1", "", "1"]


def test_many_classes_have_no_numbers():
    assert texts(confusion_matrix(np.eye(21))) == []


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        ([[1, 2, 3]], None, r"takes a matrix of counts \(n, n\); got one of shape \(1, 3\)"),
        ([[1], [2, 3]], None, r"takes a matrix of counts \(n, n\); got \[\[1\], \[2, 3\]\]"),
        ([], None, r"got one of shape \(0,\)"),
        ([[1, -1], [0, 1]], None, "counts are finite and at least 0; some of these are not"),
        ([[1, 0], [0, float("nan")]], None, "counts are finite"),
        ([[1, 0], [0, 1]], ["cat"], "the matrix has 2 classes, and there are 1 names"),
    ],
)
def test_what_is_no_such_matrix(matrix, names, message):
    with pytest.raises(fl.ConfigError, match=f"show.confusion_matrix.*{message}"):
        confusion_matrix(matrix, names)
