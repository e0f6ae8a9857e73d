"""Files of Keras made to do harm, each with what the refusal says; run as a program, it loads them all in a sandbox.

    python tests/keras_files/hostile.py FOLDER      a line of JSON for each file in the folder

The sandbox has a bound on memory, and an audit hook that stops what no loader needs: other files, imports, exec,
compile, sockets, processes, marshal, pickle, ctypes.
"""

import base64
import io
import json
import marshal
import os
import pickle
import resource
import struct
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np

from keras_entries import DENSE, functional, layer, sequential, start, tensor
from old_entries import entry, sequential1

DENSE_ENTRY = layer("Dense", "y", units=2)
SECRET = "secret.h5"


def hdf5(weights=None, build=None):
    """The bytes of an HDF5 file."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, value in (DENSE if weights is None else weights).items():
            file[name] = value
        if build is not None:
            build(file)
    return stream.getvalue()


def zipped(*members, method=zipfile.ZIP_STORED, **more):
    """The bytes of an archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in [*members, *more.items()]:
            archive.writestr(name, data)
    return stream.getvalue()


def archived(config, weights=None, build=None, method=zipfile.ZIP_STORED):
    """A `.keras` file of a config (or its text) and weights."""
    text = config if isinstance(config, (str, bytes)) else json.dumps(config)
    h5 = weights if isinstance(weights, bytes) else hdf5(weights, build)
    return zipped(("metadata.json", "{}"), ("config.json", text), ("model.weights.h5", h5), method=method)


def good():
    """A file that loads."""
    return archived(sequential(DENSE_ENTRY))


def of(node, **options):
    return archived(sequential(node), **options)


def code():
    """Bytecode that would leave a mark, as a Lambda of Keras holds it."""
    return base64.b64encode(marshal.dumps(compile("open('marker', 'w')", "x", "exec"))).decode()


class Touch:
    """A pickle that would leave a mark."""

    def __reduce__(self):
        return open, ("marker", "w")


PICKLE = pickle.dumps(Touch())


def node(kind, module, **config):
    return {"module": module, "class_name": kind, "config": {"name": "y", **config}, "registered_name": None}


def function(name, module):
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


def of_code():
    """Code in a config: each is a name that no table has."""
    lambda_ = {"class_name": "__lambda__", "config": {"code": code(), "defaults": None, "closure": None}}
    yield "lambda", of(layer("Lambda", "y", function=lambda_)), "its function is the caller's to give"
    yield (
        "lambda of the library",
        of(layer("Lambda", "y", function=function("get_file", "keras.utils"))),
        "caller's to give",
    )
    yield (
        "lambda inside",
        of(layer("TimeDistributed", "t", layer=layer("Lambda", "y", function=lambda_))),
        "caller's to give",
    )
    yield "module", of(node("Path.touch", "pathlib")), "not Keras's own layer"
    yield "module to import", of(node("Thing", "hostile_module")), "not Keras's own layer"
    yield (
        "function of os",
        of(layer("Activation", "y", activation=function("system", "os"))),
        "not Keras's own function",
    )
    yield "operation of the library", functional_of(node("SaveModel", "keras.src.saving", path="marker")), "own layer"
    yield "operation that is none", functional_of(node("GetFile", "keras.src.ops.numpy", fname="marker")), "GetFile"
    yield "switch of safety", of(node("enable_unsafe_deserialization", "keras.config")), "not Keras's own layer"
    yield "another model's path", of(layer("TFSMLayer", "y", filepath="marker")), "not a layer that a file may name"
    yield "torch", of(layer("TorchModuleWrapper", "y", module=base64.b64encode(PICKLE).decode())), "may name"
    yield "registered", of(node("Dense", "keras.layers", units=2) | {"registered_name": "mine>Dense"}), "own layer"
    yield "module is null", of(node("Dense", None, units=2)), "not Keras's own layer"
    yield "module is a number", of(node("Dense", 3, units=2)), "not Keras's own layer"
    yield "unknown key", of({**DENSE_ENTRY, "safe_mode": None}), "which Keras does not write"
    yield "vocabulary", of(layer("StringLookup", "y", vocabulary="/etc/hostname")), "never a path"
    yield "vocabulary at a URL", of(layer("TextVectorization", "y", vocabulary="http://127.0.0.1:9/x")), "never a path"
    yield "path as an option", of(layer("Dense", "y", units=2, filepath="/etc/hostname")), "filepath"
    for name in ("../../escape", "a\\..\\b", "a\x00b", "\ud800"):
        yield f"name {name.encode('utf-8', 'replace')!r}", of(layer("ReLU", name)), "name|Unicode|JSON"


def functional_of(entry):
    return archived(
        functional([start(), entry | {"name": "y", "inbound_nodes": layer("", "", [("x",)])["inbound_nodes"]}])
    )


def of_other_formats():
    yield "pickle", PICKLE, "not a .keras file"
    yield "torch file", zipped(("archive/data.pkl", PICKLE)), "a file of PyTorch: fnlayers.load_state_dict"
    yield "numpy file", zipped(("a.npy", npy())), "a file of NumPy"
    yield "pickle as weights", archived(sequential(DENSE_ENTRY), PICKLE), "not an HDF5 file"
    yield "nothing", b"", "not a .keras file"
    yield "config alone", json.dumps(sequential(DENSE_ENTRY)).encode(), "not a .keras file"


def npy():
    stream = io.BytesIO()
    np.save(stream, np.array([Touch()], object), allow_pickle=True)
    return stream.getvalue()


def of_links():
    def put(name, value):
        def build(file):
            if name in file:
                del file[name]
            file[name] = value() if callable(value) else value

        return of(DENSE_ENTRY, build=build)

    kernel = "layers/dense/vars/0"
    for name in (kernel, "layers/dense/vars", "layers/dense", "layers"):
        yield f"external link at {name}", put(name, h5py.ExternalLink(SECRET, f"/{name}")), "link to elsewhere"
        yield f"soft link at {name}", put(name, h5py.SoftLink("/layers")), "link to elsewhere"

    def external(file):
        del file[kernel]
        file.create_dataset(kernel, (3, 2), "f4", external=[(SECRET, 0, 24)])

    def virtual(file):
        del file[kernel]
        layout = h5py.VirtualLayout((3, 2), "f4")
        layout[:] = h5py.VirtualSource(SECRET, kernel, (3, 2))
        file.create_virtual_dataset(kernel, layout)

    def circle(file):
        file["layers/again"] = file["layers"]

    def declared(shape, dtype="f4", **options):
        def build(file):
            del file[kernel]
            file.create_dataset(kernel, shape, dtype, **options)

        return of(DENSE_ENTRY, build=build)

    yield "external storage", of(DENSE_ENTRY, build=external), "not a plain array"
    yield "virtual", of(DENSE_ENTRY, build=virtual), "not a plain array"
    yield "group in itself", of(DENSE_ENTRY, build=circle), "inside itself"
    yield "array type", declared((3, 2), np.dtype(("f4", (2,)))), "expected numbers"
    yield "2**50", declared((2**50,), "f8", chunks=(2**20,), compression="gzip", fillvalue=1.0), "stores 0 of them"
    yield "2**50 in one piece", declared((2**50,)), "stores 0 of them"


def of_keras_2():
    """The same in whole models of HDF5, whatever their file is called: one check for both."""

    def whole(*layers, build=None, config=None):
        def write(file):
            file.attrs["model_config"] = json.dumps(sequential1(*layers)).encode() if config is None else config
            file.attrs["keras_version"], file.attrs["backend"] = b"2.9.0", b"tensorflow"
            file["model_weights/y/y/kernel:0"] = np.ones((3, 2), "f4")
            file["model_weights"].attrs["layer_names"] = [b"y"]
            file["model_weights/y"].attrs["weight_names"] = [b"y/kernel:0"]
            if build is not None:
                build(file)

        return hdf5({}, write)

    def placed(name, value):
        def build(file):
            del file[name]
            file[name] = value

        return whole(dense, build=build)

    def external(file):
        del file["model_weights/y/y/kernel:0"]
        file.create_dataset("model_weights/y/y/kernel:0", (3, 2), "f4", external=[(SECRET, 0, 24)])

    shape = {"batch_input_shape": [None, 3]}
    dense = entry("Dense", "y", units=2, use_bias=False, **shape)
    lambda_ = entry("Lambda", "y", function=[code(), None, None], function_type="lambda", **shape)
    raised = dense | {"module": "pathlib", "registered_name": "Path.touch"}
    activation = entry("Dense", "y", units=2, activation=function("system", "os"), **shape)
    yield "lambda of Keras 2", whole(lambda_), "caller's to give"
    yield "module of tf.keras", whole(raised), "own layer"
    yield "function of os in Keras 2", whole(activation), "own function"
    yield (
        "vocabulary of tf.keras",
        whole(entry("StringLookup", "y", vocabulary="/etc/hostname", **shape)),
        "never a path",
    )
    yield "wrapped lambda of Keras 2", whole(entry("TimeDistributed", "t", layer=lambda_, **shape)), "caller's to give"
    yield "pickle as a config", whole(config=np.void(PICKLE)), "model_config"
    yield "brackets in Keras 2", whole(config=b"[" * 60_000), "no JSON"
    for name in ("model_weights", "model_weights/y", "model_weights/y/y", "model_weights/y/y/kernel:0"):
        yield f"external link at {name}", placed(name, h5py.ExternalLink(SECRET, "/layers")), "link to elsewhere"
        yield f"soft link at {name}", placed(name, h5py.SoftLink("/model_weights")), "link to elsewhere"
    yield "external storage in Keras 2", whole(dense, build=external), "not a plain array"


def of_archives():
    config, weights = json.dumps(sequential(DENSE_ENTRY)), hdf5()
    members = [("config.json", config), ("model.weights.h5", weights)]
    for name in ("../m", "/abs/m", "a\\..\\m", "C:m", "assets/x", "config.json/"):
        yield f"member {name}", zipped(*members, (name, "x")), "would leave its folder|not one of"
    link = zipfile.ZipInfo("metadata.json")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    yield "symbolic link", zipped(*members, (link, "/etc/hostname")), "symbolic link"
    yield "config twice", doubled(members), "2 members named config.json"
    yield "encrypted", flagged(zipped(*members), 1), "encrypted"
    yield "trailing bytes", zipped(*members) + b"x", "something follows"
    yield "bytes in front", b"x" * 30 + zipped(*members), "not a .keras file"
    yield (
        "another size in front",
        zipped(*members).replace(struct.pack("<L", len(config)), b"\1\0\0\0", 1),
        "header of config",
    )
    yield "bomb of text", archived(b" " * 20_000_000, method=zipfile.ZIP_DEFLATED), "config.json unpacks to"
    yield "bomb of weights", archived(config, bytes(40_000_000), method=zipfile.ZIP_DEFLATED), "weights.h5 unpacks to"
    yield "many members", zipped(*((f"{i}", b"") for i in range(2_000))), "list of members takes"
    yield "checksum", zipped(*members).replace(b'"units": 2', b'"units": 3'), "is damaged"


def doubled(members):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zipped(*members, members[0])


def flagged(data, flag):
    """The archive with a flag set in all its headers."""
    data = bytearray(data)
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        position = data.find(mark)
        while position >= 0:
            data[position + offset] |= flag
            position = data.find(mark, position + 4)
    return bytes(data)


def of_texts():
    text = json.dumps(sequential(DENSE_ENTRY))
    yield "brackets", archived("[" * 100_000), "no JSON"
    yield "objects", archived('{"a":' * 100_000), "no JSON"
    yield "balanced brackets", archived('{"a":' * 300 + "1" + "}" * 300), "levels"
    yield "key twice", archived(text.replace('"units": 2', '"units": 2, "units": 3')), "same key twice"
    yield "Infinity", archived(text.replace('"units": 2', '"units": Infinity')), "Infinity is not JSON"
    yield "NaN", archived(text.replace('"units": 2', '"units": NaN')), "NaN is not JSON"
    yield "5,000 digits", archived(text.replace('"units": 2', f'"units": {"1" * 5000}')), "5000 digits"
    yield "true for a number", archived(text.replace('"units": 2', '"units": true')), "units=True"
    yield "lone surrogate", archived(text.replace('"y"', '"\\ud800"')), "no JSON"
    yield "byte order mark", archived(b"\xef\xbb\xbf" + text.encode()), "no JSON"
    yield "no Unicode", archived(b"\xff\xfe" + text.encode()), "UTF-8"
    yield "millions of values", archived("[" + "0," * 1_500_000 + "0]", method=zipfile.ZIP_DEFLATED), "unpacks to"


def of_sizes():
    deep = DENSE_ENTRY
    for index in range(200):
        deep = sequential(deep)
        deep["config"]["name"] = f"n{index}"
    many = [layer("Dense", f"d{index}", units=index + 1) for index in range(5_000)]
    wide = layer("GRU", "y", units=2**28, stateful=True)
    names = [f"layers/{name}/vars" for name in ("gru/cell",)]
    cell = {f"{names[0]}/{i}": np.zeros(shape, "f4") for i, shape in enumerate([(3, 6), (2, 6), (2, 6)])}
    yield "Dense of 2**28", of(layer("Dense", "y", units=2**28)), "the model has shape"
    yield "Dense of 2**40", of(layer("Dense", "y", units=2**40)), "units="
    yield (
        "BatchNormalization of 2**30",
        archived(sequential(layer("BatchNormalization", "y"), shape=(None, 2**30)), {}),
        "has no",
    )
    yield "carry", archived(sequential(wide, shape=(2**20, 3, 3)), cell), "the model has shape"
    small = layer("GRU", "y", units=2, stateful=True)
    yield (
        "carry of a large batch",
        archived(sequential(small, shape=(2**30, 3, 3)), cell),
        "state that its file does not store",
    )
    yield "200 models inside each other", archived(deep), "levels"
    yield "very many layers", archived(sequential(*many), method=zipfile.ZIP_DEFLATED), "more than"
    yield (
        "a very long option",
        archived(sequential(layer("Reshape", "y", target_shape=[1] * 100_000))),
        "more than 10000",
    )
    many_inputs = layer("Concatenate", "y", axis=-1) | {"inbound_nodes": [{"args": [[tensor("x")] * 20_000]}]}
    yield "very many inputs", archived(functional([start(), many_inputs]), method=zipfile.ZIP_DEFLATED), "more than"
    yield (
        "surplus weights",
        of(DENSE_ENTRY, weights=DENSE | {"layers/dense/vars/2": np.ones(2)}),
        "no layer of the model owns",
    )


def crafted():
    """(name, bytes, what the refusal says) of every file."""
    for family in (of_code, of_other_formats, of_links, of_keras_2, of_archives, of_texts, of_sizes):
        yield from family()


def cut_and_flipped(data, rng):
    """Every prefix of a file, and the file with a bit of each byte flipped."""
    for position in range(len(data)):
        yield f"cut at {position}", data[:position]
        flipped = bytearray(data)
        flipped[position] ^= 1 << rng.randrange(8)
        yield f"flipped at {position}", bytes(flipped)


# The sandbox

FORBIDDEN = (
    "import",
    "exec",
    "compile",
    "socket.",
    "subprocess.",
    "os.",
    "marshal.",
    "pickle.",
    "ctypes.dlopen",
    "shutil.",
)
ALLOWED_OS = ("os.listdir", "os.scandir")
MOST_MEMORY = 100 << 20  # beyond what loading the good file took, and the file's own size


def load_all(folder):
    """Load each file of a folder; print how it ended."""
    import fnlayers as fl

    paths = sorted(Path(folder).glob("*.keras"))
    good_path = Path(folder) / "good.keras"
    fl.load_keras(good_path)  # what is imported late is imported here
    for path in paths[:3]:
        try:
            fl.load_keras(path)
        except fl.LayerError:
            pass
    events, current = [], [None]

    def audit(event, arguments):
        if current[0] is None:
            return
        if event == "open":
            known = isinstance(arguments[0], int) or os.fspath(arguments[0]) == str(current[0])  # opened already, or it
            forbidden = not known or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            forbidden = event.startswith(FORBIDDEN) and event not in ALLOWED_OS
        if forbidden:
            events.append(f"{event} {str(arguments)[:200]}")

    sys.addaudithook(audit)
    largest = max(path.stat().st_size for path in paths)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY + largest, resource.RLIM_INFINITY))
    for path in paths:
        events.clear()
        current[0] = path
        try:
            fl.load_keras(path)
            ended = "loaded"
        except fl.LayerError as error:
            ended = str(error).splitlines()[0]
        except BaseException as error:
            ended = f"foreign {type(error).__name__}: {error}"
        current[0] = None
        print(json.dumps([path.stem, ended, events]), flush=True)


if __name__ == "__main__":
    load_all(sys.argv[1])
