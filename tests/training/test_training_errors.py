"""Nothing is lost of a training that ends with an error."""

import jax
import numpy as np
import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp, same

from fnlayers.training import KeepBest, fit

X, Y = classes()


def fails(kind, data=(X, Y), **more):
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
    found = fails(type(error), breaking(error, 2))
    assert found is error and same(found.train_state, reached(2)) and found.history == {}
    assert "error.train_state" in found.__notes__[-1] and "2 steps" in found.__notes__[-1]


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
