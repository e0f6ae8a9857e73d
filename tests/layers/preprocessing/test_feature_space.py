"""FeatureSpace: Keras's numbers, its files, what it does in a training, and its errors."""

# Arguments of wrong types are given on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false

import importlib.util
import io
import json
import pathlib
import pickle
import zipfile

import jax
import numpy as np
import optax
import pandas
import pytest

import fnlayers as fl
from fnlayers.saving import from_config, to_config

GOLDEN = pathlib.Path(__file__).parents[2] / "keras_files" / "golden"
spec = importlib.util.spec_from_file_location("feature_spaces", GOLDEN / "feature_spaces.py")
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)

TABLE = {"city": ["Rome", "Oslo", "Rome"], "size": [1.0, 2.0, 3.0], "zip": [7, 7, 9]}
KINDS = {"city": "string_categorical", "size": "float_normalized", "zip": "integer_categorical"}
SPACE = fl.FeatureSpace(KINDS).adapt(TABLE)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    with zipfile.ZipFile(GOLDEN / "feature_spaces.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def arrays(files):
    return dict(np.load(files / "feature_spaces.npz"))


def adapted(name):
    make, in_batches = golden.SPACES[name]
    space = make(fl.FeatureSpace, fl)
    data = {column: golden.table()[column] for column in space.features}
    starts = range(0, len(data[next(iter(data))]), golden.BATCH)
    batches = ({column: a[at : at + golden.BATCH] for column, a in data.items()} for at in starts)
    return space.adapt(batches if in_batches else data, verbose=False), data


@pytest.mark.parametrize("name", golden.SPACES)
def test_numbers_are_keras_s_adapted_here_and_there(name, files, arrays):
    ours, data = adapted(name)
    theirs = fl.load_keras(files / f"{name}.keras")
    assert theirs.params == {} == theirs.state
    for space in (ours, theirs.model):
        for what, x in (
            ("rows", {c: a[: golden.ROWS] for c, a in data.items()}),
            ("row", {c: a[0] for c, a in data.items()}),
        ):
            y = space.apply({}, x)
            for part, array in y.items() if isinstance(y, dict) else [("", y)]:
                expected = arrays[f"{name}|{what}|{part}"]
                np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-6)
                assert array.dtype == expected.dtype and isinstance(array, np.ndarray) == space.gives_numpy


def test_a_keras_model_that_is_built_on_a_space_is_read(files, arrays):
    model, params, state, *_ = fl.load_keras(files / "model.keras")
    x = {column: golden.table()[column][: golden.ROWS, None] for column in ("city", "raw", "zip", "age")}
    np.testing.assert_allclose(model.apply(params, x, state=state), arrays["model|rows|"], rtol=1e-5, atol=1e-4)


def test_it_is_plain_data_with_what_it_learned(tmp_path):
    space, data = adapted("dict")
    for back in (from_config(json.loads(json.dumps(to_config(space)))), pickle.loads(pickle.dumps(space))):
        assert back == space and hash(back) == hash(space)
    fl.save(tmp_path / "space.safetensors", space, {})
    back, params, _ = fl.load(tmp_path / "space.safetensors")
    assert back == space and params == {} and fl.FeatureSpace(KINDS) != SPACE
    np.testing.assert_array_equal(back.apply({}, data)["city_X_zip"], space.apply({}, data)["city_X_zip"])


def test_columns_of_strings_stay_so_and_a_space_that_has_not_learned_is_saved(tmp_path):
    raw = fl.FeatureSpace({"a": fl.FeatureSpace.feature("string", None, "int"), "b": "float_normalized"}, "dict")
    fl.save(tmp_path / "raw.safetensors", raw, {})
    assert fl.load(tmp_path / "raw.safetensors")[0] == raw
    y = raw.adapt({"a": ["x", "y"], "b": [1, 3]}).apply({}, {"a": ["z"], "b": [2]})
    assert y["a"].tolist() == [["z"]] and y["b"].tolist() == [[0.0]]


def test_shapes_and_dtypes_are_inferred():
    assert SPACE.out_shape() == (None, 7) == SPACE.out_shape({"city": (None,), "size": (None, 1), "zip": (None,)})
    assert SPACE.out_shape({"city": (), "size": (), "zip": ()}) == (7,) and fl.FeatureSpace(KINDS).out_shape() == (
        None,
        None,
    )
    each, data = adapted("dict")
    types, y = each.out_type(), each.apply({}, data)
    assert {name: (t.dtype, t.shape[1]) for name, t in types.items()} == {
        name: (part.dtype.name, part.shape[1]) for name, part in y.items()
    }


def test_a_table_is_a_dict_of_lists_or_a_data_frame_and_is_read_once():
    frame = pandas.DataFrame(TABLE)
    assert fl.FeatureSpace(KINDS).adapt(frame) == SPACE
    np.testing.assert_array_equal(SPACE.apply({}, frame), SPACE.apply({}, TABLE))
    batches = iter([frame[:1], frame[1:], frame])
    assert fl.FeatureSpace(KINDS).adapt(batches, steps=2, verbose=False) == SPACE
    assert len(list(batches)) <= 1


def test_a_space_of_numbers_is_the_first_layer_of_a_model_in_fit():
    draw = np.random.RandomState(0)
    table = {"a": draw.normal(5, 2, 64), "b": draw.randint(0, 3, 64)}
    space = fl.FeatureSpace({"a": "float_normalized", "b": "integer_categorical"}).adapt(table)
    model = fl.Sequential([space, fl.Dense(1)])
    y = (2 * (table["a"] - 5) + (table["b"] == 1))[:, None].astype("float32")
    result = fl.fit(model, (table, y), loss="mse", optimizer=optax.adam(0.1), epochs=40, verbose=False)
    assert result.history["loss"][-1] < 0.2
    one = model.apply(result.params, {"a": 5.0, "b": 1}, state=result.state)
    assert one.shape == (1,) and abs(one[0] - 1) < 1
    graph = fl.functional(inputs := space.get_inputs(), fl.Dense(1)(space(inputs)))
    assert graph.out_shape() == (None, 1)


def test_kinds_take_a_name_as_keras_s_do():
    named = fl.FeatureSpace.string_categorical(name="city")
    assert named.preprocessor.name == "city_preprocessor" and named._replace(preprocessor=None).dtype == "string"
    kinds = {
        "a": fl.FeatureSpace.float(name="a"), "b": fl.FeatureSpace.float_rescaled(2.0, name="b"),
        "c": fl.FeatureSpace.float_normalized(name="c"), "d": fl.FeatureSpace.float_discretized(2, name="d"),
        "e": fl.FeatureSpace.integer_categorical(name="e"), "f": fl.FeatureSpace.integer_hashed(2, name="f"),
    }  # fmt: skip
    names = {column: getattr(kind.preprocessor, "name", None) for column, kind in kinds.items()}
    assert names == {"a": None, **{column: f"{column}_preprocessor" for column in "bcdef"}}
    table = {column: [1, 2, 1] for column in kinds}
    unnamed = {
        column: kind._replace(preprocessor=kind.preprocessor and kind.preprocessor.renamed(None))
        for column, kind in kinds.items()
    }
    space, plain = (fl.FeatureSpace(features).adapt(table, verbose=False) for features in (kinds, unnamed))
    np.testing.assert_array_equal(space.apply({}, table), plain.apply({}, table))
    assert fl.FeatureSpace.string_hashed(3, name="g").preprocessor.name == "g_preprocessor"
    for kind in (fl.FeatureSpace.float, fl.FeatureSpace.float_normalized):
        with pytest.raises(fl.ConfigError, match="name=3 is no name of a column"):
            kind(name=3)


def test_params_of_what_is_no_layer_of_the_space_are_an_error():
    table = {"a": [1.0], "b": [2.0]}
    space = fl.FeatureSpace({"a": "float", "b": OWN("float32", fl.Dense(2), "float")})
    params = space.init(jax.random.key(0))
    assert list(params) == ["b"] and space.apply(params, table).shape == (1, 3)
    for surplus, error in (({"c": {"kernel": np.ones(3)}}, "c"), ({"a": {"kernel": np.ones(2)}}, "a")):
        with pytest.raises(fl.ConfigError, match=f"FeatureSpace.* was given params with {error}, and its layers are b"):
            space.apply(params | surplus, table)
    with pytest.raises(fl.ConfigError, match="its layers are none; pass what init returned"):
        fl.FeatureSpace({"a": "float"}).apply({"a": np.ones(1)}, {"a": [1.0]})


def test_a_string_that_reaches_a_compiled_program_is_an_error():
    model = fl.Sequential([SPACE, fl.Dense(1)])
    with pytest.raises(fl.ConfigError, match="encode them before, on the host"):
        fl.fit(
            model,
            ({name: np.array(column) for name, column in TABLE.items()}, np.ones((3, 1))),
            loss="mse",
            optimizer=optax.sgd(0.1),
            epochs=1,
            verbose=False,
        )
    with pytest.raises(fl.ConfigError, match="column 'city': the column holds strings, got int32"):
        jax.jit(lambda x: SPACE.apply({}, x))({name: np.ones(2, int) for name in KINDS})


def with_column(**columns):
    return {**TABLE, **columns}


CITY, OWN = {"city": "string_categorical"}, fl.FeatureSpace.feature


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: fl.FeatureSpace({}), "give a dict of columns"),
        (lambda: fl.FeatureSpace(["a"]), "give a dict of columns"),
        (lambda: fl.FeatureSpace({1: "float"}), "a column has a name"),
        (lambda: fl.FeatureSpace({"a": "floats"}), "column 'a': the kind of feature='floats' is unknown; choose from float, "),
        (lambda: fl.FeatureSpace({"a": fl.Normalization()}), "column 'a': Normalization.* is no feature"),
        (lambda: fl.FeatureSpace({"a": OWN("text", None, "float")}), "column 'a': dtype='text' is unknown"),
        (lambda: fl.FeatureSpace({"a": OWN("string", "x", "float")}), "column 'a': preprocessor='x' is no layer"),
        (lambda: fl.FeatureSpace({"a": OWN("float32", None, "one_hot")}), "column 'a': output_mode='one_hot' takes the numbers"),
        (lambda: fl.FeatureSpace({"a": OWN("string", fl.TextVectorization(), "one_hot")}), "write output_mode='float'"),
        (lambda: fl.FeatureSpace({"a": fl.FeatureSpace.string_hashed(3, "many")}), "column 'a': output_mode='many' is unknown"),
        (lambda: fl.FeatureSpace(CITY, "list"), "output_mode='list' is unknown"),
        (lambda: fl.FeatureSpace(CITY, crosses=[("city", "town")]), "names a feature='town' is unknown; choose from city"),
        (lambda: fl.FeatureSpace(CITY, crosses=["city"]), "give a tuple of two or more names"),
        (lambda: fl.FeatureSpace(KINDS, crosses=[("city", "zip")], crossing_dim=0), "crossing_dim=0; give 1 or more"),
        (lambda: fl.FeatureSpace(KINDS, crosses=[("city", "zip")] * 2), "are named 'city_X_zip'"),
        (lambda: fl.FeatureSpace(KINDS).apply({}, TABLE), r"has not learned city, size, zip; write space = space.adapt"),
        (lambda: SPACE.apply({}, {"city": ["Rome"]}), "missing: size, zip; unexpected: none"),
        (lambda: SPACE.apply({}, with_column(town=["x"])), "missing: none; unexpected: town"),
        (lambda: SPACE.apply({}, ["Rome"]), "takes a dict of columns"),
        (lambda: SPACE.apply({}, with_column(size=[1.0])), r"columns of as many rows, got city \(3,\), size \(1,\)"),
        (lambda: SPACE.apply({}, with_column(size=np.ones((3, 1, 1)))), r"column 'size' has the shape \(3, 1, 1\)"),
        (lambda: SPACE.apply({}, with_column(size=["a", "b", "c"])), "column 'size': the column holds numbers, got strings"),
        (lambda: SPACE.apply({}, with_column(city=[1, 2, 3])), "column 'city': the column holds strings, got int64"),
        (lambda: SPACE.apply({}, with_column(zip=[1.0, np.nan, 3.0])), "column 'zip': the column holds integers, got float64; fill"),
        (lambda: SPACE.apply({}, with_column(size=np.array([1, None, 2], object))), "got objects, such as 1; write"),
        (lambda: SPACE.apply({}, with_column(size=np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0]))), "got a masked array"),
        (lambda: fl.FeatureSpace(KINDS).adapt(TABLE, steps=0), "steps=0; give a number of batches"),
        (lambda: SPACE.apply({}, with_column(city=["a", None, "b"])), "city: .*element 1 is None"),
        (lambda: SPACE.apply({}, TABLE, mask=dict.fromkeys(KINDS, np.ones(3, bool))), "does not support a mask"),
        (lambda: fl.FeatureSpace(KINDS).adapt(with_column(size=[1.0, np.nan, 2.0])), "column 'size': .*1 elements that are NaN"),
        (lambda: fl.FeatureSpace({"size": "float"}).adapt({"size": [np.inf]}), "column 'size': .*1 elements that are NaN"),
        (lambda: fl.FeatureSpace(KINDS).adapt(dict.fromkeys(KINDS, [])), "adapt found no rows"),
        (lambda: fl.FeatureSpace(KINDS).adapt([]), "adapt found no rows"),
        (lambda: fl.FeatureSpace(KINDS).adapt(np.ones(3)), "adapt takes a dict of columns, a DataFrame, or an iterable"),
        (lambda: fl.FeatureSpace(KINDS).adapt([(TABLE, 1)]), r"give dicts of columns, as by \(x for x, y in data\)"),
        (lambda: fl.FeatureSpace({"z": fl.FeatureSpace.integer_hashed(3, "int")}).apply({}, {"z": [1]}), "column 'z': .*'one_hot'"),
        (lambda: fl.FeatureSpace(KINDS, crosses=[("city", "size")]).adapt(TABLE).apply({}, TABLE), "put Discretization before"),
        (lambda: fl.save_keras("space.keras", SPACE, {}), "FeatureSpace keeps what it learned"),
    ],
)  # fmt: skip
def test_errors(make, match):
    with pytest.raises(fl.LayerError, match=match):
        make()


def test_a_file_with_a_space_that_is_not_keras_s_own_is_refused(files, tmp_path):
    def changed(change):
        target = tmp_path / "changed.keras"
        with zipfile.ZipFile(files / "sizes.keras") as source, zipfile.ZipFile(target, "w") as archive:
            for name in source.namelist():
                text = source.read(name)
                if name == "config.json":
                    config = json.loads(text)
                    change(config)
                    text = json.dumps(config)
                archive.writestr(name, io.BytesIO(text if isinstance(text, bytes) else text.encode()).getvalue())
        return target

    def inside(config, column):
        return config["config"]["features"][column]["config"]["preprocessor"]["config"]

    def cross(**options):
        config = {"feature_names": ["word", "user"], "crossing_dim": 3, "output_mode": "int"} | options
        return {"module": "keras.src.layers.preprocessing.feature_space", "class_name": "Cross", "config": config}

    for change, match in (
        (lambda c: c.update(module="mine"), "not Keras's own"),
        (lambda c: c["config"].update(features=3), "expected a dict"),
        (lambda c: c["config"].update(other=1), "other is not supported"),
        (lambda c: c["config"]["features"].update(word={"class_name": "Cross", "config": {}}), "has a Cross where"),
        (lambda c: c["config"]["features"]["word"]["config"].update(dtype="text"), "dtype='text' is unknown"),
        (lambda c: inside(c, "bin").update(num_bins="x"), "column 'bin': depth='x' is wrong"),
        (lambda c: inside(c, "word").update(num_bins=-1), "column 'word': .*num_bins=-1"),
        (lambda c: c["config"].update(crosses=[3]), "a config has the form"),
        (lambda c: c["config"].update(crosses=[cross(feature_names=["word"])]), "give a tuple of two or more names"),
        (lambda c: c["config"].update(crosses=[cross(crossing_dim="x")]), "crossing_dim='x'; give 1 or more"),
    ):
        with pytest.raises(fl.ConfigError, match=match):
            fl.load_keras(changed(change))
