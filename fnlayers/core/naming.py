"""Names of the layers in a container: one object, one name, one set of weights."""

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from fnlayers.core.errors import ConfigError, brief
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.names import number_from

AnyLayer = TypeVar("AnyLayer", bound=Layer)


def named(layers: Sequence[AnyLayer]) -> list[tuple[str, AnyLayer]]:
    """Each layer with its name: its own, or its class's in snake case, numbered within this container.

    An object that occurs twice has one name, and so one set of weights. Two objects of one name are an error.
    """
    used = {layer.name for layer in layers if layer.name is not None}
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    owner: dict[str, Layer] = {}
    for layer in layers:
        if id(layer) in names:
            continue
        name = layer.name
        if name is None:
            name, numbers[layer.base_name] = number_from(layer.base_name, used, numbers.get(layer.base_name, 0))
        if owner.setdefault(name, layer) is not layer:
            raise ConfigError(
                f"two layers are named {name!r}: {brief(owner[name])} and {brief(layer)}; rename one, as in "
                "dataclasses.replace(layer, name=...), or to share weights give the same object twice"
            )
        used.add(name)
        names[id(layer)] = name
    return [(names[id(layer)], layer) for layer in layers]


def with_names(layers: Sequence[AnyLayer]) -> tuple[AnyLayer, ...]:
    """The layers with their names written into them, so that each keeps its weights in another container.

    One object stays one object, and its `origin` says which.
    """
    done: dict[int, AnyLayer] = {}
    for name, layer in named(layers):
        if id(layer) not in done:
            done[id(layer)] = layer if layer.name == name else layer.renamed(name)
    return tuple(done[id(layer)] for layer in layers)


def without_automatic_names(layers: Sequence[Layer]) -> list[Layer]:
    """The layers as one would write them, without the names that the container gives by itself."""
    counts = Counter(map(id, layers))
    unnamed: list[Layer] = [layer if counts[id(layer)] > 1 else layer.renamed(None) for layer in layers]
    automatic = [name for name, _ in named(unnamed)]
    # a copy forgets its origin, and so shows its name
    return [
        bare if bare.name is None and name == layer.name else copy.copy(layer)
        for bare, layer, name in zip(unnamed, layers, automatic, strict=True)
    ]


def refuse_shared(container: Layer, layers: Sequence[Layer]) -> None:
    """Raise ConfigError where one object with weights is in two containers: it would become two sets of weights."""
    parents: dict[int, tuple[Layer, str]] = {}

    def visit(layer: Layer, parent: Layer, path: str) -> None:
        origin = id(layer.origin)
        seen, first = parents.setdefault(origin, (parent, path))
        if seen is not parent:
            if holds_weights(layer):
                raise ConfigError(
                    f"{type(container).__name__}: one layer is in two containers, at {first} and {path}, where it "
                    f"would become two sets of weights: {brief(layer)}; to share its weights call it in one container "
                    "alone, for two sets give a second layer, as by dataclasses.replace(layer)"
                )
        elif first is path and not layer.is_template:
            for inner in layers_in(layer):
                visit(inner, layer, f"{path}/{inner.name or inner.base_name}")

    if _all_inside(layers) is None:
        for layer in layers:
            visit(layer, container, layer.name or layer.base_name)


def _all_inside(layers: Iterable[Layer]) -> frozenset[int] | None:
    """The ids of these layers and of all inside them; None where one of them is in two containers.

    Each layer keeps its own answer, so that the time to build layers inside layers does not grow with their depth.
    """
    seen: set[int] = set()
    for origin, layer in {id(layer.origin): layer for layer in layers}.items():
        inside = getattr(layer, "_inside", None)
        if inside is None:
            inner = _all_inside(() if layer.is_template else layers_in(layer))
            if inner is None or origin in inner:
                return None
            inside = inner | {origin}
            object.__setattr__(layer, "_inside", inside)
        if not seen.isdisjoint(inside):
            return None
        seen |= inside
    return frozenset(seen)


def same_weights(layer: Layer, first: Shape, shape: Shape) -> None:
    """A shared layer must declare the same weights for all the shapes that it is called with."""
    if first != shape and layer.specs(first) != layer.specs(shape):
        raise ConfigError(
            f"{layer!r} is shared, but its weights for {first} differ from those for {shape}; use a second layer, or "
            "bring the inputs to the same size"
        )


def holds_weights(layer: Layer) -> bool:
    """Whether a layer, or one inside it, declares arrays for some input."""
    return layer.has_weights or any(map(holds_weights, layers_in(layer)))


def layers_in(value: Any) -> Iterator[Layer]:
    """The layers in a layer's own fields, one level down."""
    for item in value.__dict__.values() if isinstance(value, Layer) else value:
        if isinstance(item, Layer):
            yield item
        elif type(item) is tuple:
            yield from layers_in(item)
