"""The names that users of other libraries write first: answered where they are ours, else explained."""

import copy
import dataclasses
import pickle

import pytest

import fnlayers as fl
from fnlayers import layers


def test_layers_and_models_are_found_where_keras_has_them():
    assert all(getattr(layers, name) is cls for name, cls in fl.LAYERS.items())
    assert layers.MaxPool2D is fl.MaxPooling2D and layers.Input is fl.Input and layers.add is fl.add
    assert layers.Layer is fl.Layer and fl.models.Sequential is fl.Sequential and fl.layers is layers
    assert "Dense" in dir(layers) and "sys" not in dir(layers)


def test_the_package_lists_public_names_alone():
    assert dir(fl) == sorted(fl.__all__) and not {"TYPE_CHECKING", "LATER", "import_module"} & set(dir(fl))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BatchNorm", "BatchNormalization"),
        ("Conv2d", "Conv2D"),
        ("SpatialDropout2d", "SpatialDropout2D"),
        ("Linear", "Dense"),
        ("Model", "functional"),
        ("plot_model", "show.graph"),
        ("optimizers", "optax"),
    ],
)
def test_names_of_other_libraries_are_explained(name, message):
    for module in (fl, fl.layers, fl.models):
        assert not hasattr(module, name)
        with pytest.raises(fl.ConfigError, match=message):
            getattr(module, name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("relu", "here it is fnlayers.activations.relu$"),
        ("HeNormal", "here it is fnlayers.initializers.HeNormal$"),
        ("mean_squared_error", "here it is fnlayers.losses.mean_squared_error or fnlayers.metrics.mean_squared_error$"),
        ("ModelCheckpoint", "Checkpoint"),
        ("Conv2DTranpose", "did you mean 'Conv2DTranspose'?"),
        ("sumary", "did you mean 'summary'?"),
        ("__wrapped__", "fnlayers has no '__wrapped__'$"),
        ("qqqq", "fnlayers has no 'qqqq'$"),
    ],
)
def test_names_in_other_modules_and_mistyped_ones(name, message):
    with pytest.raises(fl.ConfigError, match=message):
        getattr(fl, name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("get_weights", "params are what init returns"),
        ("kernel", "params are what init returns"),
        ("compile", "fnlayers.fit"),
        ("predict", r"fnlayers.predict\(model, params, x\)"),
        ("summary", r"print\(fnlayers.summary\(model, shape\)\)"),
        ("save", "fnlayers.save"),
        ("count_params", r"fnlayers.count\(params\)"),
        ("output_shape", "out_shape"),
        ("add", "Sequential"),
    ],
)
def test_methods_of_keras_are_explained(name, message):
    for layer in (fl.Dense(3), fl.Sequential([fl.Dense(3)])):
        assert not hasattr(layer, name)
        with pytest.raises(fl.ConfigError, match=f"{type(layer).__name__} has no '{name}'; .*{message}"):
            getattr(layer, name)


def test_a_layer_without_a_name_of_that_kind_still_copies_and_pickles():
    layer = fl.Sequential([fl.Dense(3)])
    assert copy.copy(layer) == copy.deepcopy(layer) == pickle.loads(pickle.dumps(layer)) == layer
    assert dataclasses.replace(layer, name="a").name == "a"
    assert getattr(layer, "get_weights", None) is None and not hasattr(layer, "__array__")
