"""Layers that run on the host: what the laws say of all others, as far as it is not about compiled programs."""

import copy
import json
import pickle

import jax
import numpy as np
import pytest

import fnlayers as fl
from cases import HOST
from fnlayers.core.strings import as_arrays
from fnlayers.plain_data import map_nest
from fnlayers.saving import from_config, to_config

EACH = pytest.mark.parametrize(
    ("layer", "x"), HOST, ids=[f"{i} {type(layer).__name__}" for i, (layer, _) in enumerate(HOST)]
)


def same(a, b):
    np.testing.assert_array_equal(a, b)
    assert a.dtype == b.dtype


def described(layer, x):
    """The ArrayType that comes out, and the one that was inferred with the batch axis left open."""
    arrays, y = as_arrays(x), layer.apply({}, x)
    shape = map_nest(lambda a: (None, *a.shape[1:]), arrays)
    return y, layer.out_type(shape)


@EACH
def test_shape_and_dtype_are_inferred(layer, x):
    y, inferred = described(layer, x)
    assert len(inferred.shape) == y.ndim and inferred.shape[0] is None
    assert all(a in (None, b) for a, b in zip(inferred.shape[1:], y.shape[1:], strict=True))
    assert inferred.dtype == ("string" if y.dtype == object else y.dtype.name)


@EACH
def test_same_inputs_same_outputs_in_both_modes_and_the_input_stays(layer, x):
    arrays = as_arrays(x)
    before = copy.deepcopy(arrays)
    y = layer.apply({}, arrays)
    same(layer.run({}, arrays, train=True).y, y)
    same(layer.apply({}, x), y)
    map_nest(np.testing.assert_array_equal, arrays, before)
    shape = map_nest(lambda a: a.shape, arrays)
    assert isinstance(y, np.ndarray) and layer.init(jax.random.key(0), shape) == {} == layer.init_state(shape)


@EACH
def test_it_is_plain_data(layer, x):
    for back in (from_config(json.loads(json.dumps(to_config(layer)))), pickle.loads(pickle.dumps(layer))):
        assert back == layer and hash(back) == hash(layer) and repr(back) == repr(layer)
        same(back.apply({}, x), layer.apply({}, x))


@EACH
def test_a_file_brings_it_back(layer, x, tmp_path):
    model = fl.Sequential([layer]) if not isinstance(x, tuple) else layer
    shape = map_nest(lambda a: a.shape, as_arrays(x))
    fl.save(tmp_path / "model.safetensors", model, {}, shape=shape)
    back, params, _ = fl.load(tmp_path / "model.safetensors")
    assert back == model and params == {}
    same(back.apply({}, x), layer.apply({}, x))


@EACH
def test_a_traced_input_is_an_error_that_says_what_to_write(layer, x):
    if isinstance(layer, fl.IntegerLookup):  # runs there, too: test_lookup.py
        return
    ids = (np.zeros(2, int),) * 2 if isinstance(x, tuple) else np.zeros((2, 1), int)
    with pytest.raises(fl.ConfigError, match=r"runs on the host.* encode before it, ids = layer.apply\(\{\}, x\)"):
        jax.jit(lambda x: layer.apply({}, x))(ids)
