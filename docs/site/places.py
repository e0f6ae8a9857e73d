"""Where things are in the repository."""

import pathlib

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
CASES = ROOT / "tests" / "cases.py"
