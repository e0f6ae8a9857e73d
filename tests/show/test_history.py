"""Curves of a training history."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fnlayers as fl
from fnlayers.show import history

HISTORY = {
    "accuracy": [0.5, 0.7, 0.8],
    "val_accuracy": [0.4, 0.6, 0.6],
    "val_loss": [1.0, float("nan"), 0.7],
    "loss": [0.9, np.float32(0.5), 0.3],
    "seconds": [3.0, 1.0, 1.0],
}
PNG = b"\x89PNG\r\n\x1a\n"


def test_each_measure_has_a_plot_with_both_curves() -> None:
    figure = history(HISTORY)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["train", "validation"]
    assert list(lines[0].get_xdata()) == [1, 2, 3]
    assert lines[0].get_ydata() == pytest.approx([0.9, 0.5, 0.3])
    assert lines[0].get_color() != lines[1].get_color()
    assert lines[0].get_linestyle() != lines[1].get_linestyle()
    assert figure.axes[0].get_legend() is not None


@pytest.mark.parametrize("values", [[0.5], [0.5] * 1000], ids=["one epoch", "many"])
def test_any_length(values: list, tmp_path: Path) -> None:
    history({"loss": values}, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)


def test_it_is_saved_like_all_pictures_and_like_a_figure(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = history(HISTORY)
    assert isinstance(figure, Figure)  # what takes one takes this: wandb, tensorboard, streamlit
    starts = {"a.png": PNG, "a.pdf": b"%PDF", "a.svg": b"<?xml", "a.html": b"<!doctype html>"}
    for name, start in starts.items():
        figure.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    figure.savefig(tmp_path / "b.png", dpi=20)
    assert (tmp_path / "b.png").read_bytes().startswith(PNG)
    with pytest.raises(fl.ConfigError, match=r"'a.txt' names no format of this picture; end it with one of .png"):
        figure.save(tmp_path / "a.txt")


def test_a_notebook_gets_a_picture() -> None:
    assert history(HISTORY)._repr_png_().startswith(PNG)


@pytest.mark.parametrize("nothing", [{}, {"loss": []}, {"seconds": [1.0]}])
def test_nothing_to_draw(nothing: dict) -> None:
    with pytest.raises(fl.ConfigError, match="nothing to draw"):
        history(nothing)


def test_what_fit_returns_is_a_history() -> None:
    result = fl.Fitted(None, {"loss": [0.5, 0.4], "val_loss": [0.6, 0.7]})  # type: ignore[arg-type]
    assert [len(line.get_ydata()) for line in history(result).axes[0].get_lines()] == [2, 2]


def test_what_is_no_history() -> None:
    with pytest.raises(fl.ConfigError, match="takes what fit returns, or a dict of lists .* got list"):
        history([1.0, 2.0])
    with pytest.raises(fl.ConfigError, match=r"'loss' is 0.5; give one number an epoch: \[0.5\]"):
        history({"loss": 0.5})


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(fl.MissingError, match=r"pip install 'fnlayers\[plot\]'"):
        history(HISTORY)


def test_matplotlib_is_imported_late_and_pyplot_never() -> None:
    program = """
import sys, fnlayers.show, fnlayers.saving
late = ("matplotlib", "rich.table", "safetensors", "h5py")
assert not [name for name in late if name in sys.modules], sys.modules.keys()
fnlayers.show.history({"loss": [1.0]})
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
