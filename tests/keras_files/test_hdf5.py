"""The door to HDF5: what it reads is what h5py reads, and everything that is not plain is refused."""

import io

import h5py
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.keras_files import hdf5_records, limits
from fnlayers.keras_files.hdf5 import open_hdf5
from fnlayers.keras_files.sections import Section

VALUES = np.arange(77, dtype="float32").reshape(7, 11)


def hdf5_bytes(build, **options):
    """The bytes of an HDF5 file."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", **options) as file:
        build(file)
    return stream.getvalue()


def refused(build, match, place="a", **options):
    with open_hdf5(hdf5_bytes(build, **options)) as file, pytest.raises(fl.LayerError, match=match):
        file.read(place)


CHUNKED = {"chunks": (3, 4)}
LAYOUTS = [
    {},
    CHUNKED,
    {"chunks": True, "compression": "gzip"},
    CHUNKED | {"compression": "gzip", "shuffle": True, "compression_opts": 9},
    CHUNKED | {"shuffle": True, "maxshape": (None, None)},
]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_arrays_are_read_as_h5py_reads_them(options, libver):
    arrays = {d: VALUES.astype(d) for d in ("f2", ">f4", "f8", "i1", ">i8", "u2", "bool")}

    def build(file):
        for name, array in arrays.items():
            file.create_dataset(f"in/{name[-2:]}", data=array, **options)

    with open_hdf5(hdf5_bytes(build, libver=libver)) as file:
        for name, array in arrays.items():
            place = f"in/{name[-2:]}"
            result, stored = file.read(place), file.stored(place)
            np.testing.assert_array_equal(result, array)
            assert result.dtype == stored.dtype == array.dtype.newbyteorder("=") and stored.shape == array.shape
            assert stored.nbytes == array.nbytes


def test_small_and_odd_arrays(tmp_path):
    def build(file):
        file["scalar"], file["none"], file["empty"] = np.float32(2.5), np.zeros((0, 3)), np.zeros((3, 0), "i4")
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(VALUES.shape)
        h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, plist).write(
            h5py.h5s.ALL, h5py.h5s.ALL, VALUES
        )
        half = np.asarray(jnp.asarray(VALUES, "bfloat16")).view("V2")
        file.create_dataset("half", data=half).attrs["dtype"] = "bfloat16"

    (tmp_path / "a.h5").write_bytes(hdf5_bytes(build))
    with open_hdf5(tmp_path / "a.h5") as file:
        assert file.read("scalar") == 2.5 and file.read("none").shape == (0, 3) and file.read("empty").dtype == "i4"
        np.testing.assert_array_equal(file.read("compact"), VALUES)
        assert file.stored("half").dtype == jnp.bfloat16
        np.testing.assert_array_equal(file.read("half").astype("f4"), VALUES)


def test_names_attributes_and_arrays():
    def build(file):
        for name in ("b", "a", "c/d"):
            file[name] = VALUES
        group = file.create_group("g")
        group.attrs["backend"], group.attrs["text"], group.attrs["n"] = "tensorflow", "h\u00e9", 3
        group.attrs["names"] = np.array([b"x:0", b"y:0"])
        group.attrs["weight_names0"], group.attrs["weight_names1"] = np.array([b"k"]), np.array([b"bias"])
        group.attrs["nothing"], group.attrs["yes"], group.attrs["lr"] = np.array([]), True, 0.5
        group.attrs["layer_2"] = ["p", "q"]

    expected = {"backend": "tensorflow", "text": "h\u00e9", "n": 3, "names": ["x:0", "y:0"], "layer_2": ["p", "q"]}
    expected |= {"weight_names": ["k", "bias"], "nothing": [], "yes": True, "lr": 0.5}
    with open_hdf5(hdf5_bytes(build)) as file:
        assert file.names() == ["a", "b", "c", "g"] and file.names("c") == ["d"] and file.attributes() == {}
        assert file.attributes("g") == expected
        assert file.arrays() == ["a", "b", "c/d"] and file.is_group("g") and not file.is_group("b")
        with pytest.raises(fl.MissingError, match="has no c/e"):
            file.read("c/e")
        with pytest.raises(fl.MissingError, match="'c/../a' is not a place"):
            file.read("c/../a")
        with pytest.raises(fl.MissingError, match="a group c"):
            file.read("c")
    with open_hdf5(hdf5_bytes(build, track_order=True)) as file:
        assert file.names() == ["b", "a", "c", "g"]


def link(target, name="a"):
    return lambda file: file.__setitem__(name, target)


def external_storage(file):
    file.create_dataset("a", (3, 2), "float32", external=[("secret.bin", 0, 24)])


def virtual(file):
    layout = h5py.VirtualLayout((3, 2), "float32")
    layout[:] = h5py.VirtualSource("secret.h5", "d", (3, 2))
    file.create_virtual_dataset("a", layout)


def missing_chunks(file):
    file.create_dataset("a", (2**50,), "f8", chunks=(2**20,), compression="gzip", fillvalue=1.0)


def one_chunk_missing(file):
    file.create_dataset("a", (8, 8), "f4", chunks=(4, 4))[:4] = 1.0


def own_type(dtype):
    return lambda file: file.create_dataset("a", (2, 2), dtype)


NOT_PLAIN = {
    "external link": (link(h5py.ExternalLink("secret.h5", "/d")), "link to elsewhere"),
    "external link to a group": (link(h5py.ExternalLink("secret.h5", "/"), "a"), "link to elsewhere"),
    "soft link": (link(h5py.SoftLink("/b")), "link to elsewhere"),
    "external storage": (external_storage, "not a plain array"),
    "virtual": (virtual, "not a plain array"),
    "missing chunks": (missing_chunks, "the file stores 0 of them"),
    "one chunk missing": (one_chunk_missing, "256 bytes, and the file stores 128"),
    "never written": (lambda file: file.create_dataset("a", (2**50,), "f4"), "stores 0 of them"),
    "array type": (own_type(np.dtype(("f4", (2,)))), "expected numbers"),
    "compound": (own_type(np.dtype([("x", "f4")])), "expected numbers"),
    "complex": (own_type("c8"), "expected numbers"),
    "opaque": (own_type("V2"), "expected numbers"),
    "strings": (own_type("S4"), "expected numbers"),
    "objects": (own_type(h5py.string_dtype()), "expected numbers"),
    "references": (own_type(h5py.ref_dtype), "expected numbers"),
    "lists": (own_type(h5py.vlen_dtype("f4")), "expected numbers"),
    "enum": (own_type(h5py.enum_dtype({"A": 0})), "expected numbers"),
    "lzf": (lambda file: file.create_dataset("a", data=VALUES, compression="lzf"), "only gzip and shuffle"),
    "checksums": (lambda file: file.create_dataset("a", data=VALUES, fletcher32=True), "only gzip and shuffle"),
    "nothing": (lambda file: file.__setitem__("a", h5py.Empty("f4")), "holds no array"),
    "a type": (lambda file: file.__setitem__("a", np.dtype("f4")), "neither a group nor an array"),
    "zeros": (
        lambda file: file.create_dataset("a", data=np.zeros(2**24, "f4"), chunks=(2**22,), compression=9),
        "67108864 bytes, and the file stores",
    ),
}


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_what_is_not_plain_is_refused(kind):
    refused(*NOT_PLAIN[kind])


def test_links_above_an_array_are_not_followed():
    refused(link(h5py.ExternalLink("secret.h5", "/"), "vars"), "link to elsewhere", "vars/0")
    refused(link(h5py.SoftLink("/"), "vars"), "link to elsewhere", "vars/vars/a")


def test_arrays_that_lie_over_each_other():
    def build(file):
        file["a"] = np.ones(1000)
        for name in "bcd":
            file[name] = file["a"]  # further hard links to the same bytes

    with open_hdf5(hdf5_bytes(build)) as file, pytest.raises(fl.ConfigError, match="lie over each other"):
        for name in "abcd":
            file.read(name)


def test_a_group_that_contains_itself(monkeypatch):
    def build(file):
        file["g/x"] = VALUES
        file["g/again"] = file["g"]

    with (
        open_hdf5(hdf5_bytes(build)) as file,
        pytest.raises(fl.ConfigError, match="g/again: the group is inside itself"),
    ):
        file.arrays()
    monkeypatch.setattr(limits, "MAX_OBJECTS", 1)
    with open_hdf5(hdf5_bytes(build)) as file, pytest.raises(fl.ConfigError, match="at most 1 are read"):
        file.names("g")


def test_attributes_that_are_no_numbers_or_text():
    for value in (np.zeros((2, 2)), np.zeros(2, "c8"), np.bytes_(b"\xff"), np.zeros(1, "V3")):
        with open_hdf5(hdf5_bytes(lambda file, v=value: file.attrs.__setitem__("x", v))) as file:
            with pytest.raises(fl.ConfigError, match="attribute 'x'"):
                file.attributes()


def test_files_that_are_none(tmp_path):
    for data in (b"", b"\x80\x04 a pickle", b"PK\x03\x04" + bytes(600), hdf5_bytes(lambda file: None)[:100]):
        with pytest.raises(fl.ConfigError), open_hdf5(data):
            pass
    with (
        pytest.raises(fl.ConfigError, match="first bytes"),
        open_hdf5(hdf5_bytes(lambda file: None, userblock_size=512)),
    ):
        pass
    with pytest.raises(FileNotFoundError), open_hdf5(tmp_path / "absent.h5"):
        pass
    with pytest.raises(fl.ConfigError, match="not a regular file"), open_hdf5(tmp_path):
        pass


def test_strings_of_no_fixed_size_are_read_as_h5py_reads_them():
    many = {f"a{i}": "x" * i for i in range(30)} | {"list": ["p", "", "h\u00e9"]}
    for options in ({}, {"track_order": True}, {"libver": "latest"}):
        small = dict(list(many.items())[-6:]) if options else many  # HDF5's newer form has room for eight
        with open_hdf5(hdf5_bytes(lambda file, values=small: file.attrs.update(values), **options)) as file:
            assert file.attributes() == small


def test_heaps_and_strings_that_do_not_end():
    """HDF5 allocates whatever length a string is said to have, and goes round a heap whose last object has 0 bytes."""
    good = hdf5_bytes(lambda file: file.attrs.__setitem__("x", ["p", "q"]))
    heap = good.index(b"GCOL\x01")
    string = good.index(heap.to_bytes(8, "little")) - 4

    def changed(position, value):
        data = bytearray(good)
        data[position : position + len(value)] = value
        with open_hdf5(bytes(data)) as file:
            return file.attributes()

    assert good[heap + 16 + 2 * 24 :][:2] == b"\0\0"  # the free space, after the two strings
    assert changed(heap + 16 + 2 * 24 + 8, bytes(8)) == {"x": ["p", "q"]}
    for position, value, match in (
        (string, b"\xff\xff\xff\x7f", "longer than the file"),
        (string, b"\x09\0\0\0", "not in the heap"),
        (string + 4, b"\x08", "heap of strings is damaged"),
        (string + 12, b"\x07", "not in the heap"),
        (heap + 16 + 8, b"\xff" * 8, "heap of strings is damaged"),
        (heap + 8, b"\xff" * 8, "heap of strings is damaged"),
    ):
        with pytest.raises(fl.ConfigError, match=match):
            changed(position, value)


def test_a_heap_is_read_once(monkeypatch):
    names, walked, read = [f"w{i}" for i in range(300)], [], hdf5_records._objects
    monkeypatch.setattr(hdf5_records, "_objects", lambda section, at: walked.append(at) or read(section, at))
    with open_hdf5(hdf5_bytes(lambda file: [file.attrs.__setitem__(key, names) for key in "abcd"])) as file:
        assert file.attributes() == dict.fromkeys("abcd", names)
    assert 0 < len(walked) == len(set(walked))


def test_heaps_that_lie_over_each_other():
    empty = b"GCOL\x01\0\0\0%b" + bytes(16)
    section = Section(empty % (64).to_bytes(8, "little") + empty % (32).to_bytes(8, "little"))
    strings = hdf5_records.Strings(section)
    assert strings._heap(0) == {}
    with pytest.raises(fl.ConfigError, match="lie over each other"):
        strings._heap(32)


def test_a_buffer_larger_than_the_file_is_not_touched():
    """A damaged file makes HDF5 ask for gigabytes, of which the system gives only what is written to."""
    section, buffer = Section(b"abc"), bytearray(b"1234")
    with pytest.raises(OSError, match="4 bytes are asked of a file of 3"):
        section.readinto(memoryview(buffer))
    assert buffer == b"1234" and section.take(1, 2) == b"bc"
