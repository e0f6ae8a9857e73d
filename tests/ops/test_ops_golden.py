"""Every case of the table against the numbers that Keras gave: outputs and gradients."""

from pathlib import Path

import numpy as np
import pytest

from ops_cases import CASES, outputs_and_gradients, quick_jit

with np.load(Path(__file__).parents[1] / "golden" / "ops.npz") as _file:
    GOLDEN = dict(
        zip(_file["names"].tolist(), np.split(_file["values"], np.cumsum(_file["lengths"])[:-1]), strict=True)
    )


# Compositions of what conv is, and ops that layers' numbers go through as well (tests/laws/test_parity.py)
SLOW = ("depthwise_conv", "separable_conv", "conv_transpose", "adaptive_max_pool", "adaptive_average_pool")
OPS = dict.fromkeys(case.op for case in CASES)


@pytest.mark.parametrize("op", [pytest.param(op, marks=[pytest.mark.slow] if op in SLOW else []) for op in OPS])
def test_same_numbers_as_keras(op: str):
    rows = [case for case in CASES if case.op == op]

    @quick_jit  # all in one program: to compile each by itself takes three times as long
    def results(arrays: list[list[np.ndarray]]) -> list:
        return [outputs_and_gradients(case.run, a) for case, a in zip(rows, arrays, strict=True)]

    for case, result in zip(rows, results([case.inputs() for case in rows]), strict=True):
        numbers = np.concatenate([np.ravel(a) for a in result])
        np.testing.assert_allclose(numbers, GOLDEN[case.name], rtol=1e-5, atol=1e-5, err_msg=str(case))


def test_every_golden_row_has_its_case():
    assert sorted(GOLDEN) == sorted(case.name for case in CASES)
