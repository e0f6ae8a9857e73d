"""Batches in chunks: as many as one compiled program takes, stacked, or single ones."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.training.batch import Batch
from fnlayers.training.retracing import batch_type


class Taken(NamedTuple):
    """A batch as it was taken from the data.

    Arguments:
        batch: the batch.
        taken: the batches of the epoch so far, this one and those that were left out included.
        is_due: whether a checkpoint is to be written after its step.
        iterator_state: where the iterator over the data was then, if it says so.
    """

    batch: Batch
    taken: int
    is_due: bool
    iterator_state: Any


def taken(
    source: Any, batches: Iterable[Batch], started: int, is_due: Callable[[int], bool], ahead: bool = False
) -> Iterator[Taken]:
    """The batches of an epoch with where they are from.

    Arguments:
        source: the data.
        batches: those of the epoch, taken from it.
        started: the steps of the training before.
        is_due: whether a checkpoint is to be written after so many steps.
        ahead: whether they are taken before they are needed: then each says where the iterator was.
    """
    for step, batch in enumerate(batches, started + 1):
        due = is_due(step)
        yield Taken(batch, source.taken, due, source.iterator_state(between_epochs=False) if due or ahead else None)


def chunks(items: Iterable[Taken], steps: int, copies: bool) -> Iterator[list[Taken]]:
    """The batches in lists of `steps`; those for which that does not come out even one by one.

    A list ends before a batch of other shapes, and none reaches past a step after which a checkpoint is due.

    Arguments:
        items: the batches of an epoch.
        steps: how many make a chunk.
        copies: whether batches that wait are copied: an iterable may yield one again and again.
    """
    if copies:
        items = (each._replace(batch=_copied(each.batch)) for each in items)
    if steps == 1:
        yield from ([each] for each in items)
        return
    waiting: list[Taken] = []
    for each in items:
        if waiting and batch_type(waiting[0].batch) != batch_type(each.batch):
            yield from ([one] for one in waiting)
            waiting = []
        waiting.append(each)
        if len(waiting) == steps:
            yield waiting
            waiting = []
        elif each.is_due:
            yield from ([one] for one in waiting)
            waiting = []
    yield from ([one] for one in waiting)


def stacked(chunk: list[Taken]) -> tuple[Any, Any, Any]:
    """(x, y, weight) of all batches of a chunk, with a first axis for them."""

    def stack(*rows: Any) -> Any:
        return (jnp if any(isinstance(row, jax.Array) for row in rows) else np).stack(rows)

    x, y, weight = jax.tree.map(stack, *(tuple(each.batch[:3]) for each in chunk))
    return x, y, weight


def _copied(batch: Batch) -> Batch:
    """The batch in arrays of its own."""
    x, y, weight = jax.tree.map(lambda a: a if isinstance(a, jax.Array) else np.array(a), tuple(batch[:3]))
    return Batch(x, y, weight, batch.count)
