"""Files made to do harm, or damaged: each is refused with an error of ours, and nothing else happens."""

import io
import json
import os
import pickle
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import fnlayers as fl
from crafted import changed, changed_config, joined, split, write_small
from fnlayers.command_line.inspect import inspect
from fnlayers.saving import container, load, strict

F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_small(tmp_path_factory.mktemp("good")).read_bytes()


@pytest.fixture
def small(tmp_path: Path, good: bytes) -> Path:
    (tmp_path / "m.safetensors").write_bytes(good)
    return tmp_path / "m.safetensors"


def refuse(path: Path, blob: bytes | None = None, match: str | None = None) -> None:
    if blob is not None:
        path.write_bytes(blob)
    start = time.monotonic()
    with pytest.raises(fl.LayerError, match=match):
        load(path)
    assert time.monotonic() - start < 10


# Other formats, and files cut off


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones(100))
    return file.getvalue()


FOREIGN = {
    "empty": (b"", "cut off"),
    "seven bytes": (b"\x02" + b"\0" * 6, "cut off"),
    "no header": (b"\0" * 8, "cut off"),
    "text": (b"a model, I swear" * 100, "no .safetensors"),
    "json": (json.dumps({"a": 1}).encode() * 10, "no .safetensors"),
    "pickle": (pickle.dumps({"a": [1, 2]}), "a pickle"),
    "pickle, long": (pickle.dumps([0] * 10_000), "a pickle"),
    "keras": (zipped("config.json", b"{}" * 100), "a zip archive"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 1000, "an HDF5 file"),
    "npy": (npy(), "no .safetensors"),
    "header longer than the file": ((1000).to_bytes(8, "little") + b"{}", "a header of 1000 bytes"),
    "header of 2**63": ((2**63).to_bytes(8, "little") + b"{}", "a header of 9223372036854775808 bytes"),
    "header that is a list": (joined("[]", b""), "no JSON object"),
    "header with a BOM": (joined("\ufeff{}", b""), "no JSON object"),
    "header that is no text": ((4).to_bytes(8, "little") + b"{\xff\xfe}", "no JSON object"),
    "header and no more": (joined("{}", b""), "no model"),
    "header and something": (joined("{}", b"x"), "0 bytes of arrays, and the file has 1"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_files(what: str, tmp_path: Path) -> None:
    refuse(tmp_path / "m.safetensors", *FOREIGN[what])


def test_a_header_beyond_the_limit(tmp_path: Path) -> None:
    with open(tmp_path / "m.safetensors", "wb") as file:
        file.write((container.MAX_HEADER + 1).to_bytes(8, "little"))
        file.truncate(container.MAX_HEADER + 100)  # sparse: takes no room
    refuse(tmp_path / "m.safetensors", match="a header of 100000001 bytes")


# Headers that lie about their arrays

LIES = {
    "unknown dtype": ({"a": F32 | {"dtype": "F128"}}, 4),
    "dtype that is not a string": ({"a": F32 | {"dtype": ["F32"]}}, 4),
    "negative size": ({"a": F32 | {"shape": [-1]}}, 4),
    "two negative sizes": ({"a": F32 | {"shape": [-1, -1]}}, 4),
    "a float for a size": ({"a": F32 | {"shape": [1.0]}}, 4),
    "a bool for a size": ({"a": F32 | {"shape": [True]}}, 4),
    "a bool for an offset": ({"a": F32 | {"shape": [0], "data_offsets": [False, 0]}}, 0),
    "a product that wraps to 16 bytes": ({"a": F32 | {"shape": [4194305, 4194305, 211106198978564]}}, 16),
    "a huge size": ({"a": F32 | {"shape": [2**62]}}, 4),
    "a rank of 40": ({"a": F32 | {"shape": [1] * 40}}, 4),
    "bytes that do not fit": ({"a": F32 | {"shape": [2]}}, 4),
    "end before start": ({"a": F32 | {"data_offsets": [4, 0]}}, 4),
    "negative start": ({"a": F32 | {"data_offsets": [-4, 0]}}, 4),
    "three offsets": ({"a": F32 | {"data_offsets": [0, 4, 4]}}, 4),
    "beyond the file": ({"a": F32 | {"data_offsets": [0, 4]}}, 3),
    "trailing bytes": ({"a": F32}, 5),
    "overlap": ({"a": F32, "b": F32}, 4),
    "half an overlap": ({"a": F32, "b": F32 | {"data_offsets": [2, 6]}}, 6),
    "hole": ({"a": F32, "b": F32 | {"data_offsets": [8, 12]}}, 12),
    "hole at the start": ({"a": F32 | {"data_offsets": [4, 8]}}, 8),
    "empty array inside another": ({"a": F32, "b": F32 | {"shape": [0], "data_offsets": [2, 2]}}, 4),
    "unknown key": ({"a": F32 | {"path": "/etc/passwd"}}, 4),
    "no offsets": ({"a": {"dtype": "F32", "shape": [1]}}, 4),
    "an array that is a list": ({"a": [1]}, 4),
    "metadata that is no text": ({"__metadata__": {"format": 3}}, 0),
    "metadata that is a list": ({"__metadata__": ["format"]}, 0),
}


@pytest.mark.parametrize("what", LIES)
def test_headers_that_lie(what: str, tmp_path: Path) -> None:
    header, size = LIES[what]
    (tmp_path / "m.safetensors").write_bytes(joined(header, b"\0" * size))
    with pytest.raises(fl.ConfigError), open(tmp_path / "m.safetensors", "rb") as file:
        container.open_header(file)
    refuse(tmp_path / "m.safetensors")


def test_the_truth_is_read(tmp_path: Path) -> None:
    """The base of the lies above is a good file."""
    (tmp_path / "m").write_bytes(joined({"b": F32 | {"data_offsets": [4, 8]}, "a": F32}, b"\0\0\0\0\0\0\x80?"))
    with open(tmp_path / "m", "rb") as file:
        read = dict(container.read_arrays(file, container.open_header(file)))
    assert {name: array.tolist() for name, array in read.items()} == {"a": [0.0], "b": [1.0]}


# What is not JSON, or too much

TEXTS = {
    "a key twice": '{"a":1,"a":1}',
    "NaN": '{"a":NaN}',
    "Infinity": "[-Infinity]",
    "a float that overflows": "[1e999]",
    "5000 digits": "[" + "1" * 5000 + "]",
    "50 digits": "[" + "1" * 50 + "]",
    "a lone surrogate": '["\\ud800"]',
    "depth": "[" * 200_000,
    "depth, closed": "[" * 100_000 + "]" * 100_000,
    "objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "trailing text": "{} {}",
    "a comment": "{} // none",
    "single quotes": "{'a': 1}",
    "nothing": "",
    "a control character": '["\n"]',
    "many values": "[" + "," * (strict.MAX_VALUES + 1) + "]",
}


@pytest.mark.parametrize("what", TEXTS)
def test_json_that_is_none(what: str, small: Path) -> None:
    with pytest.raises(fl.ConfigError):
        strict.loads(TEXTS[what])
    if what == "many values":
        return
    refuse(small, joined(TEXTS[what], b""))


def test_json_inside_the_metadata(small: Path, good: bytes) -> None:
    for what, text in TEXTS.items():
        for part in ("model", "shape", "params", "state"):
            if what != "many values":
                small.write_bytes(good)
                refuse(changed(small, lambda header, part=part, text=text: header["__metadata__"].update({part: text})))


def test_a_header_with_a_key_twice(small: Path, good: bytes) -> None:
    header, data = split(good)
    name = "params/dense/kernel"
    text = json.dumps(header, separators=(",", ":"))
    twice = text[:-1] + f',"{name}":{json.dumps(header[name])}' + "}"
    refuse(small, joined(twice.replace(header["__metadata__"]["sha256"], "0" * 64), data), "same key twice")


# Configs and trees that ask for harm


def first(config: dict) -> dict:
    return config["fields"]["layers"][0]


SECRET = "secret.txt"
EDITS: dict[str, Callable[[dict], Any]] = {
    "unknown layer": lambda c: first(c).update(layer="Evil"),
    "a module": lambda c: first(c).update(layer="os.system"),
    "a class by path": lambda c: c["fields"]["layers"].append({"module": "crafted", "class_name": "hostile"}),
    "a function of ours with effects": lambda c: first(c)["fields"].update(activation={"activation": "save"}),
    "a function not given": lambda c: first(c)["fields"].update(activation={"given": "eval"}),
    "a file as initializer": lambda c: first(c)["fields"].update(kernel_initializer={"file": SECRET}),
    "marshalled code": lambda c: first(c).update(layer="Lambda", fields={"function": {"code": "4wEAAAA="}}),
    "units": lambda c: first(c)["fields"].update(units=2**40),
    "units beyond int64": lambda c: first(c)["fields"].update(units=2**100),
    "units as text": lambda c: first(c)["fields"].update(units="3"),
    "units as float": lambda c: first(c)["fields"].update(units=3.0),
    "units as bool": lambda c: first(c)["fields"].update(units=True),
    "a name outside": lambda c: first(c)["fields"].update(name="../../escape"),
    "a name with NUL": lambda c: first(c)["fields"].update(name="\0"),
    "an unknown option": lambda c: first(c)["fields"].update(safe_mode=False),
    "an option absent": lambda c: first(c)["fields"].pop("units"),
    "another activation's type": lambda c: first(c)["fields"].update(activation=3),
    "a repeat without end": lambda c: first(c).update(layer="Repeat", fields={"layer": dict(first(c)), "n": 2**60}),
    "a dtype": lambda c: first(c)["fields"].update(dtype="object"),
    "an embedding": lambda c: first(c).update(layer="Embedding", fields={"input_dim": 2**50, "output_dim": 2**50}),
    "no layers": lambda c: c["fields"].update(layers=[]),
    "a number for the layers": lambda c: c["fields"].update(layers=3),
    "null": lambda c: c["fields"].update(layers=None),
    "one layer more": lambda c: c["fields"]["layers"].append({"layer": "Dense", "fields": {"units": 2}}),
    "ten thousand layers": lambda c: c["fields"]["layers"].extend([{"layer": "Flatten", "fields": {}}] * 10_000),
}


@pytest.mark.parametrize("what", EDITS)
def test_configs_that_ask_for_harm(what: str, small: Path) -> None:
    refuse(changed_config(small, EDITS[what]))


def graph(nodes: list, layers: list | None = None, inputs: Any = None, outputs: Any = None) -> dict:
    fields = {
        "layers": layers or [["d", {"layer": "Dense", "fields": {"units": 2}}]],
        "nodes": nodes,
        "inputs": inputs or {"ref": [0, 0]},
        "outputs": outputs or {"ref": [len(nodes) - 1, 0]},
    }
    return {"layer": "Functional", "fields": fields}


IN = {"input": ["a", [None, 4], "float32"]}
DOUBLE = [{"node": ["c", [{"ref": [n, 0]}, {"ref": [n, 0]}]]} for n in range(200)]
GRAPHS = {
    "itself": graph([IN, {"node": ["d", {"ref": [1, 0]}]}]),
    "forward": graph([IN, {"node": ["d", {"ref": [2, 0]}]}, {"node": ["d", {"ref": [0, 0]}]}]),
    "no such node": graph([IN, {"node": ["d", {"ref": [-1, 0]}]}]),
    "no such output": graph([IN, {"node": ["d", {"ref": [0, 7]}]}]),
    "no such layer": graph([IN, {"node": ["e", {"ref": [0, 0]}]}]),
    "no nodes": graph([]),
    "a node of text": graph([IN, "node"]),
    "a ref of text": graph([IN, {"node": ["d", {"ref": ["0", "0"]}]}]),
    "a shape of text": graph([{"input": ["a", "shape", "float32"]}]),
    "a dtype of text": graph([{"input": ["a", [None, 4], "evil"]}]),
    "a dtype and a mark": {
        "layer": "Sequential",
        "fields": {"layers": [], "input": {"input": ["a", [4], "int32\ufeff"]}},
    },
    "a size of a sequence": {"layer": "Sequential", "fields": {"layers": [], "input": {"input": ["a", 4, "int32"]}}},
    "a huge input": graph([{"input": ["a", [None, 2**70], "float32"]}, {"node": ["d", {"ref": [0, 0]}]}]),
    "doubled until it overflows": graph([IN, *DOUBLE], [["c", {"layer": "Concatenate", "fields": {}}]]),
    "layers that are none": graph([IN], layers=[["d", 3]]),
    "layers that are no pairs": graph([IN], layers=[3]),
    "inputs that are none": graph([IN], inputs=[3]),
}


@pytest.mark.parametrize("what", GRAPHS)
def test_graphs_that_are_none(what: str, small: Path) -> None:
    def replace(config: dict) -> None:
        config.clear()
        config.update(GRAPHS[what])

    changed(small, lambda header: header["__metadata__"].update(shape="null"))
    refuse(changed_config(small, replace))
    show(small)


def show(path: Path) -> None:
    """The command line shows what it can of a file, or refuses it."""
    with suppress(fl.LayerError):
        assert "a model of fnlayers" in inspect(str(path))


PARTS: dict[str, tuple[str, Callable[[dict], Any]]] = {
    "an array less": ("params", lambda tree: tree["dense"].pop("bias")),
    "an array more": ("params", lambda tree: tree["dense"].update(extra="array")),
    "a tree of text": ("params", lambda tree: tree.update(dense="evil")),
    "an unknown kind": ("params", lambda tree: tree["dense"].update(bias=["set", "array"])),
    "an empty kind": ("params", lambda tree: tree["dense"].update(bias=[])),
    "a class not given": ("params", lambda tree: tree["dense"].update(bias=["named", "Popen", "array"])),
    "a class that is a list": ("params", lambda tree: tree["dense"].update(bias=["named", []])),
    "keys of floats": ("params", lambda tree: tree["dense"].update(bias="key:rbg")),
    "keys of an unknown kind": ("params", lambda tree: tree["dense"].update(bias="key:evil")),
    "a number": ("state", lambda tree: tree["batch_normalization"].update(moving_mean=3)),
    "an array twice": ("state", lambda tree: tree.update({"batch_normalization/moving_mean": "array"})),
    "depth": ("params", lambda tree: tree["dense"].update(bias=deep(200))),
}


def deep(levels: int) -> Any:
    tree: Any = "array"
    for _ in range(levels):
        tree = ["tuple", tree]
    return tree


@pytest.mark.parametrize("what", PARTS)
def test_trees_that_are_none(what: str, small: Path) -> None:
    part, edit = PARTS[what]
    refuse(changed_config(small, edit, part))


SHAPES = ["[]", "[null]", "[null,5]", "[null,null]", "[null,-4]", '["a"]', "3", "{}", '{"a":[1]}', "true", "[null,4.0]",
          "[[null,4],[null,4]]", f"[null,{2**70}]", "[" + "1," * 100 + "1]", "[[[]]]"]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_do_not_fit(shape: str, small: Path) -> None:
    changed(small, lambda header: header["__metadata__"].update(shape=shape))
    if shape != "[null,null]":  # a size that was not known when saving
        refuse(small)
    else:
        load(small)
    show(small)


STAMPS: dict[str, Callable[[dict], Any]] = {
    "another format": lambda m: m.update(format="pt"),
    "no format": lambda m: m.pop("format"),
    "no version": lambda m: m.pop("format_version"),
    "a later version": lambda m: m.update(format_version="99"),
    "what is not a version": lambda m: m.update(format_version="1.0"),
    "a negative version": lambda m: m.update(format_version="-1"),
    "a version in other digits": lambda m: m.update(format_version="\u0661"),
    "a version of many digits": lambda m: m.update(format_version="1" * 5000),
    "no model": lambda m: m.pop("model"),
    "no checksum": lambda m: m.pop("sha256"),
    "a switch": lambda m: m.update(safe_mode="false"),
}


@pytest.mark.parametrize("what", STAMPS)
def test_metadata_that_is_not_ours(what: str, small: Path) -> None:
    refuse(changed(small, lambda header: STAMPS[what](header["__metadata__"])))


def test_booleans_are_zeros_and_ones(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(joined({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\x01\x02"))
    with open(tmp_path / "m", "rb") as file, pytest.raises(fl.ConfigError, match="no booleans"):
        dict(container.read_arrays(file, container.open_header(file)))


# Damage


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_small(tmp_path, fl.Dense(2))


def test_every_prefix_is_refused(tiny: Path) -> None:
    for length in reversed(range(tiny.stat().st_size)):
        os.truncate(tiny, length)
        with pytest.raises(fl.ConfigError):
            load(tiny)


def test_every_byte_counts(tiny: Path) -> None:
    """One bit flipped in each byte of the file: an error of ours, always."""
    good = tiny.read_bytes()
    for position, byte in enumerate(good):
        tiny.write_bytes(good[:position] + bytes([byte ^ 1 << position % 8]) + good[position + 1 :])
        with pytest.raises(fl.ConfigError):
            load(tiny)


@hypothesis.settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_a_flip_with_a_right_checksum(small: Path, good: bytes, data: st.DataObject) -> None:
    """Who computes the checksum again gets an error of ours, or a model that fits its arrays; never anything else."""
    length = int.from_bytes(good[:8], "little")
    position = data.draw(st.integers(8, 8 + length - 1))
    flipped = bytearray(good)
    flipped[position] = data.draw(st.integers(0, 255))
    header, body = bytes(flipped[8 : 8 + length]), good[8 + length :]
    checksum = split(good)[0]["__metadata__"]["sha256"].encode()
    text = header.replace(checksum, b"0" * 64).decode("utf-8", "surrogateescape")
    try:
        small.write_bytes(joined(text, body))
    except UnicodeEncodeError:
        return
    try:
        model, params, state = load(small)
    except fl.LayerError:
        return
    assert model.apply(params, np.ones((1, 4), "float32"), state=state).shape == (1, 2)


# What loading does, besides reading

WATCHED = ("import", "exec", "compile", "marshal.", "pickle.", "socket.", "subprocess.", "os.system", "ctypes.", "open")
_seen: list | None = None


def _watch(event: str, arguments: tuple) -> None:
    if _seen is not None and threading.current_thread() is threading.main_thread() and event.startswith(WATCHED):
        _seen.append((event, arguments))


@pytest.fixture(scope="module")
def hook() -> None:
    """Once: an audit hook cannot be taken away again."""
    sys.addaudithook(_watch)


@pytest.fixture
def seen(hook: None) -> Iterator[list]:
    """What is imported, compiled, run and opened while the test runs."""
    global _seen
    _seen = []
    yield _seen
    _seen = None


def test_loading_opens_one_file_and_runs_nothing(small: Path, seen: list) -> None:
    load(small)  # what jax and numpy import at their first use
    seen.clear()
    load(small)
    assert [(event, str(arguments[0])) for event, arguments in seen] == [("open", str(small))]


def test_refusing_opens_one_file_and_runs_nothing(small: Path, seen: list) -> None:
    for what in ("a module", "a file as initializer", "marshalled code", "a class by path"):
        save_as = small.with_name("edited.safetensors")
        save_as.write_bytes(small.read_bytes())
        changed_config(save_as, EDITS[what])
        seen.clear()
        refuse(save_as)
        assert [(event, str(arguments[0])) for event, arguments in seen] == [("open", str(save_as))]
