"""Data as batches: arrays that are cut into batches here, or any iterable of batches made elsewhere."""

import dis
import itertools
import math
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from fnlayers.core.errors import ConfigError, located
from fnlayers.training.batch import Batch, batch_of
from fnlayers.training.iterator_state import go_to_state, tells_state
from fnlayers.training.named import Named, keys_of, reader
from fnlayers.training.placing import is_spread, rows_of

ENOUGH = "itertools.islice(batches(), number)"  # what to give where there is no argument for a number of steps
ENDLESS = 10**12  # batches that nobody runs: what such data as MapDataset.repeat() of grain say for an endless length
MOST_BATCHES = 10_000  # of a validation of which nothing says how long it is: it might never end

Remainder = Literal["pad", "run", "drop"]  # what becomes of a batch that is smaller than the others


@dataclass
class Source:
    """Where an epoch's batches come from.

    Arguments:
        first: the first batch, for its shapes.
        steps: batches an epoch, None where it is not known.
        equal_sizes: whether all batches are known to have the same size.
        dataset: the data set, where it is in memory: what can be checked before the first step.
        epoch: (seed, taken) -> the batches of one epoch but the first `taken`; None: in order.
        stream: what the batches are taken from, where it is an iterable.
        remainder: what becomes of a batch that is smaller than the first: "pad", "run" or "drop".
        taken: the batches taken so far in this epoch.
    """

    first: Batch
    steps: int | None
    equal_sizes: bool
    dataset: Batch | None
    epoch: Callable[[Sequence[int] | None, int], Iterable[Batch]]
    stream: "Stream | None" = None
    remainder: Remainder = "run"
    taken: int = 0

    def batches(self, seed: Sequence[int] | None, check: Callable[[Batch], None] | None = None) -> Iterator[Batch]:
        """The batches of one epoch as they are run; `check` looks at those that could not be seen before."""
        size, pads = self.first.count, self.remainder == "pad"
        for batch in self.epoch(seed, self.taken):
            self.taken += 1
            if check is not None and self.dataset is None:
                with located(position(self.taken)):
                    check(batch)
            if self.remainder == "drop" and batch.count < size:
                continue
            yield pad_batch(batch, size, weighted=not self.equal_sizes) if pads else batch
        self.taken = 0

    def go_to(self, epochs: int, taken: int, iterator_state: Any) -> None:
        """Have the next epoch begin after `taken` of its batches, `epochs` epochs being over."""
        self.taken = taken
        if self.stream is not None:
            self.stream.go_to(epochs, taken, iterator_state)

    def iterator_state(self, between_epochs: bool) -> Any:
        """Where the iterator over the data is, if it says so (get_state, as those of grain do), and it matters."""
        return None if self.stream is None else self.stream.state(between_epochs)

    @property
    def length(self) -> int | None:
        """Batches an epoch as they are run, None where it is not known."""
        dropped = self.remainder == "drop" and self.dataset is not None and not self.equal_sizes
        return self.steps - 1 if dropped and self.steps else self.steps


def source_of(
    data: Any,
    batch_size: int,
    epochs: int = 1,
    steps: int | None = None,
    *,
    argument: str = "steps_per_epoch",
    names: Named | None = None,
) -> Source:
    """The batches of what a user calls data.

    Arguments:
        data: a tuple (x, y) or (x, y, weight) of arrays (x and y may be tuples or dicts of them); or an iterable of
            such batches, or a function that returns one, called for each epoch.
        batch_size: examples a batch; for arrays alone.
        epochs: how often it is gone through.
        steps: batches an epoch, for an iterable that is longer or does not end.
        argument: what `steps` is called in errors; "validation_steps" of data that begin again with each epoch.
        names: where data or its batches are dicts: what their entries are.

    Raises:
        ConfigError: if it is empty, an iterator that is spent after one epoch, endless, or no data at all.
        ShapeError: if x and y have different lengths.
    """
    batch_size = whole_number("batch_size", batch_size)
    steps = None if steps is None else whole_number(argument, steps)
    if isinstance(data, tuple) or (isinstance(data, Mapping) and names is not None):
        if steps is not None:
            raise ConfigError(f"{argument} is for iterables of batches; arrays are gone through whole")
        return _from_arrays(batch_of(reader(names)(data, "the data set")), batch_size)
    if isinstance(data, Mapping):
        raise ConfigError(
            f"data is {type(data).__name__}; give a tuple (x, y) of arrays, or say which of its entries they are, "
            f"inputs='image', targets='label': its keys are {keys_of(data)}"
        )
    if hasattr(data, "dtype"):
        raise ConfigError(f"data is {type(data).__name__}; give a tuple (x, y) of arrays, or an iterable of batches")
    return _from_batches(data, epochs, steps, argument, reader(names))


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """The value as an int; ConfigError unless it is a whole number, NumPy's too, of at least `least`."""
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ConfigError(f"{name}={value!r}: give a whole number of at least {least}")
    return number


def true_or_false(name: str, value: Any) -> bool:
    """The value as a bool; ConfigError for anything else, such as the string "False", which counts as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigError(f"{name}={value!r}: give True or False")
    return bool(value)


def inputs_only(x: Any, names: Named | None = None) -> Any:
    """Inputs alone as data: arrays (or a nest of them), an iterable of batches, or a function that makes one.

    With `names` x and the batches are dicts, of which the inputs are some entries.
    """
    if isinstance(x, (tuple, Mapping)) or hasattr(x, "shape"):
        return (x, None) if names is None else names.unpacked(x, "x")

    def pairs() -> Iterator:
        batches = x() if _makes(x) else x
        iterator = _iterator(batches, x)
        if _never_ends(iterator, batches):
            raise ConfigError(_endless("x", iterator, batches, ENOUGH))
        return ((batch, None) if names is None else names.unpacked(batch, "a batch of x") for batch in iterator)

    return pairs if _makes(x) else pairs()


def pad_batch(batch: Batch, size: int, weighted: bool) -> Batch:
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

    rows = np.minimum(np.arange(size), batch.count - 1)

    def fill(a: Any) -> Any:
        return rows_of(a, rows)

    def without_weight(a: Any) -> Any:
        valid = np.reshape(rows == np.arange(size), (size, *[1] * (a.ndim - 1)))
        return fill(a) * valid.astype("float32")

    x, y = jax.tree.map(fill, batch.x), jax.tree.map(fill, batch.y)
    return Batch(x, y, jax.tree.map(without_weight, weight), batch.count)


def _from_arrays(whole: Batch, batch_size: int) -> Source:
    count = whole.count
    # Rows are taken out of NumPy arrays: a gather on the device would be compiled, and wait its turn behind a step.
    # What is spread over devices stays there, since no host may hold it.
    x, y, weight = jax.tree.map(_on_host, whole[:3])
    whole = Batch(x, y, weight, count)
    size = min(batch_size, count)

    leaves, structure = jax.tree.flatten(whole[:3])
    takers = [rows_of if is_spread(leaf) else operator.getitem for leaf in leaves]

    def take(rows: Any) -> Batch:
        taken: list[Any] = [take_rows(leaf, rows) for take_rows, leaf in zip(takers, leaves, strict=True)]
        x, y, weight = jax.tree.unflatten(structure, taken)
        return Batch(x, y, weight, taken[0].shape[0])

    def epoch(seed: Sequence[int] | None, taken: int) -> Iterator[Batch]:
        order = None if seed is None else np.random.default_rng(seed).permutation(count)
        for start in range(taken * size, count, size):
            rows = slice(start, start + size)
            yield take(rows if order is None else order[rows])

    return Source(take(slice(0, size)), -(-count // size), count % size == 0, whole, epoch)


def _from_batches(data: Any, epochs: int, steps: int | None, argument: str, read: Callable[[Any, str], Any]) -> Source:
    def batch(item: Any, called: str) -> Batch:
        return batch_of(read(item, called), called)

    start: Callable[[], Any] = data if _makes(data) else lambda: data
    batches = start()
    iterator = _iterator(batches, data)
    once = iterator is data
    _check_end(data, batches, iterator, once, epochs, steps, argument)
    with located("the first batch"):
        first = next(iterator, iterator)
    if first is iterator:
        raise ConfigError("the data set is empty: it yields no batch")

    goes_on = once or (steps is not None and argument != "validation_steps")
    stream = Stream(start, data, iterator, first, steps, goes_on, repeats=steps is not None and not once)
    most = MOST_BATCHES if argument == "validation_steps" and steps is None and _sized(data) is None else math.inf

    def epoch(_: Sequence[int] | None, taken: int) -> Iterator[Batch]:
        number, items = taken, itertools.islice(stream.batches, None if steps is None else steps - taken)
        while True:
            where = position(number + 1)
            with located(where):  # an iterator that raises, in a thread of its own, too
                item = next(items, items)
                read_batch = None if item is items else batch(item, where)
            if read_batch is None:
                break
            number += 1
            if number > most:
                raise ConfigError(
                    f"the validation data went on after {MOST_BATCHES} batches; if they end, give validation_steps"
                )
            yield read_batch
        if number < (steps or 1):
            expected = f", and {argument}={steps} asks for more" if steps else ""
            raise ConfigError(f"the data ended after {number} batches of this epoch{expected}")
        if not goes_on:
            stream.begin_again()

    with located("the first batch"):
        read_batch = batch(first, "the first batch")
    return Source(read_batch, steps or _sized(data), False, None, epoch, stream)


class Stream:
    """The batches of an iterable, one after the other.

    Arguments:
        start: makes an iterable of batches, each time it is called.
        data: what was given.
        iterator: the first iterator over them, of which `first` was taken.
        first: the first batch; an iterator shall lose nothing.
        steps: batches an epoch, if that was given.
        goes_on: whether an epoch begins where the last one ended, instead of at the beginning.
        repeats: whether the batches begin again where they end.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        data: Any,
        iterator: Iterator,
        first: Any,
        steps: int | None,
        goes_on: bool,
        repeats: bool,
    ) -> None:
        self.start, self.data, self.steps, self.goes_on, self.repeats = start, data, steps, goes_on, repeats
        self.iterator = iterator
        self.batches = self._flow(itertools.chain([first], iterator))

    def begin_again(self) -> None:
        """Take batches from the beginning; an iterator is made when the first is asked for."""
        self.batches = self._flow(None)

    def state(self, between_epochs: bool) -> Any:
        """The iterator's own account of where it is; None where it gives none, or begins again anyway."""
        matters = self.goes_on or not between_epochs
        return self.iterator.get_state() if matters and tells_state(self.iterator) else None  # type: ignore

    def go_to(self, epochs: int, taken: int, state: Any) -> None:
        """Leave out what was taken in so many epochs and batches, or have the iterator go to a state of its own."""
        if state is not None:
            go_to_state(self.iterator, state)
            self.batches = self._flow(self.iterator)
            return
        over = epochs * self.steps if self.goes_on and self.steps is not None else 0
        for _ in itertools.islice(self.batches, over + taken):
            pass

    def _flow(self, iterator: Iterator | None) -> Iterator:
        if iterator is None:
            iterator = self.iterator = _iterator(self.start(), self.data)
        yield from iterator
        empty = False
        while self.repeats and not empty:
            empty = True
            self.iterator = _iterator(self.start(), self.data)
            for item in self.iterator:
                empty = False
                yield item


def position(number: int) -> str:
    """Which batch, in an error."""
    return f"batch {number} of the epoch"


def _iterator(batches: Any, data: Any) -> Iterator:
    """An iterator over the batches, from the beginning where they have one.

    Arguments:
        batches: the data, or what they return where they are a function.
        data: the data, for errors.
    """
    by_index = getattr(type(batches), "__iter__", None) in (None, Sequence.__iter__) and hasattr(batches, "__getitem__")
    if by_index:  # Python itself goes on until an IndexError, which many such classes do not raise
        size = _sized(batches)
        if size is None:
            raise ConfigError(
                f"data is {type(batches).__name__}, which has __getitem__, but nothing says where it ends; give it a "
                "__len__ or an __iter__"
            )
        return (batches[index] for index in range(size))
    try:
        return iter(batches)
    except TypeError:
        what = f"a function that returns {type(batches).__name__}" if batches is not data else type(data).__name__
        raise ConfigError(
            f"data is {what}; give a tuple (x, y) of arrays, an iterable of batches, or a function that returns one"
        ) from None


def _check_end(
    data: Any, batches: Any, iterator: Iterator, once: bool, epochs: int, steps: int | None, argument: str
) -> None:
    """Refuse what is spent too soon, or is known never to end, where nothing says how many batches to take."""
    if steps is not None:
        return
    if _never_ends(iterator, batches):
        raise ConfigError(_endless("data", iterator, batches, argument))
    if once and argument == "validation_steps":
        why = "may not end, and is spent after one epoch"
        raise ConfigError(f"data is an iterator ({type(iterator).__name__}), which {why}; give {argument}, or a list")
    if once and epochs > 1:
        raise ConfigError(
            f"data is an iterator ({type(data).__name__}), which is spent after one of {epochs} epochs; give the "
            "function that makes it (data=batches, not data=batches()), a list of batches, or steps_per_epoch"
        )


def _endless(what: str, iterator: Iterator, batches: Any, argument: str) -> str:
    kind = f"an iterator ({type(iterator).__name__})" if _sized(batches) is None else type(batches).__name__
    return f"{what} is {kind}, which does not end; give {argument}, or a list"


def _never_ends(iterator: Iterator, batches: Any) -> bool:
    """Whether batches are known not to end: some of itertools, `while True: yield ...`, a length that is none.

    A generator without a `return` may end by a `raise`, which is for the loop to report.
    """
    if (_sized(batches) or 0) >= ENDLESS:
        return True
    if isinstance(iterator, types.GeneratorType):
        names = {instruction.opname for instruction in dis.get_instructions(iterator.gi_code)} - {"RETURN_GENERATOR"}
        return not any(name.startswith(("RETURN", "RAISE")) for name in names)
    if isinstance(iterator, itertools.repeat):
        return operator.length_hint(iterator, -1) < 0
    return isinstance(iterator, (itertools.count, itertools.cycle))


def _makes(data: Any) -> bool:
    """Whether this is a function that makes the data."""
    return callable(data) and not hasattr(data, "__iter__")


def _sized(data: Any) -> int | None:
    try:
        return len(data)
    except (TypeError, NotImplementedError):
        return None
    except OverflowError:
        return ENDLESS


def _on_host(a: Any) -> Any:
    if is_spread(a):
        return a
    # 64-bit numbers are what NumPy makes by itself and jax does not keep: cast once, not for each batch
    return np.asarray(a, jax.dtypes.canonicalize_dtype(a.dtype)) if a.dtype.kind in "fiu" else np.asarray(a)
