"""Vocabularies in `.keras` files: in the config, as texts of the archive, and in no other file."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

import fnlayers as fl
from cases import HOST
from fnlayers.core.strings import as_arrays
from fnlayers.plain_data import map_nest

EACH = pytest.mark.parametrize(
    ("layer", "x"), HOST, ids=[f"{i} {type(layer).__name__}" for i, (layer, _) in enumerate(HOST)]
)


@EACH
def test_what_is_saved_is_read(layer, x, tmp_path):
    def start(a):
        return fl.Input(batch_shape=a.shape, dtype="string" if a.dtype == object else "int64")

    symbols = map_nest(start, as_arrays(x))
    fl.save_keras(tmp_path / "m.keras", fl.functional(symbols, layer(symbols)), {})
    model, params, *_ = fl.load_keras(tmp_path / "m.keras")
    np.testing.assert_array_equal(model.apply(params, as_arrays(x)), layer.apply({}, x))


def archive(path, config, texts, weights=None):
    """A file of a Sequential of one layer, with the texts of vocabularies that Keras writes by the config."""
    layer = {"module": "keras.layers", "class_name": config.pop("class"), "config": config, "registered_name": None}
    start = {"class_name": "InputLayer", "config": {"batch_shape": [None], "dtype": config.pop("input", "string")}}
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": [start, layer]}}
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_group("layers")
        for name, values in (weights or {}).items():
            file[name] = np.array(values, "float32")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(model))
        file.writestr("model.weights.h5", stream.getvalue())
        for name, text in texts.items():
            file.writestr(name, text)
    return path


def lookup(**options):
    return {"class": "StringLookup", "name": "l", **options}


TEXT = "assets/layers/string_lookup/vocabulary.txt"


def test_a_learned_vocabulary_is_a_text_of_the_archive(tmp_path):
    path = archive(tmp_path / "m.keras", lookup(vocabulary_size=3), {TEXT: "[UNK]\nb\u2028\na\r"})
    model = fl.load_keras(path).model
    assert model.layers[0].get_vocabulary() == ["[UNK]", "b\u2028", "a\r"]  # which Keras tears apart
    assert model.apply({}, ["a\r", "x"]).tolist() == [2, 0]
    config = {"class": "IntegerLookup", "input": "int64", "name": "l", "output_mode": "tf_idf"}
    place = "layers/integer_lookup"
    weights = {f"{place}/vars/idf_weights": [0.5, 1.0, 2.0]}
    path = archive(path, config, {f"assets/{place}/vocabulary.txt": "-1\n7\n-3"}, weights)
    assert fl.load_keras(path).model.apply({}, [7, -3, 9]).tolist() == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    "config, texts, match",
    [
        (lookup(), {"assets/layers/dense/vocabulary.txt": "a"}, "a vocabulary that no layer of the model has"),
        (lookup(), {"assets/../string_lookup/vocabulary.txt": "a"}, "would leave its folder"),
        (lookup(), {"assets/layers/string_lookup/other.txt": "a"}, "a member that is not one of"),
        (lookup(vocabulary="/etc/passwd"), {}, "a vocabulary is never a path"),
        (lookup(vocabulary_size=3), {TEXT: "[UNK]\na\nb\nc"}, "has 4 lines, and its layer 3 tokens"),
        (lookup(vocabulary_size=3), {TEXT: "[UNK]\na\na"}, "more than once"),
        (lookup(), {TEXT: b"\xff"}, "not a text in UTF-8"),
        (lookup(vocabulary=[["a"]]), {}, "vocabulary"),
        (lookup(vocabulary=["a", 3]), {}, "give strings"),
        ({"class": "IntegerLookup", "input": "int64", "name": "l"}, {"assets/layers/integer_lookup/vocabulary.txt": "x"},
         "has the line 'x'"),
    ],
)  # fmt: skip
def test_what_is_no_vocabulary_is_refused(config, texts, match, tmp_path):
    with pytest.raises(fl.ConfigError, match=match):
        fl.load_keras(archive(tmp_path / "m.keras", dict(config), texts))


def test_all_vocabularies_together_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("fnlayers.keras_files.limits.FREE_EXPANSION", 1000)
    monkeypatch.setattr("fnlayers.keras_files.limits.MAX_EXPANSION", 0)
    with pytest.raises(fl.ConfigError, match="unpack to more than 1000 bytes"):
        fl.load_keras(archive(tmp_path / "m.keras", lookup(), {TEXT: "a\n" * 1000}))


def test_ids_with_weights_are_an_option_of_the_call(tmp_path):
    ids, weights = fl.Input((3,), dtype="int32", name="ids"), fl.Input((3,), name="weights")
    model = fl.functional((ids, weights), fl.CategoryEncoding(4, "count")([ids, weights]))
    fl.save_keras(tmp_path / "m.keras", model, {})
    x = (np.array([[0, 3, 3]]), np.array([[0.5, 1, 2]], "float32"))
    assert fl.load_keras(tmp_path / "m.keras").model.apply({}, x).tolist() == [[0.5, 0, 0, 3]]


def test_a_function_of_yours_is_given_by_name(tmp_path):
    function = {"module": "builtins", "class_name": "function", "config": "shout", "registered_name": "function"}
    config = {"class": "TextVectorization", "name": "t", "standardize": function, "vocabulary": ["A"]}
    path = archive(tmp_path / "m.keras", config, {})
    model = fl.load_keras(path, functions={"shout": np.char.upper}).model
    assert model.apply({}, ["a b"]).tolist() == [[2, 1]]
    with pytest.raises(fl.ConfigError, match="its function is the caller's to give"):
        fl.load_keras(path)
