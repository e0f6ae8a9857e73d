"""What load_keras takes for a large `.keras` file, and what zipfile and h5py take to read its bytes: time and memory.

    python benchmarks/keras_files.py [--megabytes 100] [--rounds 5]

Each measurement is a process of its own, the two interleaved: processor time, the least of the rounds; and the peak of
the memory beyond what the process had before, as a multiple of the file's size. Targets: 1.5 times the time, 2.2 times
the size.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import jax

import fnlayers as fl

WIDTH = 1024  # of a Dense layer, whose kernel takes 4 MB

PROGRAM = """
import io, sys, time, zipfile
import h5py, numpy as np
import fnlayers as fl

def plain(path):
    arrays = []
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, entry: arrays.append(entry[...]) if isinstance(entry, h5py.Dataset) else None)
    return arrays

def memory(what):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024

read, small, large = {"plain": plain, "load_keras": fl.load_keras}[sys.argv[1]], *sys.argv[2:]
read(small)  # what is imported late is imported here
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak
before, start = memory("VmRSS"), time.process_time()
arrays = read(large)
print(time.process_time() - start, memory("VmHWM") - before)
"""


def written(folder: Path, layers: int) -> Path:
    """The file of a chain of that many Dense layers."""
    model = fl.Sequential([fl.Input((WIDTH,)), *(fl.Dense(WIDTH) for _ in range(layers))])
    path = folder / f"{layers}.keras"
    fl.save_keras(path, model, model.init(jax.random.key(0)))
    return path


def measured(reader: str, small: Path, large: Path) -> tuple[float, float]:
    """Processor seconds, and MB at the peak, of one reading in a process of its own."""
    run = [sys.executable, "-c", PROGRAM, reader, str(small), str(large)]
    seconds, megabytes = subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(megabytes)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--megabytes", type=int, default=100)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = written(Path(folder), 1), written(Path(folder), max(1, options.megabytes // 4))
        size = large.stat().st_size / 2**20
        times: dict[str, list[tuple[float, float]]] = {"plain": [], "load_keras": []}
        for _ in range(options.rounds):
            for reader, rounds in times.items():
                rounds.append(measured(reader, small, large))
    least = {reader: [min(column) for column in zip(*rounds, strict=True)] for reader, rounds in times.items()}
    for reader, (seconds, peak) in least.items():
        print(f"{reader:12} {1000 * seconds:7.0f} ms   peak {peak / size:.2f} of {size:.0f} MB")
    print(f"{'ratio':12} {least['load_keras'][0] / least['plain'][0]:7.2f}      (at most 1.5; peak at most 2.2)")


if __name__ == "__main__":
    main()
