"""What changed since a function was compiled, in words; and a warning within `fit` for batches of changing types."""

import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from fnlayers.core.errors import brief, say_where
from fnlayers.training.batch import Batch

_SHOWN = 4  # changes in a warning


class RetraceWarning(UserWarning):
    """A function was traced again, which compiles it again."""


class BatchTypes:
    """The types of batches that a training has seen, each of which its step is compiled for."""

    def __init__(self) -> None:
        self.seen: dict[tuple, dict[str, str]] = {}
        self.warned = False

    def look(self, batch: Batch, position: str) -> None:
        """Warn, once in a training, of a type that is new; that of a last batch which is smaller is expected.

        Arguments:
            batch: the batch.
            position: which one it is.
        """
        kind = batch_type(batch)
        if self.warned or kind in self.seen:
            return
        types = described(_named(batch))
        expected = not self.seen or (len(self.seen) == 1 and self._differs_by_rows(batch))
        if not expected:
            self.warned, changed = True, least_changes(list(self.seen.values()), types)
            text = (
                f"fit compiles its step for the {ordinal(len(self.seen) + 1)} type of batch ({position}): {changed}; "
                "give batches of few types, such as sequences padded to some lengths"
            )
            warnings.warn(text, RetraceWarning, stacklevel=6)
        self.seen[kind] = types

    def add(self, batch: Batch) -> None:
        """A batch that was run, of whose type there is nothing to say."""
        kind = batch_type(batch)
        if kind not in self.seen:
            self.seen[kind] = described(_named(batch))

    @contextmanager
    def compared(self, batch: Batch, position: str) -> Iterator[None]:
        """Errors that leave this block say which batch it was, and how it differs from those before."""
        try:
            yield
        except Exception as error:
            changed = self.changes(batch)
            say_where(f"{position} is not like those before ({changed})" if changed else position, error)
            raise

    def changes(self, batch: Batch) -> str:
        """How a batch differs from those before; empty for the first one, and for one of a type that was there."""
        return least_changes(list(self.seen.values()), described(_named(batch))) if self.seen else ""

    def _differs_by_rows(self, batch: Batch) -> bool:
        """Whether a batch would be of the first one's type but for the number of its examples."""
        (structure, leaves), (first, others) = batch_type(batch), next(iter(self.seen))
        return structure == first and all(
            (shape[1:], dtype) == (other[1:], kind)
            for (shape, dtype), (other, kind) in zip(leaves, others, strict=True)
        )


def batch_type(batch: Batch) -> tuple[Hashable, tuple]:
    """Structure, shapes and dtypes of a batch: what a step is compiled for."""
    leaves, structure = jax.tree.flatten(tuple(batch[:3]))
    return structure, tuple((leaf.shape, _dtype(leaf)) for leaf in leaves)


def described(named: Any) -> dict[str, str]:
    """Shape and dtype of each array in a nest by its path, and any other value as text."""
    leaves = jax.tree_util.tree_leaves_with_path(named)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): _type_of(leaf) for path, leaf in leaves}


def least_changes(earlier: list[dict[str, str]], now: dict[str, str]) -> str:
    """What differs from that of the earlier ones which differs least; empty if nothing does."""
    changed = min((_changes(before, now) for before in earlier), key=len)
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return ", ".join(changed[:_SHOWN]) + more


def ordinal(number: int) -> str:
    """The number as "1st", "2nd", "3rd".

    >>> ordinal(2), ordinal(11)
    ('2nd', '11th')
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"


def _dtype(leaf: Any) -> Any:
    """The dtype that a program gets: NumPy's 64-bit numbers are cast."""
    return leaf.dtype if isinstance(leaf, jax.Array) else jax.dtypes.canonicalize_dtype(leaf.dtype)


def _named(batch: Batch) -> dict[str, Any]:
    return {"x": batch.x, "y": batch.y, "weight": batch.weight}


def _type_of(leaf: Any) -> str:
    if not hasattr(leaf, "dtype"):
        return brief(leaf)
    weak = " from a Python number" if getattr(getattr(leaf, "aval", None), "weak_type", False) else ""
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]{weak}"


def _changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What differs between the arguments of two traces."""
    other = [f"{path} is {now[path]}, was {before[path]}" for path in now if before.get(path, now[path]) != now[path]]
    new = [f"{path} is new" for path in now if path not in before]
    return [*other, *new, *(f"{path} is missing" for path in before if path not in now)]
