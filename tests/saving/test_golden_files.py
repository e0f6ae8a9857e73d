"""Files that older versions wrote are read for good, and give the same outputs."""

import gzip
import inspect
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cases
import fnlayers as fl
from fnlayers.saving.config import from_config, to_config

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from make_files import GIVEN, MODELS, is_shape  # noqa: E402

HALF = {"half": 1e-2}  # where the order of sums is ours to choose


@pytest.mark.parametrize("name", MODELS)
def test_a_file_gives_the_same_model_and_outputs(name):
    model, params, state = fl.load(GOLDEN / "files" / f"{name}.safetensors", layers=GIVEN)
    build, shape = MODELS[name]
    assert model == build()
    with np.load(GOLDEN / "files" / f"{name}.npz") as stored:
        arrays = dict(stored)
    leaves, structure = jax.tree.flatten(shape, is_leaf=is_shape)
    x = jax.tree.unflatten(structure, [jnp.asarray(arrays[f"x{i}"]) for i in range(len(leaves))])
    outputs = jax.tree.leaves(model.apply(params, x, state=state))
    assert len(outputs) == sum(key.startswith("y") for key in arrays)
    for i, y in enumerate(outputs):
        tolerance = HALF.get(name, 1e-5)
        np.testing.assert_allclose(np.asarray(y, "float32"), arrays[f"y{i}"], rtol=tolerance, atol=tolerance)


def test_configs_of_every_layer_are_read():
    configs = json.loads(gzip.decompress((GOLDEN / "files" / "configs.json.gz").read_bytes()))
    known = [value for value in vars(cases).values() if inspect.isfunction(value) or inspect.isclass(value)]
    known += [jnp.tanh, jnp.sin]  # those that the table takes from jax
    assert len(configs) > 400
    for text, config in configs.items():
        layer = from_config(config, known)
        assert type(layer).__name__ == config["layer"], text
        assert from_config(to_config(layer), known) == layer, text
