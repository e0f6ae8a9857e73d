"""Without the rows of `ops/cpu` and `ops/cuda` all is as right: they change no number but in its last digits."""

import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parents[1]
# Against definitions written as loops, and the law that compares layers with Keras
FILES = ["ops/test_ops_conv.py", "ops/test_ops_spatial.py", "laws/test_parity.py"]


@pytest.mark.slow
def test_the_references_alone_pass_the_tests():
    files = [str(TESTS / name) for name in FILES]
    options = ["-q", "-p", "no:cacheprovider", "-n", "0", "--references"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files], capture_output=True, text=True, cwd=TESTS.parent
    )
    assert done.returncode == 0, done.stdout[-5000:]
