"""Damage to files of Keras, chosen by a random number generator: to HDF5's objects, to zip archives."""

import io
import warnings
import zipfile

import h5py
import numpy as np

from damage import changed_words, other_text

VERSIONS = ["1.2.2", "2.0.8", "2.2.4-tf", "3.0.0", "9", "", "x", 3, None]


# HDF5


def changed_hdf5(data, rng):
    """An HDF5 file with one of its objects or attributes changed, or words of its structure."""
    if rng.randrange(5) == 0:
        return changed_words(data, rng)
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        names = ["/"]
        file.visit(names.append)
        change = rng.choice([change_array, change_array, change_attribute, change_attribute, change_group, exchange])
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


def exchange(file, name, names, rng):
    """Two arrays or groups in the place of each other, or two attributes."""
    other = rng.choice(names)
    if rng.randrange(2):
        file.move(name, "between")
        file.move(other, name)
        file.move("between", other)
        return
    owners = [owner for owner in names if file[owner].attrs]
    one, two = (file[rng.choice(owners)].attrs for _ in range(2))
    key, there = rng.choice(list(one)), rng.choice(list(two))
    one[key], two[there] = two[there], one[key]


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

DIRECTORY = {4: 2, 6: 2, 8: 2, 10: 2, 12: 4, 16: 4, 20: 4, 24: 4, 28: 2, 30: 2, 32: 2, 34: 2, 36: 2, 38: 4, 42: 4}
HEADER = {
    6: 4,
    8: 6,
    10: 8,
    12: 10,
    16: 14,
    20: 18,
    24: 22,
    28: 26,
    30: 28,
}  # where the member's own header says it, too


def changed_directory(data, rng):
    """An archive in whose list of members a field is another, in the member's own header too or not."""
    data = bytearray(data)
    listed = int.from_bytes(data[-6:-2], "little")
    entries = [at for at in range(listed, len(data)) if data[at : at + 4] == b"PK\1\2"]
    entry, field = rng.choice(entries), rng.choice(list(DIRECTORY))
    width, header = DIRECTORY[field], int.from_bytes(data[entry + 42 : entry + 46], "little")
    old = int.from_bytes(data[entry + field : entry + field + width], "little")
    new = rng.choice([0, 1, old + 1, old - 1, 2 * old, old | 1, old | 8, old | 2048, 14, len(data), -1]) % (
        1 << 8 * width
    )
    data[entry + field : entry + field + width] = new.to_bytes(width, "little")
    if field in HEADER and rng.randrange(3):
        at = header + HEADER[field]
        data[at : at + width] = new.to_bytes(width, "little")
    return bytes(data)


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
