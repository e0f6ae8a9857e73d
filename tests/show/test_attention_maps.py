"""Maps of attention."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.show import attention


def maps(figure):
    return [axes.get_images()[0].get_array() for axes in figure.axes[:-1]]  # the last one is the color bar


def test_it_draws_the_weights_that_a_layer_returns(tmp_path):
    layer = fl.MultiHeadAttention(2, 4, return_attention_scores=True)
    x = jax.random.normal(jax.random.key(0), (3, 5, 4))
    _, weights = layer.apply(layer.init(jax.random.key(1), (x.shape, x.shape)), (x, x))
    words = ["the", "cat", "sat", "down", "."]
    figure = attention(weights, tmp_path / "attention.png", queries=words, keys=words, example=1)
    np.testing.assert_allclose(maps(figure), weights[1])
    assert [axes.get_title() for axes in figure.axes[:-1]] == ["head 0", "head 1"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == words
    assert {axes.get_images()[0].get_clim() for axes in figure.axes[:-1]} == {(0.0, float(weights[1].max()))}
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("heads", [1, 4, 6, 7])
def test_any_number_of_heads(heads):
    weights = jnp.ones((heads, 2, 3)) / 3
    assert np.shape(maps(attention(weights))) == (heads, 2, 3)


def test_weights_of_nothing_are_drawn():
    np.testing.assert_array_equal(maps(attention(np.zeros((2, 2)))), np.zeros((1, 2, 2)))


def test_many_positions_are_not_named():
    figure = attention(np.eye(41), queries=list("x" * 41))
    assert "x" not in [label.get_text() for label in figure.axes[0].get_yticklabels()]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((3,), {}, r"\(queries, keys\), .*got an array of shape \(3,\)"),
        ((2, 0, 3), {}, r"shape \(2, 0, 3\)"),
        ((2, 1, 3, 3), {"example": 2}, r"\(example=2\): the batch holds 2, counted from 0"),
        ((3, 3), {"keys": ["a", "b"]}, r"\(keys=\['a', 'b'\]\): the weights have 3 keys, and there are 2 names"),
        ((3, 3), {"queries": ["a"]}, "the weights have 3 queries, and there are 1 names"),
    ],
)
def test_what_are_no_such_weights(shape, options, message):
    with pytest.raises(fl.ConfigError, match=f"show.attention.*{message}"):
        attention(np.ones(shape), **options)
