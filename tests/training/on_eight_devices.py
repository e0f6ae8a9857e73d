"""A program: trainings on eight virtual devices give the numbers of one device, and arrays stay where the rules say.

python tests/training/on_eight_devices.py quick|long [preset ...]
"""

import os
import sys
from pathlib import Path

os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=8")
sys.path.insert(0, str(Path(__file__).parent.parent))

import jax
import numpy as np
import optax

import fnlayers as fl

LOSS = optax.softmax_cross_entropy_with_integer_labels
OPTIMIZER = optax.sgd(0.05, momentum=0.9)
QUICK = fl.Sequential(
    [
        fl.Embedding(16, 8),
        fl.BatchNormalization(),
        fl.MultiHeadAttention(4, 2),
        fl.Dropout(0.3),
        fl.GlobalAveragePooling1D(),
        fl.Dense(16, "relu", kernel_regularizer="l2"),
        fl.Dense(8, bias_constraint="non_neg"),
    ]
)
LONG = fl.Sequential(
    [
        fl.Embedding(16, 8),
        fl.Conv1D(8, 3, padding="same"),
        fl.BatchNormalization(),
        fl.LSTM(8, return_sequences=True),
        fl.Repeat(fl.TransformerEncoder(16, 4), 2),
        fl.Dropout(0.3),
        fl.GlobalAveragePooling1D(),
        fl.Dense(16, "relu"),
        fl.Dense(8),
    ]
)
NUMBERS = np.random.RandomState(0)
X, Y = NUMBERS.randint(0, 16, (16, 8)).astype("int32"), NUMBERS.randint(0, 8, 16).astype("int32")


def mesh_of(rules, kind="Auto"):
    """As a preset needs it."""
    shape, names = ((2, 4), ("data", "model")) if "tensor" in rules else ((8,), ("data",))
    return jax.make_mesh(shape, names, axis_types=(getattr(jax.sharding.AxisType, kind),) * len(names))


def close(got, expected, what):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5, err_msg=str(what))


def trained(model, steps, **on):
    """(train state, logs of each step) of `make_step`."""
    step = fl.make_step(model, LOSS, OPTIMIZER, metrics=["sparse_categorical_accuracy"], **on)
    state, logs = fl.TrainState.create(model, (None, 8), OPTIMIZER, **on), []
    for _ in range(steps):
        state, log = step(state, (X, Y))
        logs.append(jax.device_get(log))
    return state, logs


def check_places(model, state, mesh, rules):
    plan = fl.shardings(model, (None, 8), mesh, rules, OPTIMIZER)
    for a, where in zip(jax.tree.leaves(state[1:4]), jax.tree.leaves(tuple(plan[:3])), strict=True):
        assert a.sharding.is_equivalent_to(where, a.ndim), (rules, a.shape, a.sharding, where)


def check_steps(model, steps, presets):
    """Steps under each preset, and kind of mesh, are those of one device."""
    expected = trained(model, steps)
    for rules, kind in presets:
        mesh = mesh_of(rules, kind)
        state, logs = trained(model, steps, mesh=mesh, rules=rules)
        close((state, logs), expected, (rules, kind))
        check_places(model, state, mesh, rules)
        print(rules, kind, flush=True)


def check_given_params(model):
    """Params from elsewhere are moved to where the rules say; what they were stays."""
    params, state = model.init(jax.random.key(1), (None, 8)), model.init_state((None, 8))
    params = jax.device_put(params, jax.devices()[3])
    mesh = mesh_of("fsdp")
    made = fl.TrainState.create(model, (None, 8), OPTIMIZER, params=params, state=state, mesh=mesh, rules="fsdp")
    close(made.params, params, "given")
    check_places(model, made, mesh, "fsdp")


def check_errors(model):
    step = fl.make_step(model, LOSS, OPTIMIZER, mesh=mesh_of("data"))
    try:
        step(fl.TrainState.create(model, (None, 8), OPTIMIZER), (X[:9], Y[:9]))
    except fl.ShapeError as error:
        assert "a batch of 9 examples does not divide over the 8 devices of 'data'" in str(error), error
    else:
        raise AssertionError("a batch that does not divide was taken")


def main(length, *presets):
    if length == "long":
        chosen = presets or ("data", "fsdp", "tensor", "data+tensor")
        return check_steps(LONG, 20, [(rules, kind) for rules in chosen for kind in ("Auto", "Explicit")])
    import quick_compilation  # noqa: F401

    check_steps(QUICK, 2, [("fsdp", "Auto"), ("data+tensor", "Explicit")])
    check_given_params(QUICK)
    check_errors(QUICK)


main(*sys.argv[1:])
