"""An editor finds wrong programs before they run: what pyright says of right ones and of wrong ones."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

import fnlayers as fl

HERE = pathlib.Path(__file__).parent
PYRIGHT = shutil.which("pyright", path=str(pathlib.Path(sys.executable).parent))

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PYRIGHT is None, reason="needs pyright, of the extra lint")]


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """What pyright flags in each program: {program: {number of the line: message}}."""
    every_name = tmp_path_factory.mktemp("programs") / "every_name.py"
    every_name.write_text("import fnlayers as fl\n\n" + "\n".join(f"print(fl.{name})" for name in fl.__all__))
    programs = [HERE / "right.py", HERE / "wrong.py", every_name]
    command = [str(PYRIGHT), "--outputjson", "--pythonpath", sys.executable, *map(str, programs)]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1]).stdout)
    assert report["summary"]["filesAnalyzed"] == len(programs)
    flagged = {path.stem: {} for path in programs}
    for diagnostic in report["generalDiagnostics"]:
        if diagnostic["severity"] == "error":
            flagged[pathlib.Path(diagnostic["file"]).stem][diagnostic["range"]["start"]["line"]] = diagnostic["message"]
    return flagged


@pytest.mark.parametrize("name", ["right", "wrong"])
def test_each_wrong_line_is_flagged_and_no_other(name, errors):
    lines = (HERE / f"{name}.py").read_text().splitlines()
    marked = {i for i, line in enumerate(lines) if line.endswith("# wrong")}
    assert errors[name].keys() == marked, (sorted(marked - errors[name].keys()), errors[name])


def test_every_public_name_is_seen(errors):
    """Though what is imported later stands in a table of its own at run time."""
    assert not errors["every_name"]
