"""A Sequential in a file of Keras declares its input: alone, and inside a model that calls it in another way."""

import numpy as np
import pytest

import fnlayers as fl
from keras_entries import BIAS, DENSE, KERNEL, X, functional, layer, sequential, start, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.keras"


def test_a_sequential_knows_its_input(path, tmp_path):
    inner = {**sequential(layer("Dense", "head", units=2)), "name": "inner"}
    inner["config"]["name"] = "inner"
    loaded = fl.load_keras(
        write(path, sequential(inner), {f"layers/sequential/{name}": array for name, array in DENSE.items()})
    )
    assert loaded.model.in_shape == loaded.model["inner"].in_shape == (None, 3)
    assert loaded.trainable == ["inner/head/kernel", "inner/head/bias"]
    fl.save_keras(tmp_path / "again.keras", loaded.model, loaded.params)
    again = fl.load_keras(tmp_path / "again.keras")
    assert again.model == loaded.model and repr(again.model).startswith(
        "Sequential([Input((3,), name='x'), Sequential("
    )
    assert "(None, 2)" in str(fl.summary(loaded.model))
    part = fl.cut(loaded.model["inner"], "head")
    np.testing.assert_allclose(part.apply(loaded.params["inner"], X), X @ KERNEL + BIAS)


def inside(entry, *starts, shape=(None, 3)):
    """A graph that calls a Sequential, whose first entry is `starts`, on x."""
    inner = {"class_name": "Sequential", "config": {"name": "y", "layers": [*starts, entry]}, "name": "y"}
    return functional([start(shape=shape), inner | {"inbound_nodes": layer("", "", [("x",)])["inbound_nodes"]}])


def test_a_model_inside_is_called_as_keras_calls_it(path):
    """On arrays of another size than it declares, and on others that are cast to the dtype that it declares."""
    declared = start("i", (2, 7, 3))
    for dtype, wanted in (("float32", 1 / 3), ("float16", np.float16(1 / 3)), ("int32", 0)):
        declared["config"]["dtype"] = dtype
        config = inside(layer("Rescaling", "r", scale=1.0), declared, shape=(None, None, 3))
        loaded = fl.load_keras(write(path, config))
        y = loaded.model.apply({}, np.full((1, 2, 3), 1 / 3, "float32"))
        np.testing.assert_allclose(y, np.full((1, 2, 3), wanted), rtol=1e-7)
    config = inside(layer("Rescaling", "r", scale=1.0), start("i", (2, 7, 3)), shape=(None, 3))
    with pytest.raises(fl.ShapeError, match=r"input 'i' was declared as .*, got \(None, 3\)"):
        fl.load_keras(write(path, config))
