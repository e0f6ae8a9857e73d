"""Weights of Keras's files in models of ours: by the names of layers and arrays, compared by shape."""

import pathlib
import zipfile

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

GOLDEN = pathlib.Path(__file__).parent / "golden"
REAL = pathlib.Path(__file__).resolve().parents[3] / "shared" / "realmodels"
X = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)


def hidden_and_head(head="head"):
    return fl.Sequential([fl.Input((3,)), fl.Dense(4, "tanh", name="hidden"), fl.Dense(2, name=head)])


def zeros(model):
    return jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))


def old_file(path, groups, version="2.2.4", **attributes):
    """A file of weights of Keras 1 (version=None) or 2: {layer: {name: array}}."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"layer_names": [name.encode() for name in groups], **attributes})
        if version:
            file.attrs["keras_version"] = version.encode()
        for layer, arrays in groups.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                group[name] = array
    return path


@pytest.fixture
def stored():
    rng = np.random.default_rng(0)
    shapes = {"hidden": (3, 4), "head": (4, 2)}
    return {
        name: {f"{name}/kernel:0": rng.normal(size=shape), f"{name}/bias:0": rng.normal(size=shape[1])}
        for name, shape in shapes.items()
    }


def test_arrays_are_found_by_name_in_any_order(tmp_path, stored):
    backwards = {name: dict(reversed(stored[name].items())) for name in reversed(stored)}
    model, (hidden, head) = hidden_and_head(), (list(stored[name].values()) for name in stored)
    before = zeros(model)
    params, state, report = fl.load_keras_weights(old_file(tmp_path / "any name", backwards), model, before)
    wanted = np.tanh(X @ hidden[0] + hidden[1]) @ head[0] + head[1]
    np.testing.assert_allclose(model.apply(params, X), wanted, rtol=1e-5)
    assert params["head"]["kernel"].dtype == jnp.float32 and state == {} and not jnp.any(before["head"]["kernel"])
    assert report.loaded == ["head/bias", "head/kernel", "hidden/bias", "hidden/kernel"]
    assert not (report.missing or report.unused or report.mismatched)


def test_what_does_not_fit_is_listed_at_once(tmp_path, stored):
    stored["hidden"]["hidden/kernel:0"] = np.ones((4, 3))
    path, model = old_file(tmp_path / "w.h5", stored), hidden_and_head(head="top")
    with pytest.raises(
        fl.ShapeError, match=r"(?s)strict=False.*1 arrays.*missing.*top/kernel.*not in.*head/kernel.*shape"
    ):
        fl.load_keras_weights(path, model, zeros(model))
    params, _, report = fl.load_keras_weights(path, model, zeros(model), strict=False)
    assert report.loaded == ["hidden/bias"] and report.missing == ["top/kernel", "top/bias"]
    assert report.unused == ["head/head/kernel:0", "head/head/bias:0"]
    assert "hidden/kernel: the model has float32(3, 4), the file float64(4, 3)" in report.mismatched[0]
    assert not jnp.any(params["top"]["kernel"]) and jnp.any(params["hidden"]["bias"])


def test_layers_of_another_name(tmp_path, stored):
    path, model = old_file(tmp_path / "w.h5", stored), hidden_and_head(head="top")
    _, _, report = fl.load_keras_weights(path, model, zeros(model), names={"top": "head"})
    assert "top/kernel" in report.loaded
    with pytest.raises(fl.ConfigError, match="the model has no 'tip'"):
        fl.load_keras_weights(path, model, zeros(model), names={"tip": "head"})


def test_order_decides_nothing(tmp_path):
    """Two layers of one shape inside a model, under names that the model does not have."""
    inner = fl.Sequential([fl.Dense(3, name="a"), fl.Dense(3, name="b")], name="inner")
    model = fl.Sequential([fl.Input((3,)), inner])
    swapped = {f"{name}/kernel:0": np.full((3, 3), i + 1.0) for i, name in enumerate("ba")}
    biases = {f"{name}_1/bias:0": np.full(3, i + 1.0) for i, name in enumerate("ba")}  # saved a second time
    path = old_file(tmp_path / "w.h5", {"inner": {**swapped, **biases}})
    params, _, _ = fl.load_keras_weights(path, model, zeros(model))
    assert [params["inner"][name][part].ravel()[0] for name in "ab" for part in ("kernel", "bias")] == [2, 2, 1, 1]
    other = old_file(tmp_path / "w.h5", {"inner": {name.replace("a", "c"): v for name, v in swapped.items()}})
    _, _, report = fl.load_keras_weights(other, model, zeros(model), strict=False)
    assert report.loaded == ["inner/b/kernel"] and report.unused == ["inner/c/kernel:0"]


@pytest.mark.parametrize("name", ["graph.weights.h5", "graph.h5"])
def test_weights_of_keras_3(tmp_path, name):
    """Both formats hold what the whole model holds, in which inner models are frozen in part."""
    with zipfile.ZipFile(GOLDEN / "keras3.zip") as archive:
        archive.extractall(tmp_path)
    loaded = fl.load_keras(tmp_path / "graph.h5")
    params, state, _ = fl.load_keras_weights(
        tmp_path / name, loaded.model, zeros(loaded.model), jax.tree.map(jnp.zeros_like, loaded.state)
    )
    assert jax.tree.all(jax.tree.map(jnp.array_equal, (params, state), (loaded.params, loaded.state)))


def test_weights_of_tf_keras_in_the_form_of_keras_3(tmp_path):
    """Their projections of attention have names of their own."""
    with zipfile.ZipFile(GOLDEN / "tf_keras.zip") as archive:
        archive.extractall(tmp_path)
    loaded = fl.load_keras(tmp_path / "heads.keras")
    blank = jax.tree.map(jnp.zeros_like, loaded.params)
    params, _, _ = fl.load_keras_weights(tmp_path / "heads.weights.h5", loaded.model, blank)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, params, loaded.params))


def test_keras_3_names_layers_and_before_their_classes(tmp_path):
    def write(file, names):
        for folder, name, units in (("dense", names[0], 4), ("dense_1", names[1], 2)):
            group = file.create_group(f"layers/{folder}/vars")
            if name:
                group.attrs["name"] = name
            group["0"], group["1"] = np.full((3 if units == 4 else 4, units), float(units)), np.zeros(units)

    model = hidden_and_head()
    for names in (("hidden", "head"), (None, None)):
        with h5py.File(tmp_path / "m.weights.h5", "w") as file:
            write(file, names)
        params, _, report = fl.load_keras_weights(tmp_path / "m.weights.h5", model, zeros(model))
        assert params["head"]["kernel"][0, 0] == 2 and len(report.loaded) == 4
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        write(file, ("hidden", "tail"))
    with pytest.raises(
        fl.MissingError, match=r"(?s)missing in the file: head/kernel.*not in the model: layers/dense_1"
    ):
        fl.load_keras_weights(tmp_path / "m.weights.h5", model, zeros(model))


def test_what_is_given_wrong(tmp_path, stored):
    path = old_file(tmp_path / "w.h5", stored)
    bare = fl.Sequential([fl.Dense(4, name="hidden"), fl.Dense(2, name="head")])
    with pytest.raises(fl.ConfigError, match=r"begin it with fnlayers.Input\(shape\), or give shape="):
        fl.load_keras_weights(path, bare, {})
    assert fl.load_keras_weights(path, bare, zeros(hidden_and_head()), shape=(None, 3)).report.loaded
    with pytest.raises(fl.MissingError, match="params has no hidden/kernel; give what model.init returns"):
        fl.load_keras_weights(path, hidden_and_head(), {})
    with pytest.raises(fl.ConfigError, match="not an HDF5 file"):
        (tmp_path / "text").write_text("weights, as it were")
        fl.load_keras_weights(tmp_path / "text", hidden_and_head(), {})
    with pytest.raises(fl.ConfigError, match="holds weights without a model.*load_keras_weights"):
        fl.load_keras(path)


@pytest.mark.skipif(not REAL.exists(), reason="the real networks are not here")
def test_a_real_network_of_weights_alone():
    """PyPI's deepcut: Keras 2.0.2."""
    chars, kinds = fl.Input((21,), name="input_1"), fl.Input((21,), name="input_2")
    a = fl.BatchNormalization(name="batch_normalization_1")(fl.Embedding(178, 32, name="embedding_1")(chars))
    grams = []
    for i, filters in enumerate([200] * 8 + [150] * 3 + [100], 1):
        y = fl.Conv1D(filters, i, activation="relu", name=f"conv1d_{i}")(a)
        y = fl.TimeDistributed(fl.Dense(5), name=f"time_distributed_{i}")(y)
        grams.append(fl.ZeroPadding1D((0, i - 1), name=f"zero_padding1d_{i}")(y))
    b = fl.Embedding(12, 12, name="embedding_2")(kinds)
    y = fl.BatchNormalization(name="batch_normalization_2")(fl.Concatenate()([a, fl.Maximum()(grams), b]))
    y = fl.Dense(100, "relu", name="dense_13")(fl.Flatten()(y))
    model = fl.functional([chars, kinds], fl.Dense(1, "sigmoid", name="dense_14")(y))
    blank, state = (jax.eval_shape(make) for make in (lambda: model.init(jax.random.key(0)), model.init_state))
    params, state = (jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), tree) for tree in (blank, state))
    folder = REAL / "deepcut_thai"
    params, state, report = fl.load_keras_weights(folder / "cnn_without_ne_ab.h5", model, params, state)
    assert len(report.loaded) == 62
    x = np.load(folder / "input.npz")
    y = jax.jit(lambda p, s, *xs: model.apply(p, xs, state=s))(params, state, x["x0"], x["x1"])
    np.testing.assert_allclose(y, np.load(folder / "ref.npz")["y0"], rtol=1e-5, atol=1e-6)
