"""What files of Keras say of their models, without their weights; and the command line, which prints it."""

import json

import h5py
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.command_line import main
from fnlayers.keras_files.topology import keras_topology
from keras_entries import DENSE, KERNEL, layer, sequential, write

HEAD = layer("Dense", "head", units=2)


def test_a_model_its_shape_and_its_arrays(tmp_path):
    topology = keras_topology(write(tmp_path / "m.keras", sequential(HEAD), DENSE))
    assert type(topology.model) is fl.Sequential and list(topology.model.by_name) == ["head"]
    assert (topology.version, topology.shape, topology.problem) == (None, (None, 3), "")
    assert {place: (array.shape, array.dtype.name) for place, array in topology.arrays.items()} == {
        "layers/dense/vars/0": ((3, 2), "float32"), "layers/dense/vars/1": ((2,), "float32"),
    }  # fmt: skip


def test_a_class_of_somebodys_own_is_a_problem(tmp_path):
    topology = keras_topology(write(tmp_path / "m.keras", sequential(layer("Mine", "head")), DENSE))
    assert topology.model is None and "Mine" in topology.problem and len(topology.arrays) == 2


def test_damaged_files_are_errors(tmp_path):
    path = write(tmp_path / "m.keras", sequential(HEAD), DENSE)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(fl.ConfigError, match="m.keras"):
        keras_topology(path)


def test_inspect_and_convert(tmp_path, capsys):
    path = write(tmp_path / "m.keras", sequential(HEAD), DENSE)
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "a model of Keras (of unknown version)\n2 arrays, 8 numbers" in out and "head" in out
    assert main(["convert", str(path), str(tmp_path / "m.safetensors")]) == 0
    np.testing.assert_array_equal(fl.load(tmp_path / "m.safetensors")[1]["head"]["kernel"], KERNEL)
    own = write(tmp_path / "own.keras", sequential(layer("Mine", "head")), DENSE)
    assert main(["inspect", str(own)]) == 0 and main(["convert", str(own), str(tmp_path / "o.safetensors")]) == 2
    out, err = capsys.readouterr()
    assert "no layers are shown" in out and "layers/dense/vars/0  float32(3, 2)" in out
    assert "Mine" in err and err.count("\n") == 1


def test_weights_alone(tmp_path, capsys):
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        for name, array in DENSE.items():
            file[name] = array
    assert main(["inspect", str(tmp_path / "m.weights.h5")]) == 0
    out = capsys.readouterr().out
    assert "weights without a model, of Keras" in out and "layers/dense/vars/1  float32(2,)" in out


def test_a_model_of_keras_2(tmp_path):
    dense = {"name": "head", "units": 2, "activation": "linear", "use_bias": True, "batch_input_shape": [None, 3]}
    config = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": dense}]}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.1.6"
        file["model_weights/head/head/kernel:0"] = KERNEL
    topology = keras_topology(tmp_path / "m.h5")
    assert (topology.version, topology.shape, topology.problem) == ("2.1.6", (None, 3), "")
    assert list(topology.model.by_name) == ["head"] and list(topology.arrays) == ["model_weights/head/head/kernel:0"]
