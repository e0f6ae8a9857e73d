"""Models in HDF5 files: those that Keras 2.15 and 3.15 wrote (the programs in golden/), and Keras 1's, made here by hand."""

import json
import pathlib
import zipfile

import h5py
import jax
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.functions.regularizers import L1L2
from old_entries import branches, draw, entry, keras1_file, keras2_file, sequential1

GOLDEN = pathlib.Path(__file__).parent / "golden"
NAMES = ("images", "graph", "sequences", "attention", "words", "film")
CASES = [("keras2", f"{name}.h5") for name in (*NAMES, "functions")] + [("keras3", f"{name}.h5") for name in NAMES]
CASES += [("keras2", "graph.keras"), ("keras2", "sequences.keras")]
TF_KERAS = ("both", "heads", "resized", "adapted", "functions", "nodes")
CASES += [("tf_keras", f"{name}.{form}") for name in TF_KERAS for form in ("h5", "keras")]
CASES += [("adapted", "adapted.keras"), ("adapted", "adapted.h5")]
CASES += [pytest.param("operations", f"operations.{form}", marks=pytest.mark.slow) for form in ("keras", "h5")]


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    for version in ("keras2", "keras3", "tf_keras", "adapted", "operations"):
        with zipfile.ZipFile(GOLDEN / f"{version}.zip") as archive:
            archive.extractall(folder / version)
    return folder


def arrays(path, letter):
    """x0, x1, ... or y0, y1, ... of a case."""
    data = np.load(path)
    return [data[name] for name in sorted(data) if name[0] == letter]


def outputs(model, params, state, xs):
    apply = jax.jit(model.apply) if len(model.layers) > 50 else model.apply  # many operations at once
    y = apply(params, tuple(xs) if len(xs) > 1 else xs[0], state=state)
    return y if isinstance(y, tuple) else (y,)


@pytest.mark.parametrize("version, name", CASES)
def test_keras_own_files(golden, version, name):
    path = golden / version / name
    loaded = fl.load_keras(path)
    for y, wanted in zip(
        outputs(loaded.model, loaded.params, loaded.state, arrays(path.with_suffix(".npz"), "x")),
        arrays(path.with_suffix(".npz"), "y"),
        strict=True,
    ):
        np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)


# Keras 1's names and layouts, as its 1.2.2 writes them.


CONV1 = {"init": "glorot_uniform", "activation": "relu", "border_mode": "valid", "subsample": [1, 1], "bias": True}
CONV1 |= {name: None for name in ("W_regularizer", "b_regularizer", "activity_regularizer", "W_constraint")}


def test_keras_1_images_with_channels_first(tmp_path):
    """Neither padding nor Flatten says its order of axes there; kernels have the output channels first."""
    decay = {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.25}
    conv = {**CONV1, "nb_filter": 3, "nb_row": 2, "nb_col": 1, "dim_ordering": "th", "W_regularizer": decay}
    config = sequential1(
        entry("ZeroPadding2D", "pad", padding=[1, 0], batch_input_shape=[None, 2, 4, 3], input_dtype="float32"),
        entry("Convolution2D", "conv", **conv),
        entry("BatchNormalization", "norm", epsilon=1e-3, mode=0, axis=1, momentum=0.9),
        entry("Dropout", "drop", p=0.5),
        entry("Flatten", "flat"),
        entry("Dense", "out", output_dim=2, init="uniform", activation="linear", bias=True, input_dim=None),
    )
    kernel, bias, dense = draw(3, 2, 2, 1), draw(3), draw(45, 2)
    norm = {"gamma": draw(3), "beta": draw(3) + 1, "running_mean": draw(3), "running_std": draw(3) ** 2 + 0.5}
    groups = {"conv": {"W": kernel, "b": bias}, "norm": norm, "out": {"W": dense, "b": np.ones(2)}}
    loaded = fl.load_keras(keras1_file(tmp_path / "m.h5", config, groups, "1.2.2"))

    x = draw(2, 2, 4, 3)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    y = sum(np.einsum("nchw,oc->nohw", padded[:, :, i : i + 5], kernel[:, :, i, 0]) for i in range(2))
    y = np.maximum(y + bias[:, None, None], 0) - norm["running_mean"][:, None, None]
    y = y / np.sqrt(norm["running_std"][:, None, None] + 1e-3) * norm["gamma"][:, None, None]
    wanted = (y + norm["beta"][:, None, None]).reshape(2, -1) @ dense + 1
    np.testing.assert_allclose(loaded.model.apply(loaded.params, x, state=loaded.state), wanted, rtol=1e-4, atol=1e-5)
    assert loaded.model["conv"].kernel_regularizer == L1L2(0.0, 0.25) and loaded.model["drop"].rate == 0.5


def test_keras_1_sequences(tmp_path):
    """An array for each gate; the order of gates is i, c, f, o in the list, and i, f, c, o in the joined kernel."""
    lstm = {"output_dim": 2, "init": "glorot_uniform", "inner_init": "orthogonal", "forget_bias_init": "one"}
    lstm |= {"activation": "tanh", "inner_activation": "hard_sigmoid", "return_sequences": True, "stateful": False}
    lstm |= {"dropout_W": 0.0, "dropout_U": 0.0, "consume_less": "cpu", "go_backwards": False, "unroll": False}
    lstm |= {"W_regularizer": None, "U_regularizer": None, "b_regularizer": None, "input_dim": 3, "input_length": None}
    gru = {k: v for k, v in lstm.items() if k != "forget_bias_init"} | {"consume_less": "gpu"}
    conv = {k: v for k, v in CONV1.items() if k != "subsample"} | {"nb_filter": 2, "filter_length": 2}
    words = {"input_dim": 5, "output_dim": 3, "init": "uniform", "mask_zero": False, "dropout": 0.0, "input_length": 4}
    config = {"class_name": "Model", "config": {"name": "model_1", "layers": [
        entry("InputLayer", "x", batch_input_shape=[None, 4], input_dtype="int32", sparse=False),
        entry("Embedding", "words", ("x", 0, 0), **words),
        entry("Bidirectional", "both", ("words", 0, 0), merge_mode="concat",
              layer={"class_name": "LSTM", "config": {"name": "inner", "trainable": True, **lstm}}),
        entry("GRU", "gru", ("both", 0, 0), **gru),
        entry("Convolution1D", "conv", ("both", 0, 0), subsample_length=1, **conv | {"border_mode": "same"}),
        entry("Merge", "sum", ("gru", 0, 0), ("conv", 0, 0), mode="sum", mode_type="raw", concat_axis=-1, dot_axes=-1,
              output_shape=None, output_shape_type="raw", output_mask=None, output_mask_type="raw", arguments={}),
    ], "input_layers": [["x", 0, 0]], "output_layers": [["sum", 0, 0]]}}  # fmt: skip
    gates = {f"{way}_inner_{kind}_{gate}": draw(*shape) + i + (way == "backward")
             for way in ("forward", "backward") for i, gate in enumerate("icfo")
             for kind, shape in (("W", (3, 2)), ("U", (2, 2)), ("b", (2,)))}  # fmt: skip
    groups = {
        "words": {"W": draw(5, 3)},
        "both": gates,
        "gru": {"W": draw(4, 6), "U": draw(2, 6), "b": draw(6)},
        "conv": {"W": draw(2, 1, 4, 2), "b": draw(2)},
    }
    path = keras1_file(tmp_path / "m.h5", config, groups, "1.2.2")
    with h5py.File(path, "a") as file:  # an inner layer's name stands alone
        group = file["model_weights/both"]
        for name in gates:
            group.move(f"both_{name}", name)
        group.attrs["weight_names"] = [name.encode() for name in gates]
    loaded = fl.load_keras(path)

    both = loaded.params["both"]["backward_layer"]["cell"]
    joined = np.concatenate([gates[f"backward_inner_W_{gate}"] for gate in "ifco"], -1)
    np.testing.assert_array_equal(both["kernel"], joined)
    np.testing.assert_array_equal(loaded.params["words"]["embeddings"], groups["words"]["W"])
    np.testing.assert_array_equal(loaded.params["conv"]["kernel"], groups["conv"]["W"][:, 0])
    lstm3 = fl.LSTM(2, recurrent_activation="legacy_hard_sigmoid", return_sequences=True, name="inner")
    assert loaded.model["both"] == fl.Bidirectional(lstm3, name="both")
    gru3 = fl.GRU(2, recurrent_activation="legacy_hard_sigmoid", return_sequences=True, reset_after=False, name="gru")
    assert loaded.model["gru"] == gru3 and loaded.model["sum"] == fl.Add(name="sum", keras_masks=True)
    assert loaded.model.apply(loaded.params, np.zeros((1, 4), "int32")).shape == (1, 4, 2)


def test_theano_turns_kernels_around(tmp_path):
    kernel = draw(2, 3, 1, 1)
    conv = entry("Conv2D", "conv", batch_input_shape=[None, 4, 4, 1], filters=1, kernel_size=[2, 3], use_bias=False)
    for backend, wanted in (("theano", kernel[::-1, ::-1]), ("cntk", kernel), ("tensorflow", kernel)):
        path = keras2_file(tmp_path / "m.h5", [conv], {"conv": {"kernel": kernel}}, backend)
        np.testing.assert_array_equal(fl.load_keras(path).params["conv"]["kernel"], wanted)


@pytest.mark.parametrize("kind, gates", [("LSTM", 4), ("GRU", 3)])
def test_layers_of_cudnn(tmp_path, kind, gates):
    """Each gate's product is computed from cuDNN's arrays as cuDNN does, and from ours."""
    kernel, recurrent, bias = draw(3, 2 * gates), draw(2, 2 * gates), draw(4 * gates)
    layer = entry(f"CuDNN{kind}", "rnn", batch_input_shape=[None, 4, 3], units=2, return_sequences=False)
    groups = {"rnn": {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}}
    loaded = fl.load_keras(keras2_file(tmp_path / "m.h5", [layer], groups))
    assert loaded.model["rnn"] == getattr(fl, kind)(2, name="rnn")
    ours, x, h = loaded.params["rnn"]["cell"], draw(3), draw(2)
    for i in range(gates):
        theirs = kernel[:, 2 * i : 2 * i + 2].ravel().reshape(2, 3) @ x  # (units, inputs), as it lies in memory
        np.testing.assert_allclose(x @ ours["kernel"][:, 2 * i : 2 * i + 2], theirs, rtol=1e-5)
        theirs = recurrent[:, 2 * i : 2 * i + 2] @ h
        np.testing.assert_allclose(h @ ours["recurrent_kernel"][:, 2 * i : 2 * i + 2], theirs, rtol=1e-5)
    halves = bias.reshape(2, -1)
    np.testing.assert_allclose(ours["bias"], halves.sum(0) if kind == "LSTM" else halves, rtol=1e-6)


def test_what_keras_2_computed_otherwise(tmp_path):
    """Missing arguments have the defaults of their time, and names their old meaning."""
    dense = entry("Dense", "dense", batch_input_shape=[None, 3], units=3, activation="hard_sigmoid", use_bias=False)
    layers = [
        dense,
        entry("LeakyReLU", "leaky", alpha=0.25),
        entry("ThresholdedReLU", "threshold", theta=0.5),
        entry("BatchNormalization", "norm", axis=[1], center=False, scale=False, epsilon=0.0),
        entry("Dense", "twice", units=3, activation="<lambda>", use_bias=False),
        entry("Lambda", "squared", function=["YQ==", None, None], function_type="lambda", output_shape=None,
              output_shape_type="raw", arguments={}),
    ]  # fmt: skip
    norm = {"moving_mean": np.zeros(3), "moving_variance": np.ones(3)}
    groups = {"dense": {"kernel": np.eye(3)}, "norm": norm, "twice": {"kernel": np.eye(3)}}
    path = keras2_file(tmp_path / "m.h5", layers, groups)
    loaded = fl.load_keras(path, activations={"<lambda>": lambda x: 2 * x}, functions={"squared": lambda x: x**2})
    y = loaded.model.apply(loaded.params, np.array([[-1.0, 1.0, 4.0]], "float32"), state=loaded.state)
    np.testing.assert_allclose(y, [[0, 4 * 0.7**2, 4]], rtol=1e-5)
    with pytest.raises(fl.ConfigError, match="twice: activation='<lambda>'.*activations="):
        fl.load_keras(path)
    with pytest.raises(fl.ConfigError, match="squared.*functions="):
        fl.load_keras(path, activations={"<lambda>": lambda x: x})


@pytest.mark.parametrize(
    "layer, match",
    [
        (entry("LSTM", "y", units=2, num_constants=1), "y: LSTM: num_constants=1 is not supported"),
        (entry("BatchNormalization", "y", mode=2), "y: BatchNormalization: mode=2 is not supported"),
        (entry("BatchNormalization", "y", axis=[1, 2]), "y: "),
        (entry("MaxoutDense", "y", output_dim=2), "y: 'MaxoutDense' is not a layer that a file may name"),
        (entry("Dense", "y", units=2, output_dim=2), "y?.*output_dim and units are given both"),
        (entry("Sequential", "y") | {"config": 3}, "config"),
    ],
)
def test_what_is_refused_names_the_layer(tmp_path, layer, match):
    start = entry("Masking", "start", batch_input_shape=[None, 4, 3], mask_value=0.0)
    with pytest.raises(fl.ConfigError, match=match):
        fl.load_keras(keras2_file(tmp_path / "m.h5", [start, layer], {}))


def test_functions_that_are_not_in_the_table(golden, tmp_path):
    with h5py.File(golden / "keras2" / "functions.h5") as file:
        config = file.attrs["model_config"]
    for old, new, match in (
        ("math.log", "io.read_file", "tf.math.log: the function 'io.read_file' of TensorFlow is not supported"),
        ('"axis": 1, "keepdims"', '"axis": 1, "keepsdims"', "called with or without keepsdims"),
    ):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.attrs.update({"model_config": config.replace(f'"function": "{old}"', f'"function": "{new}"')
                               if "." in old else config.replace(old, new), "keras_version": "2.15.0"})  # fmt: skip
        with pytest.raises(fl.ConfigError, match=match):
            fl.load_keras(tmp_path / "m.h5")


@pytest.mark.parametrize(
    "function, call, expected",
    [
        ("math.multiply", ["x", 0, 0, {"y": [1.0, 2.0], "name": None}], [3.0, 8.0]),
        ("math.multiply", ["x", 0, 0, {"y": [1, 2]}], [3.0, 8.0]),
        ("__operators__.add", ["x", 0, 0, {"y": [[1.0, 2.0]]}], [4.0, 6.0]),
        ("math.subtract", ["_CONSTANT_VALUE", -1, [1.0, 2.0], {"y": ["x", 0, 0]}], [-2.0, -2.0]),
        ("linalg.matmul", ["x", 0, 0, {"b": [[0.0], [1.0]]}], [4.0]),
    ],
)
def test_arrays_as_constants_of_functions(tmp_path, function, call, expected):
    start = entry("InputLayer", "x", batch_input_shape=[None, 2], dtype="float32")
    node = entry("TFOpLambda", "f", function=function) | {"inbound_nodes": [call]}
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["f", 0, 0]]}
    config = {"class_name": "Functional", "config": {"name": "m", "layers": [start, node], **ends}}
    model = fl.load_keras(written(tmp_path / "m.h5", config)).model
    np.testing.assert_array_equal(model.apply({}, np.array([[3.0, 4.0]], "float32")), [expected])


def written(path, config):
    """A model without weights in a file of Keras 2."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"model_config": json.dumps(config), "keras_version": "2.15.0"})
        file.create_group("model_weights").attrs["layer_names"] = np.zeros(0, "S1")
    return path


@pytest.mark.parametrize("fixed", [False, True, None])
def test_calls_that_fix_their_mode(tmp_path, fixed):
    """In Keras 2.15 a Dropout that was called with training= has that mode in each run, predict and fit alike."""
    start = entry("InputLayer", "x", batch_input_shape=[None, 2], dtype="float32")
    drop = entry("Dropout", "d", rate=0.5) | {"inbound_nodes": [[["x", 0, 0, {"training": fixed}]]]}
    config = {"name": "m", "layers": [start, drop], "input_layers": [["x", 0, 0]], "output_layers": [["d", 0, 0]]}
    model = fl.load_keras(written(tmp_path / "m.h5", {"class_name": "Functional", "config": config})).model
    for train in (False, True):
        y = model.apply({}, np.ones((9, 2), "float32"), rng=jax.random.key(0), train=train)
        assert (y == 1).all() == (not (train if fixed is None else fixed))


def test_training_data(golden):
    training = fl.load_keras(golden / "keras2" / "images.h5").training
    assert training.compile_config["loss"] == "mse"
    assert training.compile_config["optimizer_config"]["config"]["beta_1"] == 0.9
    assert training.optimizer_state[0] == 1 and training.optimizer_state[1].shape == (3, 3, 2, 3)
    assert fl.load_keras(golden / "keras2" / "attention.h5").training is None


def test_keras_1_sequential_that_begins_with_a_merge(tmp_path):
    config, groups = branches()
    loaded = fl.load_keras(keras1_file(tmp_path / "m.h5", config, groups))
    kernels = {name: arrays["W"] for name, arrays in groups.items()}
    a, b = draw(2, 3), draw(2, 3) + 1
    wanted = np.concatenate([a @ kernels["d0"], b @ kernels["d1"]], -1) @ kernels["out"]
    np.testing.assert_allclose(loaded.model.apply(loaded.params, (a, b)), wanted, rtol=1e-5)


@fl.layerclass
class Scale(fl.Layer):
    factor: float = 1.0

    def weights(self, shape):
        return {"gain": fl.Param((shape[-1],)), "shift": fl.Param((shape[-1],))}

    def call(self, params, x):
        return self.factor * params["gain"] * x + params["shift"]


def test_layers_of_the_callers(tmp_path):
    """Its config is the caller's own, and its arrays have other names."""
    layer = entry("Scale", "scale", batch_input_shape=[None, 2], factor=3.0)
    path = keras2_file(tmp_path / "m.h5", [layer], {"scale": {"w": np.ones(2), "p": [1.0, 2.0]}})

    def scale(config):
        return Scale(config["factor"])

    loaded = fl.load_keras(path, layers={"Scale": scale})
    np.testing.assert_array_equal(loaded.model.apply(loaded.params, np.ones((1, 2))), [[4, 5]])
    with pytest.raises(fl.ConfigError, match="scale: 'Scale' is not a layer that a file may name"):
        fl.load_keras(path)
