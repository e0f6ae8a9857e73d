"""Lookups of strings and integers: what stands in no record of Keras, errors above all."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.layers.preprocessing.vocabulary import Vocabulary

AB = fl.StringLookup(vocabulary=["a", "b"])
INTEGERS = fl.IntegerLookup(vocabulary=[0, 1])


def test_an_integer_lookup_runs_within_a_compiled_program():
    x = np.array([[7, -3, 0], [99, 5, 2]])
    for options in (
        {}, {"num_oov_indices": 3}, {"mask_token": 0}, {"output_mode": "count", "mask_token": 5}, {"output_mode": "one_hot"},
        {"output_mode": "tf_idf", "idf_weights": (0.5, 2.0, 1.0)}, {"output_mode": "multi_hot"},
    ):  # fmt: skip
        layer = fl.IntegerLookup(vocabulary=[7, -3, 2**40], **options)
        compiled = jax.jit(lambda x, layer=layer: layer.apply({}, x))(x)
        np.testing.assert_array_equal(compiled, layer.apply({}, x), err_msg=str(options))
    back = fl.IntegerLookup(vocabulary=[7, -3], invert=True)
    np.testing.assert_array_equal(
        jax.jit(lambda x: back.apply({}, x))(jnp.arange(-1, 5)), back.apply({}, range_of(-1, 5))
    )


@pytest.mark.parametrize(
    "options, unknown", [({}, 0), ({"num_oov_indices": 2, "mask_token": 9}, 1), ({"num_oov_indices": 0}, -1)]
)
def test_nan_is_unknown_within_a_compiled_program_and_an_error_outside(options, unknown):
    layer = dataclasses.replace(INTEGERS, **options)
    x = jnp.array([jnp.nan, jnp.inf, 1.5])
    assert jax.jit(lambda x: layer.apply({}, x))(x).tolist()[:2] == [unknown] * 2
    with pytest.raises(fl.ConfigError, match="2 elements are NaN or infinite"):
        layer.apply({}, x)


def range_of(start, stop):
    return np.arange(start, stop)


def test_a_lookup_is_undone_by_its_inverse():
    for layer, x in ((AB, [["b", "a"]]), (fl.IntegerLookup(vocabulary=[12, 36], mask_token=0), [[36, 0, 12]])):
        back = dataclasses.replace(layer, invert=True)
        assert back.apply({}, layer.apply({}, x)).tolist() == x


def test_bytes_strings_and_arrays_of_all_kinds_are_one_string():
    x = ["é", "b"]
    layer = fl.StringLookup(vocabulary=["b", "é".encode()])
    for strings in (x, [s.encode() for s in x], np.array(x), np.array([s.encode() for s in x]), np.array(x, object)):
        assert layer.apply({}, strings).tolist() == [2, 1]
    assert layer.apply({}, "é").tolist() == 2 and layer.apply({}, "é").shape == ()
    assert fl.StringLookup(vocabulary=[b"\xff"]).apply({}, [b"\xff", "\ufffd"]).tolist() == [1, 0]


def test_rows_of_several_lengths():
    rows = [["a", "b"], [], ["c"]]
    assert [row.tolist() for row in AB.apply({}, rows)] == [[1, 2], [], [0]]
    counts = dataclasses.replace(AB, output_mode="count").apply({}, rows)
    assert counts.tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert fl.StringLookup(output_mode="tf_idf").adapt(rows).get_vocabulary() == ["[UNK]", "c", "b", "a"]


def test_adapt_reads_any_iterable_once_and_says_what_it_learned_as_options():
    batches = iter([np.array(["a", "b"]), np.array(["b"]), np.array(["never"])])
    layer = fl.StringLookup(max_tokens=3)
    learned = layer.adapt(batches, steps=2, verbose=False)
    assert learned == fl.StringLookup(max_tokens=3, vocabulary=Vocabulary(("b", "a"))) and layer.vocabulary is None
    assert fl.IntegerLookup().adapt([[3, 1], [3, 2]]).get_vocabulary() == [-1, 3, 2, 1]
    only_special = fl.StringLookup().adapt(["[UNK]"])
    assert only_special.get_vocabulary() == ["[UNK]"] and only_special.apply({}, ["a"]).tolist() == [0]


def test_a_large_vocabulary_is_hashed_and_searched_once():
    layer = fl.StringLookup(vocabulary=[f"token {i}" for i in range(100_000)])
    layer.apply({}, ["token 7"])
    before = layer.vocabulary.positions(0)
    assert dataclasses.replace(layer, name="other").vocabulary is layer.vocabulary
    assert layer.vocabulary.positions(0) is before and len(repr(layer)) < 100
    assert layer == dataclasses.replace(layer) and hash(layer) == hash(dataclasses.replace(layer))


TRACED = "runs on the host, and cannot be part of a compiled program"


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: fl.StringLookup(vocabulary="words.txt"), "a vocabulary is never a path"),
        (lambda: fl.TextVectorization(vocabulary="words.txt"), "a vocabulary is never a path"),
        (lambda: fl.StringLookup(vocabulary=["a", "b", "a"]), "more than once, such as 'a'; give each once"),
        (lambda: fl.IntegerLookup(vocabulary=[1, 1]), "more than once, such as 1"),
        (lambda: fl.StringLookup(vocabulary=[]), "the vocabulary is empty"),
        (lambda: fl.StringLookup(vocabulary=["a", 1]), "the token 1 is of type int; give strings"),
        (lambda: fl.IntegerLookup(vocabulary=["a"]), "the token 'a' is not an integer of 64 bits"),
        (lambda: fl.IntegerLookup(vocabulary=Vocabulary(("a",))), "the vocabulary holds strings"),
        (lambda: fl.StringLookup(vocabulary=["a", ""], mask_token=""), "mask_token='' stands among the tokens"),
        (lambda: fl.StringLookup(3, vocabulary=["a", "b", "c"]), "has 4 tokens with the special ones, and max_tokens=3"),
        (lambda: fl.StringLookup(1), "max_tokens=1 is wrong; give a number above 1"),
        (lambda: fl.StringLookup(pad_to_max_tokens=True), "needs max_tokens"),
        (lambda: fl.StringLookup(num_oov_indices=-1), "give 0 or more"),
        (lambda: fl.StringLookup(invert=True, output_mode="count"), "invert goes with output_mode='int'"),
        (lambda: fl.StringLookup(vocabulary=["a"], output_mode="tf_idf"), "needs idf_weights"),
        (lambda: fl.StringLookup(vocabulary=["a"], output_mode="tf_idf", idf_weights=[1.0, 2.0]), "a weight for each"),
        (lambda: fl.StringLookup(sparse=True), "go through neither fit nor most layers"),
        (lambda: fl.StringLookup(salt=(1, 2, 3)), "give an integer, or two"),
        (lambda: fl.IntegerLookup(salt=3), "salt goes with oov_method='farmhash'"),
        (lambda: fl.StringLookup().apply({}, ["a"]), "has no vocabulary; write layer = layer.adapt"),
        (lambda: AB.adapt(["c"]), "has a vocabulary; make a layer without one"),
        (lambda: fl.StringLookup().adapt([]), "adapt found no tokens"),
        (lambda: fl.StringLookup().adapt(iter(())), "adapt found no tokens"),
        (lambda: fl.StringLookup(2, num_oov_indices=2).adapt(["a"]), "leaves no room besides 2 special tokens"),
        (lambda: fl.StringLookup().adapt(3), "takes an array or an iterable of batches"),
        (lambda: fl.StringLookup().adapt([(np.array(["a"]), np.ones(1))]), r"write \(x for x, y in data\)"),
        (lambda: AB.apply({}, np.array([1, 2])), "takes strings, got an array of int64"),
        (lambda: AB.apply({}, ["a", None]), "element 1 is None of type NoneType"),
        (lambda: AB.apply({}, ["\ud800"]), "half of a surrogate pair"),
        (lambda: AB.apply({}, (["a"], ["b"])), "takes one array, got several"),
        (lambda: AB.apply({}, ["a"], mask=np.ones(1, bool)), "does not support a mask"),
        (lambda: fl.IntegerLookup(vocabulary=[1]).apply({}, np.array([np.nan, 1])), "1 elements are NaN or infinite"),
        (lambda: fl.IntegerLookup(vocabulary=[1]).apply({}, ["a"]), "takes integers, got strings"),
        (lambda: fl.IntegerLookup(vocabulary=[1], num_oov_indices=0).apply({}, [[1, 5]]), "not in the vocabulary, such as 5"),
        (lambda: fl.StringLookup(encoding="utf-99"), "StringLookup: encoding='utf-99' is unknown"),
        (lambda: AB.apply({}, [["a"], "b"]), r"row 1 is 'b'; write \['b'\]"),
        (lambda: AB.apply({}, [["a"], None, ["b", "c"]]), "row 1 is None"),
        (lambda: INTEGERS.apply({}, np.array([1, 2], object)), "an array of objects; write x.astype"),
        (lambda: INTEGERS.apply({}, [2**70]), "hash what 64 bits do not hold as strings"),
        (lambda: INTEGERS.apply({}, np.ma.array([1, 2], mask=[0, 1])), "got a masked array; write x.filled"),
        (lambda: fl.IntegerLookup().adapt([np.ma.array([1, 2], mask=[0, 1])]), "got a masked array"),
        (lambda: fl.StringLookup().adapt("words.txt"), "adapt takes an array or an iterable of batches, got 'words.txt'"),
        (lambda: fl.StringLookup().adapt({"city": ["a"]}), "adapt takes an array or an iterable of batches, got {'city'"),
        (lambda: fl.StringLookup().adapt(["a"], steps=0), "steps=0; give a number of batches of at least 1"),
        (lambda: fl.StringLookup().adapt(["a"], steps="1"), "steps='1'; give a number"),
        (lambda: jax.jit(lambda x: AB.apply({}, x))(np.array([1])), TRACED),
        (lambda: fl.Sequential([AB, fl.Embedding(3, 2)]).apply({}, np.array([1])), "takes strings"),
        (lambda: fl.Dense(2).apply({}, np.array(["a"])), "encode them before, on the host: fnlayers.StringLookup"),
        (lambda: fl.Dense(2)(fl.Input((2,), dtype="string")), "is given strings; put fnlayers.StringLookup"),
    ],
)  # fmt: skip
def test_errors(make, match):
    with pytest.raises(fl.LayerError, match=match):
        make()
