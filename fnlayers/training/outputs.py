"""Which of a model's outputs a loss or metric reads: all of them, one, or several together."""

from collections.abc import Mapping
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.training.pairing import shapes_in

Name = str | int  # of an output: its key in a dict, or its position in a tuple
Key = Name | tuple[Name, ...] | None  # None: all outputs; a tuple: those, as a tuple


def select_output(nest: Any, key: Key, what: str = "it") -> Any:
    """One entry of a dict or tuple; a tuple of entries for a tuple of names; all of it for None."""
    if isinstance(key, tuple):
        return None if nest is None else tuple(select_output(nest, name, what) for name in key)
    if key is None or nest is None:
        return nest
    try:
        if not (isinstance(nest, Mapping) or is_sequence(nest)):
            raise TypeError
        return nest[key]
    except (KeyError, IndexError, TypeError):
        raise ConfigError(
            f"{what} has no {key!r}: it is {shapes_in(nest)}; structure y and the losses like the output"
        ) from None


def names_in(key: Key) -> tuple[Name, ...]:
    """The outputs that a key speaks of by name.

    >>> names_in("a"), names_in(("a", "b")), names_in(None)
    (('a',), ('a', 'b'), ())
    """
    return key if isinstance(key, tuple) else () if key is None else (key,)


def prefix(key: Key) -> str:
    """What stands before a name in the logs.

    >>> prefix("a"), prefix(("a", "b")), prefix(None)
    ('a_', 'a_b_', '')
    """
    return "".join(f"{name}_" for name in names_in(key))


def outputs_in(losses: Mapping[Any, Any]) -> tuple[Name, ...]:
    """The outputs that a dict of losses speaks of, each once.

    Raises:
        ConfigError: for a key that is a tuple of fewer than two names, or names one twice.
    """
    for key in losses:
        if isinstance(key, tuple) and (len(key) < 2 or len(set(key)) < len(key)):
            raise ConfigError(f"loss: {key!r} is for a loss of several outputs; give two names or more, each once")
    return tuple(dict.fromkeys(name for key in losses for name in names_in(key)))


def is_sequence(nest: Any) -> bool:
    """Whether a nest is a tuple or list of entries."""
    return isinstance(nest, (tuple, list))
