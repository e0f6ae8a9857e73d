"""Saving and loading: everything comes back, whole or not at all."""

import json
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
import safetensors.numpy

import fnlayers as fl
from crafted import changed, changed_config, small_model, split, write_small
from fnlayers.saving import container, load, save

KEY = jax.random.key(0)


class Weights(NamedTuple):
    scale: Any
    shift: Any


def unchanged(params: Any, x: Any) -> Any:
    return x


def assert_same(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert isinstance(y, jax.Array)
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def convnet() -> fl.Sequential:
    return fl.Sequential([fl.Conv2D(4, 3), fl.MaxPooling2D(), fl.Flatten(), fl.Dense(2)])


def from_dict() -> fl.Functional:
    a, b = fl.Input((3,), name="a"), fl.Input((4,), name="b")
    return fl.functional({"b": b, "a": a}, {"y": fl.Concatenate()(fl.Dense(2)(a), b)})


def graph_of_one() -> fl.Functional:
    a = fl.Input((3,))
    return fl.functional(a, fl.Add()(fl.Dense(3)(a), a))


MODELS = {
    "dense": (fl.Dense(3), (None, 4)),
    "nothing": (fl.Sequential([]), (None, 4)),
    "no weights": (fl.Sequential([fl.Flatten(), fl.Dropout(0.5)]), (None, 4)),
    "state": (small_model(), (None, 4)),
    "convnet": (convnet(), (None, 12, 12, 1)),
    "channels first": (fl.Sequential([fl.Conv2D(4, 3, data_format="channels_first")]), (None, 2, 8, 8)),
    "text": (fl.Sequential([fl.Embedding(5, 3), fl.LSTM(2)]), (None, None)),
    "graph": (from_dict(), {"a": (None, 3), "b": (None, 4)}),
    "graph inside": (fl.Sequential([graph_of_one(), fl.Dense(2)]), (None, 3)),
    "repeated": (fl.Sequential([fl.Repeat(fl.Dense(3), 2), fl.Dense(2)]), (None, 3)),
    "bfloat16": (fl.Dense(3, dtype="bfloat16"), (None, 4)),
    "float16": (fl.Dense(3, dtype="float16"), (None, 4)),
    "positions": (fl.Sequential([fl.PReLU(), fl.Dense(2)]), (None, 5, 4)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("with_shape", [True, False], ids=["shape given", "shape found"])
def test_a_model_comes_back(name: str, with_shape: bool, tmp_path: Path) -> None:
    model, shape = MODELS[name]
    params, state = model.init(KEY, shape), model.init_state(shape)
    save(tmp_path / "m.safetensors", model, params, state, shape=shape if with_shape else None)
    back, params_back, state_back = load(str(tmp_path / "m.safetensors"))
    assert back == model and repr(back) == repr(model)
    assert_same(params, params_back)
    assert_same(state, state_back)
    header, _ = split((tmp_path / "m.safetensors").read_bytes())
    assert header["__metadata__"]["shape"] != "null"


def test_dicts_keep_the_order_of_declaration(tmp_path: Path) -> None:
    model = fl.Sequential([fl.Dense(2, name="z"), fl.Dense(2, name="a")])
    save(tmp_path / "m.safetensors", model, model.init(KEY, (None, 2)))
    assert list(load(tmp_path / "m.safetensors")[1]) == ["z", "a"]


TREES = {
    "tuples": (jnp.ones(2), [jnp.zeros((0, 3)), (jnp.float32(2),)], None, {}, (), []),
    "dtypes": {
        name: jnp.ones((2, 3), name)
        for name in ("bool", "uint8", "int8", "int16", "int32", "uint32", "float16", "bfloat16", "float8_e5m2")
    },
    "complex": jnp.ones(2, "complex64"),
    "keys": {"a": jax.random.key(3), "b": jax.random.split(jax.random.key(1, impl="rbg"), 3)},
    "named": Weights({"x/y": jnp.ones(1)}, jnp.array(7)),
    "not numbers": jnp.array([jnp.nan, -0.0, jnp.inf, 1e-45]),
    "a leaf": jnp.float32(3),
}


@pytest.mark.parametrize("name", TREES)
def test_foreign_trees_come_back(name: str, tmp_path: Path) -> None:
    def drawn(rng: Any, shape: Any) -> Any:
        return TREES[name]

    model, path = fl.Pair(drawn, unchanged), tmp_path / "m.safetensors"
    save(path, model, {"pair": TREES[name]})
    back, params, state = load(path, [drawn, unchanged, Weights])
    assert back == model
    assert state == {}
    assert_same({"pair": TREES[name]}, params)
    assert json.loads(split(path.read_bytes())[0]["__metadata__"]["shape"])
    if name == "named":
        with pytest.raises(fl.ConfigError, match="Weights.*give its class in layers="):
            load(path, [drawn, unchanged])


def test_arrays_of_numpy_come_back_as_those_of_jax(tmp_path: Path) -> None:
    params = {"kernel": np.arange(12, dtype=">f4").reshape(3, 4).T, "bias": np.zeros(6, "float32")[::2]}
    save(tmp_path / "m.safetensors", fl.Dense(3), params)
    back = load(tmp_path / "m.safetensors")[1]
    assert isinstance(back["kernel"], jax.Array)
    assert back["kernel"].tolist() == params["kernel"].tolist()
    half_precision = {name: array.astype(ml_dtypes.bfloat16) for name, array in params.items()}
    save(tmp_path / "m.safetensors", fl.Dense(3, dtype="bfloat16"), half_precision)
    assert load(tmp_path / "m.safetensors")[1]["bias"].dtype == "bfloat16"


def test_the_formats_own_library_reads_the_file(tmp_path: Path) -> None:
    path = write_small(tmp_path)
    read = safetensors.numpy.load_file(path)
    assert read["params/dense/kernel"].shape == (4, 3)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata()["format"] == "fnlayers"
    mixed = {"b": jnp.ones(3, bool), "f": jnp.ones(2), "h": jnp.ones(1, "float16"), "i": jnp.ones(3, "int8")}

    def drawn(rng: Any, shape: Any) -> Any:
        return mixed

    save(path, fl.Pair(drawn, unchanged), {"pair": mixed})
    assert sorted(safetensors.numpy.load_file(path)) == [f"params/pair/{name}" for name in "bfhi"]
    length = int.from_bytes(path.read_bytes()[:8], "little")
    assert length % 8 == 0  # so that every array starts at a multiple of its item size


def test_a_file_of_the_formats_own_library_holds_no_model(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a": np.ones(3, "float32")}, tmp_path / "m.safetensors")
    with pytest.raises(fl.ConfigError, match="no model that fnlayers.save wrote"):
        load(tmp_path / "m.safetensors")


def test_a_sharded_array_is_saved_whole(tmp_path: Path) -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    params = jax.tree.map(lambda a: jax.device_put(a, sharding), fl.Dense(4).init(KEY, (None, 4)))
    save(tmp_path / "m.safetensors", fl.Dense(4), params)
    assert_same(params, load(tmp_path / "m.safetensors")[1])


# What save refuses


def test_one_error_lists_all_that_does_not_fit(tmp_path: Path) -> None:
    model = small_model()
    params, state = model.init(KEY, (None, 4)), model.init_state((None, 4))
    params["dense"]["kernel"] = params["dense"]["kernel"].T
    params["dense_1"]["bias"] = params["dense_1"]["bias"].astype("float16")
    params["dense_2"] = {"kernel": jnp.ones(2)}
    del state["batch_normalization"]["moving_mean"]
    for shape in ((None, 4), None):
        with pytest.raises(fl.ConfigError) as error:
            save(tmp_path / "m.safetensors", model, params, state, shape=shape)
        text = str(error.value)
        assert "missing: state/batch_normalization/moving_mean float32(3,)" in text
        assert "unexpected: params/dense_2/kernel float32(2,)" in text
        assert "wrong dtype: params/dense_1/bias is float16, the model has float32" in text
        if shape:
            assert "wrong shape: params/dense/kernel is (3, 4), the model has (4, 3)" in text
    assert not list(tmp_path.iterdir())


def test_a_size_that_is_not_known_holds_nothing(tmp_path: Path) -> None:
    model = convnet()
    save(tmp_path / "m.safetensors", model, model.init(KEY, (None, 10, 20, 3)), shape=(None, None, None, 3))
    model, params, _ = load(tmp_path / "m.safetensors")
    assert model.apply(params, jnp.ones((1, 10, 20, 3))).shape == (1, 2)
    with pytest.raises(fl.ConfigError, match="missing: params/conv2d/bias"):
        params["conv2d"].pop("bias")
        save(tmp_path / "m.safetensors", model, params)


def test_a_model_for_which_no_shape_is_found_is_saved_unchecked(tmp_path: Path) -> None:
    model, path = fl.Sequential([fl.Reshape((5, 3)), fl.Dense(2)]), tmp_path / "m.safetensors"
    params = model.init(KEY, (None, 15))
    wrong = {"dense": {"kernel": jnp.ones((7, 7)), "bias": jnp.ones(2)}}
    for saved, shape in ((params, None), (params, (None, 15)), (wrong, None)):
        save(path, model, saved, shape=shape)
        assert split(path.read_bytes())[0]["__metadata__"]["shape"] == ("[null,15]" if shape else "null")
        assert_same(saved, load(path)[1])
    with pytest.raises(fl.ConfigError, match="wrong shape: params/dense/kernel"):
        save(path, model, wrong, shape=(None, 15))
    save(path, fl.Add(), {})
    assert load(path) == (fl.Add(), {}, {})


UNSAVABLE = {
    "a number": ({"kernel": 3.0, "bias": jnp.ones(3)}, "params/kernel is a float"),
    "an integer key": ({0: jnp.ones(3)}, "the key 0 is not a string"),
    "float64": ({"kernel": np.ones((4, 3)), "bias": jnp.ones(3)}, "params/kernel is float64.*jax_enable_x64"),
    "objects": ({"kernel": np.array([None])}, "object cannot be saved"),
    "int4": ({"kernel": jnp.ones(3, "int4")}, "int4 cannot be saved"),
    "a path twice": ({"a/b": jnp.ones(3), "a": {"b": jnp.ones(3)}}, "two arrays have the path params/a/b"),
    "a layer": ({"a": fl.Dense(3)}, "params/a is a Dense"),
}


@pytest.mark.parametrize("what", UNSAVABLE)
def test_what_cannot_be_saved_is_refused(what: str, tmp_path: Path) -> None:
    params, message = UNSAVABLE[what]
    with pytest.raises(fl.ConfigError, match=message):
        save(tmp_path / "m.safetensors", fl.Dense(3), params)
    assert not list(tmp_path.iterdir())


def test_where_a_file_can_go(tmp_path: Path) -> None:
    params = fl.Dense(3).init(KEY, (None, 4))
    for name in ("model", "model.h5", "model.keras"):
        with pytest.raises(fl.ConfigError, match=r"must end in \.safetensors; write model"):
            save(tmp_path / name, fl.Dense(3), params)
    (tmp_path / "d.safetensors").mkdir()
    with pytest.raises(fl.ConfigError, match="is not a file"):
        save(tmp_path / "d.safetensors", fl.Dense(3), params)
    with pytest.raises(fl.ConfigError, match="is not a file"):
        load(tmp_path / "d.safetensors")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.safetensors")
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "absent" / "m.safetensors", fl.Dense(3), params)
    with pytest.raises(fl.ConfigError, match=r"save\(path, model, params, state\) takes a layer, got dict"):
        save(tmp_path / "m.safetensors", params, fl.Dense(3))  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.safetensors")
    with pytest.raises(fl.ConfigError, match="is not a file"):
        load(tmp_path / "m.safetensors")


# Whole or not at all


@pytest.mark.parametrize("broken", ["fsync", "replace", "fetch"])
def test_a_failure_leaves_the_old_file(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_small(tmp_path)
    before = path.read_bytes()
    model = fl.Dense(3)
    params = model.init(KEY, (None, 4))

    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    if broken == "fetch":
        params["bias"].delete()
    else:
        monkeypatch.setattr(os, broken, fail)
    with pytest.raises((OSError, RuntimeError)):
        save(path, model, params, shape=(None, 4))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = write_small(tmp_path)
    before = path.open("rb")
    save(path, fl.Dense(3), fl.Dense(3).init(KEY, (None, 4)))
    assert load(path)[0] == fl.Dense(3)
    assert container.open_header(before).metadata["format"] == "fnlayers"  # who reads the old one is not disturbed
    before.close()
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "real.safetensors")
    save(tmp_path / "link.safetensors", fl.Dense(3), fl.Dense(3).init(KEY, (None, 4)))
    assert (tmp_path / "link.safetensors").is_symlink()
    assert load(tmp_path / "real.safetensors")[0] == fl.Dense(3)


# What load refuses, besides hostile files


def test_a_file_of_a_later_version_says_so(tmp_path: Path) -> None:
    path = changed(write_small(tmp_path), lambda header: header["__metadata__"].update(format_version="2"))
    with pytest.raises(fl.ConfigError, match="format 2.*update it"):
        load(path)


def test_a_config_that_does_not_fit_its_arrays(tmp_path: Path) -> None:
    path = write_small(tmp_path)

    def bomb(config: dict) -> None:
        config["fields"]["layers"][0]["fields"]["units"] = 2**30
        config["fields"]["layers"][2]["fields"]["use_bias"] = False

    with pytest.raises(fl.ConfigError) as error:
        load(changed_config(path, bomb))
    assert "wrong shape: params/dense/kernel is (4, 3), the model has (4, 1073741824)" in str(error.value)
    assert "unexpected: params/dense_1/bias" in str(error.value)
    assert str(path) in error.value.__notes__[0]


def test_a_bomb_is_refused_where_no_shape_was_given(tmp_path: Path) -> None:
    model = convnet()
    save(tmp_path / "m.safetensors", model, model.init(KEY, (None, 12, 12, 1)))

    def bomb(config: dict) -> None:
        config["fields"]["layers"][3]["fields"]["units"] = 2**30

    with pytest.raises(fl.ConfigError, match="wrong shape: params/dense/kernel"):
        load(changed_config(tmp_path / "m.safetensors", bomb))


def test_float64_models_are_read_whose_state_was_float32_still(tmp_path: Path, x64: None) -> None:
    model = fl.BatchNormalization(dtype="float64")
    state = {name: a.astype("float32") for name, a in model.init_state((None, 2)).items()}
    save(tmp_path / "m.safetensors", model, model.init(KEY, (None, 2)), state)
    assert_same(load(tmp_path / "m.safetensors")[2], state)


def test_x64_arrays_need_x64(tmp_path: Path) -> None:
    path = write_small(tmp_path, fl.Dense(2))

    def widen(header: dict) -> None:
        for entry in header.values():
            if "dtype" in entry:
                entry.update(dtype="F64", data_offsets=[2 * n for n in entry["data_offsets"]])

    with pytest.raises(fl.ConfigError, match="float64, which jax holds only after"):
        load(changed(path, widen, lambda data: data * 2))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("m.keras", "m"),
        ("m.h5", "m"),
        ("m.weights.h5", "m"),
        ("m.npz", "m"),
        ("m.pt", "m"),
        ("m", "m"),
        ("v1.2", "v1.2"),
    ],
)
def test_names_of_other_formats(tmp_path, name, written):
    with pytest.raises(fl.ConfigError, match=rf"must end in .safetensors; write {written}\.safetensors"):
        fl.save(tmp_path / name, fl.Dense(2), {})
    if name in ("m.keras", "m.h5"):
        with pytest.raises(fl.ConfigError, match=rf"is a file of Keras; write fnlayers.load_keras\('{name}'\)"):
            fl.load(tmp_path / name)


def test_a_result_in_place_of_params(tmp_path):
    model = fl.Dense(2)
    train_state = fl.TrainState.create(model, (None, 3), optax.sgd(0.1))
    with pytest.raises(fl.ConfigError, match=r"params is a TrainState, .*; write save\(path, model, result.params"):
        fl.save(tmp_path / "m.safetensors", model, train_state)
    with pytest.raises(fl.ConfigError, match=r"params= is a Fitted, which holds more; give result.params"):
        fl.predict(model, fl.Fitted(train_state, {}), np.ones((2, 3)))
