"""The one place where a program takes different ways on different platforms."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

from jax import lax

from fnlayers.ops import record
from fnlayers.ops.compose import chosen, composed, is_reference, tables
from fnlayers.ops.problem import Problem

_references_alone: contextvars.ContextVar[bool] = contextvars.ContextVar("references_alone", default=False)


@contextlib.contextmanager
def references_alone() -> Iterator[None]:
    """Within it programs are traced with the reference of each operation and no other algorithm.

    A program then holds no choice between platforms, which converters to other formats do not know.
    """
    token = _references_alone.set(True)
    try:
        yield
    finally:
        _references_alone.reset(token)


def dispatch(reference: Callable[..., Any], problem: Problem | None, *arrays: Any) -> Any:
    """`reference(*arrays)`, by the algorithms of `ops.cpu` and `ops.cuda` where the program is compiled for those.

    The choice is made when a program is compiled, not when it is traced: what is exported to other platforms holds the
    reference for them. Without a problem there is nothing to choose from.
    """
    if problem is None or _references_alone.get():
        return reference(*arrays)
    rows = {platform: chosen(problem, platform) for platform in tables()}
    algorithms = {platform: composed(problem, choice) for platform, choice in rows.items() if _are_here(choice)}
    algorithms = {platform: algorithm for platform, algorithm in algorithms.items() if algorithm is not None}
    if (written := record.current()) is not None:
        written.add(problem, rows)
        others = [name for name in record.PLATFORMS if is_reference(problem, rows.get(name, {}))]
        algorithms = {platform: written.within([platform], algorithm) for platform, algorithm in algorithms.items()}
        reference = written.within(others, reference)
    return lax.platform_dependent(*arrays, **algorithms, default=reference) if algorithms else reference(*arrays)


def _are_here(rows: dict[str, Any]) -> bool:
    """Whether this process has the devices that algorithms need."""
    return all(row.device is None or row.device() for row in rows.values())
