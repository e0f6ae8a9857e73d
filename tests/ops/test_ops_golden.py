"""Every case of the table against the numbers that Keras gave: outputs and gradients."""

from pathlib import Path

import numpy as np
import pytest
from ops_cases import CASES, Case, outputs_and_gradients

with np.load(Path(__file__).parents[1] / "golden" / "ops.npz") as _file:
    GOLDEN = dict(
        zip(_file["names"].tolist(), np.split(_file["values"], np.cumsum(_file["lengths"])[:-1]), strict=True)
    )


@pytest.mark.parametrize("row", CASES, ids=lambda row: row.name)
def test_same_numbers_as_keras(row: Case):
    results = np.concatenate([np.ravel(a) for a in outputs_and_gradients(row.run, row.inputs(), compiled=True)])
    np.testing.assert_allclose(results, GOLDEN[row.name], rtol=1e-5, atol=1e-5)


def test_every_golden_row_has_its_case():
    assert sorted(GOLDEN) == sorted(case.name for case in CASES)
