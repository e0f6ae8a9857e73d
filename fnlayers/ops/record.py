"""What is dispatched while a program is traced, written down where somebody asks: see `explain`."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, get_args

Platform = Literal["cpu", "cuda", "tpu"]
PLATFORMS = get_args(Platform)


class Dispatched(NamedTuple):
    """An operation, and the rows that were chosen for it.

    Arguments:
        path: of the layer that called it.
        problem: the operation's.
        platforms: those on which it runs: an operation within an algorithm runs where the algorithm is taken.
        rows: (platform, ((pass, row), ...)).
        is_inner: whether it is within another operation.
    """

    path: tuple[str | int, ...]
    problem: Any
    platforms: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
    is_inner: bool


class Record:
    """All that is dispatched, and where the trace is.

    Arguments:
        dispatched: the operations, in the order in which they were traced.
        paths: of the layers that are entered and not yet left.
        platforms: for which platforms the function that is traced now is.
        depth: how many operations it is within.
    """

    def __init__(self) -> None:
        self.dispatched: list[Dispatched] = []
        self.paths: list[tuple[str | int, ...]] = [()]
        self.platforms: tuple[str, ...] = PLATFORMS
        self.depth = 0

    def add(self, problem: Any, rows: dict[str, dict[str, Any]]) -> None:
        """Add an operation; one that is traced again counts once."""
        by_platform = tuple((platform, tuple(chosen.items())) for platform, chosen in rows.items())
        entry = Dispatched(self.paths[-1], problem, self.platforms, by_platform, self.depth > 0)
        if entry not in self.dispatched:
            self.dispatched.append(entry)

    def within(self, platforms: Iterable[str], function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which runs on those platforms alone, of those for which it is traced."""
        platforms = tuple(platform for platform in platforms if platform in self.platforms)

        @functools.wraps(function)
        def run(*arrays: Any) -> Any:
            outside = self.platforms, self.depth
            self.platforms, self.depth = platforms, self.depth + 1
            try:
                return function(*arrays)
            finally:
                self.platforms, self.depth = outside

        return run


_record: contextvars.ContextVar[Record | None] = contextvars.ContextVar("record", default=None)


def current() -> Record | None:
    """The record that is written now, None where nobody asks."""
    return _record.get()


@contextlib.contextmanager
def written(record: Record | None) -> Iterator[None]:
    """Within it that record is written; None: none is."""
    token = _record.set(record)
    try:
        yield
    finally:
        _record.reset(token)
