"""Files of Keras 1 and 2, made by hand: entries of configs, and whole models in HDF5."""

import json

import h5py
import numpy as np


def keras1_file(path, config, groups, version=None):
    """A whole model: {layer: {name: array}}; 1.2 wrote the version at the root alone, and no backend."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        if version:
            file.attrs["keras_version"] = version.encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [name.encode() for name in groups]
        for layer, arrays in groups.items():
            group = weights.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}_{name}".encode() for name in arrays]
            for name, array in arrays.items():
                group[f"{layer}_{name}"] = np.asarray(array, "float32")
    return path


def keras2_file(path, model, groups, backend="tensorflow"):
    """A Sequential of Keras 2.0: a bare list of layers, the first with the input's shape."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": model}).encode()
        file.attrs["keras_version"] = b"2.0.8"
        weights = file.create_group("model_weights")
        weights.attrs.update({"layer_names": [name.encode() for name in groups], "keras_version": b"2.0.8"})
        weights.attrs["backend"] = backend.encode()
        for layer, arrays in groups.items():
            group = weights.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in arrays]
            for name, array in arrays.items():
                group[f"{layer}/{name}:0"] = np.asarray(array, "float32")
    return path


def entry(kind, name, *calls, **config):
    """A layer's entry; each call is a list of [layer, call, output] that it is given."""
    inbound = {"name": name, "inbound_nodes": [[[*call] for call in calls]] if calls else []}
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}, **inbound}


def sequential1(*layers):
    return {"class_name": "Sequential", "config": [*layers]}


def draw(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def branches():
    """(config, groups) of a Sequential of Keras 1 that begins with a Merge of two models."""

    def dense(name, units, **more):
        return entry("Dense", name, output_dim=units, activation="linear", bias=False, init="uniform", **more)

    models = [sequential1(dense(f"d{i}", 2, batch_input_shape=[None, 3])) for i in range(2)]
    raw = {f"{what}_type": "raw" for what in ("mode", "output_shape", "output_mask")} | {"arguments": {}}
    merge = {"name": "m", "mode": "concat", "concat_axis": -1, "dot_axes": -1, "layers": models, **raw}
    config = sequential1({"class_name": "Merge", "config": merge}, dense("out", 1))
    kernels = {"d0": draw(3, 2), "d1": -draw(3, 2), "out": draw(4, 1)}
    return config, {name: {"W": kernel} for name, kernel in kernels.items()}
