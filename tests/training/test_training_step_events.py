"""What callbacks see of steps, and what they may return to change a training."""

import json

import jax
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, classes, mlp, same

import fnlayers as fl
from fnlayers.training import fit
from fnlayers.training.callbacks import Event

INJECTED = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)


def fitted(*callbacks, **more):
    options = {"loss": CROSS_ENTROPY, "optimizer": INJECTED, "batch_size": 2, "verbose": False, **more}
    return fit(mlp(), classes(n=24), callbacks=callbacks, **options)


class Steps:
    """A callback of steps alone; `answers` are what it returns, by step."""

    def __init__(self, answers=None):
        self.seen, self.answers = [], answers or {}

    def on_step(self, event):
        self.seen.append(event)
        return self.answers.get(event.step)


def learning_rate(train_state):
    return float(train_state.opt_state.hyperparams["learning_rate"])


def test_it_sees_each_step_in_order_and_changes_no_number():
    steps = Steps()
    result = fitted(steps, epochs=2)
    assert [(e.epoch, e.epochs, e.batch, e.step) for e in steps.seen] == [
        (1 + n // 12, 2, 1 + n % 12, n + 1) for n in range(24)
    ]
    losses = [e.logs["loss"] for e in steps.seen]
    assert np.mean(losses[:12]) == pytest.approx(result.history["loss"][0])
    assert same(result.train_state, fitted(epochs=2).train_state)


@pytest.mark.parametrize("ready", [True, False])
def test_what_it_returns_takes_effect_at_the_same_step_however_fast_the_device_is(ready, monkeypatch):
    """Eight steps later, or after the last step of the epoch."""
    from fnlayers.training.epoch_means import EpochMeans

    if ready:
        collect = EpochMeans.collect
        monkeypatch.setattr(EpochMeans, "collect", lambda self, ahead=0: collect(self, 0))
    seen = []

    class Watches(Steps):
        def on_step(self, event):
            seen.append((event.step, int(event.train_state.step), learning_rate(event.train_state)))
            return super().on_step(event)

    result = fitted(Watches({2: fl.SetLearningRate(0.5), 5: fl.Stop("enough")}))
    assert result.stopped == "enough (after step 5)" and int(result.train_state.step) == 12
    assert seen[:5] == [
        (1, 9, pytest.approx(0.1)),
        (2, 10, pytest.approx(0.1)),
        *[(n, n + 8, 0.5) for n in (3, 4)],
        (5, 12, 0.5),
    ]


def test_a_stop_within_an_epoch_ends_it_there():
    result = fitted(Steps({2: True}), epochs=3, validation_data=classes(n=6))
    assert int(result.train_state.step) == 10 and "Steps object" in result.stopped
    assert {len(values) for values in result.history.values()} == {1} and "val_loss" in result.history


def test_the_learning_rate_of_the_next_epoch():
    class Halves:
        def __call__(self, event):
            return fl.SetLearningRate(learning_rate(event.train_state) / 2)

    result = fitted(Halves(), epochs=2)
    assert learning_rate(result.train_state) == pytest.approx(0.025)

    def schedule(step):
        return 0.1 * 0.5 ** (step // 12)

    expected = fitted(epochs=2, optimizer=optax.sgd(schedule))
    assert same(jax.tree.map(np.round, result.params), jax.tree.map(np.round, expected.params))
    np.testing.assert_allclose(result.history["loss"], expected.history["loss"], rtol=1e-5)


def test_another_train_state():
    first = fitted()

    def back(event):
        return fl.Replace(first.train_state) if event.epoch == 2 else None

    result = fitted(back, epochs=2)
    assert same(result.train_state, first.train_state) and int(result.train_state.step) == 12


def test_what_a_callback_adds_is_kept_shown_written_and_monitored(tmp_path, capsys):
    def score(event):
        seen.append(dict(event.logs))
        return fl.AddLogs({"f1": [0.1, 0.5, 0.3][event.epoch - 1]}) if event.epoch != 2 else None

    seen = []
    csv_log, json_log = fl.CSVLog(tmp_path / "log.csv"), fl.JSONLog(tmp_path / "log.jsonl")
    best = fl.KeepBest("f1", mode="max")
    result = fitted(lambda e: None, json_log, score, csv_log, best, epochs=3, verbose=True)
    np.testing.assert_array_equal(result.history["f1"], [0.1, np.nan, 0.3])
    assert not any("f1" in logs for logs in seen) and int(result.train_state.step) == 36
    lines = capsys.readouterr().err.splitlines()
    assert "f1 0.1" in lines[0] and "f1" not in lines[1]
    header, *rows = csv_log.path.read_text().splitlines()
    assert "f1" in header and len(rows) == 3 and not any("f1" in line for line in json_log.path.read_text())
    score.adds = {"f1": "max"}
    stopped = fitted(score, fl.EarlyStopping("f1", patience=1, restore_best=True), epochs=3)
    assert len(stopped.history["f1"]) == 2 and int(stopped.train_state.step) == 12
    for adds, text in (
        ({"loss": "min"}, "adds 'loss', which is among the logs"),
        (["f1"], "give names and directions"),
    ):
        score.adds = adds
        with pytest.raises(fl.ConfigError, match=text):
            fitted(score)


def writes(event):
    event.train_state.params["dense"]["kernel"] = 0


def changes(event):
    train_state = event.train_state
    train_state.params["dense"]["bias"] = train_state.params["dense"]["bias"] + 1


def changes_and_returns(event):
    train_state = event.train_state
    train_state.params["dense"]["bias"] = train_state.params["dense"]["bias"] + 1
    return fl.Replace(train_state)


def misses(event):
    return fl.Replace(event.train_state._replace(params={"dense": {}}))


def test_a_copy_that_is_changed_is_an_error_or_has_an_effect():
    for callback in (changes, writes):
        with pytest.raises(
            fl.ConfigError, match=r"changed event.train_state, which is a copy.*; return fnlayers.Replace"
        ):
            fitted(callback)
    with pytest.raises(fl.ConfigError, match="copy, and what is written there is lost; return fnlayers.AddLogs"):
        fitted(lambda event: event.logs.update(f1=1))
    plain, changed = fitted(), fitted(changes_and_returns)
    np.testing.assert_array_equal(changed.params["dense"]["bias"], plain.params["dense"]["bias"] + 1)


SCHEDULE = optax.inject_hyperparams(optax.sgd)(learning_rate=optax.linear_schedule(0.1, 0.0, 9))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: fitted(lambda e: fl.SetLearningRate(0.1), optimizer=optax.sgd(0.1)),
            "learning rate is fixed; write opt",
        ),
        (lambda: fitted(lambda e: fl.SetLearningRate(0.1), optimizer=SCHEDULE), "a schedule sets the optimizer's"),
        (lambda: fitted(misses), "params/dense/kernel .*: in the train state alone"),
        (lambda: fitted(lambda e: fl.Replace(e.train_state.params)), "Replace takes a train state, got dict"),
        (lambda: fitted(lambda e: fl.AddLogs({"loss": 1})), "adds 'loss', which is among the logs"),
        (
            lambda: fitted(Steps({3: fl.AddLogs({"a": 1})})),
            "returned AddLogs after step 3; numbers are added at the end",
        ),
        (lambda: fitted(Steps({3: 0.5})), "returned 0.5; return True to end the training"),
        (lambda: fitted(lambda e: (fl.Stop("a"), 1)), "returned .*; return True to end"),
        (lambda: fitted(lambda e: ()), r"returned \(\); return True to end"),
        (lambda: fl.SetLearningRate("0.1"), "SetLearningRate: learning_rate=.*: give a number that is finite"),
        (lambda: fl.SetLearningRate(-1), "learning_rate=-1: give a number that is finite and not neg"),
        (lambda: fl.Stop(""), "give a text that says why"),
        (lambda: fl.AddLogs({"a": [1, 2]}), "AddLogs: 'a' is .*: give one number"),
        (lambda: fl.AddLogs([1]), "give numbers by name"),
        (lambda: fl.JSONLog("a", steps=0), "JSONLog: steps=0"),
    ],
)
def test_results_that_are_wrong(make, text):
    with pytest.raises(fl.ConfigError, match=text):
        make()


def test_lines_of_steps_and_files_that_go_on(tmp_path):
    log = fl.JSONLog(tmp_path / "log.jsonl", steps=5)
    fitted(log)
    rows = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [(row["step"], "batch" in row) for row in rows] == [(5, True), (10, True), (12, False)]
    csv_log = fl.CSVLog(tmp_path / "log.csv")
    for epoch in (1, 2):
        csv_log(Event(epoch, 2, 12 * epoch, {"loss": 0.5}, {}))
    with open(log.path, "a") as file:
        file.write('{"epo')  # the process was killed here
    for each in (log, csv_log):
        each.on_begin(10)  # as a training that goes on from a checkpoint after step 10
    assert [json.loads(line)["step"] for line in log.path.read_text().splitlines()] == [5, 10]
    assert csv_log.path.read_text().splitlines() == ["epoch,step,loss"]


def test_only_the_first_process_shows_and_writes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    fitted(fl.JSONLog(tmp_path / "a", steps=1), fl.CSVLog(tmp_path / "b"), verbose=True)
    assert capsys.readouterr().err == "" and not list(tmp_path.iterdir())


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    log = fl.TensorBoardLog(tmp_path, steps=6)
    result = fitted(log, epochs=2)
    (file,) = tmp_path.iterdir()
    assert log._open == [] and scalars(file)[-1] == ("loss", 24, np.float32(result.history["loss"][1]))
    assert [(name, step) for name, step, _ in scalars(file) if name != "seconds"] == [
        ("step/loss", 6), ("step/loss", 12), ("loss", 12), ("step/loss", 18), ("step/loss", 24), ("loss", 24),
    ]  # fmt: skip


def scalars(path):
    """The numbers in a file of events: (name, step, value)."""
    from tensorboardX.proto.event_pb2 import Event as Record

    rows, data = [], path.read_bytes()
    while data:
        size = int.from_bytes(data[:8], "little")
        record = Record.FromString(data[12 : 12 + size])
        rows += [(value.tag, record.step, value.simple_value) for value in record.summary.value]
        data = data[16 + size :]
    return [row for row in rows if row[0] != "seconds"]
