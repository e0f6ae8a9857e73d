"""A cell in a Sequential takes (x, *states); without its states it is refused, as nothing would recur."""

import jax
import pytest

import fnlayers as fl


@pytest.mark.parametrize("before, cell, shape", [([fl.GRU(3)], fl.LSTMCell(3), (2, 5, 4)), ([], fl.GRUCell(3), (2, 4))])
def test_a_cell_without_its_states_is_refused(before, cell, shape):
    model = fl.Sequential([*before, cell])
    with pytest.raises(fl.ConfigError, match=r"takes one step of a sequence, .* write fnlayers.RNN\("):
        model.init(jax.random.key(0), shape)


def test_a_cell_with_its_states_runs():
    model = fl.Sequential([fl.GRUCell(3)])
    assert model.out_shape(((2, 4), (2, 3))) == ((2, 3), (2, 3))
