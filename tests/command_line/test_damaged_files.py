"""Damaged files of the formats that are not Keras's: each is what it was, or refused with an error of ours."""

import hashlib
import io
import json
import os
import pickletools
import random
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

import fnlayers as fl
from damage import changed_json, changed_text, changed_words, flipped
from fnlayers.command_line.inspect import inspect
from fnlayers.state_dicts import batch_norm, dense, read_state_dict

TORCH = Path(__file__).parents[1] / "state_dicts" / "golden"
MODEL = fl.Sequential([fl.Input((3,)), fl.Dense(2, "relu", name="a"), fl.BatchNormalization(epsilon=1e-5, name="b")])
TABLE = {"0": dense("a"), "1": batch_norm("b")}


def saved(folder):
    fl.save(folder / "m.safetensors", MODEL, MODEL.init(jax.random.key(0)), MODEL.init_state())
    return folder / "m.safetensors", fl.load


def tensors(folder):
    ones = np.ones(2, "float32")
    arrays = {f"1.{name}": ones for name in ("weight", "bias", "running_mean", "running_var")}
    save_file({"0.weight": np.ones((2, 3), "float32"), "0.bias": ones} | arrays, folder / "t.safetensors")
    return folder / "t.safetensors", lambda path: tuple(fl.load_state_dict(MODEL, None, path, TABLE))


def torch(folder):
    (folder / "t.pt").write_bytes((TORCH / "state_dict.pt").read_bytes())
    return folder / "t.pt", read_state_dict


def exported(folder):
    fl.export(folder / "m.exported", MODEL, MODEL.init(jax.random.key(0)), MODEL.init_state())
    return folder / "m.exported", lambda path: repr(fl.load_exported(path))


def damaged_tensors(data, rng):
    """A .safetensors file with another header or other bytes, the checksum of ours made right again where it has one."""
    if rng.randrange(4) == 0:
        return rng.choice([flipped, changed_words])(data, rng)
    end = 8 + int.from_bytes(data[:8], "little")
    header, arrays = json.loads(data[8:end]), data[end:]
    texts = header.get("__metadata__") or {}
    checksum = texts.get("sha256", "")
    if texts and rng.randrange(3):
        name = rng.choice(list(texts))
        if texts[name][:1] in "[{":
            texts[name] = json.dumps(changed_json(json.loads(texts[name]), rng))
    elif rng.randrange(4):
        header = changed_json(header, rng)
    else:
        arrays = rng.choice([flipped, changed_words])(arrays, rng)
    text = json.dumps(header, separators=(",", ":"))
    return signed(changed_text(text, rng) if rng.randrange(8) == 0 else text, arrays, checksum)


def signed(text, arrays, checksum):
    """The file of a header and its arrays, the checksum in it made right."""
    raw = text.encode("utf-8", "surrogatepass")
    data = len(raw).to_bytes(8, "little") + raw + arrays
    if not checksum:
        return data
    blank = data.replace(checksum.encode(), b"0" * 64)
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


ODD = [
    b"N", b"\x88", b"K\xff", b"J\xff\xff\xff\xff", b"\x8a\x10" + b"\x7f" * 16, b"L" + b"9" * 5000 + b"L\n", b"G\x7f\xf0" + bytes(6),
    b"F1e400\n", b"Fnan\n", b"V\\ud800\n", b"X\x04\0\0\0\xff\xfe\0\0", b"\x8d" + b"\xff" * 8, b"B\xff\xff\xff\x7f", b"r\xff\xff\xff\xff",
    b"(", b")", b"]", b"}", b"t", b"0", b"1", b"2", b"Q", b"R", b"b", b"\x81", b"\x95" + b"\xff" * 8, b"cos\nsystem\n", b"\x93", b"\x97",
]  # fmt: skip


def damaged_torch(data, rng):
    """A file of torch.save whose pickle has other instructions, or with other bytes."""
    if rng.randrange(3) == 0:
        return rng.choice([flipped, changed_words])(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in members if name.endswith("/data.pkl"))
    starts = [start for _, _, start in pickletools.genops(members[pickled])] + [len(members[pickled])]
    steps = [members[pickled][start:end] for start, end in zip(starts, starts[1:], strict=False)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        one, two = rng.randrange(len(steps)), rng.randrange(len(steps))
        steps[one : one + rng.randrange(2)] = [rng.choice([steps[two], flipped(steps[one], rng), *rng.sample(ODD, 3)])]
    members[pickled] = b"".join(steps)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


FORMATS = {
    "saved": (saved, damaged_tensors), "tensors": (tensors, damaged_tensors), "torch": (torch, damaged_torch),
    "exported": (exported, damaged_tensors),
}  # fmt: skip


def outcome(function, path):
    """What came of it; None for an error of ours."""
    try:
        return function(path)
    except fl.LayerError:
        return None


def faults(folder, form, count, seed):
    """The seeds of files that end in an error of another kind, or in none at all."""
    make, damage = FORMATS[form]
    good, load = make(folder)
    data, failures = good.read_bytes(), []
    assert outcome(load, good) is not None and outcome(inspect, good)
    path = good.with_name(f"damaged{good.suffix}")
    for index in range(count):
        path.write_bytes(damage(data, random.Random(f"{seed}/{index}")))
        for function in (load, inspect):
            try:
                outcome(function, path)
            except BaseException as error:
                failures.append((seed, index, function.__name__, f"{type(error).__name__}: {error}"[:200]))
    return failures


@pytest.mark.parametrize("form", ["saved", "exported"])
def test_damaged_files_have_a_checksum_that_is_right(form, tmp_path):
    """Else all of them would be refused for that alone."""
    good, load = FORMATS[form][0](tmp_path)
    data = good.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"]["fnlayers"] = "another"
    text = json.dumps(header, separators=(",", ":"))
    good.write_bytes(signed(text, data[end:], header["__metadata__"]["sha256"]))
    assert load(good) is not None


@pytest.mark.parametrize("form", FORMATS)
def test_some_damaged_files_of_other_formats(form, tmp_path):
    assert not faults(tmp_path, form, 40 if form != "exported" else 5, "ci")  # each of which is parsed by a process


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_many_damaged_files_of_other_formats(form, tmp_path):
    """FNLAYERS_FUZZ=10000 FNLAYERS_FUZZ_SEED=7 says how many of each format, and which."""
    count, seed = (
        int(os.environ.get("FNLAYERS_FUZZ", "300" if form != "exported" else "60")),
        os.environ.get("FNLAYERS_FUZZ_SEED", "slow"),
    )
    assert not faults(tmp_path, form, count, seed)
