"""Nothing is lost of a training that ends with an error."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, same

import fnlayers as fl
from fnlayers.training import EarlyStopping, KeepBest, evaluate, fit, predict

X, Y = classes()


def fails(kind, data: Any = (X, Y), **more) -> Any:
    with pytest.raises(kind) as caught:
        fit(mlp(), data, **{"loss": CROSS_ENTROPY, "optimizer": SGD, "batch_size": 10, "verbose": False, **more})
    return caught.value


def reached(steps, batch_size=10):
    x, y = (a[: steps * batch_size] for a in (X, Y))
    more = {"loss": CROSS_ENTROPY, "optimizer": SGD, "batch_size": batch_size, "verbose": False}
    return fit(mlp(), (x, y), shuffle=False, **more).train_state


def breaking(error, at):
    def batches():
        for number in range(4):
            if number == at:
                raise error
            yield X[10 * number : 10 * number + 10], Y[10 * number : 10 * number + 10]

    return batches


@pytest.mark.parametrize("error", [OSError("the disk is gone"), RuntimeError(), SystemExit(1), StopAsyncIteration()])
def test_an_error_of_the_data(error):
    raised = fails(type(error), breaking(error, 2))
    assert raised is error and same(raised.train_state, reached(2)) and raised.history == {}
    assert "error.train_state" in raised.__notes__[-1] and "2 steps" in raised.__notes__[-1]


def test_data_that_are_wrong_or_run_out():
    batches = [(X[:10], Y[:10]), (X[:10], Y[:9])]
    assert int(fails(ValueError, batches).train_state.step) == 1
    error = fails(ValueError, iter([(X[:10], Y[:10])] * 3), epochs=2, steps_per_epoch=2)
    assert int(error.train_state.step) == 3 and len(error.history["loss"]) == 1
    assert int(fails(ValueError, [(X[:10], Y[:10]), (X[:10, :3], Y[:10])]).train_state.step) == 1


def test_an_error_of_a_callback_and_going_on():
    def broken(event):
        if event.epoch == 2:
            raise KeyError("wandb")

    error = fails(KeyError, epochs=3, callbacks=[KeepBest("loss"), broken])
    assert int(error.train_state.step) == 8 and len(error.history["loss"]) == 2
    more = {"loss": CROSS_ENTROPY, "optimizer": SGD, "batch_size": 10, "verbose": False}
    rest = fit(mlp(), (X, Y), train_state=error.train_state, **more)
    assert same(rest.train_state, fit(mlp(), (X, Y), epochs=3, **more).train_state)


def test_an_error_of_the_validation():
    error = fails(OSError, validation_data=breaking(OSError(), 2))
    assert int(error.train_state.step) == 4
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(error.train_state))


ROWS = [(X[:10], Y[:10]), (X[10:20], Y[10:20])]
SECOND = "^batch 2 of the epoch: "


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([ROWS[0], (X[:10], Y[:9])], SECOND + "the examples do not pair: x has 10, y has 9"),
        ([ROWS[0], (X[:10], Y[:10] + 9)], SECOND + r"y\[\d\] is \d+, but the model's output has 3 classes"),
        ([ROWS[0], (X[:10], np.eye(3)[Y[:10]])], SECOND + "'loss': y_pred has shape"),
        ([ROWS[0], X], SECOND + "a batch is"),
        (
            [ROWS[0], (X[:10, :3], Y[:10])],
            r"^batch 2 of epoch 1 is not like .*x is float32\[10,3\], was float32\[10,5\]",
        ),
    ],
)
def test_an_error_says_which_batch(data, text):
    error = fails(ValueError, data)
    assert re.search(text, str(error)) and int(error.train_state.step) == 1


def of_three(x):
    """The identity of batches of five columns."""
    if x.shape[-1] != 5:
        raise TypeError("five columns")
    return x


def test_an_error_of_evaluate_or_predict_says_which_batch():
    model = mlp()
    params = model.init(jax.random.key(0), X.shape)
    batches, changed = (
        [ROWS[0], ROWS[1], (X[:10, :3], Y[:10])],
        r"^batch 3 of the epoch is not like .*x is float32\[10,3\]",
    )
    for run in (
        lambda: evaluate(model, params, batches, loss=CROSS_ENTROPY),
        lambda: predict(model, params, [x for x, _ in batches]),
    ):
        with pytest.raises(fl.ShapeError, match=changed):
            run()
    assert re.search(f"^validation_data: {changed[1:]}", str(fails(fl.ShapeError, validation_data=batches)))
    with pytest.raises(TypeError) as error:
        predict(fl.Lambda(of_three), {}, [X[:10], X[:10, :3]])
    assert any(re.search("in batch 2 of the epoch is not like", note) for note in error.value.__notes__)


def test_an_error_of_others_has_a_note_that_says_where():
    notes = fails(OSError, breaking(OSError(), 2)).__notes__
    assert notes[0] == "in batch 3 of the epoch"
    notes = fails(OSError, validation_data=breaking(OSError(), 0)).__notes__
    assert notes == ["in the first batch", "in validation_data"]
    notes = fails(OSError, validation_data=breaking(OSError(), 2)).__notes__
    assert notes[:2] == ["in batch 3 of the epoch", "in validation_data"]

    def broken(event):
        raise KeyError("wandb")

    assert re.match("in the callback <function .*after step 4$", fails(KeyError, callbacks=[broken]).__notes__[0])
    for method in ("keeps", "on_begin"):
        callback = type("Mine", (), {"__call__": lambda self, event: None, method: lambda self, event: broken(event)})()
        assert re.match(f"in the callback .*Mine.*{method}", fails(KeyError, callbacks=[callback]).__notes__[0])


def test_an_error_of_validation_data_says_so():
    for wrong in ((X, Y[:3]), [], (X, Y + 9)):
        assert str(fails(ValueError, validation_data=wrong)).startswith("validation_data: ")


class Text:
    """A metric that gives no number."""

    def init(self):
        return jnp.zeros(())

    def update(self, sums, y_pred, y_true, weight=None):
        return sums + 1

    def result(self, sums):
        return "fine"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"loss": lambda y_pred, y_true: y_pred.argmax(-1)}, "'loss' returned int32 numbers, which have no gradient"),
        ({"loss": lambda y_pred, y_true: y_pred[:, 0] > 0}, "'loss' returned bool numbers, which have no gradient"),
        ({"loss": lambda y_pred, y_true: np.square(np.asarray(y_pred))}, "'loss' failed: .*; compute with jax.numpy"),
        ({"metrics": {"m": lambda p, t: p[:, 0] if p[0, 0] > 0 else t}}, "'m' failed: .* jnp.where in place of if"),
        ({"metrics": {"m": Text()}}, "the metric 'm': result returned 'fine'; return a number"),
        ({"metrics": [fl.metrics.ConfusionMatrix(2)]}, r"y_pred of shape \(10, 3\) has 3 classes; give num_classes=3"),
        ({"metrics": [fl.metrics.MeanIoU(2, sparse_y_pred=False)]}, "has 3 classes; give num_classes=3"),
        (
            {"optimizer": "adma"},
            "fit: optimizer='adma' is a name, and no optimizer; did you mean .*'adam'. Write optax",
        ),
        ({"optimizer": "nadamm"}, "did you mean 'nadam' or"),
        ({"optimizer": "zzz"}, "those of optax are adabelief, .*; write optax.adam"),
        ({"optimizer": "AdamW"}, r"write optax.adamw\(1e-3\), or fnlayers.optimizer\('adamw', 1e-3\)"),
        ({"optimizer": optax.sgd}, r"is not an optax optimizer; write optax.sgd\(1e-3\)"),
        ({"callbacks": ["early_stoping"]}, r"'early_stoping' is a name; did you mean 'EarlyStopping'\? Give an object"),
        ({"callbacks": "nothing"}, "there are EarlyStopping, .*TensorBoardLog. Give an object"),
        ({"callbacks": [EarlyStopping("los")]}, r"not among the logs \(loss, seconds\); did you mean 'loss'\?"),
        ({"metrics": ["acuracy"]}, "did you mean 'accuracy' or 'binary_accuracy' or"),
        ({"class_weight": {5: 2.0}}, "class_weight: 5 is none of the 3 classes of the model's output"),
    ],
)
def test_losses_and_metrics_that_do_not_fit(more, text):
    assert re.search(text, str(fails(ValueError, **more)))
