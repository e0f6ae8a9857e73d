"""The examples that are small enough run as they stand, on little data. (.ci/run runs all of them at their full size.)"""

import pathlib
import runpy
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the wheel carries no examples beside the tests")
def test_tiny_gpt(tmp_path, monkeypatch, capsys):
    words = np.random.RandomState(0).choice(["one ", "two ", "three ", "four.\n"], 600)
    (tmp_path / "text.txt").write_text("".join(words))
    options = "--steps 16 --width 32 --depth 2 --epochs 2 --max-loss 2.5".split()
    paths = ["--text", str(tmp_path / "text.txt"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["tiny_gpt.py", *options, *paths])
    runpy.run_path(str(EXAMPLES / "tiny_gpt.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "the same: True" in shown and "before training" in shown and "after training" in shown
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "characters.txt",
        "history.png",
        "model.safetensors",
    }
