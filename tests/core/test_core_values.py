"""Layers are values: they compare, hash, print, pickle and copy by what was said."""

import copy
import dataclasses
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from cases import CASES, layers_in
from fnlayers.core import FrozenDict


def test_a_layer_compares_hashes_copies_and_pickles(case):
    layer = case.layer
    for other in (copy.copy(layer), dataclasses.replace(layer)):
        assert other == layer and hash(other) == hash(layer) and repr(other) == repr(layer)
    assert layer != dataclasses.replace(layer, name="another")
    assert {layer: 1}[dataclasses.replace(layer)] == 1


def test_a_layer_pickles(case):
    assert pickle.loads(pickle.dumps(case.layer)) == case.layer == copy.deepcopy(case.layer)


def test_layers_of_one_kind_with_other_fields_differ():
    kinds = [case.layer for case in CASES]
    assert all(a == b or repr(a) != repr(b) for a in kinds for b in kinds if type(a) is type(b))
    assert fl.Dense(3) != fl.Dense(4) and fl.MaxPooling1D() != fl.AveragePooling1D(2) and fl.Dense(3) != 3


def test_no_layer_holds_an_array_or_changes(case):
    for layer in layers_in(case.layer):
        hash(layer)
        for field in dataclasses.fields(layer):
            assert not isinstance(getattr(layer, field.name), (np.ndarray, jax.Array, list, dict))
        with pytest.raises(fl.ConfigError, match="does not change"):
            layer.name = "other"


def test_what_was_said_is_stored_and_shown():
    assert repr(fl.Conv2D(8, 3, padding="same")) == "Conv2D(filters=8, kernel_size=3, padding='same')"
    assert fl.Conv2D(8, 3).kernel_size == 3 and fl.Conv2D(8, [3, 3]).kernel_size == (3, 3)
    assert fl.Dense(np.int64(3)).units == 3 and type(fl.Dense(np.int64(3)).units) is int
    assert repr(fl.Dense(3, name="out", trainable=False)) == "Dense(name='out', trainable=False, units=3)"


def test_signatures_show_the_fields_of_a_class():
    shown = str(inspect.signature(fl.Dropout))
    assert shown.startswith("(rate: float, noise_shape:") and "*, name: str | None = None" in shown


def test_a_frozen_dict_is_a_value():
    one, other = FrozenDict({"a": [1, 2], "b": {"c": 3}}), FrozenDict({"b": {"c": 3}, "a": (1, 2)})
    assert one == other == {"a": (1, 2), "b": {"c": 3}} and hash(one) == hash(other)
    assert list(one) == ["a", "b"] and one["b"]["c"] == 3 and len(one) == 2
    assert repr(one) == "{'a': (1, 2), 'b': {'c': 3}}"
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_layer_is_a_pair_and_a_static_argument():
    layer, x = fl.Dense(3), jnp.ones((2, 4))
    init, apply = layer
    params = init(jax.random.key(0), x.shape)
    jitted = jax.jit(lambda layer, params, x: layer.apply(params, x), static_argnums=0)
    np.testing.assert_allclose(jitted(layer, params, x), apply(params, x), rtol=1e-6)


def test_raw_keys_draw_what_typed_keys_draw():
    old, new = (fl.Dense(3).init(key, (2, 4)) for key in (jax.random.PRNGKey(3), jax.random.key(3)))
    np.testing.assert_array_equal(old["kernel"], new["kernel"])


def test_a_context_is_a_pytree_whose_mode_is_static():
    ctx = fl.Context({"a": jnp.ones(2)}, jax.random.key(0), jnp.ones((2, 3), bool), train=True)
    leaves, structure = jax.tree.flatten(ctx)
    assert len(leaves) == 3 and jax.tree.unflatten(structure, leaves).train is True
    assert jax.tree.structure(dataclasses.replace(ctx, train=False)) != structure
