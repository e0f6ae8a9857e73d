"""Masks through layers that fold axes, merge inputs, or sum over the features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
IDS = np.array([[[1, 2, 0], [3, 0, 0], [0, 0, 0]], [[4, 0, 0], [0, 0, 0], [0, 0, 0]]])  # (documents, sentences, words)
SENTENCES = (IDS != 0).any(-1)


def run(model, x, mask=None):
    return model.run(model.init(KEY, x.shape), x, mask=mask)


def test_a_layer_that_ends_the_mask_of_each_step_leaves_that_of_the_steps():
    words = run(fl.Embedding(5, 4, mask_zero=True), IDS)
    out = run(fl.TimeDistributed(fl.LSTM(2)), words.y, words.mask)
    np.testing.assert_array_equal(out.mask, SENTENCES)


def test_a_layer_that_passes_the_mask_of_each_step_keeps_its_axes():
    words = run(fl.Embedding(5, 4, mask_zero=True), IDS)
    out = run(fl.TimeDistributed(fl.LSTM(2, return_sequences=True)), words.y, words.mask)
    np.testing.assert_array_equal(out.mask, words.mask & SENTENCES[..., None])


def test_the_mask_that_the_inner_layer_makes_comes_out():
    embed = fl.TimeDistributed(fl.Embedding(5, 4, mask_zero=True))
    np.testing.assert_array_equal(run(embed, IDS).mask, IDS != 0)
    first = jnp.array([[True, False, False]] * 2)
    np.testing.assert_array_equal(run(embed, IDS, first).mask, (IDS != 0) & first[..., None])


def test_several_outputs_have_a_mask_each():
    words = run(fl.Embedding(5, 4, mask_zero=True), IDS)
    out = run(fl.TimeDistributed(fl.LSTM(2, return_sequences=True, return_state=True)), words.y, words.mask)
    assert [m.ndim for m in out.mask] == [3, 2, 2]


@pytest.mark.parametrize("reader", [
    fl.LSTM(3), fl.Bidirectional(fl.GRU(3)), fl.GlobalAveragePooling1D(), fl.MultiHeadAttention(1, 2),
    fl.Sequential([fl.BatchNormalization(), fl.Softmax(), fl.LSTM(2)]),
], ids=lambda layer: type(layer).__name__)  # fmt: skip
def test_words_to_sentences_to_document(reader):
    """Padding words and padding sentences change nothing."""
    model = fl.Sequential([fl.Embedding(5, 4, mask_zero=True), fl.TimeDistributed(fl.LSTM(3)), reader])
    params, state = model.init(KEY, IDS.shape), model.init_state(IDS.shape)
    y = model.apply(params, IDS, state=state)
    padded = model.apply(params, np.pad(IDS, [(0, 0), (0, 2), (0, 1)]), state=state)
    valid = SENTENCES if y.ndim == 3 else np.ones(2, bool)
    np.testing.assert_allclose(padded[:, : y.shape[1]][valid], y[valid], atol=1e-5)


@pytest.mark.parametrize("layer", [fl.Dense(4), fl.ReversibleEmbedding(4, 4)], ids=lambda layer: type(layer).__name__)
def test_a_mask_over_features_that_are_summed_is_an_error(layer):
    x = jnp.ones((2, 3, 4))
    params = layer.init(KEY, x.shape)
    with pytest.raises(fl.ConfigError, match="sums over the last axis"):
        layer.run(params, x, mask=jnp.ones((2, 3, 4), bool))


@fl.layerclass
class Halved(fl.Layer):
    """Every second step, with the mask of all."""

    passes_mask = True

    def call(self, params, x):
        return x[:, ::2]


def test_a_mask_that_does_not_fit_the_output_is_an_error_of_that_layer():
    model = fl.Sequential([fl.Embedding(5, 4, mask_zero=True), Halved(), fl.Softmax()])
    with pytest.raises(fl.ShapeError, match=r"halved: Halved.*\(2, 2, 4\) with a mask of shape \(2, 3\).*DropMask"):
        model.apply(model.init(KEY, (2, 3)), IDS[0][:2])


def test_arithmetic_of_symbols_ends_a_mask_as_in_keras_where_a_merge_layer_passes_it_on():
    x = fl.Masking()(fl.Input((3, 4)))
    assert (x.masked, fl.add([x, x]).masked) == (2, 2)
    assert [y.masked for y in (x + x, x * 2, 1 - x, -x, x @ x[:, 0, :, None], x[:, :2])] == [0] * 6


@pytest.mark.parametrize("kind", [fl.Add, fl.Multiply, fl.Maximum, fl.Minimum, fl.Average, fl.Subtract])
def test_a_merge_passes_on_the_masks_that_are_there(kind):
    """A gate or a position without a mask does not unmask a sequence; Keras drops the mask."""
    x, mask = jnp.ones((2, 3, 4)), jnp.array([[True, True, False], [True, False, False]])
    for inputs, masks in [((x, x), (mask, None)), ((x, x[:, :1]), (mask, None)), ((x[:, 0], x), (None, mask))]:
        np.testing.assert_array_equal(kind().run({}, inputs, mask=masks).mask, mask)
        assert kind(keras_masks=True).run({}, inputs, mask=masks).mask is None
    few = kind().run({}, (x[:, :1], x), mask=(mask[:, 2:], None))
    np.testing.assert_array_equal(few.mask, jnp.broadcast_to(mask[:, 2:], (2, 3)))


def test_a_noise_shape_with_fewer_axes_broadcasts_over_the_last():
    x = jnp.ones((3, 4, 5))
    for layer in (fl.Dropout(0.5, noise_shape=(5,)), fl.AlphaDropout(0.5, noise_shape=(4, 1))):
        y = np.asarray(layer.run({}, x, rng=KEY, train=True).y)
        np.testing.assert_array_equal(y, np.broadcast_to(y[:1], y.shape))
        assert len(np.unique(y)) == 2


@pytest.mark.parametrize("noise", ["abc", 0, -1, 1.5, (0,), (-1, 2), (1.5,), (True,), ("a",)])
@pytest.mark.parametrize("kind", [fl.Dropout, fl.AlphaDropout])
def test_a_noise_shape_that_is_none_is_refused_when_the_layer_is_made(kind, noise):
    with pytest.raises(fl.ConfigError, match="noise_shape"):
        kind(0.5, noise_shape=noise)


def test_a_model_whose_masks_can_only_fail_is_refused_where_it_is_built():
    """Masks are traced where shapes are: at init, in summaries and pictures, and at the line that builds a graph."""
    embed = fl.Embedding(5, 4, mask_zero=True)
    model = fl.Sequential([embed, fl.Dense(3), fl.Sequential([fl.Conv1D(2, 2)])])
    for use in (
        lambda: model.init(KEY, (None, 6)),
        lambda: fl.summary(model, (None, 6)),
        lambda: fl.show.graph(model, (None, 6)),
    ):
        with pytest.raises(fl.ConfigError, match=r"sequential/conv1d: Conv1D.*fnlayers\.DropMask\(\)"):
            use()
    steps = fl.Input((6,), dtype="int32")
    with pytest.raises(fl.ConfigError, match="Conv1D"):
        fl.Conv1D(2, 2)(embed(steps))
    for reader in (fl.LSTM(2), fl.Sequential([fl.DropMask(), fl.Conv1D(2, 2)])):
        fl.functional(steps, reader(embed(steps))).init(KEY, (None, 6))
        fl.Sequential([embed, reader]).init(KEY, (None, 6))
