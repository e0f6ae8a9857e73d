"""Data as batches: arrays that are cut into batches here, or any iterable of batches made elsewhere."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.training.batch import Batch, batch_of


@dataclass
class Source:
    """Where an epoch's batches come from.

    Arguments:
        first: the first batch, for its shapes.
        steps: batches an epoch, None where nobody knows.
        even: whether all batches are known to have the same size.
        whole: the data set, where it is in memory: what can be checked before the first step.
        epoch: seed -> the batches of one epoch; None: in order.
    """

    first: Batch
    steps: int | None
    even: bool
    whole: Batch | None
    epoch: Callable[[Sequence[int] | None], Iterable[Batch]]


def source_of(data: Any, batch_size: int, epochs: int = 1, steps: int | None = None) -> Source:
    """The batches of what a user calls data.

    Arguments:
        data: a tuple (x, y) or (x, y, weight) of arrays (x and y may be tuples or dicts of them); or an iterable of
            such batches, or a function that returns one, called for each epoch.
        batch_size: examples a batch; for arrays alone.
        epochs: how often it is gone through.
        steps: batches an epoch, for an iterable that is longer or does not end.

    Raises:
        ConfigError: if it is empty, an iterator that is spent after one epoch, or no data at all.
        ShapeError: if x and y have different lengths.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size={batch_size!r}: give a whole number of at least 1")
    if isinstance(data, tuple):
        if steps is not None:
            raise ConfigError("steps_per_epoch is for iterables of batches; arrays are gone through whole")
        return _from_arrays(batch_of(data), batch_size)
    if isinstance(data, Mapping) or hasattr(data, "dtype"):
        raise ConfigError(f"data is {type(data).__name__}; give a tuple (x, y) of arrays, or an iterable of batches")
    return _from_batches(data, epochs, steps)


def only_x(x: Any) -> Any:
    """Inputs alone as data: arrays (or a nest of them), an iterable of batches, or a function that makes one."""
    if isinstance(x, (tuple, Mapping)) or hasattr(x, "shape"):
        return x, None
    if _makes(x):
        return lambda: ((batch, None) for batch in x())
    return ((batch, None) for batch in x)


def filled(batch: Batch, size: int, weighted: bool) -> Batch:
    """The batch with as many rows as `size`, those added being copies of the last with no weight.

    Copies, because a row of zeros may be what a layer cannot take. With `weighted` there are weights in any case, so
    that full and filled batches are compiled once.
    """
    lacking = max(size - batch.count, 0)
    if batch.weight is None and not weighted and not lacking:
        return batch
    weight = np.ones(batch.count, "float32") if batch.weight is None else batch.weight
    if not lacking:
        return batch._replace(weight=weight)

    def fill(a: Any) -> Any:
        return _concatenate([a, np.repeat(a[-1:], lacking, axis=0)])

    zeros = np.zeros((lacking, *weight.shape[1:]), "float32")
    return Batch(jax.tree.map(fill, batch.x), jax.tree.map(fill, batch.y), _concatenate([weight, zeros]), batch.count)


def _from_arrays(whole: Batch, batch_size: int) -> Source:
    count = whole.count
    # Rows are taken out of NumPy arrays: a gather on the device would be compiled, and wait its turn behind a step
    x, y, weight = jax.tree.map(_on_host, whole[:3])
    whole = Batch(x, y, weight, count)
    size = min(batch_size, count)

    def take(rows: Any) -> Batch:
        x, y, weight = jax.tree.map(lambda a: a[rows], whole[:3])
        return Batch(x, y, weight, jax.tree.leaves(x)[0].shape[0])

    def epoch(seed: Sequence[int] | None) -> Iterator[Batch]:
        order = None if seed is None else np.random.default_rng(seed).permutation(count)
        for start in range(0, count, size):
            rows = slice(start, start + size)
            yield take(rows if order is None else order[rows])

    return Source(take(slice(0, size)), -(-count // size), count % size == 0, whole, epoch)


def _from_batches(data: Any, epochs: int, steps: int | None) -> Source:
    start: Callable[[], Any] = data if _makes(data) else lambda: data
    try:
        iterator = iter(start())
    except TypeError:
        raise ConfigError(
            f"data is {type(data).__name__}; give a tuple (x, y) of arrays, an iterable of batches, or a function "
            "that returns one"
        ) from None
    once = iterator is data
    if once and epochs > 1 and steps is None:
        raise ConfigError(
            f"data is an iterator ({type(data).__name__}), which is spent after one of {epochs} epochs; give the "
            "function that makes it (data=batches, not data=batches()), a list of batches, or steps_per_epoch"
        )
    first = next(iterator, iterator)
    if first is iterator:
        raise ConfigError("the data set is empty: it yields no batch")

    def flow() -> Iterator:
        yield first  # was taken for its shapes; an iterator shall lose nothing
        yield from iterator
        while steps is not None and not once:
            yield from start()

    stream = flow()

    def epoch(_: Sequence[int] | None) -> Iterator[Batch]:
        nonlocal stream
        number = 0
        for given in itertools.islice(stream, steps):
            number += 1
            yield batch_of(given, f"batch {number} of the epoch")
        if number < (steps or 1):
            wanted = f", and steps_per_epoch={steps} asks for more" if steps else ""
            raise ConfigError(f"the data ended after {number} batches of this epoch{wanted}")
        if steps is None and not once:
            stream = iter(start())

    return Source(batch_of(first, "the first batch"), steps or _sized(data), False, None, epoch)


def _makes(data: Any) -> bool:
    """Whether this is a function that makes the data."""
    return callable(data) and not hasattr(data, "__iter__")


def _sized(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None


def _on_host(a: Any) -> np.ndarray:
    # 64-bit numbers are what NumPy makes by itself and jax does not keep: cast once, not for each batch
    return np.asarray(a, jax.dtypes.canonicalize_dtype(a.dtype)) if a.dtype.kind in "fiu" else np.asarray(a)


def _concatenate(pieces: list) -> Any:
    return (jnp if isinstance(pieces[0], jax.Array) else np).concatenate(pieces)
