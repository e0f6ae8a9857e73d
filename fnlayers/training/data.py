"""Data as batches: arrays that are cut into batches here, or any iterable of batches made elsewhere."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError


class Batch(NamedTuple):
    """One batch, and how many of its rows, the first ones, are examples and not padding."""

    x: Any
    y: Any
    weight: Any
    count: int


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


def parts(batch: Any) -> tuple[Any, Any, Any]:
    """(x, y, weight) of a batch, the weight None where there is none."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        got = f"{type(batch).__name__} of {len(batch)}" if hasattr(batch, "__len__") else type(batch).__name__
        raise ConfigError(f"a batch is (x, y) or (x, y, weight), got {got}")
    x, y, *weight = batch
    return x, y, weight[0] if weight else None


def batch_of(given: Any) -> Batch:
    """A user's (x, y) or (x, y, weight) with its leaves as arrays, checked to be of one length."""
    x, y, weight = (jax.tree.map(_as_array, part) for part in parts(given))
    lengths = {name: _length(name, part) for name, part in (("x", x), ("y", y), ("weight", weight))}
    counts = {name: n for name, n in lengths.items() if n is not None}
    if "x" not in counts:
        raise ConfigError("x holds no array; give one, or a tuple or dict of them")
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise ShapeError(f"the examples do not pair: {said}; give all parts the same length")
    if weight is not None and not hasattr(weight, "dtype"):
        raise ConfigError("weight is one array: a number for each example, or for each step of one")
    weight = None if weight is None else weight.astype("float32")
    return Batch(x, y, weight, counts["x"])


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
    if count == 0:
        raise ConfigError("the data set is empty: x has no examples")
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
    first = next(iterator, None)
    if first is None:
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
            yield batch_of(given)
        if number < (steps or 1):
            wanted = f", and steps_per_epoch={steps} asks for more" if steps else ""
            raise ConfigError(f"the data ended after {number} batches of this epoch{wanted}")
        if steps is None and not once:
            stream = iter(start())

    return Source(batch_of(first), steps or _sized(data), False, None, epoch)


def _makes(data: Any) -> bool:
    """Whether this is a function that makes the data."""
    return callable(data) and not hasattr(data, "__iter__")


def _sized(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None


def _as_array(leaf: Any) -> Any:
    if isinstance(leaf, (np.ndarray, jax.Array)):
        return leaf
    if hasattr(leaf, "__array__"):
        return np.asarray(leaf)
    raise ConfigError(f"data holds {leaf!r} of type {type(leaf).__name__}; give arrays (numpy.asarray of a list)")


def _on_host(a: Any) -> np.ndarray:
    # 64-bit numbers are what NumPy makes by itself and jax does not keep: cast once, not for each batch
    return np.asarray(a, jax.dtypes.canonicalize_dtype(a.dtype)) if a.dtype.kind in "fiu" else np.asarray(a)


def _length(name: str, nest: Any) -> int | None:
    sizes = set()
    for leaf in jax.tree.leaves(nest):
        if leaf.ndim == 0:
            raise ShapeError(f"{name} holds a scalar, which has no batch axis")
        sizes.add(leaf.shape[0])
    if len(sizes) > 1:
        raise ShapeError(f"the arrays of {name} have different lengths: {', '.join(map(str, sorted(sizes)))}")
    return sizes.pop() if sizes else None


def _concatenate(pieces: list) -> Any:
    return (jnp if isinstance(pieces[0], jax.Array) else np).concatenate(pieces)
