"""Items that are made ahead of when they are needed, in a thread."""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import jax


class _Made(NamedTuple):
    """What the thread made: an item, or in place of the next one its end or an error."""

    item: Any = None
    ended: bool = False
    error: BaseException | None = None


def prefetched(items: Iterator, ahead: int) -> Generator:
    """The items, of which at most `ahead` are made before they are asked for; 0: none, and there is no thread.

    An error comes where the item would have come, with its own traceback. To be closed where it is left early.
    """
    if ahead == 0:
        yield from items
        return
    ready: queue.SimpleQueue[_Made] = queue.SimpleQueue()
    free, stopped, x64 = threading.Semaphore(ahead), threading.Event(), jax.config.read("jax_enable_x64")
    thread = threading.Thread(target=_make, args=(items, ready, free, stopped, x64), daemon=True, name="fit: prefetch")
    thread.start()
    try:
        while True:
            entry = ready.get()
            if entry.error is not None:
                raise entry.error
            if entry.ended:
                return
            free.release()
            yield entry.item
    finally:
        stopped.set()
        free.release()
        thread.join(timeout=1)  # of data that do not answer, the thread ends with the process


def _make(items: Iterator, ready: queue.SimpleQueue, free: Any, stopped: threading.Event, x64: bool) -> None:
    """Make the items, each where there is room for one more."""
    try:
        with _sixty_four_bits(x64):
            while free.acquire() and not stopped.is_set():
                try:
                    item = next(items)
                except StopIteration:
                    ready.put(_Made(ended=True))
                    return
                ready.put(_Made(item))
    except BaseException as error:
        ready.put(_Made(error=error))


def _sixty_four_bits(enabled: bool) -> Any:
    """A context with the main thread's setting, which may hold for that thread alone."""
    if jax.config.read("jax_enable_x64") == enabled:
        return contextlib.nullcontext()
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(enabled)
    from jax.experimental import enable_x64  # type: ignore  # before jax 0.8

    return enable_x64(enabled)
