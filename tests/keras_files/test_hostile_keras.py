"""Files of Keras made to do harm, or damaged: refused with an error of ours, while an audit hook watches."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import fnlayers as fl
import fuzz
import hostile

HERE = Path(__file__).parent
CRAFTED = list(hostile.crafted())


@pytest.fixture(scope="module")
def endings(tmp_path_factory):
    """How each crafted file ended, in one process with a bound on its memory."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "good.keras").write_bytes(hostile.good())
    (folder / hostile.SECRET).write_bytes(hostile.hdf5())
    for index, (_, data, _) in enumerate(CRAFTED):
        (folder / f"{index}.keras").write_bytes(data)
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "hostile.py"), str(folder)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (folder / "marker").exists()
    return {name: (ended, events) for name, ended, events in map(json.loads, done.stdout.splitlines())}


def test_the_good_file_loads_in_the_sandbox(endings):
    assert endings["good"] == ("loaded", [])


def test_every_crafted_file_is_refused_and_nothing_else_happens(endings):
    wrong = [
        (name, endings[str(index)])
        for index, (name, _, match) in enumerate(CRAFTED)
        if endings[str(index)][1] or not re.search(match, endings[str(index)][0])
    ]
    assert not wrong


def test_no_reader_looks_into_a_folder(tmp_path):
    model = fl.Sequential([fl.Input((3,)), fl.Dense(2)])
    params = model.init(jax.random.key(0))
    readers = (fl.load, fl.load_keras, fl.load_exported, lambda path: fl.load_keras_weights(path, model, params, {}))
    for read in readers:
        with pytest.raises(fl.ConfigError, match="is not a (regular )?file"):
            read(tmp_path)


def damaged(path, positions):
    """What is wrong with a file that is cut off, and with one bit flipped, at those positions."""
    path.write_bytes(hostile.good())
    good, wrong = fuzz.good(path), []
    for position, (what, mutant) in enumerate(hostile.cut_and_flipped(good.data, random.Random(0))):
        if position in positions:
            path.write_bytes(mutant)
            fault = fuzz.fault(path, good, "equal")
            wrong += [(what, fault)] if fault else []
    return wrong


def test_files_that_are_cut_off_or_have_a_bit_flipped(tmp_path):
    assert not damaged(tmp_path / "a.keras", set(random.Random(1).sample(range(2 * len(hostile.good())), 200)))


@pytest.mark.slow
def test_files_cut_off_at_every_byte_and_with_every_byte_changed(tmp_path):
    assert not damaged(tmp_path / "a.keras", range(2 * len(hostile.good())))


@pytest.mark.parametrize("form", fuzz.FORMATS)
def test_some_damaged_files(tmp_path, form):
    assert not fuzz.run(tmp_path, form, 30, "ci")


@pytest.mark.slow
@pytest.mark.parametrize("form", fuzz.FORMATS)
def test_many_damaged_files(tmp_path, form):
    """FNLAYERS_FUZZ=10000 FNLAYERS_FUZZ_SEED=7 says how many of each format, and which."""
    count, seed = int(os.environ.get("FNLAYERS_FUZZ", "300")), os.environ.get("FNLAYERS_FUZZ_SEED", "slow")
    assert not fuzz.run(tmp_path, form, count, seed)
