"""Files of torch.save are read as data: what PyTorch wrote, and files made to do harm."""

import io
import pathlib
import pickle
import pickletools
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.state_dicts import batch_norm, dense, read_state_dict
from fnlayers.state_dicts.pickled import read_pickle

GOLDEN = pathlib.Path(__file__).parent / "golden"


def test_a_state_dict_becomes_params_and_state():
    model = fl.Sequential([fl.Dense(2, name="a"), fl.BatchNormalization(epsilon=1e-5, name="b")])
    table = {"0": dense("a"), "1": batch_norm("b")}
    one = fl.load_state_dict(model, (None, 3), GOLDEN / "state_dict.pt", table)
    other = fl.load_state_dict(model, (None, 3), GOLDEN / "protocol_4.pt", table)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, one, other))
    assert one.params["a"]["kernel"].any() and one.state["b"]["moving_variance"].tolist() == [1, 1]


def test_a_checkpoint_says_where_its_tensors_are():
    with pytest.raises(fl.ConfigError, match="it has epoch, model, optimizer, lr.*key='model'"):
        read_state_dict(GOLDEN / "checkpoint.pt")
    assert len(read_state_dict(GOLDEN / "checkpoint.pt", "model")) == 7
    with pytest.raises(fl.ConfigError, match="no dict at key='epoch'"):
        read_state_dict(GOLDEN / "checkpoint.pt", "epoch")


def test_views_and_dtypes_are_what_they_were_in_torch():
    tensors = read_state_dict(GOLDEN / "views.pt")
    base = np.arange(12, dtype="float32").reshape(3, 4)
    views = {"base": base, "transposed": base.T, "part": base[1:, ::2], "scalar": base[1, 1], "empty": base[:0]}
    for name, expected in {**views, "parameter": base[0]}.items():
        np.testing.assert_array_equal(tensors.pop(name), expected)
    for name, array in tensors.items():
        assert array.dtype == jnp.dtype(name)
        assert array.astype("complex64").tolist() == ([0, 1, 1] if name == "bool" else [0, 1, 2])
    assert len(tensors) == 13


@pytest.mark.parametrize(
    "file, match",
    [
        ("module.pt", "'torch.nn.modules.container.Sequential'.*safetensors.torch.save_file"),
        ("legacy.pt", "is a pickle.*weights_only=True"),
    ],
)
def test_what_is_no_dict_of_tensors_says_how_to_convert(file, match):
    with pytest.raises(fl.ConfigError, match=match):
        read_state_dict(GOLDEN / file)


# Files made by hand


def program(*instructions):
    """A pickle of one tensor, in a dict at "w": the persistent id and the call's arguments may be replaced."""
    return b"\x80\x02" + b"".join(instructions) + b"."


def text(value):
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def integers(*values):
    return b"(" + b"".join(pickle.dumps(value, 2)[2:-1] for value in values) + b"t"


def tensor(kind="torch\nFloatStorage", member="0", count=4, offset=0, shape=(4,), strides=(1,)):
    identity = (
        b"("
        + text("storage")
        + b"c"
        + kind.encode()
        + b"\n"
        + text(member)
        + text("cpu")
        + integers(count)[1:-1]
        + b"tQ"
    )
    view = integers(offset)[1:-1] + integers(*shape) + integers(*strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + view + b"\x89ccollections\nOrderedDict\n)RtR"


def dict_of(value, name="w"):
    return program(b"}", text(name), value, b"s")


def zipped(path, pickled, members=None, change=None):
    parts = {"a/data.pkl": pickled, "a/data/0": np.arange(4, dtype="float32").tobytes(), "a/byteorder": b"little"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (parts | (members or {})).items():
            archive.writestr(name, data)
        if change:
            change(archive)
    return path


def test_a_file_made_by_hand_is_read(tmp_path):
    assert read_state_dict(zipped(tmp_path / "a.pt", dict_of(tensor())))["w"].tolist() == [0, 1, 2, 3]


def twice(archive):
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a/data/0", b"\0" * 16)


def deflated(archive):
    archive.writestr("a/data/1", b"\0" * 1000, zipfile.ZIP_DEFLATED)


class Evil:
    def __reduce__(self):
        return print, ("called",)


HOSTILE = {
    "a call": (pickle.dumps({"w": Evil()}, 2), "'__builtin__.print'"),
    "a call, protocol 4": (pickle.dumps({"w": Evil()}, 4), "'builtins.print'"),
    "os.system": (b"cos\nsystem\n(S'true'\ntR.", "'os.system'"),
    "an instance": (b"(ios\nsystem\n.", "instruction INST"),
    "an object": (b"(cos\nsystem\no.", "'os.system'"),
    "an extension": (b"\x80\x02\x82\x01.", "instruction EXT1"),
    "a dtype called": (program(b"ctorch\nfloat32\n)R"), "calls something that is no function"),
    "a storage called": (program(b"ctorch\nFloatStorage\n)R"), "calls something that is no function"),
    "attributes": (program(b"}}", text("__class__"), b"K\x01sb"), "gives an object attributes"),
    "too large a shape": (dict_of(tensor(shape=(5,))), r"has the shape \(5,\), and its storage 4"),
    "too far a stride": (dict_of(tensor(shape=(2,), strides=(4,))), "reaches to element 4 of a storage of 4"),
    "too far an offset": (dict_of(tensor(offset=1)), "reaches to element 4"),
    "a stride of 0": (dict_of(tensor(shape=(10**6, 10**6), strides=(0, 0))), "contiguous"),
    "a negative stride": (dict_of(tensor(strides=(-1,))), "no sizes"),
    "a negative offset": (dict_of(tensor(offset=-1)), "no sizes"),
    "a huge shape": (dict_of(tensor(shape=(0, 2**61), strides=(1, 1))), "."),
    "a boolean shape": (dict_of(tensor(shape=(True,))), "no sizes"),
    "another number of strides": (dict_of(tensor(strides=(1, 1))), "without a storage, a shape or strides"),
    "many axes": (dict_of(tensor(shape=(1,) * 40, strides=(1,) * 40)), "without a storage, a shape or strides"),
    "a storage that is not there": (dict_of(tensor(member="7")), "the file has nothing"),
    "a storage that is a path": (dict_of(tensor(member="../0")), "no numbered member"),
    "a storage of another size": (dict_of(tensor(count=2**40, shape=(2**40,))), "the file has 16 bytes"),
    "a storage of another kind": (dict_of(tensor(kind="torch\nDoubleStorage")), "32 bytes, and the file has 16"),
    "untyped without a dtype": (dict_of(tensor(kind="torch.storage\nUntypedStorage", count=16)), "dtype is said twice"),
    "one name twice": (program(b"}", text("w"), tensor(), b"s", text("w"), tensor(), b"s"), "the key 'w' twice"),
    "a dict as a key": (program(b"}}K\x01s"), "whose key is a dict"),
    "nothing on the stack": (program(b"R"), "takes a value that is not there"),
    "a mark on the stack": (program(b"(R"), "takes a value that is not there"),
    "no mark": (program(b"}u"), "no mark"),
    "an unknown memo": (program(b"h\x09"), "recalls a value"),
    "no end": (b"\x80\x02}", "."),
    "a list": (program(b"]"), "holds a list"),
    "a number": (dict_of(b"K\x05"), "has 'w', a int"),
    "no names": (program(b"}K\x01", tensor(), b"s"), "among its tensors"),
    "nested without end": (program(b"(" * 20_000 + b"t" * 20_000), "holds a tuple"),
    "shared without end": (program(b"]q\x00" + b"".join(b"(h%ch%ctq%c" % (n, n, n + 1) for n in range(60))), "."),
    "in itself": (program(b"}q\x00", text("w"), b"h\x00s"), "key='w'"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused(name, tmp_path, capsys):
    pickled, match = HOSTILE[name]
    with pytest.raises(fl.ConfigError, match=match):
        read_state_dict(zipped(tmp_path / "a.pt", pickled))
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    "members, change, match",
    [
        ({"b/x": b""}, None, "outside of"),
        ({"a/../x": b""}, None, "outside of"),
        ({"a//x": b""}, None, "outside of"),
        ({"b/data.pkl": b"."}, None, "no data.pkl in its one folder"),
        ({"a/byteorder": b"big"}, None, "not little-endian"),
        ({}, twice, "two members of one name"),
        ({}, deflated, "compressed or encrypted"),
    ],
)
def test_hostile_archives_are_refused(members, change, match, tmp_path):
    with pytest.raises(fl.ConfigError, match=match):
        read_state_dict(zipped(tmp_path / "a.pt", dict_of(tensor()), members, change))


def test_members_that_share_their_bytes_are_refused(tmp_path):
    path = zipped(tmp_path / "a.pt", dict_of(tensor()), {f"a/data/{n}": bytes(16) for n in range(1, 9)})
    with zipfile.ZipFile(path) as archive:
        starts = {info.filename: info.header_offset for info in archive.infolist()}
    blob = path.read_bytes()
    large = path.read_bytes().index(b"a/data.pkl", starts["a/byteorder"])  # in the directory
    directory = bytearray(blob)
    for field in (20, 24):  # both sizes of the first entry of the directory
        at = large - 46 + field
        directory[at : at + 4] = (1 << 20).to_bytes(4, "little")
    path.write_bytes(bytes(directory))
    with pytest.raises(fl.ConfigError):
        read_state_dict(path)


def test_damaged_bytes_are_noticed(tmp_path):
    blob = (GOLDEN / "state_dict.pt").read_bytes()
    weights = read_state_dict(GOLDEN / "state_dict.pt")["0.weight"].tobytes()
    at = blob.index(weights)
    (tmp_path / "a.pt").write_bytes(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])
    with pytest.raises(fl.ConfigError, match="damaged zip archive: Bad CRC"):
        read_state_dict(tmp_path / "a.pt")


def mutants(blob, count, seed):
    """The blob with some bytes flipped, cut out, repeated or cut off."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(blob)
        for _ in range(rng.integers(1, 5)):
            at, size = int(rng.integers(len(data))), int(rng.integers(1, 16))
            kind = rng.integers(5)
            if kind < 2:
                data[at] = int(rng.integers(256))
            elif kind == 2:
                del data[at : at + size]
            elif kind == 3:
                data[at:at] = data[at : at + size]
            else:
                data[at : at + 4] = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1])).to_bytes(4, "little")
        yield bytes(data[: rng.integers(len(data))] if rng.integers(20) == 0 else data)


def fuzzed(tmp_path, count, seed):
    """Files whose zip is damaged, and good zips of damaged pickles: our error, or arrays; no import, no process."""
    touched = []
    watch = {"exec", "compile", "import", "os.system", "subprocess.Popen", "socket.connect"}
    active = [True]
    read_state_dict(GOLDEN / "views.pt")  # what it imports, it has imported
    for codec in (
        "cp437",
        "raw_unicode_escape",
    ):  # of names in old archives, of texts in pickles: imported when first used
        "a".encode(codec)
    sys.addaudithook(
        lambda event, arguments: touched.append((event, arguments)) if active[0] and event in watch else None
    )
    path = tmp_path / "a.pt"
    for name in ("views.pt", "checkpoint.pt", "protocol_4.pt"):
        blob = (GOLDEN / name).read_bytes()
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
        pickled = next(key for key in members if key.endswith("data.pkl"))
        for whole in mutants(blob, count, seed):
            path.write_bytes(whole)
            _read(path)
        for part in mutants(members[pickled], count, seed + 1):
            with zipfile.ZipFile(path, "w") as archive:
                for key, data in (members | {pickled: part}).items():
                    archive.writestr(key, data)
            _read(path)
    active[0] = False
    assert not touched, touched[:5]


def _read(path):
    try:
        arrays = read_state_dict(path, "model" if path.stat().st_size % 2 else None)
    except fl.LayerError:
        return
    assert sum(a.nbytes for a in arrays.values()) < 1e5


def test_mutants_are_refused_or_read(tmp_path):
    fuzzed(tmp_path, 60, seed=1)


@pytest.mark.slow
def test_10000_mutants_are_refused_or_read(tmp_path):
    fuzzed(tmp_path, 1700, seed=100)


def test_the_pickle_s_tables_hold_no_object_of_python():
    assert read_pickle(pickle.dumps([1, "a", None, True, 2.5, (1, 2)], 2)) == [1, "a", None, True, 2.5, (1, 2)]
    assert {op.name for op, _, _ in pickletools.genops(dict_of(tensor()))} >= {"BINPERSID", "REDUCE", "GLOBAL"}
