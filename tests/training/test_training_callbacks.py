import csv
import functools
import json

import jax
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, same

import fnlayers as fl
from fnlayers.training import CSVLog, EarlyStopping, Event, JSONLog, KeepBest, fit, metrics
from fnlayers.training.directions import directions_of
from fnlayers.training.objective import objective_of


def fitted(**more):
    return fit(mlp(), classes(), **{"loss": CROSS_ENTROPY, "optimizer": SGD, "verbose": False, **more})


def event(directions=None, **history):
    return Event(len(next(iter(history.values()))), 10, 1, {}, history, None, directions or {})


class KeepsLoss:
    def __call__(self, event):
        return False

    def keeps(self, event):
        return event.logs["loss"]


def test_a_callback_is_a_function_of_the_epoch():
    events = []
    result = fitted(epochs=3, callbacks=[events.append])
    assert [(e.epoch, e.epochs, e.step) for e in events] == [(1, 3, 2), (2, 3, 4), (3, 3, 6)]
    assert [e.logs["loss"] for e in events] == result.history["loss"]
    assert [len(e.history["loss"]) for e in events] == [1, 2, 3]


def test_a_true_result_ends_the_training():
    def enough(event):
        return event.epoch == 2

    result = fitted(epochs=9, callbacks=[enough])
    assert len(result.history["loss"]) == 2 and "enough" in result.stopped and "after epoch 2" in result.stopped


def test_the_train_state_of_an_event_outlives_the_next_step():
    states = []
    result = fitted(epochs=3, callbacks=[lambda event: states.append(event.train_state)])
    assert not any(a.is_deleted() for a in jax.tree.leaves(states))
    assert [int(s.step) for s in states] == [2, 4, 6] and same(states[-1], result.train_state)


def test_early_stopping():
    stop = EarlyStopping("val_loss", patience=2)
    assert not stop(event(val_loss=[3.0, 2.0, 2.5])) and stop(event(val_loss=[3.0, 2.0, 2.5, 2.0]))
    assert stop(event(val_loss=[3.0, float("nan"), float("nan")]))
    assert not EarlyStopping("val_accuracy", 1)(event({"val_accuracy": "max"}, val_accuracy=[0.1, 0.2]))
    assert not EarlyStopping("loss", 2)(event(loss=[1.0, -np.inf, 0.5]))
    assert EarlyStopping("val_accuracy", 1, mode="min")(event(val_accuracy=[0.1, 0.2]))
    assert EarlyStopping("loss", 1, min_delta=0.5)(event(loss=[1.0, 0.6]))
    assert not EarlyStopping("loss", 1, min_delta=0.3)(event(loss=[1.0, 0.6]))


def test_early_stopping_restores_the_best():
    # With steps far too long the first epoch stays the best
    states = []
    more = {"optimizer": optax.sgd(50.0), "epochs": 9, "validation_data": classes(seed=1)}
    stop = EarlyStopping(patience=2, restore_best=True)
    result = fitted(callbacks=[stop, lambda event: states.append(event.train_state)], **more)
    values = result.history["val_loss"]
    assert len(values) < 9 and result.stopped.startswith("EarlyStopping(")
    best = int(np.argmin(values))
    assert best < len(values) - 1 and same(result.train_state, states[best])


def test_keep_best():
    states = []
    result = fitted(
        epochs=4, metrics={"accuracy": metrics.accuracy}, optimizer=optax.sgd(20.0),
        callbacks=[KeepBest("accuracy"), lambda event: states.append(event.train_state)],
    )  # fmt: skip
    assert len(result.history["accuracy"]) == 4 and result.stopped is None
    assert same(result.train_state, states[int(np.argmax(result.history["accuracy"]))])


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_logs_as_files(tmp_path):
    json_log, csv_log = JSONLog(tmp_path / "log.jsonl"), CSVLog(str(tmp_path / "log.csv"))
    for _ in range(2):  # the second run starts the files again
        result = fitted(epochs=2, callbacks=[json_log, csv_log])
    lines = [json.loads(line) for line in json_log.path.read_text().splitlines()]
    rows = table(csv_log.path)
    assert [line["loss"] for line in lines] == result.history["loss"] == [float(row["loss"]) for row in rows]
    assert [line["epoch"] for line in lines] == [1, 2] and [line["step"] for line in lines] == [2, 4]
    fitted(callbacks=[CSVLog(csv_log.path, append=True)])
    assert len(table(csv_log.path)) == 3


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: fitted(callbacks=[EarlyStopping()]),
            "'val_loss' is not among the logs .loss, seconds.; give fit valid",
        ),
        (lambda: fitted(callbacks=[None]), "the callback None is not callable; a callback is a function"),
        (lambda: fitted(callbacks=None), "callbacks=None: give a list"),
        (lambda: fitted(callbacks=KeepBest("loss")), "callbacks=KeepBest.*: give a list"),
        (lambda: fitted(callbacks=[KeepBest]), r"the callback KeepBest is a class; give an object: KeepBest\(...\)"),
        (lambda: fitted(callbacks=[lambda: True]), "must take one argument, the Event"),
        (lambda: fitted(callbacks=[lambda event, logs: True]), "must take one argument, the Event"),
        (lambda: fitted(callbacks=[lambda event: event.logs["loss"]]), "the callback .*lambda.* returned [0-9.]+; ret"),
        (lambda: fitted(callbacks=[KeepsLoss()]), "KeepsLoss.* returned [0-9.]+; return True to keep the train state"),
        (lambda: fitted(callbacks=[lambda event: [1]]), r"returned \[1\]; return True to end the training"),
        (lambda: event(f1=[0.5]).since_best("f1"), "nothing says whether more or less of 'f1' is better; write mode"),
        (lambda: fitted(callbacks=[KeepBest("acc")]), r"'acc' is not among the logs \(loss, seconds\)$"),
        (lambda: EarlyStopping(patience=0), "patience=0: give a whole number"),
        (lambda: KeepBest(mode="best"), "mode='best' is unknown; choose from min, max, None"),
    ],
)
def test_callbacks_that_are_wrong(make, text):
    with pytest.raises(fl.ConfigError, match=text):
        make()


def f1(y_pred, y_true):
    return metrics.accuracy(y_pred, y_true)


class AUC:
    better = "max"

    def __call__(self, y_pred, y_true):
        return f1(y_pred, y_true)


@pytest.mark.parametrize(
    ("function", "better"),
    [
        (metrics.accuracy, "max"), (metrics.cosine_similarity, "max"), (metrics.top_k_accuracy(2), "max"), (AUC(), "max"),
        (functools.partial(metrics.binary_accuracy, threshold=0.0), "max"), (optax.squared_error, "min"),
        (metrics.mean_absolute_error, "min"), (f1, None),
    ],
)  # fmt: skip
def test_a_metric_says_which_way_is_better_whatever_its_name(function, better):
    directions = directions_of(objective_of(CROSS_ENTROPY, {"error": function}), held_out=True)
    assert directions["error"] == directions["val_error"] == better
    assert directions["loss"] == directions["val_loss"] == "min"


def test_a_loss_is_minimized_whatever_its_name():
    losses = {"similarity": optax.cosine_distance, "b": optax.squared_error}
    assert set(directions_of(objective_of(losses), held_out=True).values()) == {"min"}


def test_a_direction_that_is_not_known_is_an_error_before_the_first_step():
    calls = []
    more = {"metrics": {"acc": f1}, "validation_data": classes(seed=1)}
    for callback in (KeepBest("val_acc"), EarlyStopping("acc")):
        with pytest.raises(fl.ConfigError, match="nothing says whether more or less of '(val_)?acc' is better"):
            fitted(callbacks=[calls.append, callback], **more)
    assert not calls
    fitted(callbacks=[KeepBest("val_acc", mode="max")], **more)


def test_the_result_of_a_callback_may_be_numpys_true():
    assert fitted(epochs=3, callbacks=[lambda event: np.bool_(event.epoch == 2)]).stopped.endswith("after epoch 2")


def test_an_event_is_a_copy_that_does_not_change():
    def write(event):
        assert json.loads(json.dumps(event.logs)) == dict(event.logs) and event.history["loss"] == (event.logs["loss"],)
        for change in (
            lambda: event.logs.update(mine=1),
            lambda: event.history.__setitem__("mine", [1]),
            lambda: event.logs.pop("loss"),
        ):
            with pytest.raises(fl.ConfigError, match="a copy, and what is written there is lost"):
                change()
        with pytest.raises(AttributeError):
            event.stop = True

    assert set(fitted(callbacks=[write]).history) == {"loss", "seconds"}
