"""The programs of the README and of CONTRIBUTING run as they stand there, and the README's pictures are what it draws."""

import pathlib
import re
import runpy
import textwrap
import tomllib

import jax
import jax.numpy as jnp
import pytest

import fnlayers as fl
from fnlayers.layers import activation

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


def test_the_layer_that_contributing_adds_is_one():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8")
    (program,) = re.findall(r"   ```python\n(.*?)   ```", text, re.DOTALL)
    names = {**vars(activation), "Param": fl.Param}  # a family's file knows the rest
    exec(compile(textwrap.dedent(program), "CONTRIBUTING.md", "exec"), names)
    model, x = fl.Sequential([fl.Dense(3), names["Scale"]("zeros")]), jnp.ones((2, 4))
    assert not model.apply(model.init(jax.random.key(0), x.shape), x).any()
