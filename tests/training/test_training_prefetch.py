"""fit(prefetch=n): batches are taken in a thread, with the same numbers and errors."""

import threading
import time
import traceback

import numpy as np
import optax
import pytest
from toys import SGD, numbers, same

import fnlayers as fl
from fnlayers.training import Stop, fit
from fnlayers.training.prefetching import prefetched

MODEL = fl.Dense(1)


def fitted(data, **more):
    return fit(MODEL, data, loss=optax.squared_error, optimizer=SGD, verbose=False, **more)


def one_buffer(count=4):
    x, y = numbers(n=8 * count)
    buffer = np.empty((8, 3), "float32")
    for at in range(count):
        buffer[:] = x[8 * at : 8 * at + 8]
        yield buffer, y[8 * at : 8 * at + 8]


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "fit: prefetch"]


def test_the_same_numbers_also_of_an_iterable_that_yields_one_buffer_again_and_again():
    plain = fitted(one_buffer, epochs=2)
    for options in ({"prefetch": 3}, {"prefetch": 1, "scan_steps": 2}):
        result = fitted(one_buffer, epochs=2, **options)
        assert same(result.train_state, plain.train_state) and result.history["loss"] == plain.history["loss"]
    x, y = numbers(n=20)
    assert same(fitted((x, y), batch_size=8, prefetch=2).params, fitted((x, y), batch_size=8).params)
    assert not threads()


def test_an_error_of_the_data_comes_after_the_steps_before_it_with_its_traceback():
    def broken():
        for number, batch in enumerate(one_buffer(4)):
            if number == 3:
                raise OSError("the disk is gone")
            yield batch

    with pytest.raises(OSError, match="the disk is gone") as caught:
        fitted(broken, prefetch=8)
    assert int(caught.value.train_state.step) == 3
    assert "broken" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert not threads()


def test_a_stop_ends_the_thread():
    class Stops:
        def on_step(self, event):
            return Stop("enough")

    def endless():
        while True:
            yield from one_buffer()

    result = fitted(endless, steps_per_epoch=50, prefetch=2, callbacks=[Stops()])
    assert int(result.train_state.step) == 9 and not threads()


def test_no_more_than_asked_for_are_made_ahead():
    items_made = []
    items = prefetched(map(lambda i: items_made.append(i) or i, range(9)), 2)
    assert next(items) == 0
    limit = time.monotonic() + 5
    while len(items_made) < 3 and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(0.05)
    assert items_made == [0, 1, 2]
    items.close()
    assert not threads()


def test_errors():
    for prefetch in (-1, 1.5, True):
        with pytest.raises(fl.ConfigError, match=f"fit: prefetch={prefetch}: give a whole number of at least 0"):
            fitted(numbers(), prefetch=prefetch)
