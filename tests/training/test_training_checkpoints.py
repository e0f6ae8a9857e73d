"""A training that is interrupted and resumed ends with the numbers of one that was not."""

import os
import pathlib
import random
import resource
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, same

import fnlayers as fl
from fnlayers.training import checkpoint_folder, fit

ADAM = optax.adam(0.01)
NOISY = fl.Sequential([fl.Dense(4, "relu"), fl.BatchNormalization(), fl.Dropout(0.5), fl.Dense(3)])
DENSE = fl.Sequential([fl.Dense(4, "relu"), fl.Dropout(0.5), fl.Dense(3)])


def fitted(model=None, data=None, **more):
    options = {"loss": CROSS_ENTROPY, "optimizer": ADAM, "batch_size": 8, "epochs": 3, "verbose": False, **more}
    return fit(model or mlp(), classes(n=36) if data is None else data, **options)


def numbers_of(result):
    return {name: values for name, values in result.history.items() if name != "seconds"}


def equal(a, b):
    assert same(a.train_state, b.train_state) and numbers_of(a) == numbers_of(b) and a.stopped == b.stopped


class Broken(Exception):
    pass


# Orbax reads and writes all arrays at once in a loop of asyncio that ends at the first error. What the other arrays' threads
# then say to the closed loop is printed by Python as an exception that nobody could catch.
fails_in_orbax = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class BreaksAt:
    """A power cut after so many steps."""

    def __init__(self, step):
        self.step = step

    def on_step(self, event):
        if event.step == self.step:
            raise Broken


class Counts:
    """A callback that remembers."""

    def __init__(self):
        self.seen = []

    def on_step(self, event):
        self.seen.append([event.step, event.logs["loss"]])

    def memory(self):
        return self.seen

    def set_memory(self, memory):
        self.seen = memory


@pytest.fixture(autouse=True, scope="module")
def _orbax():
    pytest.importorskip("orbax.checkpoint")


def batches():
    x, y = classes(n=36)
    return [(x[at : at + 8], y[at : at + 8]) for at in range(0, 36, 8)]


class Grain:
    """An iterator that says where it is, as grain's do."""

    def __init__(self):
        self.at = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.at += 1
        return batches()[self.at % 5]

    def get_state(self):
        return {"at": self.at}

    def set_state(self, state):
        self.at = state["at"]


DATA = {
    "arrays": (lambda: classes(n=36), {}),
    "list": (batches, {}),
    "going on": (lambda: batches, {"steps_per_epoch": 4}),
    "iterator": (lambda: iter(batches() * 9), {"steps_per_epoch": 6}),
    "state": (Grain, {"steps_per_epoch": 6}),
    "taken ahead": (Grain, {"steps_per_epoch": 6, "prefetch": 4}),
    # A resumed scan takes steps together in another way, which jax 0.6.0 compiles to other last digits of a variance
    "averaged": (batches, {"ema": 0.9, "guard": "skip", "scan_steps": 2, "model": DENSE}),
}


@pytest.mark.parametrize("kind", DATA)
def test_a_resumed_training_ends_with_the_same_numbers(kind, tmp_path):
    data, more = DATA[kind]
    more = {"model": NOISY, "validation_data": classes(n=9, seed=1), "rng": 7, **more}
    whole, broken, resumed = Counts(), Counts(), Counts()
    keep = fl.KeepBest("loss")
    expected = fitted(data=data(), callbacks=[whole, keep], **more)
    checkpoint = fl.Checkpoint(tmp_path / "run", every=3)
    with pytest.raises(Broken):
        fitted(data=data(), callbacks=[broken, keep, BreaksAt(9)], checkpoint=checkpoint, **more)
    # The event of step 9 came at the end of its epoch, whose own checkpoint was not written any more
    steps = sorted(int(each.name) for each in checkpoint.folder.iterdir())
    assert steps == [3, 6, 9]
    resumed_result = fitted(
        data=data(), callbacks=[keep, resumed], checkpoint=checkpoint, resume=checkpoint.folder, **more
    )
    equal(resumed_result, expected)
    assert resumed.seen == whole.seen
    again = fitted(data=data(), callbacks=[keep, resumed], resume=str(checkpoint.folder), **more)
    equal(again, expected)  # it had ended: nothing is left to do


def test_a_stopped_training_stays_stopped_and_a_finished_one_goes_on_to_more_epochs(tmp_path):
    checkpoint = fl.Checkpoint(tmp_path, keep_last=9)
    stop = fl.EarlyStopping("loss", patience=1, min_delta=9.0)
    expected = fitted(callbacks=[stop], checkpoint=checkpoint, resume=tmp_path)  # an empty folder: it begins
    assert len(expected.history["loss"]) == 2
    equal(fitted(callbacks=[stop], resume=tmp_path), expected)
    fitted(epochs=2, checkpoint=fl.Checkpoint(tmp_path / "b"))
    equal(fitted(epochs=4, resume=tmp_path / "b"), fitted(epochs=4))


def test_the_best_are_kept(tmp_path):
    more = {"optimizer": optax.sgd(20.0), "epochs": 4, "metrics": {"accuracy": fl.metrics.accuracy}}
    result = fitted(checkpoint=fl.Checkpoint(tmp_path, keep_last=1, keep_best=1, monitor="accuracy"), **more)
    best = int(np.argmax(result.history["accuracy"])) + 1
    assert {int(each.name) for each in tmp_path.iterdir()} == {5 * best, 20}
    like = fl.TrainState.create(mlp(), (None, 5), more["optimizer"])
    assert same(fl.restore(tmp_path, like, 5 * best), fitted(**{**more, "epochs": best}).train_state)
    with pytest.raises(fl.MissingError, match="there is no checkpoint 7 in .*; there are"):
        fl.restore(tmp_path, like, 7)


def test_all_that_differs_is_in_one_error(tmp_path):
    fitted(epochs=1, callbacks=[Counts()], checkpoint=fl.Checkpoint(tmp_path))
    other = fl.Sequential([fl.Dense(9, "relu"), fl.Dense(3)])
    with pytest.raises(fl.ConfigError) as caught:
        fitted(other, optimizer=SGD, batch_size=6, resume=tmp_path)
    for text in (
        r"params/dense/kernel: float32[5, 8] in the checkpoint, float32[5, 9] in what was given",
        "opt_state/0/mu/dense_1/bias (float32[3]): in the checkpoint alone",
        "batch size: 8 in the checkpoint, 6 in what was given",
        "callback 1 with a memory (Counts): in the checkpoint alone",
    ):
        assert text in str(caught.value)
    with pytest.raises(
        fl.ConfigError, match=r"differs: params/dense/kernel: float32\[5, 8\] in the checkpoint, [^;]*$"
    ):
        state = fl.TrainState.create(mlp(), (None, 6), SGD)
        fl.restore(tmp_path, state._replace(opt_state=fl.TrainState.create(mlp(), (None, 5), ADAM).opt_state))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda p: fitted(checkpoint=p), fl.ConfigError, "give fl.Checkpoint"),
        (
            lambda p: fitted(checkpoint=fl.Checkpoint(p, keep_best=1)),
            fl.ConfigError,
            "'val_loss' is not among the logs",
        ),
        (lambda p: fitted(resume=p / "nothing"), fl.MissingError, "there is no checkpoint in .*nothing"),
        (lambda p: fitted(resume=3), fl.ConfigError, "fit: resume=3: give the path"),
        (lambda p: fl.Checkpoint(p, every=0), fl.ConfigError, "Checkpoint: every=0: give a whole number"),
        (lambda p: fl.Checkpoint(p, mode="best"), fl.ConfigError, "Checkpoint: mode='best' is unknown"),
        (lambda p: fl.Checkpoint(""), fl.ConfigError, "Checkpoint: folder=''"),
    ],
)
def test_arguments_that_are_wrong(make, error, text, tmp_path):
    with pytest.raises(error, match=text):
        make(tmp_path)


def test_checkpoints_of_another_training_are_not_mixed_with_these(tmp_path):
    fitted(epochs=1, checkpoint=fl.Checkpoint(tmp_path))
    with pytest.raises(fl.ConfigError, match="holds checkpoints already, up to step 5; give resume="):
        fitted(epochs=1, checkpoint=fl.Checkpoint(tmp_path))


@fails_in_orbax
def test_a_disk_that_is_full(tmp_path, monkeypatch):
    """From the second checkpoint on nothing can be written."""

    class FillsTheDisk:
        def __call__(self, event):
            if event.epoch == 2:
                while not (tmp_path / "5").exists():  # the first checkpoint is being written
                    time.sleep(0.01)
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(fl.CheckpointError, match="/10' could not be written: .*whether the disk is full") as caught:
            fitted(epochs=4, callbacks=[FillsTheDisk()], checkpoint=fl.Checkpoint(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert int(caught.value.train_state.step) >= 10 and len(caught.value.history["loss"]) >= 2
    equal(fitted(resume=tmp_path), fitted())


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(fl.CheckpointError, match="could not be written: .*Look whether"):
        fitted(checkpoint=fl.Checkpoint(tmp_path / "file"))

    def refused(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint_folder, "_check_writable", refused)
    with pytest.raises(fl.CheckpointError, match="Permission denied"):
        fitted(checkpoint=fl.Checkpoint(tmp_path / "run"))


@fails_in_orbax
def test_a_damaged_checkpoint_says_so(tmp_path):
    fitted(epochs=1, checkpoint=fl.Checkpoint(tmp_path))
    for file in (tmp_path / "5" / "train_state").rglob("*"):
        if file.is_file() and file.parent.name == "d":
            file.write_bytes(b"")
    with pytest.raises(fl.CheckpointError, match=r"the checkpoint '.*5' could not be read"):
        fitted(resume=tmp_path)
    time.sleep(0.3)  # until orbax's threads are done, so that their exceptions are this test's


def test_keys_and_empty_arrays(tmp_path):
    optimizer = optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(3)), optax.sgd(0.1))
    more = {"model": fl.Dense(3), "optimizer": optimizer, "rng": jax.random.key(1, impl="rbg")}
    expected = fitted(**more)
    fitted(**{**more, "epochs": 1}, checkpoint=fl.Checkpoint(tmp_path))
    equal(fitted(**more, resume=tmp_path), expected)
    state = fl.TrainState(jnp.int32(0), {"a": jnp.zeros((0, 3)), "b": jnp.ones(2, "bfloat16")}, {}, (), jnp.zeros(2))
    writer = checkpoint_folder.Writer(tmp_path / "b", 1, 0)
    writer.write(1, state, None, {"arrays": fl.training.results.kinds(state)}, None)
    writer.wait()
    writer.close()
    assert same(fl.restore(tmp_path / "b", state), state)


LONG = """
import sys
import numpy as np, optax, fnlayers as fl
folder, out = sys.argv[1:]
draw = np.random.default_rng(0)
x = draw.normal(size=(128, 5)).astype("float32")
model = fl.Sequential([fl.Dense(8, "relu"), fl.Dropout(0.5), fl.Dense(3)])
more = {} if folder == "none" else {"checkpoint": fl.Checkpoint(folder, every=7, keep_last=2, keep_best=1, monitor="loss")}
result = fl.fit(
    model, (x, x[:, :3].argmax(-1)), loss=optax.softmax_cross_entropy_with_integer_labels, optimizer=optax.adam(0.01),
    batch_size=4, epochs=6, callbacks=[fl.KeepBest("loss")], resume=folder if more else None, verbose=False, **more,
)
history = {name: values for name, values in result.history.items() if name != "seconds"}
np.savez(out, *fl.paths(result.train_state).values(), **history)
"""


def run(*args, wait=None, **environment):
    """A training in a process of its own; True if it ended by itself within `wait` seconds, else it is killed."""
    root = str(pathlib.Path(fl.__file__).parents[1])
    variables = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": root, **environment}
    with subprocess.Popen([sys.executable, "-c", *map(str, args)], env=variables, stderr=subprocess.PIPE) as process:
        try:
            _, errors = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
    assert process.returncode == 0, errors.decode()
    return True


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_numbers(tmp_path):
    """FNLAYERS_KILLS=100 kills more often."""
    kills, draw = int(os.environ.get("FNLAYERS_KILLS", "4")), random.Random(0)
    start = time.monotonic()
    run(LONG, "none", tmp_path / "expected.npz")
    usual, count, number = time.monotonic() - start, 0, 0
    while count < kills:  # a run that ends is followed by another one
        number += 1
        folder, out = tmp_path / f"run{number}", tmp_path / f"resumed{number}.npz"
        while count < kills and not run(LONG, folder, out, wait=draw.uniform(0.4, 1.6) * usual):
            count += 1
        if not out.exists():
            run(LONG, folder, out)
        with np.load(tmp_path / "expected.npz") as expected, np.load(out) as arrays:
            assert expected.files == arrays.files
            for name in expected.files:
                np.testing.assert_array_equal(arrays[name], expected[name])


DEVICES = """
import sys
import jax, numpy as np, optax, fnlayers as fl
folder, out = sys.argv[1:]
model, optimizer = fl.Dense(4), optax.adam(0.01)
several = len(jax.devices()) > 1
on = {"mesh": jax.make_mesh((len(jax.devices()),), ("data",)), "rules": "fsdp"} if several else {}
state = fl.TrainState.create(model, (None, 6), optimizer, **on)
assert state.params["kernel"].is_fully_replicated != several
x = np.arange(48, dtype="float32").reshape(8, 6) / 48
more = {"train_state": state, "loss": optax.squared_error, "optimizer": optimizer, "shuffle": False, "verbose": False} | on
if out == "write":
    written = fl.fit(model, (x, x[:, :4]), epochs=2, checkpoint=fl.Checkpoint(folder), **more)
    np.save(folder + ".npy", written.params["kernel"])
else:
    restored = fl.restore(folder, state)
    assert restored.params["kernel"].sharding.is_equivalent_to(state.params["kernel"].sharding, 2)
    result = fl.fit(model, (x, x[:, :4]), epochs=3, resume=folder, **more)
    assert len(result.params["kernel"].sharding.device_set) == len(jax.devices()) and int(result.train_state.step) == 3
    np.testing.assert_array_equal(restored.params["kernel"], np.load(folder + ".npy"))
    np.save(out, result.params["kernel"])
"""


@pytest.mark.slow
def test_on_another_number_of_devices(tmp_path):
    def on(devices, *args):
        run(DEVICES, *args, XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}")

    results = []
    for before, after in ((1, 2), (2, 1), (1, 1)):
        folder, out = tmp_path / f"{before}{after}", tmp_path / f"{before}{after}_out.npy"
        on(before, folder, "write")
        on(after, folder, out)
        results.append(np.load(out))
    for trained in results[:2]:
        np.testing.assert_allclose(trained, results[2], rtol=1e-5)


def test_without_orbax_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_folder.importlib.util, "find_spec", lambda name: None)
    for more in ({"checkpoint": fl.Checkpoint(tmp_path)}, {"resume": tmp_path}):
        with pytest.raises(fl.MissingError, match=r"pip install 'fnlayers\[train\]'"):
            fitted(epochs=1, **more)
