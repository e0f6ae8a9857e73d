"""Known numerical traps, where libraries of this kind went wrong before. Numbers in names count them.

Those tested elsewhere: 1-5 with several heads in test_attention.py; 9 (frozen statistics) in trees/test_tree_transforms.py;
10, 11, 14, 27 (masked, synchronized, spectral, no steps) in test_deviations.py; 19 (gradients far out) in
functions/test_activations.py; 21 (strides with dilation) in test_layer_errors.py; 23 (transposed convolution) in
ops/test_ops_conv.py; 35 (one key, one use) in laws/test_keys.py; 37, 38 (orthogonal, fans) in
functions/test_initializers.py; 46 (shrinking bounds) in functions/test_constraints.py; 48 (interpolation) in
ops/test_ops_spatial.py; 50 (products in float32) for all tests in conftest.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)


def batch_norm(x, **options):
    layer = fl.BatchNormalization(**options)
    params, state = layer.init(KEY, x.shape), layer.init_state(x.shape)
    return layer, params, state


def test_trap_1_a_softmax_row_with_nothing_left_is_0_with_gradient_0():
    x, mask = jnp.array([[1.0, 2.0, 3.0]] * 2), jnp.array([[1, 0, 1], [0, 0, 0]], bool)
    for dtype in ("float32", "float16", "bfloat16"):
        layer = fl.Softmax(dtype=dtype)
        y, back = jax.vjp(lambda x, layer=layer: layer.apply({}, x, mask=mask), x)
        assert y[1].tolist() == [0, 0, 0] and y[0, 1] == 0 and y[0].sum() == pytest.approx(1, abs=1e-3)
        (gradient,) = back(jnp.arange(6, dtype=y.dtype).reshape(2, 3))
        assert jnp.isfinite(gradient).all() and not gradient[1].any() and gradient[0, 1] == 0


def test_trap_1_masked_cells_take_no_share_however_large():
    x, mask = jnp.array([[0.0, 1e30, jnp.inf, jnp.nan]]), jnp.array([[1, 0, 0, 0]], bool)
    assert fl.Softmax().apply({}, x, mask=mask).tolist() == [[1, 0, 0, 0]]


def test_trap_6_7_moving_statistics_follow_slowly_and_the_variance_is_the_population_s():
    x = jnp.array([[0.0], [2.0]])
    layer, params, state = batch_norm(x)
    out = layer.run(params, x, state=state, train=True)
    np.testing.assert_allclose(out.state["moving_mean"], [0.01], rtol=1e-5)
    np.testing.assert_allclose(out.state["moving_variance"], [1.0], rtol=1e-5)
    np.testing.assert_allclose(out.y[:, 0], np.array([-1, 1]) / np.sqrt(1 + 1e-3), rtol=1e-5)
    np.testing.assert_allclose(layer.apply(params, x, state=state)[:, 0], np.array([0, 2]) / np.sqrt(1.001), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16"])
def test_trap_8_12_statistics_of_half_floats_are_taken_in_float32(dtype):
    """Squares of 1000 overflow float16, and a mean of 1000 leaves no digit for a variance of 1."""
    x = jnp.asarray(1000 + np.tile([[-1.0], [1.0]], (50, 2)), "float16")
    layer, params, state = batch_norm(x, momentum=0.0, dtype=dtype)
    out = layer.run(params, x, state=state, train=True)
    assert out.y.dtype == jnp.float16 and out.state["moving_variance"].dtype == jnp.float32
    np.testing.assert_allclose(out.state["moving_mean"], [1000, 1000], rtol=1e-5)
    np.testing.assert_allclose(out.state["moving_variance"], [1, 1], rtol=1e-4)
    y = fl.LayerNormalization(dtype=dtype).apply({"gamma": jnp.ones(100), "beta": jnp.zeros(100)}, x.T)
    np.testing.assert_allclose(jnp.abs(y), 1, rtol=2e-3)


def test_trap_12_epsilons_are_keras_s():
    assert fl.BatchNormalization().epsilon == fl.LayerNormalization().epsilon == fl.GroupNormalization().epsilon == 1e-3
    assert fl.RMSNormalization().epsilon == 1e-6


def test_trap_13_the_zero_vector_has_gradient_0():
    x = jnp.zeros((1, 3))
    assert jax.grad(lambda x: fl.UnitNormalization().apply({}, x).sum())(x).tolist() == [[0, 0, 0]]
    assert fl.UnitNormalization(dtype="float16").apply({}, jnp.array([[3000.0, 4000.0]])).tolist() == [
        pytest.approx([0.6, 0.8], abs=1e-3)
    ]


def test_trap_15_16_17_18_defaults_of_activations():
    one = jnp.array([1.0])
    np.testing.assert_allclose(fl.Activation("gelu").apply({}, one), 0.8413447, rtol=1e-5)
    np.testing.assert_allclose(fl.LeakyReLU().apply({}, -one), -0.3, rtol=1e-6)
    np.testing.assert_allclose(fl.Activation("leaky_relu").apply({}, -one), -0.2, rtol=1e-6)
    np.testing.assert_allclose(fl.Activation("hard_sigmoid").apply({}, one), 2 / 3, rtol=1e-6)
    relu = fl.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.5)
    np.testing.assert_allclose(
        relu.apply({}, jnp.array([-2.0, 0.4, 0.6, 1.0, 3.0])), [-0.25, -0.01, 0.6, 1, 2], rtol=1e-5
    )


def test_trap_20_the_odd_cell_of_same_padding_is_at_the_end():
    x = jnp.ones((1, 4, 4, 1))
    y = fl.Conv2D(1, 3, strides=2, padding="same", use_bias=False).apply({"kernel": jnp.ones((3, 3, 1, 1))}, x)
    assert y[0, ..., 0].tolist() == [[9, 6], [6, 4]]


@pytest.mark.parametrize("dilation", [1, 2])
def test_trap_22_causal_outputs_see_no_later_step(dilation):
    layer, x = fl.Conv1D(2, 3, padding="causal", dilation_rate=dilation), jnp.ones((1, 7, 2))
    params = layer.init(KEY, x.shape)
    jacobian = jnp.abs(jax.jacobian(lambda x: layer.apply(params, x))(x)).sum((0, 2, 3, 5))
    assert (jnp.triu(jacobian, 1) == 0).all() and (jnp.diag(jacobian) > 0).all()


def test_trap_24_25_means_count_real_cells_and_sum_in_float32():
    x = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1)
    y = fl.AveragePooling1D(3, strides=2, padding="same").apply({}, x)
    assert y[0, :, 0].tolist() == [2.0, 3.5]
    large = jnp.full((1, 4, 1), 30000.0, "float16")
    for layer in (fl.AveragePooling1D(4, dtype="float16"), fl.GlobalAveragePooling1D(dtype="float16")):
        assert layer.apply({}, large).ravel().tolist() == [30000.0]


def test_trap_26_maxima_of_negatives_of_integers_and_twice_derived():
    low = -jnp.ones((1, 3, 1))
    assert (fl.MaxPooling1D(2, strides=1, padding="same").apply({}, low) == -1).all()
    whole = jnp.array([[[-5], [-3], [-9]]], "int32")
    assert fl.GlobalMaxPooling1D().apply({}, whole).tolist() == [[-3]]
    assert fl.MaxPooling1D(3).apply({}, whole).tolist() == [[[-3]]]
    x = jnp.arange(4.0).reshape(1, 4, 1)
    second = jax.hessian(lambda x: (fl.MaxPooling1D(2).apply({}, x) ** 2).sum())(x).reshape(4, 4)
    assert second.tolist() == jnp.diag(jnp.array([0, 2.0, 0, 2])).tolist()


def test_trap_34_dropout_keeps_the_mean_and_ends_well():
    x = jnp.ones((100, 100))
    y = fl.Dropout(0.25).run({}, x, rng=KEY, train=True).y
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert float((y == 0).mean()) == pytest.approx(0.25, abs=0.02)
    every, gradient = jax.value_and_grad(lambda x: fl.Dropout(1).run({}, x, rng=KEY, train=True).y.sum())(x)
    assert every == 0 and not gradient.any()
    assert fl.Dropout(0.25).apply({}, x) is x
    rows = fl.Dropout(0.5, noise_shape=(None, 1)).run({}, x, rng=KEY, train=True).y
    assert (rows == rows[:, :1]).all() and 0 < (rows[:, 0] == 0).mean() < 1
    channels = fl.SpatialDropout1D(0.5).run({}, jnp.ones((4, 5, 50)), rng=KEY, train=True).y
    assert (channels == channels[:, :1]).all() and 0 < (channels == 0).mean() < 1


def test_trap_34_noise_has_the_moments_it_promises():
    x = jnp.asarray(np.random.RandomState(0).randn(300, 300), "float32")
    for layer, mean, deviation in (
        (fl.AlphaDropout(0.3), 0, 1),
        (fl.GaussianNoise(0.5), 0, np.sqrt(1.25)),
        (fl.GaussianDropout(0.2), 0, np.sqrt(1.25)),
    ):
        y = layer.run({}, x, rng=KEY, train=True).y
        assert float(y.mean()) == pytest.approx(mean, abs=0.02) and float(y.std()) == pytest.approx(deviation, abs=0.03)


def test_trap_36_an_initializer_in_two_layers_draws_twice():
    start = fl.initializers.GlorotUniform()
    model = fl.Sequential([fl.Dense(4, kernel_initializer=start), fl.Dense(4, kernel_initializer=start)])
    first, second = (model.init(KEY, (None, 4))[name]["kernel"] for name in ("dense", "dense_1"))
    assert not np.allclose(first, second)


def test_trap_39_40_embeddings():
    layer = fl.Embedding(4, 2, mask_zero=True)
    params, ids = layer.init(KEY, (3,)), jnp.array([0, 3, 0])
    out = layer.run(params, ids)
    assert out.mask.tolist() == [False, True, False]
    gradient = jax.grad(lambda p: layer.apply(p, ids).sum())(params)["embeddings"]
    assert gradient.tolist() == [[2, 2], [0, 0], [0, 0], [1, 1]]  # row 0 is there all the same
    for dtype in ("uint8", "int8", "int32"):
        np.testing.assert_array_equal(layer.apply(params, ids.astype(dtype)), out.y)
    np.testing.assert_array_equal(layer.apply(params, jnp.array([0.0, 3.9, 0.0])), out.y)  # floats are cut off


def test_trap_41_masking_needs_all_features_to_equal():
    x = jnp.array([[[0.0, 0.0], [0.0, 1.0], [2.0, 2.0]]])
    out = fl.Masking().run({}, x)
    assert out.mask.tolist() == [[False, True, True]] and (out.y == x).all()
    out = fl.Masking(2.0).run({}, x)
    assert out.mask.tolist() == [[True, True, False]] and not out.y[0, 2].any()


def test_trap_47_activity_losses_are_divided_by_the_batch():
    x = jnp.array([[1.0, -2.0], [3.0, 4.0]])
    (loss,) = fl.ActivityRegularization(l1=0.1, l2=0.01).run({}, x, train=True).losses
    np.testing.assert_allclose(loss, (0.1 * 10 + 0.01 * 30) / 2, rtol=1e-6)
    layer = fl.Dense(2, kernel_initializer="identity", activity_regularizer="l2", dtype="bfloat16")
    (loss,) = layer.run(layer.init(KEY, x.shape), x, train=True).losses
    assert loss.dtype == jnp.float32 and float(loss) == pytest.approx(0.15, rel=1e-5)


def test_trap_49_the_cosine_with_a_zero_vector_is_0():
    layer, x = fl.Dot(1, normalize=True), (jnp.zeros((1, 3)), jnp.ones((1, 3)))
    y, gradient = jax.value_and_grad(lambda x: layer.apply({}, x).sum())(x)
    assert y == 0 and all(jnp.isfinite(g).all() for g in gradient)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_trap_51_products_of_half_floats_are_summed_in_float32(dtype):
    """1 + 2048 times 1 counts to 2049 only where the sum has more than 11 digits."""
    x = jnp.ones((1, 4096), dtype)
    kernel = jnp.ones((4096, 1), dtype).at[1:].set(2.0**-11)
    y = fl.Dense(1, use_bias=False, dtype=dtype).apply({"kernel": kernel}, x)
    assert float(y[0, 0]) == pytest.approx(1 + 4095 * 2**-11, rel=2**-7)


def test_trap_52_time_distributed_hands_masks_to_the_layer():
    x, mask = jnp.arange(12.0).reshape(2, 3, 2), jnp.array([[1, 0, 1], [1, 1, 0]], bool)
    layer = fl.TimeDistributed(fl.BatchNormalization(momentum=0.0))
    out = layer.run(layer.init(KEY, x.shape), x, state=layer.init_state(x.shape), mask=mask, train=True)
    np.testing.assert_allclose(out.state["layer"]["moving_mean"], x[mask].mean(0), rtol=1e-5)
    np.testing.assert_array_equal(out.mask, mask)


def test_trap_51_sums_of_float16_inputs_do_not_overflow():
    xs = (jnp.full((1, 2), 40000.0), jnp.full((1, 2), 50000.0))  # in float16 50000 is 49984
    assert fl.Average(dtype="float16").apply({}, xs).tolist() == [[44992, 44992]]
    added = fl.Add(dtype="float16").apply({}, (*xs, jnp.full((1, 2), -60000.0)))
    assert added.tolist() == [[29984, 29984]]
    assert jnp.isfinite(jax.grad(lambda x: fl.Average(dtype="float16").apply({}, (x, x)).sum())(xs[0])).all()


def test_trap_51_both_directions_are_averaged_in_float32():
    layer = fl.Bidirectional(
        fl.SimpleRNN(1, activation="linear", use_bias=False, dtype="float16"), "ave", dtype="float16"
    )
    params = jax.tree.map(jnp.ones_like, layer.init(KEY, (1, 1, 1)))
    assert layer.apply(params, jnp.full((1, 1, 1), 60000.0)).tolist() == [[60000]]


NORMALIZATIONS = {
    "batch": fl.BatchNormalization(),
    "layer": fl.LayerNormalization(),
    "group": fl.GroupNormalization(2),
    "rms": fl.RMSNormalization(),
    "unit": fl.UnitNormalization(),
}


@pytest.mark.parametrize("layer", NORMALIZATIONS.values(), ids=NORMALIZATIONS.keys())
def test_trap_13_normalizations_are_right_up_to_1e12(layer):
    x = jax.random.normal(KEY, (16, 64)) / 10  # vectors shorter than 1
    params, state = layer.init(KEY, x.shape), layer.init_state(x.shape)

    def loss(x):
        return jnp.sum(jnp.sin(layer.run(params, x, state=state, train=True).y))

    for size in (1e12, 1e30):
        y, moderate = (layer.run(params, n * x, state=state, train=True).y for n in (size, 1e6))
        gradient, wanted = (n * jax.grad(loss)(n * x) for n in (size, 1e6))
        if size == 1e12:  # beyond, first the gradient goes wrong: the third power of 1 / deviation is 0 in float32
            np.testing.assert_allclose(y, moderate, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5)
        else:  # the squares are infinite, as `ops.moments` says
            assert not y.any() and not gradient.any()


def test_trap_51_gradients_below_float16_are_0_and_bfloat16_holds_them():
    def gradient(dtype, loss_scale):
        layer = fl.Dense(1, dtype=dtype)
        params, x = layer.init(KEY, (8, 4)), jnp.ones((8, 4))

        def loss(params):
            return loss_scale * 1e-8 * jnp.mean(layer.apply(params, x).astype("float32"))

        return jax.tree.map(lambda g: g / loss_scale, jax.grad(loss)(params))["kernel"]

    assert not gradient("mixed_float16", 1).any()  # the docstring of `Layer` says so
    for dtype, loss_scale in (("mixed_bfloat16", 1), ("mixed_float16", 65536)):
        np.testing.assert_allclose(gradient(dtype, loss_scale), 1e-8, rtol=0.01)
