"""fl.memory: what a training step needs of each device, against XLA's account of the compiled one."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import optax
import pytest

import fnlayers as fl

MESH = jax.sharding.AbstractMesh((2, 4), ("data", "model"))
MODEL = fl.Sequential([fl.Dense(512, "relu"), fl.BatchNormalization(), fl.Dense(8, trainable=False)])


def test_the_parts_of_one_device():
    """Params, gradients of those that are trained, moments of those, statistics, and the batch: to the byte."""
    account = fl.memory(MODEL, (64, 16), optax.adam(0.1))
    trained, frozen = 16 * 512 + 512 + 2 * 512, 512 * 8 + 8
    assert (account.params, account.gradients, account.state) == (4 * (trained + frozen), 4 * trained, 4 * 2 * 512)
    assert (account.optimizer, account.batch, account.devices) == (4 * (2 * trained + 1), 4 * 64 * (16 + 8), 1)
    hidden = 4 * 64 * 512  # before and after the activation and the statistics
    assert 2 * hidden < account.activations < 5 * hidden
    parts = [getattr(account, name) for name in ("params", "gradients", "state", "optimizer", "activations", "batch")]
    assert account.total == sum(parts)


def test_the_table():
    """Units for people, what is largest, and what could not be split."""
    text = str(fl.memory(MODEL, (64, 16), optax.adam(0.1), MESH, {"batch": "data", "out": "model"}))
    assert text.startswith("memory of one device of 8\n  params ") and "\n  total " in text
    assert "largest arrays of the step:\n  float32[32, " in text and "KiB, dot_general)" in text


def test_devices_share():
    """A mesh of devices that are not here: examples and split weights by the number of devices."""
    one = fl.memory(MODEL, (64, 16), optax.adam(0.1))
    split = fl.memory(
        MODEL, (64, 16), optax.adam(0.1), MESH, {"batch": ("data", "model"), "largest": ("data", "model")}
    )
    assert split.devices == 8 and 8 * split.batch == one.batch
    assert 8 * split.params == one.params and 8 * split.optimizer == pytest.approx(one.optimizer, rel=1e-3)
    data = fl.memory(MODEL, (64, 16), optax.adam(0.1), MESH, "data")
    assert (data.params, data.gradients, 2 * data.batch) == (one.params, one.gradients, one.batch)
    tensor = fl.memory(
        fl.Sequential([fl.Dense(512, "relu"), fl.Dense(8)]), (4096, 16), optax.sgd(0.1), MESH, "data+tensor"
    )
    whole = fl.memory(fl.Sequential([fl.Dense(512, "relu"), fl.Dense(8)]), (4096, 16), optax.sgd(0.1))
    assert tensor.activations < whole.activations / 4 and tensor.batch == whole.batch / 2


def test_remat_takes_less():
    """In a Repeat: each layer's values are computed again, and of all layers together only the inputs stay."""
    block, opt = fl.TransformerEncoder(64, 2), optax.sgd(0.1)
    stored, again = (fl.memory(fl.Repeat(block, 8, remat=remat), (8, 16, 32), opt) for remat in (False, True))
    assert again.params == stored.params and 2 * again.activations < stored.activations


def test_half_precision_takes_half():
    """Of activations; params stay float32."""
    model = [fl.Dense(256, "relu", dtype=dtype) for dtype in ("float32", "mixed_bfloat16")]
    full, half = (fl.memory(each, (4096, 16), optax.sgd(0.1)) for each in model)
    assert half.params == full.params and half.activations < 0.7 * full.activations


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (MODEL, (None, 16), optax.sgd(0.1)),
            fl.ConfigError,
            r"says no number of examples; write memory\(model, \(64,",
        ),
        ((MODEL, (7, 16), optax.sgd(0.1), MESH), fl.ShapeError, r"7 examples does not divide over the 2 devices"),
        ((MODEL, (8, 16), "adam"), fl.ConfigError, "optimizer"),
        (("model", (8, 16), optax.sgd(0.1)), fl.ConfigError, "memory"),
        ((MODEL, (8, 16), optax.sgd(0.1), 8), fl.ConfigError, r"mesh=8 is not a mesh"),
    ],
)
def test_what_it_refuses(arguments, error, message):
    """Each error says what to write."""
    with pytest.raises(error, match=message):
        fl.memory(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mlp", "cnn", "lstm", "transformer"])
def test_it_is_xlas_account(network):
    """Within 15 %, on one device and on eight; see the program."""
    program = Path(__file__).with_name("memory_on_eight_devices.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program, network], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
