"""What load_keras needs for a large file: its memory, in a process of its own."""

import subprocess
import sys

import jax
import pytest

import fnlayers as fl

pytest.importorskip("h5py")

PROGRAM = """
import sys
import fnlayers as fl

def memory(what):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) * 1024

fl.load_keras(sys.argv[1])  # what is imported late is imported here
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak
before = memory("VmRSS")
loaded = fl.load_keras(sys.argv[2])
print(memory("VmHWM") - before, sum(a.nbytes for layer in loaded.params.values() for a in layer.values()))
"""


def chain(folder, layers):
    """The file of that many Dense layers, of 4 MB each."""
    model = fl.Sequential([fl.Input((1024,)), *(fl.Dense(1024) for _ in range(layers))])
    fl.save_keras(folder / f"{layers}.keras", model, model.init(jax.random.key(0)))
    return folder / f"{layers}.keras"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the peak of a process's memory")
def test_a_large_file_takes_little_more_than_twice_its_size(tmp_path):
    """benchmarks/keras_files.py measures the time, too."""
    small, large = chain(tmp_path, 1), chain(tmp_path, 12)
    done = subprocess.run([sys.executable, "-c", PROGRAM, small, large], check=True, capture_output=True, text=True)
    peak, loaded = map(int, done.stdout.split())
    size = large.stat().st_size
    assert loaded <= size < 1.01 * loaded  # the arrays, whole
    assert 0.5 * loaded < peak <= 2.2 * size, f"{peak / size:.2f} times the file's size"  # some memory is used again
