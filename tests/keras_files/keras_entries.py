"""Keras's files, made by hand: entries of configs, and a config with an HDF5 file of weights in a zip."""

import io
import json
import zipfile

import h5py
import numpy as np


def layer(kind, name, *calls, **config):
    """A layer's entry in a graph; each call is a list of (layer, call, output) that it is given."""
    nodes = [{"args": [tensor(*c) for c in call], "kwargs": {}} for call in calls]
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "name": name,
        "inbound_nodes": nodes,
    }


def tensor(name, call=0, output=0):
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, call, output]}}


def start(name="x", shape=(None, 3)):
    config = {"batch_shape": list(shape), "dtype": "float32", "name": name}
    return {"class_name": "InputLayer", "config": config, "name": name, "inbound_nodes": []}


def functional(layers, inputs=("x", 0, 0), outputs=("y", 0, 0)):
    config = {"name": "net", "layers": layers, "input_layers": list(inputs), "output_layers": list(outputs)}
    return {"class_name": "Functional", "config": config}


def sequential(*layers, shape=(None, 3)):
    entries = [start(shape=shape), *layers]
    return {"class_name": "Sequential", "config": {"name": "net", "layers": entries}}


def write(path, config, weights=None, text=None, h5=None):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, value in (weights or {}).items():
            file[name] = value
        if h5 is not None:
            h5(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config) if text is None else text)
        archive.writestr("model.weights.h5", stream.getvalue())
    return path


KERNEL, BIAS = np.arange(6, dtype="float32").reshape(3, 2), np.array([0.5, -1.0], "float32")
DENSE = {"layers/dense/vars/0": KERNEL, "layers/dense/vars/1": BIAS}
X = np.array([[1.0, 2.0, 3.0]], "float32")
