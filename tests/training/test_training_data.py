import collections.abc
import itertools
from typing import Any

import jax
import numpy as np
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, numbers

import fnlayers as fl
from fnlayers.training import data as data_module, evaluate, fit, predict
from fnlayers.training.data import Batch, pad_batch, source_of


def fitted(data, **more):
    return fit(mlp(), data, **{"loss": CROSS_ENTROPY, "optimizer": SGD, "verbose": False, **more})


def batches(n=40, size=10):
    x, y = classes(n)
    return [(x[at : at + size], y[at : at + size]) for at in range(0, n, size)]


class Loader:
    """Like a loader of another library: iterable again and again, its batches lists of things that become arrays."""

    class Tensor:
        def __init__(self, a):
            self.a = a

        def __array__(self, dtype=None, copy=None):
            return self.a

    def __iter__(self):
        return iter([[self.Tensor(a) for a in batch] for batch in batches()])


@pytest.mark.parametrize(
    "make",
    [list, Loader, lambda: batches, lambda: lambda: iter(batches())],
    ids=["list", "loader", "generator function", "function of an iterator"],
)
def test_iterables_give_what_arrays_give(make):
    data = make(batches()) if make is list else make()
    ours = fitted(data, epochs=2).history["loss"]
    assert ours == pytest.approx(fitted(classes(), epochs=2, batch_size=10, shuffle=False).history["loss"], rel=1e-5)


def test_an_iterator_lasts_one_epoch():
    result = fitted(iter(batches()))
    assert int(result.train_state.step) == 4
    with pytest.raises(
        fl.ConfigError, match=r"list_iterator\), which is spent after one of 2 epochs; give the function"
    ):
        fitted(iter(batches()), epochs=2)
    with pytest.raises(
        fl.ConfigError,
        match="an iterator .generator., which may not end, and is spent after one epoch; give validation_steps",
    ):
        fitted(classes(), epochs=2, validation_data=(b for b in batches()))


def test_steps_per_epoch():
    def endless():
        while True:
            yield from batches()

    assert int(fitted(endless(), epochs=2, steps_per_epoch=3).train_state.step) == 6
    assert int(fitted(batches(), epochs=2, steps_per_epoch=3).train_state.step) == 6
    with pytest.raises(
        fl.ConfigError, match="the data ended after 1 batches of this epoch, and steps_per_epoch=3 asks"
    ):
        fitted(iter(batches()), epochs=2, steps_per_epoch=3)
    with pytest.raises(fl.ConfigError, match="steps_per_epoch is for iterables"):
        fitted(classes(), steps_per_epoch=3)


def test_ragged_batches_of_an_iterable_count_as_what_they_are():
    x, y = classes(n=10)
    model = mlp()
    params = fitted((x, y)).params
    figures = evaluate(model, params, batches(n=10, size=4), loss=CROSS_ENTROPY)
    assert figures == pytest.approx(evaluate(model, params, (x, y), loss=CROSS_ENTROPY), rel=1e-6)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((np.ones((0, 5)), np.ones(0, int)), "the data set is empty: x has no examples"),
        ([], "the data set is empty: it yields no batch"),
        ((np.ones((10, 5)), np.ones(9, int)), "the examples do not pair: x has 10, y has 9"),
        ((np.ones((10, 5)), np.ones(10, int), np.ones(3)), "x has 10, y has 10, weight has 3"),
        (((np.ones((10, 5)), np.ones((8, 5))), np.ones(10)), "the arrays of x have different lengths: 8, 10"),
        ((np.ones((10, 5)), np.float32(1)), "y holds a scalar, which has no batch axis"),
        (([1, 2, 3], [1, 2, 3]), "x holds 1 of type int; give arrays"),
        (np.ones((10, 5)), r"data is ndarray; give a tuple \(x, y\) of arrays"),
        ({"x": np.ones(3)}, "data is dict; give a tuple"),
        (7, "data is int; give a tuple"),
        ((np.ones((10, 5)),), r"a batch is \(x, y\) or \(x, y, weight\), got tuple of 1"),
        ([np.ones((10, 5))], r"a batch is \(x, y\) or \(x, y, weight\), got ndarray of 10"),
        (
            (np.ones((10, 5)), np.ones(10, int), {"a": np.ones(10)}),
            "the sample weights are a nest, and y is one array; give one array",
        ),
    ],
)
def test_data_that_are_none(data, text):
    with pytest.raises(fl.LayerError, match=text):
        fitted(data)


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (3, r"y\[4\] is 3, but the model's output has 3 classes, 0 to 2 \(1 such labels\)"),
        (-1, r"y\[4\] is -1, but the model's output has 3 classes"),
    ],
)
def test_labels_that_are_no_class(label, text):
    x, y = classes()
    y[4] = label
    params = mlp().init(jax.random.key(0), x.shape)
    for run in (
        lambda: fitted((x, y)),
        lambda: fitted(classes(), validation_data=(x, y)),
        lambda: fitted([(x, y)]),
        lambda: evaluate(mlp(), params, (x, y), loss=CROSS_ENTROPY),
    ):
        with pytest.raises(fl.ConfigError, match=text):
            run()
    weight = np.ones(40, "float32")
    weight[4] = 0
    assert np.isfinite(fitted((x, y, weight)).history["loss"]).all()


def test_labels_that_are_floats():
    x, y = classes()
    with pytest.raises(
        fl.ConfigError, match=r"y is float32, but this loss takes class numbers; write y.astype\('int32'"
    ):
        fitted((x, y.astype("float32")))


def test_labels_of_masked_steps_are_ignored():
    model = fl.Sequential([fl.Masking(), fl.TimeDistributed(fl.Dense(3))])
    x, y = np.ones((4, 6, 2), "float32"), np.zeros((4, 6), int)
    x[:, 4:], y[:, 4:] = 0, -1
    result = fit(model, (x, y), loss=CROSS_ENTROPY, optimizer=SGD, verbose=False)
    assert np.isfinite(result.history["loss"]).all()


def test_filled_rows_are_copies_without_weight():
    batch = Batch(np.arange(3.0), {"a": np.arange(3)}, None, 3)
    full = pad_batch(batch, 5, weighted=False)
    assert full.x.tolist() == [0, 1, 2, 2, 2] and full.y["a"].tolist() == [0, 1, 2, 2, 2]
    assert full.weight.tolist() == [1, 1, 1, 0, 0] and full.count == 3
    assert pad_batch(batch, 3, weighted=False) is batch
    assert pad_batch(batch, 3, weighted=True).weight.tolist() == [1, 1, 1]
    steps = pad_batch(batch._replace(weight=np.full((3, 2), 2.0, "float32")), 4, weighted=True)
    assert steps.weight.tolist() == [[2, 2]] * 3 + [[0, 0]]


def test_double_precision_is_cast_once():
    x, y = numbers()
    source = source_of((x.astype("float64"), y.astype("int64")), 16)
    dataset: Any = source.dataset
    assert dataset.x.dtype == "float32" and dataset.y.dtype == "int32"
    assert source.steps == 3 and not source.equal_sizes


class Indexed:
    """A data set that is asked by index, and does not say that it ends but by its length."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return batches()[index % 4]


class IndexedSequence(Indexed, collections.abc.Sequence):
    __len__, __getitem__ = Indexed.__len__, Indexed.__getitem__


@pytest.mark.parametrize("make", [Indexed, IndexedSequence])
def test_a_length_ends_what_has_no_other_end(make):
    assert int(fitted(make(), epochs=2).train_state.step) == 6
    assert len(predict(mlp(), fitted(make()).params, [x for x, _ in batches()][:3])) == 30


def test_a_function_that_has_nothing_more_ends_the_training():
    epochs = iter([batches(), [], [], []])
    with pytest.raises(fl.ConfigError, match="the data ended after 1 batches of this epoch, and steps_per_epoch=3"):
        fitted(lambda: next(epochs), epochs=2, steps_per_epoch=3)
    with pytest.raises(fl.ConfigError, match="data is a function that returns NoneType"):
        fitted(lambda: None)


def forever():
    while True:
        yield batches()[0]


@pytest.mark.parametrize(
    "data", [itertools.cycle(batches()), itertools.repeat(batches()[0]), forever, lambda: itertools.cycle(batches())]
)
def test_what_never_ends_needs_a_number_of_steps(data):
    with pytest.raises(fl.ConfigError, match="which does not end; give steps_per_epoch"):
        fitted(data)
    with pytest.raises(fl.ConfigError, match="which does not end; give validation_steps"):
        fitted(classes(), validation_data=data)
    params = mlp().init(jax.random.key(0), (None, 5))
    with pytest.raises(fl.ConfigError, match=r"does not end; give itertools.islice\(batches\(\), number\)"):
        evaluate(mlp(), params, data, loss=CROSS_ENTROPY)


def test_a_generator_that_ends_in_an_error_is_not_taken_for_endless():
    def ends():
        yield from batches()[:2]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as error:
        fitted(ends)
    assert "in batch 3 of the epoch" in error.value.__notes__


def test_predictions_of_what_never_ends():
    def forever():
        while True:
            yield classes()[0]

    params = mlp().init(jax.random.key(0), (None, 5))
    for x in (forever, forever(), itertools.repeat(classes()[0])):
        with pytest.raises(fl.ConfigError, match="x is an iterator .*, which does not end; give itertools.islice"):
            predict(mlp(), params, x)


def test_data_whose_end_is_not_known(monkeypatch):
    class Unending:
        def __getitem__(self, index):
            return batches()[0]

    with pytest.raises(fl.ConfigError, match="data is Unending, .* nothing says where it ends; give it a __len__"):
        fitted(Unending())
    monkeypatch.setattr(data_module, "MOST_BATCHES", 5)
    with pytest.raises(fl.ConfigError, match="went on after 5 batches; if they end, give validation_steps") as caught:
        fitted(batches(), validation_data=lambda: (batches()[0] for _ in itertools.count()))
    assert int(caught.value.__dict__["train_state"].step) == 4
    assert fitted(batches(), validation_data=batches() * 2).history["val_loss"]  # a list says how long it is


def test_validation_steps():
    def endless():
        for number in itertools.count():
            yield batches()[number % 4]

    two = fitted(classes(), epochs=2, validation_data=batches()[:2]).history["val_loss"]
    assert fitted(classes(), epochs=2, validation_data=endless, validation_steps=2).history["val_loss"] == two
    assert len(fitted(classes(), epochs=2, validation_data=endless(), validation_steps=2).history["val_loss"]) == 2
    with pytest.raises(fl.ConfigError, match="validation_steps is for iterables"):
        fitted(classes(), validation_data=classes(), validation_steps=2)
    with pytest.raises(fl.ConfigError, match="validation_steps=2 was given without validation_data"):
        fitted(classes(), validation_steps=2)


def test_whole_numbers_of_numpys():
    ours = fitted(classes(), epochs=2, batch_size=8, rng=3)
    theirs = fitted(classes(), epochs=np.int64(2), batch_size=np.int32(8), rng=np.int64(3))
    assert ours.history["loss"] == theirs.history["loss"]
    for wrong in ({"epochs": 2.0}, {"epochs": True}, {"batch_size": "8"}, {"rng": 0.5}, {"steps_per_epoch": 0}):
        with pytest.raises(fl.ConfigError, match=f"{next(iter(wrong))}=.*: give a"):
            fitted(batches(), **wrong)
