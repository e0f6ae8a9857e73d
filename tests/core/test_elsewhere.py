"""The names that users of other libraries write first: answered where they are ours, else explained."""

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
    ("name", "said"),
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
def test_names_of_other_libraries_are_explained(name, said):
    for module in (fl, fl.layers, fl.models):
        assert not hasattr(module, name)
        with pytest.raises(fl.ConfigError, match=said):
            getattr(module, name)
