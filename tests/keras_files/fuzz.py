"""Files of Keras, damaged in every way that a seed chooses: each loads as it was, or is refused with an error of ours.

    PYTHONPATH=tests python tests/keras_files/fuzz.py --format h5 --count 10000 --seed 7

prints what is neither, what takes a second more than the good file, and what takes 100 MB, each with its seed.
"""

import argparse
import functools
import io
import json
import random
import signal
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import jax
import jax.numpy as jnp
import numpy as np

import fnlayers as fl
from damage import changed_json, changed_text, changed_words, flipped, other_text
from fnlayers.core.spec import Param, leaf_at, spec_items
from fnlayers.keras_files.config import model_and_shape
from fnlayers.keras_files.custom_objects import NO_CUSTOM_OBJECTS
from fnlayers.keras_files.weights import weight_places
from keras_entries import functional, layer, sequential, start, tensor, write
from mutations import changed_directory, changed_hdf5, written_again, zipped
from old_entries import branches, keras1_file

GOLDEN = Path(__file__).parent / "golden"
FORMATS = ("keras", "h5", "weights")
SECONDS = 1  # of processor time, beyond what the good file takes
HANG = 20  # after so many it is ended
MEGABYTES = 100  # beyond what was in use before


class Good(NamedTuple):
    """A good file: its bytes, its config (of a `.keras` file), how it is loaded, and what it loads as."""

    data: bytes
    config: Any
    load: Any
    result: Any  # (model, params, state)


def load_model(path):
    return fl.load_keras(path)[:3]


def load_weights(model, params, state, path):
    return model, *fl.load_keras_weights(path, model, params, state)[:2]


def configs():
    """Configs of small models that have most of what a config can have."""
    decay = {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.1}}
    dense = layer("Dense", "d", units=2, activation="relu", kernel_regularizer=decay)
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


def good_archives(folder):
    """Archives made here, and one that tf.keras wrote."""
    path = folder / "good"
    for index, config in enumerate(configs()):
        model, shape = model_and_shape(config, NO_CUSTOM_OBJECTS, 100)
        rng = np.random.default_rng(index)
        places = weight_places(model, shape)
        weights = {theirs: rng.normal(size=spec.full_shape).astype("float32") for _, theirs, spec in places}
        yield good(write(path, config, weights), config)
    path.write_bytes(golden("keras2", "graph.keras"))
    with zipfile.ZipFile(path) as archive:
        yield good(path, json.loads(archive.read("config.json")))


def good_models(folder):
    """Models in one HDF5 file, of Keras 1, 2 and 3."""
    path = folder / "good"
    yield good(keras1_file(path, *branches()))
    for version, name in (("keras2", "graph"), ("keras2", "functions"), ("keras3", "words"), ("keras3", "images")):
        path.write_bytes(golden(version, f"{name}.h5"))
        yield good(path)


def good_weights(folder):
    """Weights alone, for the models that they are of."""
    path = folder / "good"
    for version, name in (("keras2", "graph"), ("keras2", "sequences"), ("keras3", "graph"), ("keras3", "words")):
        path.write_bytes(golden(version, f"{name}.h5"))
        load = functools.partial(load_weights, *fl.load_keras(path)[:3])
        path.write_bytes(golden(version, f"{name}{'_' if version == 'keras2' else '.'}weights.h5"))
        yield good(path, load=load)


def golden(version, name):
    with zipfile.ZipFile(GOLDEN / f"{version}.zip") as archive:
        return archive.read(name)


def good(path, config=None, load=load_model):
    return Good(path.read_bytes(), config, load, load(path))


def damaged_archive(good, rng):
    """(the bytes of a damaged `.keras` file, what it must be)."""
    kind = rng.randrange(8)
    if kind < 2:
        return rng.choice([flipped, changed_words, changed_directory])(good.data, rng), "equal"
    with zipfile.ZipFile(io.BytesIO(good.data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if kind < 4:
        members["config.json"] = json.dumps(changed_json(good.config, rng)).encode("utf-8", "surrogatepass")
    elif kind == 4:
        members["config.json"] = changed_text(json.dumps(good.config), rng).encode("utf-8", "surrogatepass")
    elif kind < 7:
        change = rng.choice([flipped, changed_hdf5, changed_hdf5])
        members["model.weights.h5"] = change(members["model.weights.h5"], rng)
    else:
        return zipped(list(members.items()), rng), "equal"
    return zipped(list(members.items())), "any"


def damaged_hdf5(good, rng):
    """(the bytes of a damaged HDF5 file, what it must be). No checksum protects its arrays."""
    kind = rng.randrange(10)
    if kind == 0:
        return written_again(good.data, rng), "loaded"
    if kind < 4:
        return rng.choice([flipped, changed_words])(good.data, rng), "any"
    return (changed_config if kind < 7 else changed_hdf5)(good.data, rng), "any"


def changed_config(data, rng):
    """The config of a model, where there is one, or something else."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        if (text := file.attrs.get("model_config")) is None:
            return changed_hdf5(data, rng)
        text = other_text(text if isinstance(text, str) else text.decode(), rng).encode("utf-8", "surrogatepass")
        file.attrs["model_config"] = np.bytes_(text[: 64 << 10])  # which HDF5 takes with zeros in it, and no longer
    return stream.getvalue()


GOOD = {"keras": good_archives, "h5": good_models, "weights": good_weights}
DAMAGED = {"keras": damaged_archive, "h5": damaged_hdf5, "weights": damaged_hdf5}


def fault(path, good, must="any"):
    """What is wrong with how a file loads; None: nothing. What loads must be "any" model whole, or "equal" to the good one."""
    try:
        loaded = good.load(path)
    except fl.LayerError as error:
        return f"is refused: {error}" if must == "loaded" else None
    except BaseException as error:  # whatever it is: no other error may leave the loader
        return f"{type(error).__name__}: {str(error)[:200]}"
    if must != "any" and not same(loaded, good.result):
        return "loads as another model"
    return None if is_whole(*loaded) else "has arrays that are not its model's"


def same(loaded, result):
    arrays, expected = jax.tree.leaves(loaded[1:]), jax.tree.leaves(result[1:])
    return loaded[0] == result[0] and len(arrays) == len(expected) and all(map(np.array_equal, arrays, expected))


def is_whole(model, params, state):
    """Whether the arrays are those that the model declares."""
    if model.in_shape is None:
        return True
    for path, spec in spec_items(model.specs(model.in_shape)):
        array = leaf_at(params if isinstance(spec, Param) else state, path.split("/"))
        if array is None or array.shape != spec.full_shape or array.dtype != jnp.dtype(spec.dtype or "float32"):
            return False
    return True


def memory(what):
    """The process's memory in MB: "VmRSS" now, "VmHWM" the most since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) // 1024


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


def measured(path, good, must):
    """What is wrong with how a file loads, its processor time and its memory included."""
    forget_peak()
    before, started = memory("VmRSS"), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, HANG)
    wrong = fault(path, good, must)
    signal.setitimer(signal.ITIMER_PROF, 0)
    took, grown = time.process_time() - started, memory("VmHWM") - before
    if wrong is None and grown > MEGABYTES:
        return f"takes {grown} MB", took
    return wrong, took


def run(folder, form, count, seed, report=print):
    """Load so many damaged files of a format; the faults, each with what makes it again."""
    goods, faults = list(GOOD[form](Path(folder))), []
    path = Path(folder) / "damaged"
    signal.signal(signal.SIGPROF, _hang)
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")
        good = rng.choice(goods)
        data, must = DAMAGED[form](good, rng)
        path.write_bytes(data)
        wrong, took = measured(path, good, must)
        if wrong is None and took > SECONDS:  # again, and less what the good file takes
            (wrong, took), honest = measured(path, good, must), time.process_time()
            good.load(_written(path.with_name("honest"), good.data))
            took -= time.process_time() - honest
            wrong = wrong or (f"takes {took:.1f} s" if took > SECONDS else None)
        if wrong is not None:
            faults.append((form, seed, index, wrong))
            report(f"{form}, seed {seed}, file {index}: {wrong}", flush=True)
    return faults


def _written(path, data):
    path.write_bytes(data)
    return path


def _hang(*_):
    raise TimeoutError(f"more than {HANG} s")


if __name__ == "__main__":
    import tempfile

    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--format", choices=FORMATS, default="keras")
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--seed", default="0")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(len(run(folder, options.format, options.count, options.seed)), "faults")
