"""The errors of the library. Each says which layer (by path), what it got, and what to write instead."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


class LayerError(ValueError):
    """Base of all errors of the library; `path` is filled in as the error leaves the containers around its layer."""

    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        message = super().__str__()
        return f"{'/'.join(self.path)}: {message}" if self.path else message

    def of(self, layer: object) -> None:
        """Put the layer before the message, where that does not name it: what checks a shape knows no layer."""
        if not self.path and type(layer).__name__ not in str(self):
            self.args = (f"{brief(layer)}: {self}",)


class ShapeError(LayerError):
    """A shape that a layer cannot take: wrong rank, an unknown axis where a size is needed, sizes that do not fit."""


class MissingError(LayerError):
    """Something a call needs was not given (rng, state, params), or would be dropped silently."""


class ConfigError(LayerError):
    """An argument of a layer, model or file that is wrong or not supported."""


@contextmanager
def within(name: str) -> Iterator[None]:
    """Errors that leave this block have `name` put before their path: one container further out."""
    try:
        yield
    except LayerError as error:
        put_before_path(name, error)
        raise


@contextmanager
def located(where: str) -> Iterator[None]:
    """Errors that leave this block say where they arose: the library's before their message, others in a note."""
    try:
        yield
    except Exception as error:
        say_where(where, error)
        raise


def say_where(where: str, error: Exception) -> None:
    """Say in an error where it arose, if it does not say so already."""
    if not isinstance(error, LayerError):
        error.add_note(f"in {where}")
    elif where not in str(error):
        error.args, error.path = (f"{where}: {error}",), ()


def put_before_path(name: str, error: Exception) -> None:
    """Say that an error arose within the layer of that name: one container further out."""
    error.path = path = (name, *getattr(error, "path", ()))  # type: ignore[attr-defined]
    notes = getattr(error, "__notes__", ())
    if not isinstance(error, LayerError) and notes:
        error.__notes__ = [re.sub(r"^in layer [^:]*:", f"in layer {'/'.join(path)}:", note) for note in notes]


def brief(layer: object) -> str:
    """A layer in one short line, for a message."""
    if isinstance(layer, type):
        return f"the class {layer.__name__}"
    text = repr(layer)
    if "\n" in text:  # a graph, which has a line for each of its nodes
        return f"{type(layer).__name__}(...)"
    return text if len(text) <= 120 else f"{text[:117]}..."


shortened = brief  # of any value that was given
