"""What fnlayers costs above plain JAX is measured, at small sizes."""

import json
import sys

import numpy as np
import pytest

import overhead
from networks import TINY


def test_both_steps_train_alike():
    steps = overhead.steps(layers=3, width=8, batch=4)
    state, logs = steps.ours(steps.state, steps.batch)
    params, _, loss = steps.plain(*steps.plain_state, *steps.batch)
    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-6)
    np.testing.assert_allclose(state.params["dense_1"]["kernel"], params[1][0], rtol=1e-5)


def test_building_is_compared():
    ratios = overhead.compile_ratios(layers=2, rounds=1)
    assert ratios.keys() == {"trace", "compile", "both"} and min(ratios.values()) > 0


def test_resnets_are_compared():
    pytest.importorskip("flax")
    assert overhead.resnet_ratio(TINY[0], rounds=1) > 0


def test_first_init_is_timed_in_a_fresh_process():
    assert 0 < overhead.init_milliseconds("dense", rounds=1) < 60_000


def test_a_run(monkeypatch, tmp_path, capsys):
    figures = {"a": overhead.Figure("one", lambda: 1.0, "at most 2"), "b": overhead.Figure("none", lambda: None, "")}
    monkeypatch.setattr(overhead, "FIGURES", figures)
    monkeypatch.setattr(sys, "argv", ["overhead.py", "--json", str(tmp_path / "found.json")])
    overhead.main()
    assert json.loads((tmp_path / "found.json").read_text())["figures"] == {"one": 1.0, "none": None}
    assert "not measured" in capsys.readouterr().out
