"""The house: imports go downward, modules hold no state, the catalog is complete, and arguments are Keras's."""

import ast
import dataclasses
import graphlib
import importlib
import inspect
import json
import pathlib
import pkgutil
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import cases
import fnlayers as fl
from fnlayers.ops import compose

PACKAGE = pathlib.Path(fl.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FLOORS = {
    "version": 0, "plain_data": 0, "kinds": 0, "half_precision": 0, "functions": 0, "ops": 0, "core": 1, "layers": 2, "models": 2, "host": 2, "program_cache": 2, "trees": 2,
    "catalog": 3, "freezing": 3, "sharding": 3, "training": 3, "saving": 3, "show": 3, "surgery": 3,
    "debug": 4, "keras_files": 4, "state_dicts": 4, "exporting": 4, "__init__": 5, "command_line": 5, "__main__": 6,
}  # fmt: skip
# What the families of layers, each a file or a folder, may import of each other.
COMMON = {"common"}
BLOCKS = "blocks"  # the folder of layers made of layers of other families
# On their floor, but used by their neighbors: the list of layers, what a layer holds, trees, the version, plain data, half precision.
NEIGHBORS = {"catalog", "freezing", "sharding", "trees", "version", "plain_data", "kinds", "half_precision"}

# Arguments of Keras that we leave out, each with its reason (docs/deviations.md).
OMITTED = {
    "use_cudnn": "ops chooses algorithms",
    "lora_rank": "a transform of params",
    "lora_alpha": "a transform of params",
    "gptq_unpacked_column_size": "a transform of params",
    "quantization_config": "a transform of params",
    "weights": "layers hold no arrays",
    "output_shape Lambda": "shapes are traced",
}
REORDERED = {"Conv3DTranspose"}  # one base for all three (docs/deviations.md)


def parts_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


def imported(path):
    """The fnlayers modules that a file imports, as tuples of names, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fnlayers":
            base = tuple(node.module.split(".")[1:])
            yield from ((*base, alias.name) for alias in node.names) if not base else [base]
        elif isinstance(node, ast.Import):
            yield from (tuple(a.name.split(".")[1:]) for a in node.names if a.name.startswith("fnlayers."))


@pytest.mark.parametrize("path", FILES, ids=lambda p: "/".join(parts_of(p)))
def test_imports_go_downward(path):
    here = parts_of(path)
    for there in imported(path):
        if here[0] == there[0]:
            if here[0] == "layers" and here[1] not in ("__init__", BLOCKS):
                assert there[1] in {here[1], *COMMON}, f"{here} imports {there}, of another family"
            continue
        same_floor = FLOORS[there[0]] == FLOORS[here[0]]
        assert FLOORS[there[0]] < FLOORS[here[0]] or (same_floor and there[0] in NEIGHBORS), f"{here} imports {there}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: "/".join(parts_of(p)))
def test_modules_hold_no_state(path):
    """No list, set or counter at module level, no `global`; tables are dicts in capitals that nobody writes to."""
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    tables = set()
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [t.id for t in targets if isinstance(t, ast.Name)]
            if names == ["__all__"]:
                continue
            assert not isinstance(node.value, (ast.List, ast.Set, ast.ListComp)), names
            if isinstance(node.value, (ast.Dict, ast.DictComp)):
                assert all(name.isupper() for name in names), f"{names}: a table is written in capitals"
                tables.update(names)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.Delete)):
            for target in [node.target] if isinstance(node, ast.AugAssign) else node.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    assert target.value.id not in tables, f"{target.value.id} is written to"


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by their names alone."""
    names = [path.name for path in pathlib.Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_importing_touches_no_device_and_loads_no_extra():
    """With a platform that does not exist, the first touch of a device would fail."""
    code = (
        "import sys, fnlayers; "
        "heavy = {'rich', 'tqdm', 'safetensors', 'matplotlib', 'h5py', 'keras', 'pandas', 'orbax', 'tensorboardX'} & set(sys.modules); "
        "assert not heavy, heavy; from jax._src import xla_bridge; assert not xla_bridge._backends"
    )
    environment = {"JAX_PLATFORMS": "nonsense", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_layer_of_the_catalog_has_a_case_and_a_public_name():
    covered = {type(layer).__name__ for case in cases.CASES for layer in cases.layers_in(case.layer)}
    covered |= {type(layer).__name__ for layer, _ in cases.HOST}
    assert set(fl.LAYERS) <= covered
    for name, cls in fl.LAYERS.items():
        assert cls.__name__ == name and getattr(fl, name) is cls and name in fl.__all__


def test_every_layer_that_is_no_base_is_in_the_catalog():
    """So that fl.load reads a model of it by itself."""
    for module in pkgutil.walk_packages(fl.__path__, "fnlayers."):
        importlib.import_module(module.name)
    absent = [cls for cls in subclasses(fl.Layer) if not cls.__subclasses__() and cls not in fl.LAYERS.values()]
    ours = [cls for cls in absent if cls.__module__.startswith("fnlayers.")]
    assert not [cls for cls in ours if getattr(sys.modules[cls.__module__], cls.__name__, None) is cls]


def subclasses(cls):
    return {cls}.union(*map(subclasses, cls.__subclasses__()))


def test_public_names_are_there_and_sorted_out():
    assert len(set(fl.__all__)) == len(fl.__all__)
    assert all(hasattr(fl, name) for name in fl.__all__)


SIGNATURES = json.loads((pathlib.Path(__file__).parent / "golden" / "signatures.json").read_text())


def fields_of(cls):
    return {f.name: f for f in dataclasses.fields(cls) if not f.kw_only}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_those_of_keras_in_their_order(name):
    ours = list(fields_of(fl.LAYERS[name]))
    theirs = [a for a in SIGNATURES[name] if a not in OMITTED and f"{a} {name}" not in OMITTED]
    if name in REORDERED:
        assert sorted(ours) == sorted(theirs)
    elif name in ("Sequential", "Functional"):
        assert "layers" in ours  # a container's own form
    else:
        # ours may know more, at the end
        assert ours[: len(theirs)] == theirs


@pytest.mark.parametrize("name", SIGNATURES)
def test_defaults_are_those_of_keras(name):
    if name in ("Sequential", "Functional"):
        pytest.skip("a container's own form")
    ours = fields_of(fl.LAYERS[name])
    for argument, text in SIGNATURES[name].items():
        if argument in ours:
            default = ours[argument].default
            if text is None:
                assert default is dataclasses.MISSING, argument
            else:
                assert alike(default, ast.literal_eval(text)), f"{argument}={default!r}, Keras has {text}"


def alike(ours, theirs):
    """Equal, or 3 for (3, 3), "zeros" for "Zeros"."""
    if isinstance(theirs, tuple) and isinstance(ours, int):
        return bool(np.all(np.array(theirs) == ours))
    return str(ours).lower() == str(theirs).lower() or ours == theirs


@pytest.mark.parametrize("platform", compose.tables())
def test_every_row_of_algorithms_has_a_reason_and_a_benchmark(platform, monkeypatch):
    benchmarks = PACKAGE.parent / "benchmarks"
    monkeypatch.syspath_prepend(str(benchmarks))
    algorithms = importlib.import_module("algorithms")
    measured = {*algorithms.RULES, *(path.name for path in benchmarks.glob("*.py"))}
    for operation, rows in compose.tables()[platform].items():
        assert rows and len({row.name for row in rows}) == len(rows), operation
        for row in rows:
            assert len(row.because) > 20 and row.bench in measured and row.passes, f"{operation}: {row.name}"
            assert platform != "cpu" or re.search(r"\d", row.because), f"{operation}: {row.name} has no figure"


def test_no_file_of_ops_imports_itself_by_way_of_others():
    """Wherever the import stands: `graphlib` names a circle where there is one."""
    names = {parts_of(path) for path in FILES if parts_of(path)[0] == "ops"}
    graph = {}
    for path in FILES:
        here = parts_of(path)
        if here in names and here[-1] != "__init__":
            there = {module[: length + 1] for module in imported(path) for length in range(1, len(module))}
            graph[here] = (there & names) - {here}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= 20


def test_no_program_takes_different_ways_but_in_dispatch():
    """Rules of platforms are rows: one call of jax's, and nobody else asks which platform a program is for."""
    paths = [path for path in FILES if "platform_dependent" in path.read_text()]
    assert [path.name for path in paths] == ["dispatch.py"]


# The methods of Layer that do something by themselves, and that its subclasses may write anew.
HOOKS = {"forward", "in_dtype", "in_types", "activity_regularizer", "base_name", "__repr__"}


def function_of(member):
    """The function of a method or property, without what is wrapped around it; None for other members."""
    member = member.fget if isinstance(member, property) else member
    return inspect.unwrap(member) if inspect.isfunction(member) else None


def does_something(function):
    """Whether a body has more than a docstring and a raise, or a return that calls nothing."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    return not all(
        isinstance(line, ast.Raise)
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        or (isinstance(line, ast.Return) and not any(isinstance(part, ast.Call) for part in ast.walk(line)))
        for line in definition.body  # type: ignore[attr-defined]
    )


CLASSES = {base for cls in fl.LAYERS.values() for base in cls.__mro__ if base is not object}


@pytest.mark.parametrize("cls", [pytest.param(cls, id=cls.__name__) for cls in sorted(CLASSES, key=repr)])
def test_nobody_overrides_a_method_that_does_something(cls):
    """Of any base: a method is written once, or is empty in the base; but for the hooks of Layer."""
    for name in filter(lambda name: function_of(vars(cls)[name]), vars(cls)):
        base = next((base for base in cls.__mro__[1:-1] if name in vars(base)), None)
        if base is not None and not (base is fl.Layer and name in HOOKS):
            overridden = function_of(vars(base)[name])
            assert overridden and not does_something(overridden), f"{cls.__name__} overrides {base.__name__}.{name}"


# Words that docs/design.md has a plainer one for, as regexes, in the folders that are swept.
OLD_WORDS = (
    r"\banew\b", r"\bbeside\b", r"\bkept\b", r"\bfed\b", r"\bfelt\b", r"\bheard\b", r"\blest\b", r"\bwants?\b", r"way back",
    r"first values", r"ax[ei]s of space", r"sees to it", r"no meaning",
)  # fmt: skip
REPOSITORY = PACKAGE.parent
SWEPT = ("fnlayers", "docs", "examples", "notebooks", "tests", "benchmarks")
# A file that says so of the step of a recurrent layer, of a table's or a notebook's, or of a closure's, is right.
HAS_CELLS = re.compile(r"recurrent|Recurrent|RNN|LSTM|GRU|_cells?\b|\bcells? of|__closure__|cell_type|Columns?\b")
# Where an old word is right: an option's value, or the verb of plain prose.
RIGHT = {
    "want": {"docs/site/docstrings.py"},  # doctest's name for it
    "cells": {"fnlayers/core/layer.py"},
    "cell": {
        "fnlayers/state_dicts/load.py",
        "fnlayers/core/layer.py",
        "fnlayers/core/one_step.py",
        "tests/ops/test_ops_scan.py",
    },
    "beside": {
        "fnlayers/exporting/program.py",
        "tests/exporting/test_program.py",
        "docs/export.md",
        "fnlayers/command_line/inspect.py",
        "tests/command_line/test_command_line.py",
    },
    "kept": {
        "docs/performance.md",
        "docs/design.md",
        "docs/activations.md",
        "fnlayers/training/fit_loop.py",
        "fnlayers/training/programs.py",
        "fnlayers/training/guard.py",
    },
}


# Names of the same kind, which say nothing of what they hold.
OLD_NAMES = {"given", "dgiven", "felt", "found", "heard", "fed", "dfed", "held", "kept", "made", "said", "told"}


def names_in(path):
    """The names that a file's own code binds or reads, its arguments, functions and attributes; none of others'."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_names_say_what_they_hold():
    wrong = {name: OLD_NAMES.intersection(names_in(path)) for name, path in texts() if path.suffix == ".py"}
    assert not {name: names for name, names in wrong.items() if names}


def texts():
    """Every file of prose or code by its path in the repository; a wheel has the package and its tests alone."""
    for folder in filter(lambda folder: (REPOSITORY / folder).is_dir(), SWEPT):
        paths = (path for kind in ("*.py", "*.md", "*.ipynb") for path in (REPOSITORY / folder).rglob(kind))
        yield from ((path.relative_to(REPOSITORY).as_posix(), path) for path in paths if ".ipynb_" not in str(path))
    yield from ((path.name, path) for path in REPOSITORY.glob("*.md"))


def test_how_to_contribute_fits_on_a_page():
    assert all(path.read_text(encoding="utf8").count("\n") < 60 for path in REPOSITORY.glob("CONTRIBUTING.md"))


def test_words_are_those_of_the_field():
    wrong = {}
    for name, path in texts():
        text = path.read_text(encoding="utf8")
        cell = () if HAS_CELLS.search(text) else (r"\bcells?\b",)
        words = {match for word in (*OLD_WORDS, *cell) for match in re.findall(word, text)}
        words = {word for word in words if name not in RIGHT.get(word, ())}
        if words and name != "tests/test_house.py":
            wrong[name] = words
    assert not wrong, f"{wrong}; docs/design.md, section 6, has the words"
