"""fit warns of batches that its step is compiled for again and again."""

import warnings

import numpy as np
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp

import fnlayers as fl
from fnlayers.training import fit
from fnlayers.training.batch import Batch
from fnlayers.training.retracing import BatchTypes


def test_sequences_of_many_lengths():
    model = fl.Sequential([fl.GlobalAveragePooling1D(), fl.Dense(3)])
    data = [(np.ones((2, length, 4), "float32"), np.array([0, 1])) for length in (5, 6, 5, 7)]
    with pytest.warns(
        fl.debug.RetraceWarning, match=r"2nd type of batch \(batch 2 of epoch 1\): x is float32\[2,6,4\]"
    ) as w:
        fit(model, data, loss=CROSS_ENTROPY, optimizer=SGD, epochs=2, verbose=False)
    assert [each.filename for each in w if issubclass(each.category, fl.debug.RetraceWarning)] == [__file__]


def test_a_smaller_last_batch_is_expected_and_arrays_are_not_looked_at():
    x, y = classes(n=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(mlp(), [(x[:4], y[:4]), (x[4:8], y[4:8]), (x[8:], y[8:])], loss=CROSS_ENTROPY, optimizer=SGD, verbose=False)


def test_what_changed_is_named():
    types, x, y = BatchTypes(), np.ones((4, 2)), np.ones(4)
    types.look(Batch(x, y, None, 4), "the first")
    types.look(Batch(x[:3], y[:3], None, 3), "the last")
    with pytest.warns(fl.debug.RetraceWarning, match=r"3rd type of batch \(batch 3\): weight is new; give batches"):
        types.look(Batch(x, y, np.ones(4), 4), "batch 3")
