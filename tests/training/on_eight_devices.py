"""A program: 20 steps of one model on one device, and on eight virtual ones under each preset and kind of mesh."""

import os
import sys

os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=8")

import jax
import numpy as np
import optax

import fnlayers as fl

jax.config.update("jax_default_matmul_precision", "float32")
STEPS, MODEL = (
    20,
    fl.Sequential(
        [
            fl.Embedding(16, 8),
            fl.Conv1D(8, 3, padding="same"),
            fl.BatchNormalization(),
            fl.LSTM(8, return_sequences=True),
            fl.Repeat(fl.TransformerEncoder(16, 4), 2),
            fl.Dropout(0.3),
            fl.GlobalAveragePooling1D(),
            fl.Dense(12, "relu"),
            fl.Dense(8),
        ]
    ),
)
OPTIMIZER = optax.sgd(0.05, momentum=0.9)
NUMBERS = np.random.RandomState(0)
X, Y = NUMBERS.randint(0, 16, (16, 8)).astype("int32"), NUMBERS.randint(0, 8, 16).astype("int32")


def trained(**on):
    """(train state, logs of each step)."""
    loss = optax.softmax_cross_entropy_with_integer_labels
    step = fl.make_step(MODEL, loss, OPTIMIZER, metrics=["sparse_categorical_accuracy"], **on)
    state, logs = fl.TrainState.create(MODEL, (None, 8), OPTIMIZER, **on), []
    for _ in range(STEPS):
        state, log = step(state, (X, Y))
        logs.append(jax.device_get(log))
    return state, logs


def compare(rules, kind, expected):
    """The same numbers, and arrays that are still where the rules say."""
    shape, names = ((2, 4), ("data", "model")) if "tensor" in rules else ((8,), ("data",))
    mesh = jax.make_mesh(shape, names, axis_types=(getattr(jax.sharding.AxisType, kind),) * len(names))
    state, logs = trained(mesh=mesh, rules=rules)
    for got, wanted in zip(jax.tree.leaves((state, logs)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=1e-5, atol=1e-5, err_msg=f"{rules} {kind}")
    plan = fl.shardings(MODEL, (None, 8), mesh, rules, OPTIMIZER)
    for a, where in zip(jax.tree.leaves(state[1:4]), jax.tree.leaves(tuple(plan[:3])), strict=True):
        assert a.sharding.is_equivalent_to(where, a.ndim), (rules, kind, a.shape, a.sharding, where)


expected = trained()
for rules in sys.argv[1:] or ("data", "fsdp", "tensor", "data+tensor"):
    for kind in ("Auto", "Explicit"):
        compare(rules, kind, expected)
        print(rules, kind, flush=True)
