"""Where layers differ from Keras on purpose: the lines of docs/deviations.md."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)


def initialized(layer, x):
    return layer.init(KEY, x.shape), layer.init_state(x.shape)


@pytest.mark.parametrize("index", [-1, 3, 2**32, 2**40 + 1])
def test_a_64_bit_integer_without_a_row_is_nan(index, x64):
    y = fl.Embedding(3, 2).apply({"embeddings": jnp.ones((3, 2), "float32")}, jnp.array([2, index]))
    np.testing.assert_array_equal(jnp.isnan(y), [[False] * 2, [True] * 2])


@pytest.mark.parametrize("index", [-1, 3, -4, 4])
def test_an_embedding_shows_a_wrong_integer_and_learns_nothing_from_it(index):
    layer, x = fl.Embedding(3, 2), jnp.array([0, index])
    params, _ = initialized(layer, x)
    y = layer.apply(params, x)
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()
    gradient = jax.grad(lambda p: jnp.nansum(layer.apply(p, x)))(params)["embeddings"]
    assert gradient.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_the_mean_of_a_sequence_without_steps_is_0():
    x, mask = jnp.ones((2, 3, 1)), jnp.array([[True, True, False], [False, False, False]])
    layer = fl.GlobalAveragePooling1D()
    assert layer.apply({}, x, mask=mask).tolist() == [[1.0], [0.0]]
    gradient = jax.grad(lambda x: layer.apply({}, x, mask=mask).sum())(x)
    assert gradient[..., 0].tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]


def test_batch_normalization_is_in_float64_where_its_policy_is(x64):
    layer, draw = fl.BatchNormalization(dtype="float64"), np.random.RandomState(0)
    x, mean, variance = draw.rand(4, 3), draw.rand(3), draw.rand(3)
    params, state = initialized(layer, x)
    assert {a.dtype.name for a in jax.tree.leaves((params, state))} == {"float64"}
    y = layer.apply(
        params, jnp.asarray(x), state={"moving_mean": jnp.asarray(mean), "moving_variance": jnp.asarray(variance)}
    )
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + layer.epsilon), rtol=1e-14)


def test_a_batch_that_is_masked_whole_moves_no_statistics():
    layer, x = fl.BatchNormalization(), jnp.ones((2, 3, 2)) * 7
    params, state = initialized(layer, x)
    out = layer.run(params, x, state=state, mask=jnp.zeros((2, 3), bool), train=True)
    np.testing.assert_array_equal(out.state["moving_mean"], state["moving_mean"])
    np.testing.assert_array_equal(out.state["moving_variance"], state["moving_variance"])
    assert np.isfinite(out.y).all()


@pytest.mark.parametrize("axis, channels", [(1, 3), (-1, 1), (2, 2)])
def test_masked_statistics_on_any_axis_and_for_one_channel(axis, channels):
    shape = [4, 3, 2]
    shape[axis] = channels
    x = jnp.asarray(np.random.RandomState(0).randn(*shape), "float32")
    mask = jnp.array([[True] * shape[1]] * 2 + [[False] * shape[1]] * 2)
    layer = fl.BatchNormalization(axis=axis, momentum=0.0)
    params, state = initialized(layer, x)
    out = layer.run(params, x, state=state, mask=mask, train=True)
    real = np.moveaxis(np.asarray(x[:2]), axis, -1).reshape(-1, channels)
    np.testing.assert_allclose(out.state["moving_mean"], real.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out.state["moving_variance"], real.var(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_synchronized_statistics_are_those_of_the_whole_batch(masked):
    x = jnp.asarray(np.random.RandomState(0).randn(2, 4, 3, 2), "float32")
    mask = jnp.asarray(np.random.RandomState(1).rand(2, 4, 3) > 0.4) if masked else None
    split, whole = fl.BatchNormalization(synchronized="parts"), fl.BatchNormalization()
    params, state = initialized(whole, x[0])

    def part(x, mask):
        return split.run(params, x, state=state, mask=mask, train=True)

    out = jax.vmap(part, axis_name="parts")(x, mask)
    flat = None if mask is None else mask.reshape(8, 3)
    expected = whole.run(params, x.reshape(8, 3, 2), state=state, mask=flat, train=True)
    np.testing.assert_allclose(out.y.reshape(8, 3, 2), expected.y, rtol=1e-5, atol=1e-5)
    for name in state:
        np.testing.assert_allclose(out.state[name][0], expected.state[name], rtol=1e-5, atol=1e-6)


def test_time_distributed_takes_statistics_over_all_steps():
    x = jnp.asarray(np.random.RandomState(0).randn(4, 3, 2), "float32")
    layer = fl.TimeDistributed(fl.BatchNormalization(momentum=0.0))
    params, state = initialized(layer, x)
    out = layer.run(params, x, state=state, train=True)
    np.testing.assert_allclose(out.state["layer"]["moving_mean"], x.reshape(-1, 2).mean(0), rtol=1e-5, atol=1e-6)


def test_spectral_normalization_divides_in_both_modes_and_leaves_the_kernel():
    layer, x = fl.SpectralNormalization(fl.Dense(4, use_bias=False), power_iterations=50), jnp.eye(3)
    params, state = initialized(layer, x)
    out = layer.run(params, x, state=state, train=True)
    sigma = np.linalg.svd(params["layer"]["kernel"])[1][0]
    np.testing.assert_allclose(out.y, params["layer"]["kernel"] / sigma, rtol=1e-4)
    np.testing.assert_allclose(layer.apply(params, x, state=out.state), out.y, rtol=1e-4)
    zero = jax.tree.map(jnp.zeros_like, params)
    gradient = jax.grad(lambda p: layer.run(p, x, state=state, train=True).y.sum())(zero)
    assert np.isfinite(gradient["layer"]["kernel"]).all()


def test_spectral_normalization_lets_the_gradient_through_sigma():
    layer, x = fl.SpectralNormalization(fl.Dense(1, use_bias=False)), jnp.ones((1, 1))
    params, state = initialized(layer, x)  # one number divided by itself: its gradient is 0
    gradient = jax.grad(lambda p: layer.apply(p, x, state=state).sum())(params)
    np.testing.assert_allclose(gradient["layer"]["kernel"], 0, atol=1e-5)


def test_rms_normalization_scales_each_cell_along_its_axes_by_its_own_number():
    x, scale = jnp.arange(1.0, 10).reshape(1, 3, 3), jnp.array([1.0, 10.0, 100.0])
    y = fl.RMSNormalization(axis=1).apply({"scale": scale}, x)
    plain = fl.RMSNormalization(axis=1).apply({"scale": jnp.ones(3)}, x)
    np.testing.assert_allclose(y, plain * scale[None, :, None], rtol=1e-6)


def test_reversible_embedding_goes_back_for_floats():
    layer = fl.ReversibleEmbedding(5, 3, tie_weights=False, logit_soft_cap=0.5, mask_zero=True)
    ids, x = jnp.array([[1, 0]]), jnp.asarray(np.random.RandomState(0).randn(2, 3), "float32")
    params = layer.init(KEY, ids.shape)
    there = layer.run(params, ids)
    np.testing.assert_array_equal(there.y[0], params["embeddings"][np.array([1, 0])])
    assert there.mask.tolist() == [[True, False]]
    np.testing.assert_allclose(
        layer.apply(params, x), 0.5 * np.tanh(x @ params["reverse_embeddings"] / 0.5), rtol=1e-5, atol=1e-6
    )
    tied = fl.ReversibleEmbedding(5, 3, reverse_dtype="float32")
    logits = tied.apply({"embeddings": params["embeddings"]}, x.astype("bfloat16"))
    assert logits.dtype == "float32" and logits.shape == (2, 5)
    assert tied.out_type((None, 3), "float32").shape == (None, 5)


def test_a_mask_without_meaning_is_refused_with_the_way_out():
    x, mask = jnp.ones((2, 4, 3)), jnp.ones((2, 4), bool)
    model = fl.Sequential([fl.Conv1D(2, 2)])
    params = model.init(KEY, x.shape)
    with pytest.raises(fl.ConfigError, match=r"conv1d: Conv1D\(.*does not support a mask.*put fnlayers.DropMask\(\)"):
        model.run(params, x, mask=mask)
    assert fl.Sequential([fl.DropMask(), fl.Conv1D(2, 2)]).run(params, x, mask=mask).mask is None


@pytest.mark.parametrize("layer", [fl.GRU(2, recurrent_dropout=0.5), fl.LSTM(2, recurrent_dropout=0.5)], ids=repr)
def test_one_dropout_mask_serves_all_gates(layer):
    """So that a dropped feature of x reaches no gate: its rows of the kernel have no gradient."""
    layer, x = replace(layer, dropout=0.5), jnp.ones((1, 2, 16))
    params, _ = initialized(layer, x)
    gradient = jax.grad(lambda p: layer.apply(p, x, rng=KEY, train=True).sum())(params)["cell"]["kernel"]
    dropped = (gradient == 0).sum(1)
    assert set(dropped.tolist()) == {0, gradient.shape[1]}


@pytest.mark.parametrize("layer", [fl.GRU(2), fl.LSTM(2), fl.ConvLSTM1D(2, 2)], ids=repr)
def test_dropping_all_leaves_nothing(layer):
    x = jnp.asarray(np.random.RandomState(0).randn(2, 3, 4, 1), "float32")
    x = x if isinstance(layer, fl.ConvLSTM1D) else x[..., 0]
    layer = replace(layer, dropout=1.0, recurrent_dropout=1.0)
    params, _ = initialized(layer, x)
    y = layer.apply(params, x, rng=KEY, train=True)
    np.testing.assert_array_equal(y, layer.apply(params, 0 * x, rng=KEY, train=True))


def test_each_output_of_a_distributed_layer_has_its_time_axis():
    layer, x = fl.TimeDistributed(fl.LSTM(2, return_state=True)), jnp.ones((2, 3, 4, 5))
    params, _ = initialized(layer, x)
    mask = jnp.array([[1, 1, 0], [1, 0, 0]], bool)
    out = layer.run(params, x, mask=mask)
    assert [y.shape for y in out.y] == 3 * [(2, 3, 2)] and all(m is mask for m in out.mask)
    each = [layer.layer.apply(params["layer"], x[:, step]) for step in range(3)]
    wanted = jax.tree.map(lambda *steps: jnp.stack(steps, 1), *each)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), out.y, wanted)


def test_the_activity_loss_of_a_distributed_layer_is_that_of_the_sequences():
    layer, x = fl.Dense(2, activity_regularizer="l2"), jnp.ones((2, 3, 4))
    params, _ = initialized(layer, x)
    (wanted,) = layer.run(params, x).losses
    (got,) = fl.TimeDistributed(layer).run({"layer": params}, x).losses
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_a_simple_recurrent_layer_has_its_activity_loss():
    layer, x = fl.SimpleRNN(2, activity_regularizer="l2"), jnp.ones((4, 3, 2))
    params, _ = initialized(layer, x)
    out = layer.run(params, x)
    np.testing.assert_allclose(sum(out.losses), 0.01 * jnp.sum(out.y**2) / 4, rtol=1e-6)
