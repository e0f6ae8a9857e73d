"""fl.shardings: where arrays lie on a mesh, planned without a device; and what trainings on eight virtual devices give."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import fnlayers as fl

P = jax.sharding.PartitionSpec
MESH = jax.sharding.AbstractMesh((2, 4), ("data", "model"))
HIDDEN = fl.Sequential([fl.Dense(8, "relu"), fl.Dropout(0.5), fl.Dense(4), fl.Dense(4)])


def specs(tree):
    return {path: tuple(sharding.spec) for path, sharding in fl.paths(tree).items()}


def test_tensor_parallelism_splits_pairs_of_kernels_heads_and_vocabulary():
    """The first kernel of a pair by columns, the second by rows, so that one sum over devices does."""
    model = fl.Sequential(
        [fl.Embedding(16, 8, name="table"), fl.Repeat(fl.TransformerEncoder(16, 4), 2, name="blocks")]
    )
    plan = specs(fl.shardings(model, (None, 5), MESH, "tensor").params)
    split = {path.removeprefix("blocks/layer/"): spec for path, spec in plan.items() if spec}
    assert split == {
        "table/embeddings": ("model",),
        **{f"self_attention/{name}/kernel": (None, None, "model") for name in ("query", "key", "value")},
        **{f"self_attention/{name}/bias": (None, "model") for name in ("query", "key", "value")},
        "self_attention/attention_output/kernel": (None, "model"),
        "feedforward_intermediate_dense/kernel": (None, None, "model"),
        "feedforward_intermediate_dense/bias": (None, "model"),
        "feedforward_output_dense/kernel": (None, "model"),
    }
    pairs = specs(fl.shardings(HIDDEN, (None, 3), MESH, "data+tensor").params)
    assert pairs["dense/kernel"] == (None, "model") and pairs["dense_1/kernel"] == ("model",)
    assert pairs["dense/bias"] == ("model",) and pairs["dense_2/kernel"] == ()


def test_a_graph_has_pairs_where_one_layer_alone_reads_another():
    """A Dense layer that two others read is no first of a pair."""
    x = fl.Input((4,))
    read_twice, once = fl.Dense(8, name="twice")(x), fl.Dense(8, name="once")(x)
    y = fl.Add()(fl.Dense(4, name="a")(read_twice), fl.Dense(4, name="b")(read_twice))
    model = fl.functional(x, (y, fl.Dense(4, name="c")(once)))
    plan = specs(fl.shardings(model, None, MESH, "tensor").params)
    assert [path for path, spec in plan.items() if spec] == ["c/kernel", "once/bias", "once/kernel"]


@pytest.mark.parametrize("rules", ["data", "fsdp"])
def test_fully_sharded_params_and_their_optimizer_state(rules):
    """The largest axis that divides; batches by their first axis; state whole."""
    model = fl.Sequential([fl.Dense(8), fl.BatchNormalization(), fl.Dense(3, trainable=False)])
    plan = fl.shardings(model, (None, 6), MESH, rules, optax.adam(0.1))
    first = (None, "data") if rules == "fsdp" else ()
    assert tuple(plan.batch.spec) == ("data",) and tuple(plan.whole.spec) == ()
    assert specs(plan.params)["dense/kernel"] == first and set(specs(plan.state).values()) == {()}
    by_path = specs(plan.opt_state)
    assert by_path["0/mu/dense/kernel"] == by_path["0/nu/dense/kernel"] == first and by_path["0/count"] == ()
    if rules == "fsdp":
        assert plan.notes == ("dense_1/bias: largest 3 does not divide by 2 (data)",)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.MultiSteps(optax.adam(0.1), 2),
        optax.masked(optax.adam(0.1), lambda params: jax.tree.map(lambda a: a.ndim > 1, params)),
        optax.lbfgs(),
        optax.adafactor(0.1, min_dim_size_to_factor=2),
        fl.optimizer("adamw", ema=0.9),
    ],
    ids=["accumulated", "masked", "lbfgs", "factored", "averaged"],
)
def test_the_state_of_any_optimizer_is_planned(optimizer):
    """What is like a param is split as it is, behind axes of its own; what is not is whole."""
    plan = fl.shardings(fl.Dense(8), (None, 6), MESH, "fsdp", optimizer)
    state = jax.eval_shape(optimizer.init, jax.eval_shape(lambda: fl.Dense(8).init(jax.random.key(0), (None, 6))))
    by_path = specs(plan.opt_state)
    for path, a in fl.paths(state).items():
        like_kernel = path.endswith("kernel") and a.shape[-2:] == (6, 8)
        assert not like_kernel or by_path[path][-2:] == (None, "data"), path
        assert len(by_path[path]) <= a.ndim
    assert any(by_path.values()) or "v_row" in str(state)


def test_an_own_layers_axes_are_names_for_rules():
    """Any name that a Param has may stand in a rule."""

    class Table(fl.Layer):
        def weights(self, shape):
            return {"table": fl.Param((6, 8), axes=("experts", None))}

        def call(self, params, x):
            return x @ params["table"]

    plan = fl.shardings(Table(), (None, 6), MESH, {"experts": "data", "batch": ("data", "model")})
    assert tuple(plan.params["table"].spec) == ("data",) and tuple(plan.batch.spec) == (("data", "model"),)


def test_an_axis_that_does_not_divide_is_whole_and_said_so():
    """In a warning where a rule names it, in the notes always."""
    with pytest.warns(UserWarning, match=r"whole on each device: query/kernel: heads 3 does not divide by 4 \(model\)"):
        plan = fl.shardings(fl.MultiHeadAttention(3, 2), (None, 5, 4), MESH, "tensor")
    assert set(specs(plan.params).values()) == {()} and len(plan.notes) == 7


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"heads": "model"}, r"no weight of the model has an axis heads; its logical axes are hidden, in, out"),
        ("tensor", None),
        ("fdsp", "rules='fdsp' is not a preset; choose from data, fsdp, tensor"),
        ({"out": "expert"}, r"'out' goes to 'expert', which is not an axis of the mesh"),
        ({"out": None}, "'out': None is no rule"),
        ({"out": ("data", "data")}, "an axis stands twice"),
        (8, "rules=8 is not a preset"),
    ],
)
def test_rules_that_cannot_be_meant(rules, message):
    """Each is an error that says what there is."""
    if message is None:  # a preset none of whose rules names an axis of the model's
        model, message = fl.Conv1D(4, 2), "no weight of the model has an axis heads, hidden, vocab"
        with pytest.raises(fl.ConfigError, match=message):
            fl.shardings(model, (None, 5, 3), MESH, rules)
        return
    with pytest.raises(fl.ConfigError, match=message):
        fl.shardings(HIDDEN, (None, 3), MESH, rules)


def test_what_is_no_mesh():
    """It says how to make one."""
    with pytest.raises(fl.ConfigError, match=r"mesh=8 is not a mesh; write mesh = jax.make_mesh"):
        fl.shardings(HIDDEN, (None, 3), 8)


def on_eight_devices(*arguments):
    program = Path(__file__).with_name("on_eight_devices.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_trainings_on_eight_devices():
    """A small model; see the program."""
    on_eight_devices("quick")


@pytest.mark.slow
@pytest.mark.parametrize("presets", [("data", "fsdp"), ("tensor", "data+tensor")], ids=", ".join)
def test_twenty_steps_on_eight_devices_are_those_of_one(presets):
    """Convolution, batch statistics, LSTM, attention, dropout, under automatic and explicit axes.

    Two presets in a process, which needs the numbers of one device but once.
    """
    on_eight_devices("long", *presets)


@pytest.mark.slow
def test_collectives_of_each_preset():
    """Counted in the compiled step: no activation is gathered."""
    on_eight_devices("collectives")


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """Four devices each, over loopback; the example's losses and params are those of one process with eight devices."""
    example = Path(__file__).parents[2] / "examples" / "distributed.py"

    def start(devices, *options):
        flags = f"--xla_force_host_platform_device_count={devices}"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": flags,
        }
        command = [sys.executable, example, "--epochs", "1", *options]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def ended(process):
        try:
            output, _ = process.communicate(timeout=300)
        finally:
            process.kill()
        assert process.returncode == 0, output
        return output.splitlines()[-1].partition(": ")[2]

    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    two = [
        start(
            4, "--coordinator", address, "--processes", "2", "--process", str(i), "--out", tmp_path / "two.safetensors"
        )
        for i in range(2)
    ]
    losses = [ended(process) for process in two]
    losses.append(ended(start(8, "--out", tmp_path / "one.safetensors")))
    assert len(set(losses)) == 1 and losses[0].startswith("loss ")
    (_, *together), (_, *alone) = (fl.load(tmp_path / f"{name}.safetensors") for name in ("two", "one"))
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
