"""Time: masks, directions, carries, and cells of one's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers import ops

KEY = jax.random.key(0)
X = jnp.asarray(np.random.RandomState(0).randn(2, 4, 3), "float32")
LAYER = fl.LSTM(2, return_sequences=True, return_state=True)
PARAMS = LAYER.init(KEY, X.shape)


@fl.layerclass
class Sum(fl.Cell):
    """Adds up its inputs: the simplest cell there is, and a carry that is not a tuple."""

    def start(self, shape, dtype):
        return jnp.zeros((shape[0], 1), dtype)

    def step(self, params, carry, projected):
        total = carry + projected.sum(-1, keepdims=True)
        return total, total


def sums(mask=None, **options):
    x = jnp.ones((1, 4, 1))
    return fl.RNN(Sum(), **options).run({}, x, mask=mask)


@pytest.mark.parametrize(
    "mask, every, last, zeroed",
    [
        ([1, 1, 1, 1], [1, 2, 3, 4], 4, [1, 2, 3, 4]),
        ([0, 0, 1, 1], [0, 0, 1, 2], 2, [0, 0, 1, 2]),
        ([0, 1, 0, 1], [0, 1, 1, 2], 2, [0, 1, 0, 2]),  # trap 30: zeros before the first real step
        ([1, 1, 0, 0], [1, 2, 2, 2], 2, [1, 2, 0, 0]),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0, [0, 0, 0, 0]),
    ],
)
def test_a_masked_step_keeps_the_carry_and_repeats_the_output(mask, every, last, zeroed):
    mask = jnp.array([mask], bool)
    out = sums(mask, return_sequences=True)
    assert out.y[0, :, 0].tolist() == every and out.mask is mask  # trap 32
    out = sums(mask, return_state=True)
    assert [y.item() for y in out.y] == [last, last] and out.mask is None
    out = sums(mask, return_sequences=True, zero_output_for_mask=True)
    assert out.y[0, :, 0].tolist() == zeroed
    assert sums(mask, zero_output_for_mask=True).y.item() == zeroed[-1]


def test_going_backwards_is_the_reversed_sequence():
    backward = fl.LSTM(2, return_sequences=True, return_state=True, go_backwards=True)
    mask = jnp.array([[1, 0, 1, 1], [1, 1, 0, 0]], bool)
    one = backward.apply(PARAMS, X, mask=mask)
    other = LAYER.apply(PARAMS, X[:, ::-1], mask=mask[:, ::-1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)


@pytest.mark.parametrize("unroll", [True, 1, 2, 3, 100])
def test_unrolling_changes_nothing(unroll):
    layer = fl.LSTM(2, return_sequences=True, return_state=True, unroll=unroll)
    one, other = layer.apply(PARAMS, X), LAYER.apply(PARAMS, X)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)


def test_right_padding_changes_no_output_and_no_carry():
    padded = jnp.concatenate([X, 9 * jnp.ones((2, 2, 3))], 1)
    mask = jnp.arange(6) < jnp.array([[4], [4]])
    (_, *carry), (_, *wanted) = LAYER.apply(PARAMS, padded, mask=mask), LAYER.apply(PARAMS, X)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), carry, wanted)
    gradient = jax.grad(lambda x: sum(y.sum() for y in LAYER.apply(PARAMS, x, mask=mask)))(padded)
    assert (gradient[:, 4:] == 0).all() and (gradient[:, :4] != 0).any()


def test_a_nan_in_a_masked_step_does_not_spread():
    x = X.at[:, 1].set(jnp.nan)
    mask = jnp.array([[1, 0, 1, 1]] * 2, bool)
    assert all(jnp.isfinite(y).all() for y in LAYER.apply(PARAMS, x, mask=mask))


def test_the_output_is_the_first_of_the_carry():
    y, h, c = LAYER.apply(PARAMS, X)
    np.testing.assert_array_equal(y[:, -1], h)
    assert c.shape == h.shape and not np.array_equal(c, h)


def test_rnn_of_an_lstm_cell_is_lstm():
    rnn = fl.RNN(fl.LSTMCell(2), return_sequences=True, return_state=True)
    jax.tree.map(np.testing.assert_array_equal, rnn.apply(PARAMS, X), LAYER.apply(PARAMS, X))
    assert fl.weight_paths(rnn, X.shape) == fl.weight_paths(LAYER, X.shape)


class OtherCell(fl.LSTMCell):
    def gates(self, carry, preactivations, axis=-1):
        return super().gates(carry, -preactivations, axis)


@pytest.mark.parametrize(
    ("layer", "chosen"),
    [
        (fl.LSTM(3), True),
        (fl.RNN(fl.LSTMCell(3, use_bias=False)), True),
        (fl.Bidirectional(fl.LSTM(3)), True),
        (fl.LSTM(3, activation="relu"), False),
        (fl.LSTM(3, recurrent_activation="hard_sigmoid"), False),
        (fl.RNN(OtherCell(3)), False),
        (fl.GRU(3), False),
    ],
)
def test_an_lstm_of_the_usual_kind_may_be_computed_by_a_library(layer, chosen, monkeypatch):
    called = []
    scan = ops.scan_lstm
    monkeypatch.setattr(ops, "scan_lstm", lambda *args, **options: called.append(1) or scan(*args, **options))
    layer.apply(layer.init(jax.random.key(0), (2, 4, 5)), jnp.ones((2, 4, 5)))
    assert bool(called) == chosen


@pytest.mark.parametrize("cell", [fl.LSTMCell, fl.GRUCell, fl.SimpleRNNCell])
@pytest.mark.parametrize("method", ["step", "project"])
def test_a_cell_that_overrides_a_step_is_scanned_by_it(cell, method):
    def override(self, *args):
        result = getattr(cell, method)(self, *args)
        return 2 * result if method == "project" else (result[0], 2 * result[1])

    other, x = type("Other", (cell,), {method: override})(2), X[:, :2]
    params = other.init(KEY, x[:, 0].shape)
    carry, y = other.start((2, 3), "float32"), []
    for step in range(2):
        carry, last = other.step(params, carry, other.project(params, x[:, step]))
        y.append(last)
    scanned = fl.RNN(other, return_sequences=True).apply({"cell": params}, x)
    np.testing.assert_allclose(scanned, jnp.stack(y, 1), rtol=1e-5, atol=1e-6)


def test_a_cell_alone_takes_one_step():
    cell = fl.LSTMCell(2)
    np.testing.assert_allclose(cell.apply(PARAMS["cell"], X[:, 0]), LAYER.apply(PARAMS, X)[0][:, 0], rtol=1e-5)


def test_the_forget_gate_starts_open():
    """Whatever the other biases start as (trap 28)."""
    bias = fl.LSTM(2, bias_initializer="zeros").init(KEY, X.shape)["cell"]["bias"]
    assert bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    bias = fl.LSTM(2, bias_initializer="random_normal").init(KEY, X.shape)["cell"]["bias"]
    assert bias[2:4].tolist() == [1, 1] and not (bias[jnp.array([0, 1, 4, 5, 6, 7])] % 1 == 0).any()
    assert fl.LSTM(2, unit_forget_bias=False).init(KEY, X.shape)["cell"]["bias"].tolist() == [0] * 8


def test_dropout_drops_the_same_features_at_all_steps():
    """One mask a sequence (trap 34): sums of ones grow evenly, and recurrent dropout draws another mask."""

    @fl.layerclass
    class Inputs(Sum):
        dropout: float = 0.5

    x = jnp.ones((4, 6, 16))
    y = fl.RNN(Inputs(), return_sequences=True).run({}, x, rng=KEY, train=True).y[..., 0]
    np.testing.assert_allclose(jnp.diff(y, axis=1), jnp.broadcast_to(y[:, :1], (4, 5)), rtol=1e-6)
    assert len(set(y[:, 0].tolist())) > 1
    assert (fl.RNN(Inputs(), return_sequences=True).apply({}, x)[:, 0, 0] == 16).all()


def test_the_time_axis_may_be_empty_or_of_length_one():
    assert LAYER.apply(PARAMS, X[:, :1])[0].shape == (2, 1, 2)
    y, h, c = LAYER.apply(PARAMS, X[:, :0])
    assert y.shape == (2, 0, 2) and not h.any() and not c.any()
    assert not fl.LSTM(2).apply(PARAMS, X[:, :0]).any()


def test_a_mask_of_another_rank_is_refused():
    with pytest.raises(fl.ShapeError, match=r"takes a mask \(batch, time\), here \(2, 4\), got one of shape \(2,\)"):
        LAYER.apply(PARAMS, X, mask=jnp.ones(2, bool))


def test_a_cell_that_lacks_a_method_says_so():
    @fl.layerclass
    class Idle(fl.Cell):
        pass

    with pytest.raises(fl.ConfigError, match=r"Idle defines no start\(shape, dtype\)"):
        fl.RNN(Idle()).apply({}, X)


def test_time_distributed_gives_each_step_the_layer():
    layer = fl.TimeDistributed(fl.Conv1D(2, 2))
    x = jnp.asarray(np.random.RandomState(1).randn(2, 3, 4, 2), "float32")
    params = layer.init(KEY, x.shape)
    y = layer.apply(params, x)
    for step in range(3):
        np.testing.assert_allclose(y[:, step], layer.layer.apply(params["layer"], x[:, step]), rtol=1e-5, atol=1e-6)
