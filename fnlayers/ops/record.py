"""What is dispatched while a program is traced, written down where somebody asks: see `explain`."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, NamedTuple


class Dispatched(NamedTuple):
    """An operation, and the rows that were chosen for CPUs."""

    path: tuple[str | int, ...]  # of the layer that called it
    problem: Any
    rows: tuple[tuple[str, Any], ...]  # (pass, row)


class Record:
    """All that is dispatched, and where the trace is: the paths of the layers that are entered and not yet left."""

    def __init__(self) -> None:
        self.dispatched: list[Dispatched] = []
        self.paths: list[tuple[str | int, ...]] = [()]

    def add(self, problem: Any, rows: dict[str, Any]) -> None:
        """Add an operation; one that is traced again counts once."""
        found = Dispatched(self.paths[-1], problem, tuple(rows.items()))
        if found not in self.dispatched:
            self.dispatched.append(found)


_record: contextvars.ContextVar[Record | None] = contextvars.ContextVar("record", default=None)


def current() -> Record | None:
    """The record that is kept now, None where nobody asks."""
    return _record.get()


@contextlib.contextmanager
def kept(record: Record | None) -> Iterator[None]:
    """Within it that record is kept; None: none is."""
    token = _record.set(record)
    try:
        yield
    finally:
        _record.reset(token)
