"""Every layer says what it does, what it takes, what it gives; and its examples run."""

import dataclasses
import doctest
import importlib
import pkgutil
import re

import pytest

import fnlayers as fl

MODULES = sorted(module.name for module in pkgutil.walk_packages(fl.__path__, "fnlayers."))
EXPLAIN = "fnlayers.ops.explain"  # whose examples show the rows of algorithms


@pytest.mark.parametrize("name", fl.LAYERS)
def test_a_docstring_says_what_a_user_needs(name):
    """In one sentence what the layer does; shapes, masks and every argument in it, or in the docstring it refers to."""
    cls = fl.LAYERS[name]
    own = vars(cls)["__doc__"]
    assert re.match(r"\S.*[.:]\s", own + "\n") and not own.startswith(name)
    text = read(cls)
    assert re.search(r"^\s*Shapes: ", text, re.M), "no Shapes"
    assert re.search(r"^\s*Mask: ", text, re.M), "no Mask"
    arguments = [f.name for f in dataclasses.fields(cls) if f.name not in ("name", "trainable", "dtype")]
    absent = [name for name in arguments if not re.search(rf"\b{name}\b[^:]*:", text)]
    assert not absent, f"not in the docstring: {absent}"


@pytest.mark.parametrize("name", [name for name in MODULES if name != EXPLAIN])
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


def test_examples_of_explain_run(all_rows):
    test_examples_run(EXPLAIN)


def read(cls):
    """The docstring, and those of the classes that it names in backticks."""
    text, seen, waiting = "", set(), [cls]
    while waiting:
        base = waiting.pop()
        if base not in seen and base.__doc__:
            seen.add(base)
            text += "\n" + base.__doc__
            known = vars(importlib.import_module(base.__module__)) | fl.LAYERS
            names = re.findall(r"`(\w+)`", base.__doc__)
            waiting += [known[n] for n in names if isinstance(known.get(n), type) and issubclass(known[n], fl.Layer)]
    return text
