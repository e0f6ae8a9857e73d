"""The growth of time and memory is measured, and its exponents are what they should be."""

import json
import sys

import pytest

import fnlayers as fl
import growth
from growth import Model


def test_exponents():
    assert growth.exponent([1, 2, 4], [3.0, 6.0, 12.0]) == pytest.approx(1)
    assert growth.exponent([8, 16], [1.0, 4.0]) == pytest.approx(2)


@pytest.mark.parametrize("name", growth.MODELS)
def test_each_axis_of_a_model_changes_its_shapes(name):
    model = growth.MODELS[name]
    fixed = {axis: sizes[0] for axis, sizes in model.axes.items()}
    for axis, sizes in model.axes.items():
        layer, shape = model.make(**(fixed | {axis: sizes[1]}))
        assert (layer, shape) != model.make(**fixed) and layer.out_shape(shape)
        assert all(b == 2 * a for a, b in zip(sizes, sizes[1:], strict=False))


def test_a_run(monkeypatch, tmp_path, capsys):
    def dense(batch, width):
        return fl.Dense(width), (batch, width)

    monkeypatch.setattr(growth, "MODELS", {"toy": Model(dense, {"batch": (32, 64), "width": (64, 128)})})
    monkeypatch.setattr(sys, "argv", ["growth.py", "--pace", "0.01", "--json", str(tmp_path / "found.json")])
    growth.main()
    batch, width = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert batch["operations"] == [2 * 2 * 32 * 64 * 64, 2 * 2 * 64 * 64 * 64]  # forward, and the kernel's gradient
    assert width["exponents"]["operations"] == pytest.approx(2) and 1 < width["exponents"]["memory"] < 2
    assert "width" in capsys.readouterr().out
