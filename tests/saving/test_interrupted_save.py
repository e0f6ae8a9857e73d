"""What a killed process leaves next to a file is removed by the next save; what a living one writes is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fnlayers.saving.atomic import this_host, write_atomically

WRITER = """
import os, signal, sys
from pathlib import Path
from fnlayers.saving.atomic import write_atomically
write_atomically(Path(sys.argv[1]), lambda file: (file.write(b"half"), os.kill(os.getpid(), int(sys.argv[2]))))
"""


@pytest.mark.skipif(os.name != "posix", reason="asks by signals which processes live")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_files_of_dead_processes_are_removed(tmp_path: Path, how: int) -> None:
    path = tmp_path / "m[1].safetensors"
    path.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", WRITER, str(path), str(int(how))]).returncode == -how
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2
    living = tmp_path / f".{path.name}.{this_host()}.{os.getpid()}.abc.tmp"
    other = tmp_path / f".other.{this_host()}.999999999.abc.tmp"
    for temporary in (living, other):
        temporary.touch()
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new" and set(tmp_path.iterdir()) == {path, living, other}
