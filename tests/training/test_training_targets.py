"""Losses, outputs and labels that do not pair, and probabilities where logits are meant: errors and warnings before the first step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp

import fnlayers as fl
from fnlayers.training import evaluate, fit, losses, make_step, metrics, predict
from fnlayers.training.endings import ending
from fnlayers.training.known import takes_of

X, Y = classes()
ONE_HOT = np.eye(3, dtype="float32")[Y]
ANSWER = (Y == 1)[:, None].astype("int32")
SOFT, BINARY, SQUARED = optax.softmax_cross_entropy, optax.sigmoid_binary_cross_entropy, optax.squared_error


def two():
    a = fl.Input((5,))
    return fl.functional(a, {"a": fl.Dense(3)(a), "b": fl.Dense(1)(a)})


def fitted(model, y, loss=CROSS_ENTROPY, **more):
    return fit(model, (X, y), loss=loss, optimizer=SGD, verbose=False, **more)


@pytest.mark.parametrize(
    ("model", "loss", "y", "text"),
    [
        (mlp(), CROSS_ENTROPY, Y[:, None], r"takes class numbers of shape \(40,\); write y\[..., 0\]"),
        (mlp(), CROSS_ENTROPY, ONE_HOT, r"one-hot labels, .* write y.argmax\(-1\), or use optax.softmax_cross_entropy"),
        (mlp(), CROSS_ENTROPY, Y[:, None].repeat(2, 1), r"takes y of shape \(40,\)"),
        (mlp(), jax.jit(CROSS_ENTROPY), Y - 1, r"y\[\d+\] is -1, but the model's output has 3 classes"),
        (mlp(), losses.categorical_crossentropy, Y, "or use fnlayers.losses.sparse_categorical_crossentropy"),
        (mlp(), SOFT, Y, r"write jax.nn.one_hot\(y, 3\), or use optax.softmax_cross_entropy_with_integer_labels"),
        (mlp(), SOFT, Y[:, None], r"write jax.nn.one_hot\(y\[..., 0\], 3\)"),
        (mlp(), SOFT, -ONE_HOT, "takes one-hot labels, or probabilities, which are not negative"),
        (fl.Dense(1), CROSS_ENTROPY, ANSWER[:, 0], "the model's output is one number, not one for each class"),
        (fl.Dense(1), BINARY, ANSWER[:, 0], r"reshape y to \(40, 1\)"),
        (fl.Dense(1), BINARY, 2 * ANSWER - 1, r"takes labels from 0 to 1; for -1 and 1 write \(y \+ 1\) / 2"),
        (fl.Dense(1), optax.hinge_loss, ANSWER, "takes labels of -1 and 1; for 0 and 1 write"),
        (fl.Dense(3), SQUARED, X[:, :1], r"optax.squared_error takes y of shape \(40, 3\)"),
        (fl.Dense(3), SQUARED, None, r"y is None, but optax.squared_error compares"),
        (fl.Dense(3), SQUARED, X[:, :3] * 1j, "y is complex, and the model's output is real"),
        (fl.Dense(3), lambda p, y: (p - y) ** 2, X[:, :2], r"'loss' failed .TypeError.* give y of the shape"),
        (fl.Dense(3), lambda p, y: p - y, None, "y is None; give labels with each batch"),
        (fl.Dense(3), lambda p, y: p * 1j, X, "returned complex numbers"),
        (fl.Dense(3), lambda p, y: None, X, "returned NoneType; return an array of values"),
        (two(), CROSS_ENTROPY, Y, "the model's outputs are .* give a function for each: loss={'a': ..., 'b': ...}"),
        (two(), lambda p, y: p - y, Y, "it was given all outputs of the model at once"),
        (two(), {"a": CROSS_ENTROPY, "b": None}, Y, r"y has no 'a': it is \(40,\); structure y"),
        (
            two(),
            {"a": CROSS_ENTROPY, "b": None},
            {"a": Y.astype("float32"), "b": X},
            r"y\['a'\] is float32, but this a_loss takes",
        ),
    ],
)
def test_labels_that_do_not_pair(model, loss, y, text):
    with pytest.raises(fl.LayerError, match=text):
        fitted(model, y, loss)
    with pytest.raises(fl.LayerError, match=text):
        params = model.init(jax.random.key(0), (None, 5))
        evaluate(model, params, [(X, y)] if y is not None else (X, y), loss=loss)


def test_a_loss_may_leave_labels_alone():
    fitted(fl.Dense(3), None, lambda p, y: p**2)
    fitted(two(), Y, lambda p, y: p["b"][:, 0] ** 2)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        ("crossentropy", r"is unknown; did you mean .*'sparse_categorical_crossentropy'"),
        ("sparse_crossentropy", r"is unknown; did you mean .*'sparse_categorical_crossentropy'.*\? Or give a function"),
        ("MSEE", r"loss 'MSEE' is unknown; did you mean 'mse' or"),
        ("zzz", "loss 'zzz' is unknown; the names are binary_crossentropy, .*; or give a function"),
        (None, "loss None is not a function"),
        (dict, "loss dict is a class; give an object of it"),
        (lambda p: p, "not .y_pred, y_true.; give a function of these two"),
        (optax.ctc_loss, "loss ctc_loss takes"),
    ],
)
def test_what_is_no_loss(loss, text):
    with pytest.raises(fl.ConfigError, match=text):
        fitted(mlp(), Y, loss)


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ({"a": "accuracies"}, "metric 'accuracies' is unknown; did you mean 'accuracy'"),
        ({"a": "iou"}, r"metric 'iou' needs options: .* write IoU\(num_classes=..., target_class_ids=...\)"),
        ({"a": metrics.AUC}, "metric AUC is a class; give an object of it"),
        ({"a": metrics.AUC()}, r"AUC takes y of shape \(40, 3\)"),
        (["accuracy", "accuracy"], "the name 'accuracy' is taken"),
        ([lambda p, y: p], "has no name; give a dict"),
        ([metrics.OnWholeSet(len)], "is of a whole set, that of validation_data; give validation_data"),
        ({"a": metrics.TopKAccuracy}, "metric TopKAccuracy is a class; give an object of it, TopKAccuracy"),
        ({"out": {"a": metrics.accuracy}}, "metrics speak of the output 'out', but the model's are one array"),
        ({"a": metrics.categorical_accuracy}, r"'a': .* class numbers, .* or use fnlayers.metrics.accuracy"),
        ({"a": metrics.binary_accuracy}, r"binary_accuracy takes y of shape \(40, 3\)"),
    ],
)
def test_metrics_that_do_not_fit(chosen, text):
    with pytest.raises(fl.LayerError, match=text):
        fitted(mlp(), Y, metrics=chosen)


ANY = lambda y_pred, y_true: y_pred[:, 0] ** 2  # noqa: E731  # a loss that takes any labels
WRONG = np.where(np.arange(40) == 37, 9, Y)
OF_CLASSES = [
    ("accuracy", "the model's output has 3 classes, 0 to 2"),
    (metrics.accuracy, "the model's output has 3 classes"),
    (metrics.TopKAccuracy(2), "the model's output has 3 classes"),
    (metrics.FromLogits(metrics.SparseCategoricalCrossentropy(), "softmax"), "the model's output has 3 classes"),
    (metrics.ConfusionMatrix(3), "fnlayers.metrics.ConfusionMatrix has num_classes=3, 0 to 2"),
    (metrics.IoU(3, (1,), sparse_y_pred=False), "fnlayers.metrics.IoU has num_classes=3"),
]


@pytest.mark.parametrize(("metric", "text"), OF_CLASSES)
def test_labels_that_a_metric_cannot_count(metric, text):
    model, text = (
        mlp(),
        rf"metric 'm': y\[7\] is 9, but {text}.*\(1 such labels\); correct them, or give .* the weight 0",
    )
    params, whole = model.init(jax.random.key(0), (None, 5)), text.replace("7", "37")
    batches = [(X[at : at + 10], WRONG[at : at + 10]) for at in range(0, 40, 10)]
    with pytest.raises(fl.ConfigError, match=f"^{whole}"):
        fitted(model, WRONG, ANY, metrics={"m": metric})
    with pytest.raises(fl.ConfigError, match=f"^validation_data: {whole}"):
        fitted(model, Y, ANY, metrics={"m": metric}, validation_data=(X, WRONG))
    with pytest.raises(fl.ConfigError, match=f"^batch 4 of the epoch: {text}"):
        evaluate(model, params, batches, loss=ANY, metrics={"m": metric})
    evaluate(model, params, (X, WRONG, WRONG != 9), loss=ANY, metrics={"m": metric})


def test_labels_that_a_metric_leaves_out_or_compares_as_they_are():
    numbers, classes = fl.Dense(1), mlp()
    params = classes.init(jax.random.key(0), (None, 5))
    left_out = metrics.MeanIoU(3, ignore_class=9, sparse_y_pred=False)
    evaluate(classes, params, (X, WRONG), loss=ANY, metrics=[left_out])
    leaves_out = functools.partial(losses.sparse_categorical_crossentropy, from_logits=True, ignore_class=9)
    evaluate(classes, params, (X, WRONG), loss=leaves_out, metrics=["accuracy"])  # as in Keras, 9 is never right
    with pytest.raises(fl.ConfigError, match="MeanIoU has num_classes=2"):  # and class numbers as predictions
        evaluate(fl.Lambda(lambda x: x[:, 0]), {}, (X, WRONG), loss=lambda p, y: p, metrics=[metrics.MeanIoU(2)])
    params = numbers.init(jax.random.key(0), (None, 5))
    figures = evaluate(numbers, params, (X, 2 * ANSWER - 1), loss=optax.hinge_loss, metrics=["accuracy"])
    right = (predict(numbers, params, X) > 0.5) == ANSWER
    assert figures["accuracy"] == pytest.approx(right.mean())


def test_a_metric_of_classes_for_one_number():
    with pytest.raises(fl.ShapeError, match=r"one output for each class; for answers of 0 and 1 use"):
        fitted(fl.Dense(1), X[:, :1], SQUARED, metrics={"accuracy": metrics.accuracy})


def test_weights_that_are_all_zero():
    with pytest.raises(fl.ConfigError, match="all sample weights are 0"):
        fit(mlp(), (X, Y, np.zeros(40)), loss=CROSS_ENTROPY, optimizer=SGD, verbose=False)


SOFTMAX, SIGMOID = fl.Dense(3, activation="softmax"), fl.Dense(1, activation=jax.nn.sigmoid)


def graph():
    a = fl.Input((5,))
    return fl.functional(a, {"a": fl.Identity()(SOFTMAX(a)), "b": fl.Dense(1)(a)})


@pytest.mark.parametrize(
    ("model", "key", "expected"),
    [
        (fl.Dense(3), None, "linear"),
        (SOFTMAX, None, "softmax"),
        (fl.Dense(3, activation=fl.activations.softmax), None, "softmax"),
        (fl.Conv1D(3, 1, activation=fl.Softmax()), None, "softmax"),
        (fl.Sequential([fl.Dense(3), fl.Softmax(), fl.Dropout(0.5), fl.Activation("linear")]), None, "softmax"),
        (fl.Sequential([SOFTMAX, fl.Sequential([fl.Flatten()])]), None, None),
        (fl.Sequential([fl.Sequential([SIGMOID])]), None, "sigmoid"),
        (fl.TimeDistributed(SOFTMAX), None, "softmax"),
        (fl.SpectralNormalization(fl.Repeat(SIGMOID, 2)), None, "sigmoid"),
        (fl.LSTM(3, activation="softmax"), None, None),
        (graph(), "a", "softmax"),
        (graph(), "b", "linear"),
        (graph(), "c", None),
        (fl.Lambda(jax.nn.softmax), None, None),
        (fl.Activation(functools.partial(jax.nn.softmax, axis=1)), None, None),
    ],
)
def test_what_a_model_ends_in(model, key, expected):
    assert ending(model, key)[0] == expected


@pytest.mark.parametrize(
    ("model", "loss", "text"),
    [
        (
            SOFTMAX,
            CROSS_ENTROPY,
            r"ends in a softmax .* takes logits .* fnlayers.losses.sparse_categorical_crossentropy",
        ),
        (SIGMOID, BINARY, "ends in a sigmoid .* or use fnlayers.losses.binary_crossentropy"),
        (fl.Dense(3), losses.sparse_categorical_crossentropy, "gives no probabilities, .* activation='softmax'"),
        (fl.Dense(1), losses.binary_crossentropy, "activation='sigmoid', or use optax.sigmoid_binary_cross_entropy"),
        (fl.Dense(1, activation="softmax"), SQUARED, "a softmax over one number, which is always 1"),
    ],
)
def test_probabilities_and_logits(model, loss, text):
    y = Y if loss in (CROSS_ENTROPY, losses.sparse_categorical_crossentropy) else ANSWER.astype("float32")
    with pytest.warns(UserWarning, match=text) as caught:
        make_step(model, loss, SGD)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=text) as caught:
        evaluate(model, model.init(jax.random.key(0), (None, 5)), (X, y), loss=loss)
    assert caught[0].filename == __file__


def test_probabilities_with_their_loss_train():
    result = fitted(fl.Dense(3, activation="softmax"), Y, losses.sparse_categorical_crossentropy, epochs=2)
    logits = fitted(fl.Dense(3), Y, CROSS_ENTROPY, epochs=2)
    assert result.history["loss"] == pytest.approx(logits.history["loss"], rel=1e-4)


def test_what_is_known_of_functions():
    along_1, at_0 = functools.partial(jax.jit(SOFT), axis=1), functools.partial(metrics.binary_accuracy, threshold=0.0)
    assert getattr(takes_of(along_1), "axis", None) == 1
    assert getattr(takes_of(at_0), "form", "") is None
    for unknown in (lambda p, y: p, functools.partial(SOFT, 1), functools.partial(SOFT, axis=(1, 2)), [].append):
        assert takes_of(unknown) is None


ON_DEVICE = {  # a label that the loss answers with some number, and where
    "classes": (optax.softmax_cross_entropy_with_integer_labels, jnp.array([0, -1]), r"y\[1\] is -1, .* 2 classes"),
    "binary": (optax.sigmoid_binary_cross_entropy, jnp.array([[0, 1], [5, 1]]), r"y\[1, 0\] is 5, .* from 0 to 1"),
    "one-hot": (optax.softmax_cross_entropy, jnp.array([[0.0, 1], [-1, 2]]), r"y\[1, 0\] is -1.0, .* one-hot"),
    "signs": (optax.hinge_loss, jnp.array([[0, 1], [1, 1]]), r"y\[0, 0\] is 0, .* -1 and 1"),
}


@pytest.mark.parametrize("kind", ON_DEVICE)
def test_wrong_labels_on_a_device_are_found_in_every_batch(kind):
    loss, wrong, text = ON_DEVICE[kind]
    model, x = fl.Dense(2), np.ones((2, 3), "float32")
    right = jnp.ones_like(wrong)
    params = model.init(jax.random.key(0), x.shape)
    with pytest.raises(fl.NonFiniteError, match=f"step 2 .* was not taken: {text}") as caught:
        fit(model, [(x, right), (x, wrong)], loss=loss, optimizer=SGD, params=params, verbose=False)
    assert int(caught.value.train_state.step) == 1
    with pytest.raises(fl.ConfigError, match=rf"step 2 \(epoch 1, batch 2\) was skipped: {text}"):
        fit(model, [(x, right), (x, wrong)], loss=loss, optimizer=SGD, params=params, verbose=False, guard="skip")
    with pytest.raises(fl.ConfigError, match=text):
        evaluate(model, params, [(x, right), (x, wrong)], loss=loss)
    step = fl.make_step(model, loss, SGD)
    train_state, logs = step(fl.TrainState.create(model, x.shape, SGD), (x, wrong))
    assert not logs["finite"] and int(train_state.step) == 0
    bad = (wrong != right).reshape(2, -1).any(1)  # and one without weight may be anything
    assert step(train_state, (x, wrong, 1.0 * ~bad))[1]["finite"]


def test_batches_without_any_weight():
    x, y = np.ones((2, 3), "float32"), np.zeros(2, "int32")
    model, nothing = fl.Dense(2), (x, y, np.zeros(2))
    params = model.init(jax.random.key(0), x.shape)
    options = {"loss": optax.softmax_cross_entropy_with_integer_labels, "optimizer": SGD, "verbose": False}
    with pytest.raises(fl.ConfigError, match="nothing in epoch 1 counts: all sample weights are 0"):
        fit(model, [nothing], **options)
    with pytest.raises(fl.ConfigError, match="nothing in the data counts"):
        evaluate(model, params, [nothing], loss=options["loss"])
    with pytest.raises(fl.ConfigError, match="nothing in the data counts"):
        fit(model, (x, y), validation_data=[nothing], **options)
    assert fit(model, [nothing, (x, y, np.ones(2))], **options).history["loss"][0] > 0
