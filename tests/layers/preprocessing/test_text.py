"""TextVectorization, hashing and bins: what stands in no record of Keras."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl

TEXTS = ["The cat sat.", "a  cat, a dog!", ""]


def shout(texts):
    return np.char.upper(texts)


def at_commas(texts):
    return [text.split(",") for text in texts]


def test_a_model_that_begins_with_text_is_run_on_texts():
    text = fl.TextVectorization(vocabulary=["cat", "dog"], output_sequence_length=3)
    model = fl.Sequential([fl.Input((), dtype="string"), text, fl.Embedding(4, 2), fl.GlobalAveragePooling1D()])
    params = model.init(jax.random.key(0))
    y = model.apply(params, TEXTS)
    assert y.shape == (3, 2) and model.out_shape((None,)) == (None, 2)
    ids = text.apply({}, TEXTS)
    rest = fl.Sequential(model.layers[1:])
    np.testing.assert_array_equal(jax.jit(rest.apply)(params, ids), y)
    assert "string" in repr(fl.Input((), dtype="string"))


def test_a_string_that_reaches_a_compiled_program_is_an_error_that_says_what_to_write():
    model = fl.Sequential([fl.TextVectorization(vocabulary=["a"], output_sequence_length=2), fl.Embedding(3, 1)])
    params, x, y = {"embedding": {"embeddings": np.ones((3, 1), "float32")}}, np.array(["a", "b"]), np.ones((2, 2, 1))
    training = dict(loss="mse", optimizer=optax.sgd(0.1), epochs=1, verbose=False)
    for run in (lambda: fl.fit(model, (x, y), **training), lambda: fl.predict(model, params, x)):
        with pytest.raises(fl.ConfigError, match="encode them before, on the host: fnlayers.StringLookup"):
            run()
    with pytest.raises(ValueError, match="encode them before"):
        fl.jit(model.apply)(params, x)


def test_a_graph_of_strings_and_numbers():
    city, size = fl.Input((1,), dtype="string", name="city"), fl.Input((2,), name="size")
    encoded = fl.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(city)
    model = fl.functional({"city": city, "size": size}, fl.Dense(2)(fl.Concatenate()([encoded, size])))
    params = model.init(jax.random.key(0))
    x = {"city": [["a"], ["z"]], "size": np.ones((2, 2), "float32")}
    assert model.apply(params, x).shape == (2, 2)
    with pytest.raises(fl.ShapeError, match="input 'size' was declared as float32, got string"):
        model.apply(params, {"city": [["a"]], "size": [["b", "c"]]})


def test_functions_of_your_own_standardize_and_split():
    layer = fl.TextVectorization(standardize=shout, split=at_commas).adapt(["a,b", "b"])
    assert layer.get_vocabulary() == ["", "[UNK]", "B", "A"]
    assert layer.apply({}, ["b,a,c", ""]).tolist() == [[2, 3, 1], [0, 0, 0]]


def test_rows_are_left_as_they_are_where_asked():
    layer = fl.TextVectorization(vocabulary=["cat"], ragged=True)
    assert [row.tolist() for row in layer.apply({}, TEXTS)] == [[1, 2, 1], [1, 2, 1, 1], []]
    cut = dataclasses.replace(layer, output_sequence_length=2)
    assert [row.tolist() for row in cut.apply({}, TEXTS)] == [[1, 2], [1, 2], []]


def test_texts_in_a_table_and_one_by_one():
    layer = fl.TextVectorization(vocabulary=["cat"], output_mode="count")
    wide = layer.apply({}, np.array(TEXTS, object).reshape(3, 1, 1))
    np.testing.assert_array_equal(wide[:, 0], layer.apply({}, TEXTS))
    assert layer.apply({}, "cat cat x").tolist() == [1, 2]
    assert fl.TextVectorization(vocabulary=["cat"]).apply({}, "a cat").tolist() == [1, 2]
    assert fl.TextVectorization(vocabulary=["cat"]).apply({}, []).shape == (0, 0)


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count", "tf_idf"])
def test_texts_are_read_in_parts_of_which_nothing_is_to_be_seen(mode, monkeypatch):
    texts = [*TEXTS, "a a dog", "", "Cat cat cat the"]
    layer = fl.TextVectorization(7, output_mode=mode, pad_to_max_tokens=True)
    whole = layer.adapt(texts)
    y = whole.apply({}, texts)
    monkeypatch.setattr("fnlayers.layers.preprocessing.text.TEXTS_AT_ONCE", 2)
    assert layer.adapt(texts) == whole
    np.testing.assert_equal(list(whole.apply({}, texts)), list(y))
    with pytest.raises(fl.ConfigError, match="element 3 is None"):
        whole.apply({}, ["a", "b", "c", None])


def test_rows_of_an_array_with_three_axes_lie_along_its_second():
    words = np.array([[["a", "b"], ["a", "z"]]])  # (1, 2, 2): two rows, of "a", "a" and of "b", "z"
    layer = fl.StringLookup(vocabulary=["a", "b"], output_mode="tf_idf", idf_weights=[0.5, 3.0])
    assert layer.apply({}, words).tolist() == [[[0, 1, 0], [1.75, 0, 3]]]
    counts = dataclasses.replace(layer, output_mode="count", idf_weights=None)
    assert counts.apply({}, words).tolist() == [[[0, 2, 0], [1, 0, 1]]]


def test_ids_outside_count_nowhere_and_below_0_are_an_error_of_rows():
    layer = fl.CategoryEncoding(3)
    assert layer.apply({}, jnp.array([[5, 1]])).tolist() == [[0, 1, 0]]
    assert jax.jit(lambda x: layer.apply({}, x))(jnp.array([[-1, 1]])).tolist() == [[0, 1, 0]]
    assert fl.CategoryEncoding(2, "one_hot").apply({}, jnp.array([-1, 1])).tolist() == [[0, 0], [0, 1]]
    assert jax.jit(lambda x: layer.apply({}, x))(jnp.array([[jnp.nan, 1.5]])).tolist() == [[0, 1, 0]]
    assert fl.Hashing(3, mask_value=300).apply({}, np.array([44], "uint8")).tolist() != [0]  # 300 - 256 is not masked
    weights = jnp.array([[0.5, 0.25]])
    counted = fl.CategoryEncoding(2, "count").apply({}, (jnp.array([[1, 1]]), weights))
    assert counted.tolist() == [[0, 0.75]]


def test_bins_learned_from_batches_hold_equally_many():
    x = np.random.RandomState(0).normal(size=4000)
    layer = fl.Discretization(num_bins=4, epsilon=0.01).adapt(np.split(x, 8), verbose=False)
    counts = np.bincount(np.asarray(layer.apply({}, x.astype("float32"))))
    assert len(counts) == 4 and abs(counts / 4000 - 0.25).max() < 0.03
    assert layer.num_bins is None and len(layer.bin_boundaries) == 3


def test_statistics_learned_from_batches_are_those_of_all():
    x = np.random.RandomState(0).normal(3, 2, (60, 2, 3)).astype("float32")
    for axis in (-1, None, (1, 2)):
        whole, parts = (fl.Normalization(axis).adapt(data, verbose=False) for data in (x, np.split(x, [5, 25])))
        np.testing.assert_allclose(whole.mean, parts.mean, rtol=1e-5)
        np.testing.assert_allclose(whole.variance, parts.variance, rtol=1e-5)
        y = np.asarray(whole.apply({}, x), "float64")
        assert abs(y.mean()) < 1e-5 and abs(y.var() - 1) < 1e-4


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: fl.TextVectorization(split="words"), "split='words' is unknown"),
        (lambda: fl.TextVectorization(standardize="upper"), "standardize='upper' is unknown"),
        (lambda: fl.TextVectorization(ngrams=(1, 0)), "give widths of at least 1"),
        (lambda: fl.TextVectorization(output_mode="count", output_sequence_length=3), "go with output_mode='int'"),
        (lambda: fl.TextVectorization(vocabulary=["a", "a"]), "TextVectorization: the vocabulary has tokens more than"),
        (lambda: fl.TextVectorization().apply({}, ["a"]), "has no vocabulary"),
        (lambda: fl.TextVectorization().adapt([""]), "adapt found no tokens"),
        (lambda: fl.TextVectorization(vocabulary=["a"]).apply({}, [["a", "b"]]), "call it for each column"),
        (lambda: fl.TextVectorization(vocabulary=["a"]).apply({}, np.ones(2)), "takes strings, got an array of float64"),
        (lambda: fl.TextVectorization(encoding="utf-99"), "TextVectorization: encoding='utf-99' is unknown"),
        (lambda: fl.TextVectorization(vocabulary=["a"], split=lambda x: x).apply({}, ["a b"]), "give a list of tokens for each"),
        (lambda: fl.TextVectorization(vocabulary=["a"], split=lambda x: None).apply({}, ["a"]), "split gave None; give a list"),
        (lambda: fl.Hashing(3, mask_value="1").apply({}, np.array([1, 2])), "masks the string '1', and got numbers"),
        (lambda: fl.CategoryEncoding(3, "one_hot").apply({}, np.array([np.nan, 1.0])), "1 ids are NaN or infinite"),
        (lambda: fl.Normalization().adapt(np.ma.array([[1.0]], mask=[[1]])), "got a masked array"),
        (lambda: fl.Hashing(0), "give a number of at least 1"),
        (lambda: fl.Hashing(3, dtype="float32"), "give 'int32' or 'int64'"),
        (lambda: fl.Hashing(3).apply({}, np.array([np.nan])), "NaN or infinite"),
        (lambda: fl.Hashing(3, mask_value=0).apply({}, ["a"]), "give mask_value as a string"),
        (lambda: fl.HashedCrossing(3).apply({}, ["a", "b"]), "takes two or more arrays in a tuple"),
        (lambda: fl.HashedCrossing(3).apply({}, (["a"], ["a", "b"])), "arrays of one shape"),
        (lambda: fl.HashedCrossing(3).apply({}, (["a"], np.ones(1))), "put Discretization before"),
        (lambda: fl.Discretization(), "give one of them"),
        (lambda: fl.Discretization([0.0], num_bins=2), "give one of them"),
        (lambda: fl.Discretization(num_bins=2).apply({}, np.ones(2, "float32")), "has no boundaries"),
        (lambda: fl.Discretization(num_bins=2).adapt(np.array([np.nan, 1])), "1 elements that are NaN or infinite"),
        (lambda: fl.Discretization(num_bins=2).adapt(np.zeros(0)), "adapt found no numbers"),
        (lambda: fl.Discretization([0.0]).adapt(np.ones(2)), "has boundaries"),
        (lambda: fl.CategoryEncoding(), "give how many ids there are"),
        (lambda: fl.CategoryEncoding(3).apply({}, jnp.array([[-1, 1]])), "1 ids are below 0, such as -1"),
        (lambda: fl.Normalization().adapt([]), "adapt found no numbers"),
        (lambda: fl.Normalization().adapt(np.array([[1.0], [np.inf]])), "NaN or infinite"),
        (lambda: fl.Normalization().adapt([np.ones((2, 3)), np.ones((2, 4))]), r"batches of \(3,\) and \(4,\)"),
        (lambda: fl.Normalization(mean=0.0, variance=1.0).adapt(np.ones((2, 3))), "has statistics"),
        (lambda: fl.Normalization().adapt(np.array(["a"])), "adapt takes numbers"),
    ],
)  # fmt: skip
def test_errors(make, match):
    with pytest.raises(fl.LayerError, match=match):
        make()
