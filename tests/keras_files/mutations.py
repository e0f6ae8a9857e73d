"""Damage to files of Keras, chosen by a random number generator: of bytes, of JSON, of HDF5's objects, of zip archives."""

import copy
import io
import json
import warnings
import zipfile

import h5py
import numpy as np

ODD = [
    None, True, False, 0, 1, -1, 2, 2**28, 2**31, 2**63, 10**30, -(2**40), 0.5, -0.5, 1e308, 1e-320, "", "relu ", "relu", "Dense",
    "../x", "a/b", "\x00", "\u202e", "mine>Dense", "x", [], {}, [None], [[]], [0], [1, 2, 3], [None, -1], {"a": 1}, [2**40, 2**40],
    {"class_name": "Dense", "config": {}}, {"class_name": "__keras_tensor__", "config": {}}, ["x", 0, 0], ["y", 7, -1], "os.system",
    {"class_name": "function", "config": "getcwd", "module": "os", "registered_name": "function"}, "float16", "mixed_bfloat16", "int8",
    ["_CONSTANT_VALUE", -1, 2.0], ["x", 0, 0, {}], "<lambda>", "th", "LSTM", 1e-7, [[["x", 0, 0, {}]]], [["x", 0, 0], ["x", 0, 0]],
]  # fmt: skip
KEYS = [
    "filepath",
    "cache",
    "vocabulary",
    "dtype",
    "name",
    "module",
    "batch_input_shape",
    "registered_name",
    "node_def",
    "mode",
]
TEXTS = [
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
VERSIONS = ["1.2.2", "2.0.8", "2.2.4-tf", "3.0.0", "9", "", "x", 3, None]


# Bytes


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


# JSON


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
            outer[rng.choice([*KEYS, str(key) + "_"])] = rng.choice(ODD)
        elif kind == 2:
            other, name = rng.choice(spots)
            outer[key] = copy.deepcopy(other[name])
        elif kind == 3 and isinstance(outer[key], (int, float)) and not isinstance(outer[key], bool):
            value = outer[key]
            outer[key] = rng.choice([value + 1, -value, value * 2**20, float(value), str(value)])
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
    return text[:start] + rng.choice(TEXTS) + text[start + rng.choice([0, 1, 5]) :]


def other_text(text, rng):
    """The JSON text of another config, or no JSON."""
    if rng.randrange(4) == 0:
        return changed_text(text, rng)
    return json.dumps(changed_json(json.loads(text), rng))


# HDF5


def changed_hdf5(data, rng):
    """An HDF5 file with one of its objects or attributes changed."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        names = ["/"]
        file.visit(names.append)
        change = rng.choice([change_array, change_array, change_attribute, change_attribute, change_group])
        try:
            change(file, rng.choice(names), names, rng)
        except (TypeError, ValueError, OSError, RuntimeError, LookupError):
            pass  # what HDF5 does not let one do
    return stream.getvalue()


def change_attribute(file, name, names, rng):
    """An attribute of that object, or of another that has one, is changed, removed or renamed."""
    owners = [owner for owner in names if file[owner].attrs]
    attrs = file[name if file[name].attrs or not owners else rng.choice(owners)].attrs
    key = rng.choice([*attrs, "layer_names", "weight_names", "keras_version", "name"])
    old = attrs.get(key)
    if rng.randrange(8) == 0:
        attrs.pop(key, None)
        key = rng.choice([f"{key}0", f"{key}1", "x" * 300, key.upper()])
    if key.endswith("_config") and old is not None and rng.randrange(4):
        attrs[key] = np.bytes_(
            other_text(old if isinstance(old, str) else old.decode(), rng).encode("utf-8", "replace")
        )
        return
    listed = [] if old is None else list(np.ravel(old))
    rng.shuffle(listed)
    odd = [
        lambda: listed, lambda: listed[1:], lambda: listed + listed, lambda: [b"../x", *listed], lambda: rng.choice(VERSIONS),
        lambda: [b"\xff\xfe"], lambda: np.zeros((2, 2)), lambda: np.zeros(0), lambda: 2**60, lambda: "x" * rng.choice([1, 60_000]),
        lambda: np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]), lambda: np.array(file.ref, h5py.ref_dtype), lambda: True,
        lambda: h5py.Empty("f4"), lambda: np.array(["a", "b"], h5py.string_dtype()), lambda: [str(n) for n in names],
    ]  # fmt: skip
    attrs[key] = rng.choice(odd)()


def change_array(file, name, names, rng):
    """An array is stored in another way, or is something else."""
    arrays = [n for n in names if isinstance(file[n], h5py.Dataset)]
    name = name if name in arrays else rng.choice(arrays)
    value = file[name][...]
    del file[name]
    chunk = tuple(max(1, n // 2) for n in value.shape) or None
    options = {"data": value, "chunks": chunk}

    def put(**options):
        file.create_dataset(name, **options)

    odd = [
        lambda: None,
        lambda: put(shape=(2**40, 2**9), dtype="f4", chunks=(2**10, 2**9), compression="gzip"),
        lambda: put(shape=value.shape, dtype=np.dtype((value.dtype, (2,)))),
        lambda: put(data=value.astype(rng.choice(["f8", ">f4", "i4", "c8", "S3", "?", "V2", "f2", "u1", "O"]))),
        lambda: put(data=rng.choice([value[..., None], value.T, value.ravel(), value[:1] if value.ndim else value, value[None]])),
        lambda: put(shape=value.shape, dtype="f4", external=[("/etc/hostname", 0, max(4, value.nbytes))]),
        lambda: put(**options, compression=rng.choice(["gzip", "lzf"]), shuffle=rng.random() < 0.5),
        lambda: put(**options, fletcher32=True),
        lambda: put(**options, scaleoffset=rng.choice([0, 3])),
        lambda: put(**options, maxshape=(None,) * value.ndim),
        lambda: put(shape=value.shape, dtype="f4", chunks=chunk, fillvalue=1.0),
        lambda: put(shape=(0, *value.shape), dtype="f4"),
        lambda: put(data=h5py.Empty("f4")),
        lambda: file.__setitem__(name, np.dtype("f4")),
        lambda: file.create_group(name),
        lambda: file.create_virtual_dataset(name, h5py.VirtualLayout(value.shape, "f4")),
        lambda: put(shape=value.shape, dtype=rng.choice([h5py.vlen_dtype("f4"), h5py.enum_dtype({"a": 1}), h5py.regionref_dtype])),
    ]  # fmt: skip
    rng.choice(odd)()


def change_group(file, name, names, rng):
    """A link is removed, moved, doubled, or leads elsewhere; or there is more than was."""
    name = name if name != "/" else rng.choice(names[1:])
    other = rng.choice(names)
    odd = [
        lambda: file.pop(name),
        lambda: file.move(name, name + rng.choice(["_1", "x", "/", "0"])),
        lambda: file.move(name, rng.choice(["x", "layers/x", "0"])),
        lambda: file.copy(name, f"{other}/x"),
        lambda: file.__setitem__(f"{other}/again", file[name]),
        lambda: (file.pop(name), file.__setitem__(name, h5py.SoftLink(rng.choice(["/", "/layers", name])))),
        lambda: (file.pop(name), file.__setitem__(name, h5py.ExternalLink("/etc/hostname", "/"))),
        lambda: (file.pop(name), file.__setitem__(name, file[rng.choice(["/", *file])])),
        lambda: (file.pop(name), file.create_group(name, track_order=True)),
        lambda: file.create_group(f"{other}/vars/0/vars"),
        lambda: file.create_dataset(f"{other}/vars/9", data=np.ones(3, "f4")),
        lambda: [file.create_group(f"{other}/{i}") for i in range(rng.choice([3, 3000]))],
    ]
    rng.choice(odd)()


def written_again(data, rng):
    """The same objects in a file of another layout, which has to be read as the one that they are from."""
    stream = io.BytesIO()
    options = {"libver": rng.choice(["earliest", "latest"]), "track_order": rng.random() < 0.5}
    with h5py.File(io.BytesIO(data)) as old, h5py.File(stream, "w", **options) as new:
        new.attrs.update(dict(old.attrs))
        for name in old:
            old.copy(name, new)
    return stream.getvalue()


# Zip archives


def zipped(members, rng=None):
    """An archive of (name, bytes); with rng, one of them packed or named in another way."""
    stream = io.BytesIO()
    chosen, kind = (rng.randrange(len(members)), rng.randrange(7)) if rng else (None, None)
    with zipfile.ZipFile(stream, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for index, (name, data) in enumerate(members):
            odd = index == chosen
            if odd and kind == 0:
                forms = ["../" + name, "/" + name, "C:" + name, name.replace(".", "\\"), name + "/", "assets/x"]
                name = rng.choice(forms)
            archive.writestr(name, data, zipfile.ZIP_DEFLATED if odd and kind > 2 else zipfile.ZIP_STORED)
            if odd and kind == 1:
                archive.writestr(name, data)
        if kind == 2:
            archive.comment = b"x" * rng.randrange(1, 100)
    return stream.getvalue() + (rng.randbytes(9) if kind == 6 else b"")
