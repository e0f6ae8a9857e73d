"""What a file may name: Keras's own classes by module and registered name, and what the caller gives."""

import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.keras_files.config import model_of
from keras_entries import BIAS, DENSE, KERNEL, X, functional, layer, sequential, start, write

DENSE_2 = {"name": "head", "units": 2}


def registered(kind, config, registered_name, module=None):
    return {"module": module, "class_name": kind, "config": config, "registered_name": registered_name}


def function(name, module="builtins", registered_name="function"):
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered_name}


@fl.layerclass
class Doubled(fl.Dense):
    """A user's layer that has the name of one of Keras's in its file."""

    def call(self, params, x):
        return 2 * (x @ params["kernel"] + params["bias"])


L2 = registered("L2", {"l2": 0.1}, "mine>L2")
FOREIGN = {
    "registered": (registered("Dense", DENSE_2, "mine>Dense"), "registered as 'mine>Dense' in the module 'None'"),
    "of the user's program": (registered("Dense", DENSE_2, "Dense"), "not Keras's own layer"),
    "of a module": (registered("Dense", DENSE_2, None, "mine.layers"), "in the module 'mine.layers'"),
    "of a module like Keras's": (registered("Dense", DENSE_2, None, "keras_like.layers"), "not Keras's own layer"),
    "keras and registered": (registered("Dense", DENSE_2, "mine>Dense", "keras.layers"), "not Keras's own layer"),
    "module that is a list": (registered("Dense", DENSE_2, None, ["keras"]), "not Keras's own layer"),
    "Sequential": (registered("Sequential", {"layers": []}, "mine>Sequential"), "not Keras's own layer"),
    "regularizer": (layer("Dense", "y", units=2, kernel_regularizer=L2), "not Keras's own regularizer"),
    "initializer": (
        layer("Dense", "y", units=2, kernel_initializer=registered("Zeros", {}, None, "os")),
        "not Keras's own initializer",
    ),
    "constraint": (
        layer("Dense", "y", units=2, kernel_constraint=registered("NonNeg", {}, "NonNeg", None)),
        "not Keras's own constraint",
    ),
    "policy": (layer("ReLU", "y", dtype=registered("DTypePolicy", {"name": "float32"}, "m>P")), "own dtype policy"),
    "activation": (layer("Dense", "y", units=2, activation=function("relu", "os")), "not Keras's own function"),
    "activation, registered": (layer("Dense", "y", units=2, activation=function("mine>relu")), "'mine>relu'"),
    "unknown key of a node": ({**layer("ReLU", "y"), "filepath": "/etc/passwd"}, "has filepath, which Keras"),
    "trainable": (layer("ReLU", "y") | {"config": {"name": "y", "trainable": 5}}, "trainable=5"),
    "use_bias": (layer("Dense", "y", units=2, use_bias="relu "), "use_bias='relu '"),
    "units": (layer("Dense", "y", units=True), "units=True"),
    "name": (layer("ReLU", "a\x00b"), "characters that are not seen"),
    "name of one direction": (layer("ReLU", "a\u202eb"), "characters that are not seen"),
    "path": (layer("ReLU", "../../escape"), "is not a path"),
    "path of Windows": (layer("ReLU", "a\\..\\b"), "a backslash"),
    "a second input": (start("z"), "'InputLayer' is not a layer"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_not_keras_own_is_refused(what):
    node, match = FOREIGN[what]
    with pytest.raises(fl.ConfigError, match=match):
        model_of(sequential(node))


ODD_INPUTS = {
    "batch_shape": (5, "has the shape 5"),
    "shape": ([None, -3], "has the shape"),
    "size": ([None, True], "has the shape"),
    "nested": ([[None, 3]], "the shape"),
    "dtype": ([None, 3], "dtype='strange' is unknown"),
    "sparse": ([None, 3], "sparse=7"),
    "path": ([None, 3], "path is not supported"),
}


@pytest.mark.parametrize("what", ODD_INPUTS)
def test_inputs_with_odd_values(what):
    shape, match = ODD_INPUTS[what]
    entry = start(shape=(None, 3))
    entry["config"] |= {"batch_shape": shape} | {
        "dtype": {"dtype": "strange"},
        "sparse": {"sparse": 7},
        "path": {"path": "/etc/passwd"},
    }.get(what, {})
    with pytest.raises(fl.ConfigError, match=match):
        model_of(functional([entry, layer("ReLU", "y", [("x",)])]))


def test_names_that_are_the_same_text():
    layers = [start(), layer("ReLU", "caf\u00e9", [("x",)]), layer("ReLU", "cafe\u0301", [("x",)])]
    with pytest.raises(fl.ConfigError, match="the same text"):
        model_of(functional(layers, outputs=("caf\u00e9", 0, 0)))


def test_a_class_of_the_callers(tmp_path):
    node = registered("Dense", DENSE_2, "mine>Dense")
    path = write(tmp_path / "a.keras", sequential(node), DENSE)
    expected = 2 * (X @ KERNEL + BIAS)
    with pytest.raises(fl.ConfigError, match="give it in layers="):
        fl.load_keras(path)
    weights = {f"layers/doubled/vars/{i}": array for i, array in enumerate((KERNEL, BIAS))}
    path = write(tmp_path / "a.keras", sequential(node), weights)
    for classes in ({"mine>Dense": Doubled}, {"Dense": lambda config: Doubled(config["units"])}):
        model, params, *_ = fl.load_keras(path, layers=classes)
        np.testing.assert_allclose(model.apply(params, X), expected)
    with pytest.raises(fl.ConfigError, match=r"layers\['Dense'\] returned 3, expected a layer"):
        fl.load_keras(path, layers={"Dense": lambda config: 3})


def test_functions_of_the_callers():
    lambda_ = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
    nodes = [
        layer("Lambda", "first", function=lambda_, arguments={}),
        layer("Lambda", "second", function=function("mine>f"), arguments={"by": 3}, output_shape=[2]),
        layer("Activation", "third", activation=function("mine>g")),
        layer("Activation", "fourth", activation="<lambda>"),
    ]
    functions = {"first": lambda x: x + 1, "f": lambda x, by: x * by}
    activations = {"mine>g": jnp.negative, "<lambda>": jnp.abs}
    custom = fl.keras_files.custom_objects.custom_objects(None, activations, functions)
    model = model_of(sequential(*nodes), custom)
    assert model.apply({}, X).tolist() == [[6.0, 9.0, 12.0]]
    for lacking, match in (({"f": abs}, "functions={'first': function}"), ({"first": abs}, "functions={'mine>f'")):
        with pytest.raises(fl.ConfigError, match=match):
            model_of(sequential(*nodes), custom._replace(functions=lacking))
    with pytest.raises(fl.ConfigError, match="activations={'<lambda>': function}"):
        model_of(sequential(nodes[3]))


@pytest.mark.parametrize("tables", [{"layers": [fl.Dense]}, {"functions": {"f": 3}}, {"layers": {"D": fl.Dense(3)}}])
def test_tables_of_the_callers_that_are_none(tables, tmp_path):
    with pytest.raises(fl.ConfigError, match="load_keras: (layers|functions)"):
        fl.load_keras(tmp_path / "absent.keras", **tables)


def test_how_a_model_was_trained(tmp_path):
    config = sequential(layer("Dense", "head", units=2)) | {"compile_config": {"loss": "mse"}}
    moments = {f"optimizer/vars/{i}": np.full(1, float(i), "float32") for i in range(11)}
    loaded = fl.load_keras(write(tmp_path / "a.keras", config, DENSE | moments))
    assert loaded.training.compile_config == {"loss": "mse"}
    assert [float(array[0]) for array in loaded.training.optimizer_state] == list(range(11))
    assert fl.load_keras(write(tmp_path / "a.keras", sequential(layer("Dense", "h", units=2)), DENSE)).training is None


def test_arrays_that_no_layer_owns(tmp_path):
    path = tmp_path / "a.keras"
    aside = {"layers/dropout/seed_generator/vars/0": np.zeros(2, "uint32")}
    fl.load_keras(write(path, sequential(layer("Dense", "h", units=2)), DENSE | aside))
    with pytest.raises(fl.ConfigError, match="no layer of the model owns: layers/dense/vars/2"):
        fl.load_keras(write(path, sequential(layer("Dense", "h", units=2)), DENSE | {"layers/dense/vars/2": BIAS}))
    with pytest.raises(fl.ConfigError, match="h/kernel: the model has float32, the file's .* is int32"):
        whole = {"layers/dense/vars/0": KERNEL.astype("int32")}
        fl.load_keras(write(path, sequential(layer("Dense", "h", units=2)), DENSE | whole))
