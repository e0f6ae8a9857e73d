"""A program: trainings on eight virtual devices give the numbers of one device, and arrays stay where the rules say.

python tests/training/on_eight_devices.py quick|collectives|long [preset ...]
"""

import os
import re
import sys
from collections import Counter
from pathlib import Path

os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=8")
sys.path.insert(0, str(Path(__file__).parent.parent))

import jax
import numpy as np
import optax

import fnlayers as fl
import quick_compilation  # noqa: F401  # optimized programs on a mesh are those of examples/distributed.py
from fnlayers.training.placing import rows_of

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
SMALL = fl.Sequential([fl.Embedding(16, 8), fl.Flatten(), fl.BatchNormalization(), fl.Dropout(0.3), fl.Dense(8)])
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
    train_state = fl.TrainState.create(model, (None, 8), OPTIMIZER, params=params, state=state, mesh=mesh, rules="fsdp")
    close(train_state.params, params, "given")
    check_places(model, train_state, mesh, "fsdp")


def fitted(model, data, **on):
    """All that fit, evaluate and predict return: shuffled, with validation whose last batch does not divide."""
    options = {"loss": LOSS, "metrics": ["sparse_categorical_accuracy"], "batch_size": 8}
    on_data = {name: on[name] for name in ("mesh", "rules") if name in on}
    result = fl.fit(model, data, optimizer=OPTIMIZER, epochs=2, validation_data=(X[:11], Y[:11]), verbose=False,
                    ema=0.5, **options, **on)  # fmt: skip
    history = {name: values for name, values in result.history.items() if name != "seconds"}
    figures = fl.evaluate(model, result.params, data, state=result.state, **options, **on_data)
    y = fl.predict(model, result.params, data[0], state=result.state, batch_size=8, **on_data)
    return (history, result.params, result.state, figures, y), result.train_state


def check_fit(model):
    """Numbers of one device; arrays that are on a mesh already stay there, without mesh=, too."""
    data = np.concatenate([X, X])[:24], np.concatenate([Y, Y])[:24]  # three batches, of which two in one program
    expected, _ = fitted(model, data)
    got, state = fitted(model, data, mesh=mesh_of("fsdp"), rules="fsdp", scan_steps=2)
    close(got, expected, "fit")
    ahead, placed = fitted(model, data, mesh=mesh_of("fsdp"), rules="fsdp", scan_steps=2, prefetch=2)
    for a, b in zip(jax.tree.leaves((ahead, placed)), jax.tree.leaves((got, state)), strict=True):
        np.testing.assert_array_equal(a, b, err_msg="prefetch")
        assert getattr(a, "sharding", None) == getattr(b, "sharding", None)
    check_places(model, state._replace(opt_state=state.opt_state[0]), mesh_of("fsdp"), "fsdp")
    rows = jax.sharding.NamedSharding(mesh_of("data", "Explicit"), jax.sharding.PartitionSpec("data"))
    x, y = (jax.device_put(a, rows) for a in data)
    assert rows_of(x, slice(0, 8)).sharding == rows_of(x, np.arange(8)[::-1]).sharding == rows
    got, state = fitted(model, (x, y))
    close(got, expected, "sharded inputs")
    assert all(len(a.sharding.device_set) == 8 for a in jax.tree.leaves(state))
    print("fit", flush=True)


def check_born_sharded():
    """The program that makes a train state needs memory for a device's own part alone, in which it is drawn."""
    mesh, model = mesh_of("fsdp"), fl.Sequential([fl.Embedding(4096, 64), fl.Dense(512), fl.Dense(1024)])

    def create(key):
        return fl.TrainState.create(model, (None, 8), optax.adam(0.1), key, mesh=mesh, rules="fsdp")

    used = jax.jit(create).lower(jax.random.key(0)).compile().memory_analysis()
    assert used is not None
    params = 4 * fl.count(jax.eval_shape(create, jax.random.key(0)).params)
    assert used.output_size_in_bytes < 1.01 * 3 * params / 8, used  # with the two moments of adam
    assert used.temp_size_in_bytes < params / 2, used  # some arrays like the part that is drawn


def check_errors(model):
    step = fl.make_step(model, LOSS, OPTIMIZER, mesh=mesh_of("data"))
    try:
        step(fl.TrainState.create(model, (None, 8), OPTIMIZER), (X[:9], Y[:9]))
    except fl.ShapeError as error:
        assert "a batch of 9 examples does not divide over the 8 devices of 'data'" in str(error), error
    else:
        raise AssertionError("a batch that does not divide was taken")


COLLECTIVE = re.compile(r"= (.*?) (all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")
SHAPE = re.compile(r"\w+\[([\d,]*)\]")


def collectives(model, rules, x, y, kind="Auto"):
    """[(kind, shape of an array that it moves)] in the compiled step."""
    on = {"mesh": mesh_of(rules, kind), "rules": rules}
    step = fl.make_step(model, LOSS, optax.sgd(0.1), **on)
    state = fl.TrainState.create(model, (None, *x.shape[1:]), optax.sgd(0.1), **on)
    text = step.lower(state, step.placing.batch((x, y))).compile().as_text()
    matches = [COLLECTIVE.search(line) for line in text.splitlines()]
    return [
        (m[2], tuple(int(n) for n in s.split(",") if n))
        for m in matches
        if m
        for s in SHAPE.findall(m[1].partition("(")[2] or m[1])
    ]


def check_collectives():
    """Gradients are summed, split params gathered, and each half of a block has one sum of activations, each way."""
    model = fl.Sequential(
        [fl.Embedding(64, 24), fl.TransformerEncoder(32, 4), fl.GlobalAveragePooling1D(), fl.Dense(8)]
    )
    x, y = np.zeros((64, 6), "int32"), np.zeros(64, "int32")
    sizes = [a.size for a in jax.tree.leaves(model.init(jax.random.key(0), (None, 6)))]
    for rules in ("data", "fsdp", "tensor", "data+tensor"):
        moved = collectives(model, rules, x, y)
        rows = 384 if rules == "tensor" else 192  # examples times steps
        of_rows = [shape for _, shape in moved if len(shape) > 1 and shape[:-1] in ((rows,), (rows // 6, 6))]
        print(rules, Counter(kind for kind, _ in moved), len(of_rows), flush=True)
        kinds = {kind for kind, _ in moved}
        gathered = [shape for kind, shape in moved if kind == "all-gather"]
        assert kinds <= {"all-reduce", "reduce-scatter"} | ({"all-gather"} if rules == "fsdp" else set()), (
            rules,
            moved,
        )
        of_params = (
            [] if rules != "fsdp" else sorted(sizes)
        )  # some are gathered in another shape, heads and sizes as one
        assert Counter(map(np.prod, gathered)) <= Counter(of_params) and bool(gathered) == (rules == "fsdp"), gathered
        # The embedding, attention, and the pair of Dense layers; in the backward pass q, k and v have sums of their own
        assert len(of_rows) == (7 if "tensor" in rules else 0), (rules, of_rows)


def check_collectives_in_a_loop():
    """In a Repeat, too, split params are gathered, and no activation is: each device has its own examples alone."""
    block = fl.TransformerEncoder(40, 4)
    model = fl.Sequential([fl.Dense(24), fl.Repeat(block, 3, remat=True), fl.Dense(8)])
    x, y = np.zeros((16, 6, 8), "float32"), np.zeros((16, 6), "int32")
    for kind in ("Auto", "Explicit"):
        moved = collectives(model, "fsdp", x, y, kind)
        print("repeat", kind, Counter(name for name, _ in moved), flush=True)
        assert {name for name, _ in moved} <= {"all-gather", "all-reduce", "reduce-scatter"}, moved
        assert not any(shape[:2] == (16, 6) or shape[:1] == (96,) for _, shape in moved), moved
        assert ("all-gather", (24, 40)) in moved, moved


def main(length, *presets):
    if length == "collectives":
        check_collectives_in_a_loop()
        return check_collectives()
    if length == "long":
        chosen = presets or ("data", "fsdp", "tensor", "data+tensor")
        return check_steps(LONG, 20, [(rules, kind) for rules in chosen for kind in ("Auto", "Explicit")])
    check_steps(QUICK, 2, [("fsdp", "Auto"), ("data+tensor", "Explicit")])
    check_given_params(QUICK)
    check_fit(SMALL)
    check_born_sharded()
    check_errors(QUICK)


main(*sys.argv[1:])
