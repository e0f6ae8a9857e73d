"""The site: each layer and activation is on it, its programs run and show what they say, its links lead to pages."""

import ast
import doctest
import importlib
import pathlib
import re
import sys

import pytest

import fnlayers as fl
from fnlayers.functions.activations import ACTIVATIONS

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "site"
if not FOLDER.exists():
    pytest.skip("the wheel comes without docs/", allow_module_level=True)
sys.path.insert(0, str(FOLDER))

copied_pages, docstrings, layer_pages, reference_pages = map(
    importlib.import_module, ("copied_pages", "docstrings", "layer_pages", "reference_pages")
)


def examples_of(program):
    """A program's statements as examples: the comments after an expression are what it shows."""
    lines = program.splitlines()
    statements = ast.parse(program).body
    starts = [min([s.lineno, *(d.lineno for d in getattr(s, "decorator_list", ()))]) - 1 for s in statements]
    for statement, start, end in zip(statements, starts, [*starts[1:], len(lines)], strict=True):
        code = after = "\n".join(lines[start:end])
        if code.endswith(docstrings.NOT_RUN):
            continue
        if isinstance(statement, ast.Expr):
            code = ast.get_source_segment(program, statement) or ""
        after = after[len(code) :].strip()
        shown = [line.removeprefix("#").removeprefix(" ") for line in after.splitlines() if line.startswith("#")]
        yield doctest.Example(code, "\n".join(shown), _error(shown))


def _error(shown):
    """The message of the error that an example shows, if it shows one."""
    return shown[-1] + "\n" if shown and shown[0].startswith("Traceback") else None


def run(program):
    test = doctest.DocTest(list(examples_of(program)), {}, "example", None, 0, program)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0, program


# One each of those with an example of their own, and of what is made from the table: weights, state, integers, several
# inputs, a key.
QUICK = {"Dense", "StringLookup", "UnitNormalization", "BatchNormalization", "CategoryEncoding", "Add", "Dropout"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in fl.LAYERS]
)
def test_the_example_of_a_layer_shows_what_it_says(name):
    program = layer_pages.example(name)
    assert f"fl.{name}(" in program or "Example" in docstrings.read(fl.LAYERS[name]).sections
    assert "# " in program
    run(program)


REFERENCE = [*reference_pages.PAGES, *reference_pages.MODULES]


@pytest.fixture(scope="module")
def reference():
    return dict(reference_pages.pages())


@pytest.mark.slow
@pytest.mark.parametrize("page", REFERENCE)
def test_the_examples_of_the_reference_show_what_they_say(page, reference, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for program in reference[f"reference/{page}.md"].split("**Example**\n\n```python\n")[1:]:
        run(program.split("\n```\n")[0])


def test_every_public_name_has_an_entry(reference):
    entries = {line.split()[1] for page in reference.values() for line in page.splitlines() if line.startswith("## ")}
    aliases = {name for name in fl.__all__ if getattr(getattr(fl, name), "__name__", name) != name}
    missing = {name for name in fl.__all__ if callable(getattr(fl, name))} - entries - set(fl.LAYERS) - aliases
    assert not missing


def test_every_layer_is_in_one_family():
    listed = [name for names in layer_pages.families().values() for name in names]
    assert sorted(listed) == sorted(fl.LAYERS)
    assert all(layer_pages.families().values())


@pytest.mark.slow  # all curves are measured
def test_every_activation_has_a_curve_and_an_example_that_runs():
    page = importlib.import_module("activation_pages").page()
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    names = {name.strip(" ,`") for line in headings for name in line[3:].replace("\\", "").split(",")}
    assert len(headings) == page.count('<div class="curve"') == len({id(f) for f in ACTIVATIONS.values()})
    assert {f.__name__ for f in ACTIVATIONS.values()} <= names
    for program in page.split("```python\n")[1:]:
        run(program.split("\n```\n")[0])


def test_links_lead_to_pages_of_the_site():
    """The builder checks them all again, anchors too; here one that leaves the site is an error with its name."""
    paths = [path for path, _ in copied_pages.pages()]
    assert len(set(paths)) == len(paths)
    assert copied_pages.moved("[a](docs/training.md#data), `[b](x)`", "README.md") == "[a](training.md#data), `[b](x)`"
    assert copied_pages.moved("[a](../examples/models)", "docs/export.md") == "[a](examples/index.md#models)"
    with pytest.raises(KeyError, match="docs/missing.md is linked to"):
        copied_pages.moved("[a](missing.md)", "docs/export.md")


def test_every_guide_is_in_the_menu():
    menu = (FOLDER / "site.yml").read_text(encoding="utf8")
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if f": {page.name}\n" not in menu]


def test_a_docstring_is_text_and_its_names_are_links():
    text = docstrings.prose("a * b_c < `Dense` and `x`", lambda name: {"Dense": "Dense.md"}.get(name))
    assert text == "a \\* b\\_c &lt; [`Dense`](Dense.md) and `x`"


def test_an_example_becomes_a_program():
    text = ">>> import jax\n>>> layer = Dense(3, activation='relu')\n>>> layer\nDense(units=3, activation='relu')"
    program = (
        "import fnlayers as fl\n\nlayer = fl.Dense(3, activation='relu')\nlayer  # Dense(units=3, activation='relu')"
    )
    assert docstrings.program(text, fl.Dense) == program
    run(program)
    with pytest.raises(AssertionError):
        run(program.replace("# Dense(units=3", "# Dense(units=4"))


def test_a_program_says_which_line_is_not_run():
    program = docstrings.program(">>> tune_host()  # doctest: +SKIP\n'in words'", fl.tune_host)
    assert program == "import fnlayers as fl\n\nfl.tune_host()  # not run here"
    assert [example.source for example in examples_of(program)] == ["import fnlayers as fl\n"]


def test_sections_of_a_docstring():
    def documented():
        """What it does.

        More
        of it.

        Mask: passed on,
        always. And
            so on.

        >>> 1 + 1
        2
        """

    read = docstrings.read(documented)
    assert (read.summary, read.paragraphs) == ("What it does.", "More\nof it.")
    assert read.sections == {"Mask": "passed on,\nalways. And\nso on.", "Example": ">>> 1 + 1\n2"}


def test_arguments_that_stand_together_stay_together():
    assert docstrings.arguments("a, b,\n    c: one\n    two: three\nd: four") == {
        "a, b, c": "one two: three",
        "d": "four",
    }


def test_pictures_show_the_layers_numbers():
    pictures = importlib.import_module("pictures")
    page = pictures.of_layer("MaxPooling2D")
    shown = [int(text) for text in re.findall(r"<text [^>]*>(\d+)</text>", page)]
    assert shown == [*range(1, 17), 6, 8, 14, 16]
    captions = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert captions[0] == "<code>padding='valid', strides=2</code>: 5 x 5 → 2 x 2"
    assert pictures.of_layer("Dense") is None


def test_pictures_show_what_is_padded():
    pictures = importlib.import_module("pictures")
    causal = next(p for p in pictures.of_layer("Conv1D").split("<figure>") if "causal" in p)
    kinds = re.findall(r'<rect class="square ([^"]*)"', causal)
    assert kinds == ["padded window", "padded window", "window", *[""] * 4, "window", *[""] * 4]
