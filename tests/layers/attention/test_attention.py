"""Attention: the traps by their numbers, masks, edges, and errors by their texts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

LAYERS = [
    fl.Attention(),
    fl.Attention(use_scale=True, score_mode="concat"),
    fl.AdditiveAttention(),
    fl.MultiHeadAttention(2, 3, use_gate=True),
    fl.GroupQueryAttention(3, 4, 2),
]
HEADED = LAYERS[3:]
VARIANTS = [
    {},
    pytest.param({"return_attention_scores": True}, marks=pytest.mark.slow),
    pytest.param({"dropout": 0.5}, marks=pytest.mark.slow),
]
over_layers = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
over_headed = pytest.mark.parametrize("layer", HEADED, ids=lambda layer: type(layer).__name__)
over_variants = pytest.mark.parametrize("options", VARIANTS, ids=str)


def array(*shape, seed=0):
    return jnp.asarray(np.random.RandomState(seed).normal(size=shape), "float32")


def drawn(layer, x):
    return layer.init(jax.random.key(0), jax.tree.map(jnp.shape, x, is_leaf=lambda a: hasattr(a, "shape")))


def with_options(layer, options):
    fields = {name: value for name, value in vars(layer).items() if name != "name"}
    return type(layer)(**(fields | options))


def output(layer, params, x, mask=None):
    """Y alone, in training, where dropout drops."""
    y = layer.run(params, x, mask=mask, rng=jax.random.key(1), train=True).y
    return y[0] if isinstance(y, tuple) else y


# Traps 1 to 5


@over_layers
@over_variants
def test_traps_1_2_3_a_row_that_is_masked_whole_gives_zeros_and_no_gradient(layer, options):
    layer, x = with_options(layer, options), (array(2, 4, 3), array(2, 5, 3, seed=1))
    mask = (None, jnp.array([[False] * 5, [True] * 5]))
    params = drawn(layer, x)
    nothing = layer.apply(params, (x[0][:1], jnp.zeros((1, 1, 3))), mask=(None, jnp.zeros((1, 1), bool)))
    y = output(layer, params, x, mask)
    np.testing.assert_allclose(y[0], (nothing[0] if isinstance(nothing, tuple) else nothing)[0], atol=1e-6)
    of_params, of_x = jax.grad(lambda p, x: jnp.sum(output(layer, p, x, mask)[0] ** 2), (0, 1))(params, x)
    assert all(not a.any() for a in jax.tree.leaves(of_x))
    assert all(jnp.isfinite(a).all() for a in jax.tree.leaves(of_params))
    if not isinstance(layer, (fl.MultiHeadAttention, fl.GroupQueryAttention)):
        assert not y[0].any()


@over_layers
@over_variants
def test_trap_4_no_gradient_reaches_the_future(layer, options):
    layer, x = with_options(layer, options | {"use_causal_mask": True}), array(2, 5, 3)
    params = drawn(layer, x)
    jacobian = jax.jacobian(lambda v: output(layer, params, (x, v)))(x)  # (2, 5, features, 2, 5, 3)
    by_step = abs(jacobian).sum((0, 2, 3, 5))
    assert not by_step[np.triu_indices(5, 1)].any()
    assert options.get("dropout") or by_step[np.tril_indices(5)].all()


@pytest.mark.parametrize("axes", [1, 2])
def test_trap_4_with_more_axes_the_causal_mask_lies_along_the_axis_attended_over(axes):
    """Keras takes the lengths of the first axis, whatever attention_axes says."""
    layer, x = fl.MultiHeadAttention(1, 2, attention_axes=axes, use_causal_mask=True), array(1, 3, 4, 2)
    params = drawn(layer, x)
    jacobian = abs(jax.jacobian(lambda v: layer.apply(params, (x, v)))(x)).sum((0, 3, 4, 7))  # (3, 4, 3, 4)
    by_step = jacobian.sum((1, 3)) if axes == 1 else jacobian.sum((0, 2))
    assert not by_step[np.triu_indices(len(by_step), 1)].any() and by_step[np.tril_indices(len(by_step))].all()


@over_layers
def test_trap_5_gradients_are_finite_where_scores_are_large_or_masked(layer):
    x = (array(2, 4, 3) * 1e4, array(2, 5, 3, seed=1) * 1e4)
    mask = (jnp.array([[True, False, True, False]] * 2), jnp.array([[False] * 5, [True, False, True, False, False]]))
    params = drawn(layer, x)
    gradients = jax.grad(lambda p, x: jnp.sum(output(layer, p, x, mask)), (0, 1))(params, x)
    assert all(jnp.isfinite(a).all() for a in jax.tree.leaves(gradients))


# Padding


@over_layers
@pytest.mark.parametrize("options", VARIANTS[:2], ids=str)  # without dropout, which would draw for more steps
@pytest.mark.parametrize(
    "junk", [pytest.param(7.0, marks=pytest.mark.slow), pytest.param(np.inf, marks=pytest.mark.slow), np.nan]
)
def test_padding_changes_nothing(layer, options, junk):
    """Steps behind the mask, of query, value and key, change no output and no gradient, whatever stands in them."""
    layer = with_options(layer, options)
    query, value, key = array(2, 4, 3), array(2, 5, 3, seed=1), array(2, 5, 3, seed=2)
    longer = tuple(jnp.pad(a, ((0, 0), (0, 2), (0, 0)), constant_values=junk) for a in (query, value, key))
    masks = tuple(jnp.arange(a.shape[1] + 2) < a.shape[1] for a in (query, value, key))
    masks = tuple(jnp.broadcast_to(m, (2, len(m))) for m in masks)
    params = drawn(layer, (query, value, key))

    def loss(params, x, mask):
        return jnp.sum(jnp.sin(output(layer, params, x, mask)[:, :4]))

    wanted = jax.value_and_grad(loss, (0, 1))(params, (query, value, key), None)
    got, (of_params, of_x) = jax.value_and_grad(loss, (0, 1))(params, longer, masks)
    assert all(not a[:, -2:].any() for a in of_x)
    trimmed = (got, (of_params, tuple(a[:, :-2] for a in of_x)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5), trimmed, wanted)


@over_layers
def test_the_mask_of_the_query_is_passed_on(layer):
    x, mask = array(2, 4, 3), jnp.array([[True, True, False, False], [True] * 4])
    params = drawn(layer, x)
    assert (layer.run(params, x, mask=mask).mask == mask).all()
    out = with_options(layer, {"return_attention_scores": True}).run(params, (x, x), mask=(mask, None))
    assert (out.mask[0] == mask).all() and out.mask[1] is None


@over_layers
def test_one_input_attends_to_itself(layer):
    x, mask = array(2, 4, 3), jnp.array([[True, True, False, False], [True] * 4])
    params = drawn(layer, x)
    y = layer.apply(params, x, mask=mask)
    np.testing.assert_array_equal(y, layer.apply(params, (x, x), mask=(mask, mask)))
    np.testing.assert_array_equal(y, layer.apply(params, {"query": x, "value": x}, mask={"query": mask, "value": mask}))


@over_headed
@pytest.mark.parametrize("shape", [(2, 4, 5), (1, 1, 5), (2, 1, 5), (4, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["bool", "int32"])
def test_attention_mask_says_which_pairs_meet(layer, shape, dtype):
    layer = with_options(layer, {"return_attention_scores": True})
    mask = np.random.RandomState(3).uniform(size=shape) > 0.4
    x = {"query": array(2, 4, 3), "value": array(2, 5, 3, seed=1), "attention_mask": jnp.asarray(mask, dtype)}
    _, weights = layer.apply(drawn(layer, x), x)
    allowed = np.broadcast_to(mask, (2, 4, 5))[:, None]
    assert not np.where(allowed, 0, weights).any() and np.where(allowed, weights, 1).all()


@over_headed
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_floating_attention_mask_is_an_error_that_says_how_to_write_a_boolean_one(layer, dtype):
    """0 allows and -1e9 forbids in a mask that is added to the scores; read as 1 and 0 it would be turned around."""
    added = jnp.where(jnp.tri(4, 5), 0, -1e9).astype(dtype)
    x = {"query": array(2, 4, 3), "value": array(2, 5, 3, seed=1), "attention_mask": added}
    params = drawn(layer, x)
    with pytest.raises(fl.ConfigError, match=r"attention_mask is .*mask == 0 of one that is added"):
        layer.apply(params, x)
    with pytest.raises(fl.ConfigError, match="attention_mask is float32"):
        layer({"query": fl.Input((4, 3)), "value": fl.Input((5, 3)), "attention_mask": fl.Input((4, 5))})


@over_headed
def test_a_sliding_window_reaches_as_far_as_it_says(layer):
    layer, x = with_options(layer, {"sliding_window": 2, "return_attention_scores": True}), array(1, 5, 3)
    _, weights = layer.apply(drawn(layer, x), x)
    positions = np.arange(5)
    assert ((weights > 0) == (abs(positions[:, None] - positions) < 2)).all()


def test_as_many_groups_as_heads_are_multi_head_attention():
    x = (array(2, 4, 3), array(2, 5, 3, seed=1))
    group, multi = fl.GroupQueryAttention(3, 2, 2), fl.MultiHeadAttention(2, 3)
    params = drawn(multi, x)
    np.testing.assert_allclose(group.apply(params, x), multi.apply(params, x), atol=1e-6)


def test_a_group_is_what_repeated_keys_and_values_would_be():
    x = (array(2, 4, 3), array(2, 5, 3, seed=1))
    group, multi = fl.GroupQueryAttention(3, 4, 2), fl.MultiHeadAttention(4, 3)
    params = drawn(group, x)
    repeated = {name: jax.tree.map(lambda a: jnp.repeat(a, 2, -2), params[name]) for name in ("key", "value")}
    np.testing.assert_allclose(multi.apply(params | repeated, x), group.apply(params, x), atol=1e-6)


# Edges


@over_layers
@pytest.mark.parametrize(
    "queries, keys",
    [(0, 3), pytest.param(3, 0, marks=pytest.mark.slow), pytest.param(1, 1, marks=pytest.mark.slow), (1, 4)],
)
def test_lengths_of_0_and_1(layer, queries, keys):
    x = (array(1, queries, 3), array(1, keys, 3))
    params = drawn(layer, x)
    y = layer.apply(params, x)
    assert y.shape[:2] == (1, queries) and jnp.isfinite(y).all()
    gradients = jax.grad(lambda p, x: jnp.sum(layer.apply(p, x)), (0, 1))(params, x)
    assert all(jnp.isfinite(a).all() for a in jax.tree.leaves(gradients))


@over_layers
def test_weights_sum_to_1_and_are_those_before_dropout(layer):
    x = (array(2, 4, 3), array(2, 5, 3, seed=1))
    layer = with_options(layer, {"return_attention_scores": True, "dropout": 0.5})
    params = drawn(layer, x)
    _, weights = layer.run(params, x, rng=jax.random.key(0), train=True).y
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(weights, layer.apply(params, x)[1], atol=1e-6)


def test_in_half_precision_scores_do_not_overflow():
    layer = fl.Attention(dtype="float16")
    x = jnp.full((1, 2, 4), 200.0, "float16")  # scores of 160000
    np.testing.assert_array_equal(layer.apply({}, x), x)


@over_headed
def test_heads_have_a_logical_axis(layer):
    for name, kernel in (("query", ("in", "heads", None)), ("attention_output", ("heads", None, "out"))):
        specs = layer.specs((None, 4, 3))[name]
        assert specs["kernel"].axes == kernel
        assert not specs["bias"].decays


# Errors

Q, V = (2, 4, 3), (2, 5, 3)
ERRORS = [
    (lambda: fl.Attention(score_mode="sum"), "Attention: score_mode='sum' is unknown; choose from dot, concat"),
    (lambda: fl.Attention(dropout=2.0), "Attention: dropout=2.0 is wrong; give a number from 0 to 1"),
    (lambda: fl.MultiHeadAttention(0, 3), "num_heads=0 is wrong; give a whole number of at least 1"),
    (lambda: fl.MultiHeadAttention(2, 3, value_dim=0), "value_dim=0 is wrong"),
    (lambda: fl.MultiHeadAttention(2, 3, sliding_window=0), "sliding_window=0 is wrong"),
    (lambda: fl.MultiHeadAttention(2, 3, output_shape=(2, 0)), "MultiHeadAttention: output_shape=(2, 0) is wrong"),
    (lambda: fl.MultiHeadAttention(2, 3, attention_axes="a"), "attention_axes='a' is wrong; give an integer or some"),
    (lambda: fl.MultiHeadAttention(2, 3, flash_attention=True, dropout=0.1), "has no dropout: the kernel never holds"),
    (
        lambda: fl.MultiHeadAttention(2, 3, flash_attention=True, return_attention_scores=True),
        "has no return_attention_scores: the kernel never holds",
    ),
    (lambda: fl.GroupQueryAttention(3, 4, 3), "num_key_value_heads does not divide num_query_heads"),
    (lambda: fl.Attention().out_shape((Q, V, V, V)), "takes (query, value), (query, value, key), a dict of some of"),
    (lambda: fl.Attention().out_shape({"query": Q, "values": V}), "a dict of some of query, value, key, or one array"),
    (lambda: fl.Attention().out_shape({"query": Q, "value": V, "attention_mask": V}), "a dict of some of query, value"),
    (lambda: fl.Attention().out_shape(((2,), (2,))), "takes arrays of at least 2 axes, (batch, steps, features)"),
    (lambda: fl.Attention().out_shape((Q, (2, 5, 4))), "query (2, 4, 3) and key (2, 5, 4) differ in more than their"),
    (lambda: fl.MultiHeadAttention(2, 3).out_shape(((4, 3), (5, 3))), "takes arrays of at least 3 axes"),
    (lambda: fl.MultiHeadAttention(2, 3).out_shape((Q, (2, 5, 2, 3))), "differ in their number of axes"),
    (lambda: fl.MultiHeadAttention(2, 3).out_shape((Q, (3, 5, 3))), "the batch sizes differ"),
    (lambda: fl.MultiHeadAttention(2, 3).out_shape((Q, V, (2, 6, 3))), "each value has a key, but value is (2, 5, 3)"),
    (lambda: fl.MultiHeadAttention(2, 3, attention_axes=-1).out_shape((Q, V)), "choose from 1 to 1, each once: axis 0"),
    (lambda: fl.MultiHeadAttention(2, 3, attention_axes=0).out_shape((Q, V)), "axis 0 is the batch, the last one the"),
    (
        lambda: fl.MultiHeadAttention(2, 3, attention_axes=1).out_shape(((2, 4, 3, 3), (2, 4, 2, 3))),
        "query and value differ on axis 2, and may only on (1,)",
    ),
    (
        lambda: fl.MultiHeadAttention(2, 3, use_causal_mask=True).out_shape((2, 4, 3, 3)),
        "several axes (1, 2) have no order; name one in attention_axes",
    ),
    (lambda: fl.GroupQueryAttention(3, 4, 2).out_shape((2, 4, 3, 3)), "takes arrays of 3 axes"),
    (
        lambda: fl.MultiHeadAttention(2, 3).out_shape({"query": Q, "value": V, "attention_mask": (2, 5, 4)}),
        "expected an attention_mask of shape (2, 4, 5), or 1 for some of these, got (2, 5, 4)",
    ),
    (
        lambda: fl.MultiHeadAttention(2, 3).out_shape({"query": Q, "value": V, "attention_mask": (5,)}),
        "expected an attention_mask of shape (2, 4, 5), or 1 for some of these, got (5,)",
    ),
    (lambda: fl.MultiHeadAttention(2, 3).init(jax.random.key(0), ((2, 4, None), V)), "axis -1 (features) of"),
    (
        lambda: fl.Attention().apply({}, (array(*Q), array(*V)), mask=(None, jnp.ones(V, bool))),
        "takes masks of steps, not of features; the value's is (2, 5, 3)",
    ),
    (
        lambda: fl.Attention().apply({}, (array(*Q), array(*V)), mask=(None, jnp.ones((2, 5)))),
        "a mask is a boolean array, got float32",
    ),
    (
        lambda: fl.Attention().apply({}, (array(*Q), array(*V)), mask=(None, jnp.ones((2, 4), bool))),
        "the mask has shape (2, 4), but x has shape (2, 5, 3)",
    ),
    (
        lambda: fl.MultiHeadAttention(2, 3, flash_attention=True).out_shape((Q, V)),
        "the fused kernel needs float16 or bfloat16; heads of 8, 16, ... 128 features; with fused=None the reference",
    ),
]


@pytest.mark.parametrize("act, text", ERRORS, ids=[text[:40] for _, text in ERRORS])
def test_errors_say_what_to_write(act, text):
    with pytest.raises(fl.LayerError) as error:
        act()
    assert text in str(error.value), str(error.value)
