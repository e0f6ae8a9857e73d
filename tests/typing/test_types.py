"""An editor finds wrong programs before they run: what pyright says of right ones and of wrong ones."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
PYRIGHT = shutil.which("pyright", path=str(pathlib.Path(sys.executable).parent))


@pytest.mark.slow
@pytest.mark.skipif(PYRIGHT is None, reason="needs pyright, of the extra lint")
@pytest.mark.parametrize("name", ["right", "wrong"])
def test_each_wrong_line_is_flagged_and_no_other(name):
    path = HERE / f"{name}.py"
    command = [str(PYRIGHT), "--outputjson", "--pythonpath", sys.executable, str(path)]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1]).stdout)
    flagged = {
        found["range"]["start"]["line"]: found["message"]
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }
    marked = {i for i, line in enumerate(path.read_text().splitlines()) if line.endswith("# wrong")}
    assert flagged.keys() == marked, (sorted(marked - flagged.keys()), flagged)
