"""What data hold: looked at before a cast changes it, on each way into training."""

import functools

import jax
import numpy as np
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp

import fnlayers as fl
from fnlayers.training import evaluate, fit, predict

BIG = 2**32 + 1


@functools.cache
def params():
    return mlp().init(jax.random.key(0), (None, 5))


def trained(data, **more):
    return fit(mlp(), data, loss=CROSS_ENTROPY, optimizer=SGD, verbose=False, **more)


def measured(data):
    return evaluate(mlp(), params(), data, loss=CROSS_ENTROPY)


WAYS = {
    "arrays": trained,
    "list of batches": lambda data: trained([data]),
    "later batch": lambda data: trained(lambda: iter([classes(), data])),
    "validation": lambda data: trained(classes(), validation_data=data),
    "evaluate": measured,
    "evaluate batches": lambda data: measured(iter([classes(), data])),
}


def at(array, index, value):
    array = array.copy()
    array[index] = value
    return array


X, Y = classes()
ONES = np.ones(len(X))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((X, at(Y.astype("int64"), 3, BIG)), r"y\[3\] is 4294967297, which int32 cannot hold"),
        ((at(X, (0, 0), 1).astype(object), Y), "x is an array of objects"),
        ((X.astype(">f4"), Y), "x is >f4, in the other byte order"),
        ((X, Y.astype(str)), "y holds strings"),
        ((X, Y, at(ONES, 2, -1)), r"weight\[2\] is -1.0, and sample weights are finite numbers of at least 0"),
        ((X, Y, at(ONES, 2, np.nan)), r"weight\[2\] is nan"),
        ((X, Y, jax.numpy.asarray(at(ONES, 2, np.inf))), r"weight\[2\] is inf"),
        ((X, Y, ONES * 1j), "weight is complex128; give real numbers"),
        ((X, Y, ONES.astype(object)), "weight is an array of objects"),
        ((X[:0], Y[:0]), "is empty: x has no examples"),
        (None, r"a batch is \(x, y\) or \(x, y, weight\), got None|data is NoneType"),
    ],
)
def test_data_that_a_cast_would_change_are_refused_on_each_way(way, data, text):
    if data is None and way == "validation":
        return  # where None says that there is none
    with pytest.raises(fl.LayerError, match=text):
        WAYS[way](data)


def test_ids_and_inputs_of_predictions():
    model = fl.Embedding(3, 2)
    table = model.init(jax.random.key(0), (None, 2))
    ids = np.array([[0, 1], [2, BIG]])
    for x in (ids, [ids], iter([ids]), lambda: iter([ids])):
        with pytest.raises(fl.ConfigError, match=r"x\[1, 1\] is 4294967297"):
            predict(model, table, x)
    with pytest.raises(fl.ConfigError, match="the first batch is empty: x has no examples"):
        predict(model, table, [ids[:0]])
    with pytest.raises(fl.ConfigError, match="x holds no array"):
        predict(model, table, [None])


STEP_MODEL = fl.Dense(3)


@functools.cache
def made_step():
    return fl.make_step(STEP_MODEL, CROSS_ENTROPY, SGD)


def started():
    return fl.TrainState.create(STEP_MODEL, (None, 5), SGD)


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        ((X, at(Y.astype("int64"), 3, BIG)), r"y\[3\] is 4294967297, which int32 cannot hold"),
        ((X.astype(object), Y), "x is an array of objects"),
        ((X, Y.astype(">i4")), "y is >i4, in the other byte order"),
        ((X, Y, -ONES), r"weight\[0\] is -1.0"),
        ((X[:0], Y[:0]), "the batch is empty"),
        ((X[:0], Y[:0], ONES[:0]), "the batch is empty"),
        ((X, Y[:3]), "the examples do not pair: x has 40, y has 3"),
        ((X.tolist(), Y), "x holds .* of type float"),
    ],
)
def test_the_batch_of_a_made_step_is_looked_at_before_the_cast(batch, text):
    with pytest.raises(fl.LayerError, match=text):
        made_step()(started(), batch)


def test_a_made_step_has_the_methods_of_a_compiled_function():
    assert "stablehlo" in made_step().lower(started(), (X, Y)).as_text()
    assert jax.eval_shape(made_step(), started(), (X, Y))[1]["loss"].shape == ()
