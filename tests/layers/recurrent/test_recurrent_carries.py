"""Carries: passed after x, returned after y, stored from run to run, of any structure; and sequences of odd lengths."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X = jnp.asarray(np.random.RandomState(0).randn(2, 5, 3), "float32")
IMAGES = jnp.asarray(np.random.RandomState(1).randn(2, 5, 4, 3), "float32")
LAYERS = [
    (fl.SimpleRNN(2), X),
    (fl.GRU(2), X),
    (fl.GRU(2, reset_after=False), X),
    (fl.LSTM(2), X),
    (fl.RNN([fl.GRUCell(3), fl.LSTMCell(2)]), X),
    (fl.ConvLSTM1D(2, 2, padding="same"), IMAGES),
]
named = pytest.mark.parametrize("layer, x", LAYERS, ids=[repr(layer) for layer, _ in LAYERS])


def near(got, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, wanted)


# Sequences may be cut anywhere


@named
@pytest.mark.parametrize("cut", [0, 1, 3, 5])
def test_a_carry_goes_on_where_it_was_taken(layer, x, cut):
    layer = replace(layer, return_sequences=True, return_state=True)
    params = layer.init(KEY, x.shape)
    whole, *end = layer.apply(params, x)
    first, *carry = layer.apply(params, x[:, :cut])
    second, *other_end = layer.apply(params, (x[:, cut:], *carry))
    near(jnp.concatenate([first, second], 1), whole)
    near(other_end, end)


@named
def test_a_stateful_layer_goes_on_from_run_to_run(layer, x):
    stateful = replace(layer, stateful=True)
    params, state = stateful.init(KEY, x.shape), stateful.init_state(x.shape)
    for train in (False, True):
        out = stateful.run(params, x[:, :2], state=state, train=train)
        again = stateful.run(params, x[:, 2:], state=out.state, train=train)
        near(again.y, layer.apply(params, x))
        assert jax.tree.structure(again.state) == jax.tree.structure(state)
    near(stateful.run(params, x, state=stateful.init_state(x.shape)).y, layer.apply(params, x))


@named
def test_a_carry_given_after_x_is_used_in_place_of_the_one_kept(layer, x):
    stateful = replace(layer, stateful=True)
    params, state = stateful.init(KEY, x.shape), stateful.init_state(x.shape)
    carry = jax.tree.map(lambda a: a + 1, jax.tree.leaves(state))
    out = stateful.run(params, (x, *carry), state=state)
    near(out.y, layer.apply(params, (x, *carry)))


@named
def test_a_sequence_without_steps_gives_back_its_carry(layer, x):
    layer = replace(layer, return_state=True)
    params, empty = layer.init(KEY, x.shape), x[:, :0]
    _, *carry = layer.apply(params, x)
    y, *same = layer.apply(params, (empty, *carry))
    near(same, carry)
    np.testing.assert_array_equal(y, jax.tree.leaves(carry)[-2 if isinstance(layer, (fl.LSTM, fl.RNN)) else 0])
    assert not any(a.any() for a in jax.tree.leaves(layer.apply(params, empty)))
    both = fl.Bidirectional(replace(layer, return_state=False, return_sequences=True))
    assert both.apply(both.init(KEY, x.shape), empty).shape[:2] == (2, 0)


@named
@pytest.mark.parametrize("unroll", [True, 2, 9])
def test_unrolling_works_for_any_length(layer, x, unroll):
    layer = replace(layer, return_sequences=True)
    params = layer.init(KEY, x.shape)
    for length in (0, 1, 5):
        near(replace(layer, unroll=unroll).apply(params, x[:, :length]), layer.apply(params, x[:, :length]))


@named
def test_a_row_that_is_masked_whole_keeps_its_first_carry(layer, x):
    layer = replace(layer, return_sequences=True, return_state=True)
    params = layer.init(KEY, x.shape)
    _, *carry = layer.apply(params, x)
    mask = jnp.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    _, *end = layer.apply(params, (x, *carry), mask=(mask, *jax.tree.map(lambda _: None, carry)))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1], b[1]), end, carry)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal((a[0] == b[0]).all(), False), end, carry)


@named
def test_each_row_of_a_batch_stands_alone(layer, x):
    params = layer.init(KEY, x.shape)
    near(layer.apply(params, x)[1:], layer.apply(params, x[1:]))


def test_steps_before_the_first_real_one_repeat_the_given_output():
    layer = fl.GRU(2, return_sequences=True)
    params, h = layer.init(KEY, X.shape), jnp.ones((2, 2))
    mask = jnp.array([[0, 0, 1, 1, 1]] * 2, bool)
    y = layer.apply(params, (X, h), mask=(mask, None))
    np.testing.assert_array_equal(y[:, :2], jnp.ones((2, 2, 2)))
    near(y[:, 2:], layer.apply(params, (X[:, 2:], h)))
    keras = replace(layer, unroll=True, keras_masks=True).apply(params, (X, h), mask=(mask, None))
    assert not keras[:, :2].any()
    near(keras[:, 2:], y[:, 2:])


def test_masks_of_an_unrolled_loop_in_keras():
    mask, layer = jnp.array([[1, 0, 1, 1, 0]] * 2, bool), fl.GRU(2, return_sequences=True, zero_output_for_mask=True)
    params = layer.init(KEY, X.shape)
    assert not replace(layer, unroll=True).apply(params, X, mask=mask)[:, 1].any()
    keras = replace(layer, unroll=True, keras_masks=True).apply(params, X, mask=mask)
    np.testing.assert_array_equal(keras[:, 1], keras[:, 0])


# In graphs


def test_a_graph_hands_the_carry_on():
    source, target = fl.Input((5, 3), name="source"), fl.Input((None, 3), name="target")
    _, h, c = fl.LSTM(4, return_state=True, name="encoder")(source)
    y = fl.LSTM(4, return_sequences=True, name="decoder")(target, h, c)
    model = fl.functional((source, target), y)
    params = model.init(KEY, model.in_shape)
    _, *carry = fl.LSTM(4, return_state=True).apply(params["encoder"], X)
    wanted = fl.LSTM(4, return_sequences=True).apply(params["decoder"], (X[:, :2], *carry))
    near(model.apply(params, (X, X[:, :2])), wanted)
    assert y.shape == (None, None, 4)


def test_a_stateful_layer_in_a_graph_needs_a_batch_size():
    message = r"keeps its carry from run to run.*write fnlayers.Input\(shape, batch_size=...\)"
    with pytest.raises(fl.ShapeError, match=message):
        fl.GRU(2, stateful=True)(fl.Input((5, 3)))
    x = fl.Input((5, 3), batch_size=2)
    model = fl.functional(x, fl.GRU(2, stateful=True)(x))
    assert model.init_state(model.in_shape)["gru"]["carry_0"].shape == (2, 2)


# Errors


GRU, PARAMS = fl.GRU(2), fl.GRU(2).init(KEY, X.shape)


@pytest.mark.parametrize(
    "inputs, message",
    [
        ((X, jnp.ones((2, 3))), r"GRU\(units=2\): its carry has an array \(batch, 2\), got \(batch, 3\)"),
        ((X, jnp.ones((2, 2, 1))), r"its carry has an array \(batch, 2\), got \(batch, 2, 1\)"),
        (
            (X, jnp.ones((1, 2))),
            "x is a batch of 2, its carry one of 1; give x and a carry, or a state, that were made",
        ),
        ((X, *2 * [jnp.ones((2, 2))]), r"its carry has 1 arrays, got 2; give \(x, \*carry\), as return_state"),
        (X[:, 0], r"GRU\(units=2\) takes sequences \(batch, time, features\), got the shape \(2, 3\)"),
        (X[:, None], r"GRUCell\(units=2\) takes 2 axes \(batch, features\), got the shape \(2, 5, 3\)"),
    ],
)
def test_wrong_sequences_and_carries(inputs, message):
    with pytest.raises(fl.ShapeError, match=message):
        GRU.apply(PARAMS, inputs)


@pytest.mark.parametrize(
    "mask, message",
    [
        (jnp.ones((2, 5)), r"a mask is a boolean array, got float32; .* or mask.astype\(bool\)"),
        (jnp.ones((2, 4), bool), r"the mask has shape \(2, 4\), but x has shape \(2, 5, 3\)"),
        (jnp.ones((2, 5, 3), bool), r"takes a mask \(batch, time\), here \(2, 5\), got one of shape \(2, 5, 3\)"),
    ],
)
@pytest.mark.parametrize("layer", [fl.GRU(2), fl.Bidirectional(fl.GRU(2))], ids=repr)
def test_wrong_masks(layer, mask, message):
    with pytest.raises(fl.ShapeError, match=message):
        layer.apply(layer.init(KEY, X.shape), X, mask=mask)


def test_a_state_for_another_batch_size():
    layer = fl.GRU(2, stateful=True)
    state = layer.init_state((3, 5, 3))
    with pytest.raises(fl.ShapeError, match="x is a batch of 2, its carry one of 3"):
        layer.apply(PARAMS, X, state=state)


def test_a_cell_alone_refuses_a_mask():
    with pytest.raises(fl.ConfigError, match="takes one step, and a mask is for many; put the cell into an RNN"):
        fl.GRUCell(2).apply(PARAMS["cell"], X[:, 0], mask=jnp.ones(2, bool))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: fl.LSTM("a"), "LSTM: LSTMCell: units='a' is wrong"),
        (lambda: fl.GRU(2, unroll=1.5), "GRU: unroll=1.5 is wrong; give a bool or a number of steps"),
        (lambda: fl.RNN(fl.Dense(2)), r"RNN takes a Cell, such as LSTMCell\(32\), got Dense\(units=2\)"),
        (lambda: fl.RNN([]), r"takes a list of cells, such as \[LSTMCell\(32\)\], got \(\)"),
        (lambda: fl.StackedRNNCells(fl.GRUCell(2)), r"takes a list of cells, .* got GRUCell\(units=2\)"),
        (lambda: fl.ConvLSTM1D(2, 2, padding="causal"), "padding='causal' is unknown; choose from valid, same"),
        (lambda: fl.ConvLSTM2D(2, (2, 2, 2)), r"kernel_size=\(2, 2, 2\) is wrong; give an integer of at least 1, or 2"),
        (lambda: fl.ConvLSTM1D(2, 2, strides=2, dilation_rate=2), "strides and dilation_rate cannot both be above 1"),
    ],
)
def test_options_without_meaning(make, message):
    with pytest.raises(fl.ConfigError, match=message):
        make()


# Cells of one's own


@fl.layerclass
class Average(fl.Cell):
    """The exponential mean of what was seen, and how much that was, in a dict."""

    rate: float

    def weights(self, shape):
        return {"scale": fl.Param((shape[-1],), "ones")}

    def start(self, shape, dtype):
        return {"mean": jnp.zeros((shape[0], shape[1]), dtype), "seen": jnp.zeros((shape[0], 1), dtype)}

    def project(self, params, xs):
        return xs * params["scale"]

    def step(self, params, carry, projected):
        mean = carry["mean"] + self.rate * (projected - carry["mean"])
        return {"mean": mean, "seen": carry["seen"] + 1}, mean

    def output(self, carry):
        return carry["mean"]


@fl.layerclass
class Fibonacci(fl.Cell):
    """A pair, whose output is neither of the two; without weights."""

    def start(self, shape, dtype):
        return jnp.zeros((shape[0],), dtype), jnp.ones((shape[0],), dtype)

    def step(self, params, carry, projected):
        a, b = carry
        return (b, a + b), (a + b)[:, None] * jnp.ones_like(projected)


def test_a_carry_may_be_a_dict():
    layer = fl.RNN(Average(0.5), return_state=True)
    params, mask = layer.init(KEY, X.shape), jnp.array([[1, 1, 0, 0, 0], [0, 1, 1, 1, 1]], bool)
    y, carry = layer.apply(params, X, mask=mask)
    np.testing.assert_array_equal(y, carry["mean"])
    assert carry["seen"].tolist() == [[2], [4]]
    near(y[0], X[0, 0] / 4 + X[0, 1] / 2)
    more, again = layer.apply(params, (X[:, :0], carry))
    near((more, again), (y, carry))
    stateful = replace(layer, stateful=True)
    state = stateful.init_state(X.shape)
    assert list(state) == ["carry_0", "carry_1"]
    near(stateful.run(params, X, state=state, mask=mask).state, {"carry_0": carry["mean"], "carry_1": carry["seen"]})


def test_a_carry_may_be_a_pair_that_no_output_is_read_from():
    layer = fl.RNN(Fibonacci(), return_sequences=True, return_state=True)
    y, a, b = layer.apply({}, X)
    assert y[0, :, 0].tolist() == [1, 2, 3, 5, 8] and (a[0], b[0]) == (5, 8)
    mask = jnp.array([[0, 1, 0, 1, 0]] * 2, bool)
    assert layer.apply({}, X, mask=mask)[0][0, :, 0].tolist() == [0, 1, 1, 2, 2]


def test_cells_of_ones_own_stack_and_run_in_both_directions():
    layer = fl.Bidirectional(fl.RNN([Average(0.5), fl.GRUCell(2)], return_sequences=True))
    params = layer.init(KEY, X.shape)
    assert layer.apply(params, X).shape == (2, 5, 4)
    assert fl.weight_paths(layer, X.shape)[:2] == [
        "forward_layer/cell/average/scale",
        "forward_layer/cell/gru_cell/kernel",
    ]


TIME_MAJOR = [
    fl.LSTM(3, return_sequences=True, return_state=True, time_major=True),
    fl.GRU(3, go_backwards=True, time_major=True),
    fl.SimpleRNN(3, stateful=True, return_sequences=True, unroll=True, time_major=True),
    fl.ConvLSTM1D(2, 2, return_sequences=True, zero_output_for_mask=True, time_major=True),
    fl.Bidirectional(fl.LSTM(2, return_sequences=True, time_major=True)),
    fl.Bidirectional(fl.GRU(2, return_state=True, time_major=True), merge_mode="sum"),
]


@pytest.mark.parametrize("layer", TIME_MAJOR, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_time_may_come_first(layer, masked):
    wrapped = isinstance(layer, fl.Bidirectional)
    inner = replace(layer.layer if wrapped else layer, time_major=False)
    plain = replace(layer, layer=inner) if wrapped else inner
    x = jnp.asarray(np.random.RandomState(0).normal(size=(2, 5, 4, 2)[: 4 if "Conv" in str(layer) else 3]), "float32")
    swapped = jnp.swapaxes(x, 0, 1)
    params, mask = plain.init(jax.random.key(0), x.shape), jnp.arange(5) < jnp.array([[5], [2]]) if masked else None
    assert jax.tree.map(jnp.shape, layer.init(jax.random.key(0), swapped.shape)) == jax.tree.map(jnp.shape, params)
    expected = plain.run(params, x, state=plain.init_state(x.shape), mask=mask)
    got = layer.run(params, swapped, state=layer.init_state(swapped.shape), mask=None if mask is None else mask.T)

    def back(y):  # a sequence has time first, all else the batch
        return jnp.swapaxes(y, 0, 1) if y.shape[0] == 5 else y

    for a, b in zip(
        jax.tree.leaves((got.y, got.mask, got.state)),
        jax.tree.leaves((expected.y, expected.mask, expected.state)),
        strict=True,
    ):
        np.testing.assert_allclose(back(a), b, rtol=1e-5, atol=1e-6)


def test_time_major_errors():
    with pytest.raises(fl.ConfigError, match="time_major differs between layer and backward_layer"):
        fl.Bidirectional(fl.LSTM(2, time_major=True), backward_layer=fl.LSTM(2, go_backwards=True))
    with pytest.raises(fl.ConfigError, match="LSTM: activity losses are divided by the size of the first axis"):
        fl.LSTM(2, activity_regularizer="l2", return_sequences=True, time_major=True)
    layer = fl.LSTM(2, time_major=True)
    with pytest.raises(fl.ShapeError, match=r"takes a mask \(time, batch\), here \(5, 2\), got one of shape \(5,\)"):
        layer.apply(layer.init(jax.random.key(0), (5, 2, 3)), jnp.ones((5, 2, 3)), mask=jnp.ones(5, bool))
