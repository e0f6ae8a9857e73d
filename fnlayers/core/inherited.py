"""The dtype policy of a container: that of the layers in it that have none of their own."""

from dataclasses import fields
from typing import Any

from fnlayers.core.layer import Layer


def inherit_dtype(container: Layer) -> None:
    """Give the container's policy to the layers in its fields, while it is made; without one nothing changes."""
    if container.dtype is not None:
        done: dict[int, Layer] = {}
        for f in fields(container):
            value = getattr(container, f.name)
            object.__setattr__(container, f.name, with_policy(value, container.dtype, done))


def with_policy(value: Any, dtype: str, done: dict[int, Layer]) -> Any:
    """The layer, or each of a tuple, with that policy unless it has one; what is one object stays one."""
    if type(value) is tuple:
        return tuple(with_policy(item, dtype, done) for item in value)
    if not isinstance(value, Layer) or value.dtype is not None or value.on_host:
        return value
    if id(value) not in done:
        copy = value.renamed(value.name)
        done[id(value)] = copy
        for name, inner in value.__dict__.items():
            copy.__dict__[name] = with_policy(inner, dtype, done)
        copy.__dict__["dtype"] = dtype
    return done[id(value)]
