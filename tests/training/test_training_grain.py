"""Data of grain: taken as they are, and resumed from a checkpoint at the batch where the training ended."""

import jax
import numpy as np
import optax
import pytest
from toys import classes, same

import fnlayers as fl

grain = pytest.importorskip("grain")
pytest.importorskip("orbax.checkpoint")

MODEL = fl.Sequential([fl.Dense(4, "relu"), fl.Dropout(0.5), fl.Dense(3)])
OPTIMIZER = optax.adam(0.01)
ONE_THREAD = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)


class Examples:
    """A source without a __repr__, so that grain knows it by its address."""

    def __init__(self):
        self.x, self.y = classes(n=36)

    def __len__(self):
        return 36

    def __getitem__(self, index):
        return {"x": self.x[index], "y": self.y[index]}


def shuffled():
    return grain.MapDataset.source(Examples()).seed(3).shuffle()


def loader(**more):
    order = grain.samplers.IndexSampler(36, shuffle=True, seed=1, **more)
    return grain.DataLoader(data_source=Examples(), sampler=order, operations=[grain.transforms.Batch(8)])


DATA = {
    "MapDataset": (lambda: shuffled().batch(8), {}),
    "IterDataset": (lambda: shuffled().repeat().batch(8).to_iter_dataset(ONE_THREAD), {"steps_per_epoch": 4}),
    "iterator": (lambda: iter(shuffled().repeat().batch(8).to_iter_dataset(ONE_THREAD)), {"steps_per_epoch": 4}),
    "DataLoader": (lambda: loader(num_epochs=1), {}),
    "endless DataLoader": (loader, {"steps_per_epoch": 4}),
}


def fitted(data, **more):
    options = {"loss": "sparse_categorical_crossentropy", "optimizer": OPTIMIZER, "epochs": 2, "inputs": "x"}
    return fl.fit(MODEL, data, targets="y", verbose=False, **options, **more)


@pytest.mark.parametrize("kind", DATA)
def test_a_resumed_training_goes_on_at_the_next_batch(kind, tmp_path):
    make, more = DATA[kind]
    first = make()  # it lives on, so that the other one's source is at another address, as in another process
    whole = fitted(first, checkpoint=fl.Checkpoint(tmp_path, every=3, keep_last=9), **more)
    last = int(whole.train_state.step)
    assert last == (8 if more else 10)
    for step in (each for each in tmp_path.iterdir() if int(each.name) > 3):
        step.rename(tmp_path.parent / f"{tmp_path.name}_{step.name}")  # as if it had been killed after step 3
    resumed = fitted(make(), resume=tmp_path, **more)
    assert same(resumed.train_state, whole.train_state)
    assert resumed.history["loss"] == whole.history["loss"]


def test_what_never_ends_needs_a_number_of_steps():
    with pytest.raises(fl.ConfigError, match="data is RepeatMapDataset, which does not end; give steps_per_epoch"):
        fitted(shuffled().batch(8).repeat())
    with pytest.raises(fl.ConfigError, match="RepeatMapDataset, which does not end; give validation_steps"):
        fitted(shuffled().batch(8), validation_data=shuffled().batch(8).repeat())
    with pytest.raises(fl.ShapeError, match=r"y holds a scalar, which has no batch axis; .*\.batch\(32\)"):
        fitted(shuffled())


def test_other_data_than_before_say_so(tmp_path):
    fitted(loader(), steps_per_epoch=4, checkpoint=fl.Checkpoint(tmp_path))
    other = grain.DataLoader(
        data_source=Examples(), sampler=grain.samplers.SequentialSampler(36), operations=[grain.transforms.Batch(8)]
    )
    with pytest.raises(fl.ConfigError, match="DataLoaderIterator. cannot go to where it was .*Sampler"):
        fitted(other, steps_per_epoch=4, resume=tmp_path)


def test_predict_takes_them():
    data, params = grain.MapDataset.source(Examples()).batch(8), MODEL.init(jax.random.key(0), (None, 5))
    expected = fl.predict(MODEL, params, classes(n=36)[0], batch_size=8)
    np.testing.assert_array_equal(fl.predict(MODEL, params, data, inputs="x"), expected)
