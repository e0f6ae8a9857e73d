"""Files of Keras, damaged in every way that a seed chooses: each loads as it was, or is refused with an error of ours.

python tests/keras_files/fuzz.py --count 10000 --seed 7          prints what is neither, with its seed
"""

import argparse
import copy
import io
import json
import random
import resource
import signal
import time
import zipfile
from pathlib import Path

import h5py
import jax
import numpy as np

import fnlayers as fl
from fnlayers.keras_files.config import input_shape_of, model_of
from fnlayers.keras_files.weights import weight_places
from keras_entries import functional, layer, sequential, start, tensor, write

SECONDS = 10  # for one file, on however slow a machine; a hang is one that takes longer
MEGABYTES = 100  # beyond what the good files take

ODD = [
    None, True, False, 0, 1, -1, 2, 2**28, 2**31, 2**63, 10**30, -(2**40), 0.5, -0.5, 1e308, 1e-320, "", "relu ", "relu", "Dense",
    "../x", "a/b", "\x00", "\u202e", "mine>Dense", "x", [], {}, [None], [[]], [0], [1, 2, 3], [None, -1], {"a": 1}, [2**40, 2**40],
    {"class_name": "Dense", "config": {}}, {"class_name": "__keras_tensor__", "config": {}}, ["x", 0, 0], ["y", 7, -1], "os.system",
    {"class_name": "function", "config": "getcwd", "module": "os", "registered_name": "function"}, "float16", "mixed_bfloat16", "int8",
]  # fmt: skip


def bases():
    """(config, weights) of small models that have most of what a config can have."""
    dense = layer(
        "Dense",
        "d",
        units=2,
        activation="relu",
        kernel_regularizer={"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.1}},
    )
    norm = layer("BatchNormalization", "n", axis=-1)
    yield sequential(dense, norm, layer("Dropout", "o", rate=0.5))
    shared = layer("Dense", "s", [("x",)], [("s", 0)], units=3)
    plus = layer("Add", "a", inner=None)
    plus["config"].pop("inner")
    plus["inbound_nodes"] = [{"args": [[tensor("s", 1), tensor("x")]], "kwargs": {}}]
    power = {"module": "keras.src.ops.numpy", "class_name": "Multiply", "config": {"name": "y"}, "name": "y"}
    power["inbound_nodes"] = [{"args": [tensor("a"), 2.0], "kwargs": {}}]
    yield functional([start(), shared, plus, power])
    heads = layer("MultiHeadAttention", "y", num_heads=1, key_dim=2)
    heads["inbound_nodes"] = [{"args": [tensor("e"), tensor("e")], "kwargs": {"use_causal_mask": True}}]
    words = layer("Embedding", "e", [("x",)], input_dim=4, output_dim=3, mask_zero=True)
    yield functional([start(shape=(None, 5)), words, heads])
    inner = sequential(layer("Conv1D", "c", filters=2, kernel_size=2), shape=(None, 4, 3))
    cell = layer("GRU", "g", units=2, return_sequences=True, stateful=True)
    around = layer("Bidirectional", "b", layer=layer("LSTM", "l", units=1))
    yield sequential({**inner, "name": "net"}, cell, around, shape=(2, 4, 3))


def good_files(folder):
    """The good files: (bytes, config, what they load as)."""
    for index, config in enumerate(bases()):
        model = model_of(config)
        shape = model.in_shape or input_shape_of(config)
        places = weight_places(model, shape)
        rng = np.random.default_rng(index)
        weights = {theirs: rng.normal(size=spec.full_shape).astype("float32") for _, theirs, spec in places}
        path = write(Path(folder) / f"{index}.keras", config, weights)
        yield path.read_bytes(), config, fl.load_keras(path)


def flipped(data, rng):
    """Bytes changed, cut off, left out, doubled or put in."""
    data, start = bytearray(data), rng.randrange(len(data))
    kind, length = rng.randrange(7), rng.choice([1, 1, 2, 4, 8, 16, 100])
    if kind == 0:
        return bytes(data[:start])
    if kind == 1:
        del data[start : start + length]
    elif kind == 2:
        data[start:start] = rng.randbytes(length)
    elif kind == 3:
        data[start : start + length] = rng.choice([b"\x00", b"\xff", b"\x7f", b"\x80"]) * length
    elif kind == 4:
        other = rng.randrange(len(data))
        data[start : start + length] = data[other : other + length]
    else:
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def changed_json(config, rng):
    """A config with some of its values replaced, removed, doubled or exchanged."""
    config = copy.deepcopy(config)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        spots = [(outer, key) for outer in containers(config) for key in keys(outer)]
        if not spots:
            break
        outer, key = rng.choice(spots)
        kind = rng.randrange(6)
        if kind == 0:
            del outer[key]
        elif kind == 1 and isinstance(outer, list):
            outer.insert(key, copy.deepcopy(rng.choice(outer)))
        elif kind == 1:
            outer[rng.choice(["filepath", "cache", "vocabulary", "dtype", "name", "module", str(key) + "_"])] = (
                rng.choice(ODD)
            )
        elif kind == 2:
            other, name = rng.choice(spots)
            outer[key] = copy.deepcopy(other[name])
        elif kind == 3 and isinstance(outer[key], (int, float)) and not isinstance(outer[key], bool):
            outer[key] = rng.choice(
                [outer[key] + 1, -outer[key], outer[key] * 2**20, float(outer[key]), str(outer[key])]
            )
        else:
            outer[key] = copy.deepcopy(rng.choice(ODD))
    return config


def containers(value):
    """All lists and objects in a JSON value."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (dict, list)):
            yield value
            waiting += value.values() if isinstance(value, dict) else value


def keys(container):
    return list(container) if isinstance(container, dict) else range(len(container))


def changed_text(text, rng):
    """A JSON text that no writer writes."""
    start = rng.randrange(len(text))
    odd = [
        "NaN",
        "Infinity",
        "-1e999",
        "[" * 2000,
        '{"a":' * 500,
        "1" * 5000,
        '"\\ud800"',
        "\ufeff",
        '"a":1,"a":1',
        "\x00",
        "'",
        "\\",
    ]
    return text[:start] + rng.choice(odd) + text[start + rng.choice([0, 1, 5]) :]


def changed_arrays(data, rng):
    """An HDF5 file with one of its arrays or groups replaced."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        names = []
        file.visit(names.append)
        name = rng.choice(names)
        value = file[name][...] if isinstance(file[name], h5py.Dataset) else np.ones((2, 3), "float32")
        del file[name]
        kind = rng.randrange(12)
        if kind == 0:
            return stream.getvalue() if file.flush() is None else data
        odd = {
            1: lambda: file.__setitem__(name, h5py.SoftLink(rng.choice(["/", "/layers", "/" + name]))),
            2: lambda: file.__setitem__(name, h5py.ExternalLink("/etc/hostname", "/")),
            3: lambda: file.__setitem__(name, file[rng.choice(["/", *file])]),
            4: lambda: file.create_dataset(name, (2**40, 2**9), "f4", chunks=(2**10, 2**9), compression="gzip"),
            5: lambda: file.create_dataset(name, value.shape, np.dtype((value.dtype, (2,)))),
            6: lambda: file.create_dataset(
                name, data=value.astype(rng.choice(["f8", ">f4", "i4", "c8", "S3", "?", "V2", "f2"]))
            ),
            7: lambda: file.create_dataset(name, data=value[..., None] if value.ndim else value),
            8: lambda: file.create_dataset(name, data=value.T),
            9: lambda: file.create_dataset(
                name, data=value, chunks=bool(value.ndim) or None, fletcher32=bool(value.ndim) or None
            ),
            10: lambda: file.create_dataset(
                name, value.shape, "f4", external=[("/etc/hostname", 0, max(4, value.nbytes))]
            ),
            11: lambda: file.create_group(name + "/vars/0/vars"),
        }
        odd[kind]()
    return stream.getvalue()


def zipped(members, rng=None):
    """An archive of (name, bytes); with rng, one of them packed or named in another way."""
    stream = io.BytesIO()
    chosen, kind = (rng.randrange(len(members)), rng.randrange(7)) if rng else (None, None)
    with zipfile.ZipFile(stream, "w") as archive:
        for index, (name, data) in enumerate(members):
            odd = index == chosen
            if odd and kind == 0:
                name = rng.choice(
                    ["../" + name, "/" + name, "C:" + name, name.replace(".", "\\"), name + "/", "assets/x"]
                )
            with warnings_off():
                archive.writestr(name, data, zipfile.ZIP_DEFLATED if odd and kind > 2 else zipfile.ZIP_STORED)
                if odd and kind == 1:
                    archive.writestr(name, data)
        if kind == 2:
            archive.comment = b"x" * rng.randrange(1, 100)
    return stream.getvalue() + (rng.randbytes(9) if kind == 6 else b"")


def warnings_off():
    import warnings

    found = warnings.catch_warnings()
    found.__enter__()
    warnings.simplefilter("ignore")
    return _Closing(found)


class _Closing:
    def __init__(self, inner):
        self.inner = inner

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.inner.__exit__(*error)


def mutant(good, rng):
    """(the bytes of a damaged file, whether it must load as the good one if it loads)."""
    data, config, _ = good
    kind = rng.randrange(8)
    if kind < 2:
        return flipped(data, rng), True
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if kind < 4:
        members["config.json"] = json.dumps(changed_json(config, rng)).encode("utf-8", "surrogatepass")
    elif kind == 4:
        members["config.json"] = changed_text(json.dumps(config), rng).encode("utf-8", "surrogatepass")
    elif kind < 7:
        change = rng.choice([flipped, flipped, changed_arrays])
        members["model.weights.h5"] = change(members["model.weights.h5"], rng)
    else:
        return zipped(list(members.items()), rng), True
    return zipped(list(members.items())), False


def fault(path, good, must_equal):
    """What is wrong with how a file loads; None: nothing."""
    try:
        loaded = fl.load_keras(path)
    except fl.LayerError:
        return None
    except BaseException as error:  # whatever it is: no other error may leave the loader
        return f"{type(error).__name__}: {str(error)[:200]}"
    arrays, expected = (jax.tree.leaves((x.params, x.state)) for x in (loaded, good[2]))
    same = loaded.model == good[2].model and len(arrays) == len(expected) and all(map(np.array_equal, arrays, expected))
    return "loads as another model" if must_equal and not same else None


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def run(folder, count, seed, report=print):
    """Load so many damaged files; the faults, each with what makes it again."""
    goods, faults = list(good_files(folder)), []
    path = Path(folder) / "mutant.keras"
    signal.signal(signal.SIGALRM, _hang)
    before = peak()
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")
        good = rng.choice(goods)
        data, must_equal = mutant(good, rng)
        path.write_bytes(data)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        started = time.process_time()
        found = fault(path, good, must_equal)
        signal.setitimer(signal.ITIMER_REAL, 0)
        took = time.process_time() - started
        if found is None and peak() - before > MEGABYTES:
            found, before = f"took {peak() - before} MB", peak()
        if found is not None:
            faults.append((seed, index, found))
            report(f"seed {seed}, file {index}: {found}", flush=True)
        elif took > 1:
            report(f"seed {seed}, file {index}: {took:.1f} s", flush=True)
    return faults


def _hang(*_):
    raise TimeoutError(f"more than {SECONDS} s")


if __name__ == "__main__":
    import tempfile

    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--seed", default="0")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(len(run(folder, given.count, given.seed)), "faults", peak(), "MB")
