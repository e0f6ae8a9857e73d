import functools

import jax
import pytest
from jax.experimental import rnn

import stand_ins
from fnlayers.ops.cuda import attention


@pytest.fixture
def cuda_kernels(monkeypatch):
    """The kernels of cuDNN, by functions that run on every platform."""
    monkeypatch.setattr(rnn, "lstm_fwd", stand_ins.lstm_forward)
    monkeypatch.setattr(rnn, "lstm_bwd", stand_ins.lstm_backward)
    monkeypatch.setattr(attention, "kernel", functools.partial(jax.nn.dot_product_attention, implementation="xla"))
