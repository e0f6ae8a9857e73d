"""The README's programs run as they stand there, and its pictures are what they draw."""

import pathlib
import runpy
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the wheel carries no README.md beside the tests")


def test_programs_run_and_draw_its_pictures(tmp_path):
    names = runpy.run_path(str(ROOT / "docs" / "draw.py"))["run_readme"](tmp_path)
    assert names["answers"].shape == (5, 4, 1)
    assert names["slopes"].shape == (4, 16)
    assert (tmp_path / "graph.svg").read_text() == (ROOT / "docs" / "images" / "graph.svg").read_text()
    assert (tmp_path / "activations.png").stat().st_size > 10_000


def test_it_names_every_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert all(f"`{name}`" in README.read_text() for name in extras)
