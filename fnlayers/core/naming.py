"""Names of the layers in a container: one object, one name, one set of weights."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.core.names import number

AnyLayer = TypeVar("AnyLayer", bound=Layer)


def named(layers: Sequence[AnyLayer]) -> list[tuple[str, AnyLayer]]:
    """Each layer with its name: its own, or its class's in snake case, numbered within this container.

    An object that occurs twice has one name, and so one set of weights. Two objects of one name are an error.
    """
    taken = {layer.name for layer in layers if layer.name is not None}
    found: dict[int, str] = {}
    owner: dict[str, Layer] = {}
    for layer in layers:
        if id(layer) in found:
            continue
        name = layer.name or number(layer.base_name, taken)
        if owner.setdefault(name, layer) is not layer:
            raise ConfigError(
                f"two layers are named {name!r}: {owner[name]!r} and {layer!r}; rename one, or to share weights give "
                "the same object twice"
            )
        taken.add(name)
        found[id(layer)] = name
    return [(found[id(layer)], layer) for layer in layers]


def fix_shared_names(layers: Sequence[AnyLayer]) -> tuple[AnyLayer, ...]:
    """The layers, those that occur more than once with their names written into them.

    Equal layers are ==, so a container that shares one must differ, as data, from a container of two alike.
    """
    ids = [id(layer) for layer in layers]
    fixed: dict[int, AnyLayer] = {}
    for name, layer in named(layers):
        again = ids.count(id(layer)) > 1 and layer.name is None
        fixed.setdefault(id(layer), replace(layer, name=name) if again else layer)
    return tuple(fixed[i] for i in ids)
