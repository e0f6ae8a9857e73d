"""Where an iterator over data is, by its own account: get_state and set_state, as the iterators of grain have them."""

import re
from collections.abc import Iterator
from typing import Any

from fnlayers.core.errors import ConfigError

_ADDRESS = re.compile(rb" at 0x[0-9a-f]+")


def tells_state(iterator: Iterator) -> bool:
    """Whether an iterator says where it is."""
    return all(hasattr(iterator, name) for name in ("get_state", "set_state"))


def go_to_state(iterator: Any, state: Any) -> None:
    """Have an iterator go to where it was; ConfigError where it refuses.

    Arguments:
        iterator: one for which `tells_state`.
        state: what its get_state returned, in this process or in another one.
    """
    if isinstance(state, bytes):
        state = _with_addresses(state, iterator.get_state())
    try:
        iterator.set_state(state)
    except Exception as error:
        raise ConfigError(
            f"the data's iterator ({type(iterator).__name__}) cannot go to where it was when the checkpoint was "
            f"written: {error}. Go on with the data that it was written with; for other data begin at that train "
            "state, fit(train_state=fl.restore(folder, train_state))"
        ) from error


def _with_addresses(state: bytes, now: bytes) -> bytes:
    """The state with this process's addresses of objects.

    grain's DataLoader compares the repr of its source, which is an address where the class has no __repr__.
    """
    addresses = _ADDRESS.findall(now)
    if len(addresses) != len(_ADDRESS.findall(state)):
        return state
    following = iter(addresses)
    return _ADDRESS.sub(lambda _: next(following), state)
