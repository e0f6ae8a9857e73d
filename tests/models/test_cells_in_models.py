"""A cell in a Sequential takes (x, *states); without its states it is refused, as nothing would recur."""

import jax
import pytest

import fnlayers as fl

KEY = jax.random.key(0)


INPUT = fl.Input((4,))
ALONE = {
    "after a layer of sequences": lambda: fl.Sequential([fl.GRU(3), fl.LSTMCell(3)]),
    "after an Input": lambda: fl.Sequential([fl.Input((4,)), fl.GRUCell(3)]),
    "after another layer": lambda: fl.Sequential([fl.Dense(3), fl.GRUCell(3)]).init(KEY, (2, 4)),
    "first": lambda: fl.Sequential([fl.GRUCell(3)]).init(KEY, (2, 4)),
    "in a graph": lambda: fl.SimpleRNNCell(3)(INPUT),
    "of one's own": lambda: fl.StackedRNNCells([fl.GRUCell(3)])(INPUT),
    "on each step": lambda: fl.TimeDistributed(fl.LSTMCell(3)),
    "normalized": lambda: fl.SpectralNormalization(fl.GRUCell(3)),
    "repeated": lambda: fl.Repeat(fl.GRUCell(4), 2).init(KEY, (2, 4)),
}


@pytest.mark.parametrize("place", ALONE)
def test_a_cell_without_its_states_is_refused(place):
    with pytest.raises(fl.ConfigError, match=r"takes one step of a sequence, .* write fnlayers.RNN\("):
        ALONE[place]()


def test_a_cell_with_its_states_runs():
    model = fl.Sequential([fl.GRUCell(3)])
    assert model.out_shape(((2, 4), (2, 3))) == ((2, 3), (2, 3))
    model = fl.Sequential([fl.GRU(3, return_state=True), fl.GRUCell(3)])
    assert model.out_shape((2, 5, 4)) == ((2, 3), (2, 3))
