"""The programs of README, CONTRIBUTING and docs run as they stand there, and the README's pictures are what it draws."""

import importlib.util
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
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if PROGRAM.search(page.read_text(encoding="utf8"))]
pytestmark = pytest.mark.skipif(not README.exists(), reason="the wheel comes without README.md")


def test_programs_run_and_draw_its_pictures(tmp_path):
    names = runpy.run_path(str(ROOT / "docs" / "draw.py"))["run_readme"](tmp_path)
    assert names["answers"].shape == (5, 4, 1)
    assert names["slopes"].shape == (4, 16)
    assert (tmp_path / "graph.svg").read_text() == (ROOT / "docs" / "images" / "graph.svg").read_text()
    assert (tmp_path / "activations.png").stat().st_size > 10_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_programs_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    """A program whose first line says which package it needs is left out where that package is not installed."""
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for program in PROGRAM.findall(page.read_text(encoding="utf8")):
        needed = re.match(r"# needs .*\((\w+)\)$", program.splitlines()[0])
        if needed is None or importlib.util.find_spec(needed[1]):
            exec(compile(program, page.name, "exec"), names)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if "# needs " in page.read_text(encoding="utf8")], ids=lambda page: page.stem
)
def test_programs_that_need_packages_run_where_all_are_installed(page, tmp_path, monkeypatch):
    """The long tests run in an environment with further extras."""
    for package in re.findall(r"^# needs .*\((\w+)\)$", page.read_text(encoding="utf8"), re.MULTILINE):
        pytest.importorskip(package)
    test_programs_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch)


def test_it_names_every_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert all(f"`{name}`" in README.read_text() for name in extras)


def test_how_to_cite_names_this_version():
    cited = dict(
        line.split(": ", 1)
        for line in (ROOT / "CITATION.cff").read_text().splitlines()
        if line[0] not in " -" and ": " in line
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (fl.__version__, project["license"])
    assert cited["title"] == '"fnlayers: ' + project["description"].split(":")[0] + '"'


def test_the_layer_that_contributing_adds_is_one():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8")
    (program,) = re.findall(r"   ```python\n(.*?)   ```", text, re.DOTALL)
    names = {**vars(activation), "Param": fl.Param}  # a family's file knows the rest
    exec(compile(textwrap.dedent(program), "CONTRIBUTING.md", "exec"), names)
    model, x = fl.Sequential([fl.Dense(3), names["Scale"]("zeros")]), jnp.ones((2, 4))
    assert not model.apply(model.init(jax.random.key(0), x.shape), x).any()
