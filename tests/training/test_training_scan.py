"""fit(scan_steps=k): k steps in one program are the same steps, bit for bit."""

import numpy as np
import optax
import pytest
from toys import CROSS_ENTROPY, classes, mlp, same

import fnlayers as fl
from fnlayers.training import Stop, fit

ADAM = optax.adam(0.01)
NOISY = fl.Sequential([fl.Dense(8, "relu"), fl.Dropout(0.3), fl.Dense(3)])


class Seen:
    """A callback that remembers the steps."""

    def __init__(self, stops_at=None):
        self.steps, self.stops_at = [], stops_at

    def on_step(self, event):
        self.steps.append((event.epoch, event.batch, event.step, event.logs["loss"]))
        return Stop("enough") if event.step == self.stops_at else None


def fitted(data=None, model=NOISY, **more):
    data = classes(n=36) if data is None else data
    return fit(model, data, loss=CROSS_ENTROPY, optimizer=ADAM, batch_size=8, verbose=False, **{"epochs": 2, **more})


@pytest.mark.usefixtures("optimized")
def test_the_same_weights_with_any_number_of_steps_and_with_callbacks():
    plain, steps = fitted(), Seen()
    assert same(fitted(callbacks=[steps]).train_state, plain.train_state)
    for scan_steps in (2, 3, 9):
        seen = Seen()
        result = fitted(callbacks=[seen], scan_steps=scan_steps)
        assert same(result.train_state, plain.train_state)
        assert result.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-6)
        assert np.allclose(seen.steps, steps.steps, rtol=1e-6)


CONVOLUTIONS = fl.Sequential(
    [
        fl.Conv2D(6, 3, padding="same"),
        fl.BatchNormalization(),
        fl.ReLU(),
        fl.Conv2D(6, 3, strides=2, groups=2, padding="same"),
        fl.Reshape((6, -1)),
        fl.LSTM(4),
        fl.Dense(3),
    ]
)


@pytest.mark.usefixtures("optimized")
def test_convolutions_and_recurrent_layers_with_state_and_a_last_batch_of_another_size():
    data = np.random.default_rng(0).normal(size=(36, 12, 12, 2)).astype("float32"), classes(n=36)[1]
    plain, scanned = (fitted(data, CONVOLUTIONS, scan_steps=k, epochs=1).train_state for k in (1, 2))
    assert int(scanned.step) == 5 and same(scanned, plain)


def test_an_iterable_that_yields_one_buffer_again_and_again():
    x, y = classes(n=36)

    def batches():
        buffer = np.empty((8, 5), "float32")
        for at in range(0, 32, 8):
            buffer[:] = x[at : at + 8]
            yield buffer, y[at : at + 8]

    expected = fitted([(x[at : at + 8], y[at : at + 8]) for at in range(0, 32, 8)], mlp())
    assert same(fitted(batches, mlp(), scan_steps=2).params, expected.params)


def test_a_stop_takes_effect_between_two_programs():
    stopped = [
        fitted(model=mlp(), callbacks=[Seen(1)], scan_steps=k, steps_per_epoch=20, data=many, epochs=1) for k in (1, 4)
    ]
    assert [int(result.train_state.step) for result in stopped] == [9, 12]
    assert all(result.stopped == "enough (after step 1)" for result in stopped)


def many():
    x, y = classes(n=8)
    while True:
        yield x, y


def test_a_bad_step_is_the_one_that_is_named():
    x, y = classes(n=8)
    data = [(x * (np.nan if i == 5 else 1), y) for i in range(9)]
    with pytest.raises(fl.NonFiniteError, match=r"step 6 \(epoch 1, batch 6\) is not finite") as caught:
        fitted(data, mlp(), scan_steps=4)
    assert int(caught.value.train_state.step) == 5
    result = fitted(data, mlp(), scan_steps=4, guard="skip")
    assert result.history["skipped"] == [1, 1] and same(result.params, fitted(data, mlp(), guard="skip").params)


def test_checkpoints_at_exact_steps_and_going_on_from_them(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    whole = fitted(model=mlp())
    checkpoint = fl.Checkpoint(tmp_path / "run", every=3, keep_last=9)
    fitted(model=mlp(), scan_steps=2, checkpoint=checkpoint, ema=0.9)
    assert {3, 6, 9} <= {int(path.name) for path in (tmp_path / "run").iterdir() if path.name.isdigit()}
    like = fitted(model=mlp(), ema=0.9).train_state
    assert same(fl.restore(tmp_path / "run", like).params, whole.params)


def test_errors():
    for scan_steps in (0, 1.5, True):
        with pytest.raises(fl.ConfigError, match=f"fit: scan_steps={scan_steps!r}: give a whole number of at least 1"):
            fitted(scan_steps=scan_steps)
