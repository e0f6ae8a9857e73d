"""dtype= of a container is the policy of the layers in it that have none of their own, at whatever depth."""

import jax
import jax.numpy as jnp
import pytest

import fnlayers as fl
from fnlayers.core.operation import Slot

HALF = "mixed_bfloat16"


def of_graph():
    i = fl.Input((3,))
    return fl.functional(i, fl.Dense(3)(i))


CONTAINERS = {
    "Sequential": fl.Sequential([fl.Dense(3), fl.Sequential([fl.Dense(3)])], dtype=HALF),
    "Functional": fl.Functional(of_graph().layers, of_graph().nodes, of_graph().inputs, of_graph().outputs, dtype=HALF),
    "Repeat": fl.Repeat(fl.Dense(3), 2, dtype=HALF),
    "TimeDistributed": fl.TimeDistributed(fl.Dense(3), dtype=HALF),
    "SpectralNormalization": fl.SpectralNormalization(fl.Dense(3), dtype=HALF),
    "Bidirectional": fl.Bidirectional(fl.LSTM(3), dtype=HALF),
    "Operation": fl.Operation("Multiply", (Slot(0), 2.0), dtype=HALF),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_output_has_the_compute_dtype(name):
    layer, shape = CONTAINERS[name], (2, 4, 3) if name in ("TimeDistributed", "Bidirectional") else (2, 3)
    params, state = jax.eval_shape(lambda: (layer.init(jax.random.key(0), shape), layer.init_state(shape)))
    y = jax.eval_shape(lambda p, s: layer.apply(p, jnp.ones(shape), state=s), params, state)
    assert y.dtype == "bfloat16" and {a.dtype.name for a in jax.tree.leaves(params)} <= {"float32"}


def test_a_layer_keeps_its_own_policy_and_objects_stay_one():
    shared, own = fl.Dense(3), fl.Dense(3, dtype="float32")
    model = fl.Sequential([shared, own, shared], dtype="bfloat16")
    assert [layer.dtype for layer in model.layers] == ["bfloat16", "float32", "bfloat16"]
    assert set(model.init(jax.random.key(0), (None, 3))) == {"dense", "dense_1"}
    assert shared.dtype is None
