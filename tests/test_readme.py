"""The README's programs run as they stand there, one after the other in one namespace."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="the wheel carries no README.md beside the tests")
def test_programs_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(programs) >= 8
    names: dict = {}
    for program in programs:
        exec(compile(program, "README.md", "exec"), names)
    assert names["answers"].shape == (5, 4, 1)
    assert names["slopes"].shape == (4, 16)
