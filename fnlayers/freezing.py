"""freeze, thaw: a model some of whose layers do not train, with the same params."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.core.naming import named
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.recurrent.cells import StackedRNNCells
from fnlayers.models.functional import Functional
from fnlayers.models.sequential import Sequential
from fnlayers.trees import matches

__all__ = ["freeze", "thaw"]

Path = tuple[str, ...]


def freeze(model: Layer, *patterns: str) -> Layer:
    """The same model with the layers that are named frozen: trainable is False in them and in all that they hold.

    That is one thing for all of training: no gradient and no constraint moves their params, no penalty includes
    them, the optimizer keeps nothing for them, and a BatchNormalization among them works as in inference, with a state
    that does not move. Dropout still drops. The names stay, so params and state that fitted the model fit it still; a
    train state does not, since its optimizer holds something else: go on with `fit(params=..., state=...)`.

    Arguments:
        model: any layer.
        patterns: paths of layers, as in the params ("base/conv2d"), a container's standing for all in it;
            `*` is anything within a name, `**` any names, as in `fnlayers.labels`. Without any: the whole model.

    Returns:
        A new model; the one given stays as it is.

    Raises:
        ConfigError: for a pattern that no layer matches. Layers that others make of their options (those inside a
            TransformerEncoder) cannot be named, nor single weights: `fnlayers.labels` names those, for an optimizer.

    Example:
        >>> import fnlayers as fl
        >>> base = fl.Sequential([fl.Dense(8), fl.BatchNormalization()], name="base")
        >>> model = freeze(fl.Sequential([base, fl.Dense(2, name="head")]), "base/**")
        >>> [path for path, trains in fl.paths(fl.trainable_mask(model, (None, 4))).items() if trains]
        ['head/bias', 'head/kernel']
    """
    return _changed(model, patterns, "freeze")


def thaw(model: Layer, *patterns: str) -> Layer:
    """The same model, in which the layers that are named train again: what `freeze` does, undone.

    A container that was frozen around them trains then too, in them alone: its other layers are frozen each for itself.

    Arguments:
        model: any layer.
        patterns: as for `freeze`. Without any: the whole model.

    Example:
        >>> import fnlayers as fl
        >>> model = freeze(fl.Sequential([fl.Dense(8), fl.Dense(8), fl.Dense(2)]))
        >>> [layer.trainable for layer in thaw(model, "dense_2").layers]
        [False, False, True]
    """
    return _changed(model, patterns, "thaw")


def _changed(model: Layer, patterns: tuple[str, ...], verb: str) -> Layer:
    if not isinstance(model, Layer):
        raise ConfigError(f"{verb} takes a model, got {model!r}")
    if wrong := [pattern for pattern in patterns if not isinstance(pattern, str)]:
        raise ConfigError(
            f"{verb}: {wrong[0]!r} is not a pattern; give strings, as in fnlayers.{verb}(model, 'base/**')"
        )
    paths = list(dict.fromkeys(_paths(model, ())))
    matched: set[Path] = set()
    for pattern in patterns or ("**",):
        hits = [path for path in paths if matches(list(path), pattern.split("/"))]
        if not hits:
            there = ", ".join("/".join(path) for path in paths if path) or "none"
            raise ConfigError(
                f"{verb}: {pattern!r} matches no layer; the layers are {there} (for single weights: fnlayers.labels)"
            )
        matched.update(hits)
    return _Change(matched, trainable=verb == "thaw").layer(model, (), frozen=False)


class _Change:
    """One walk through a model; an object that occurs twice in a container stays one."""

    def __init__(self, matched: set[Path], trainable: bool) -> None:
        self.matched, self.trainable = matched, trainable
        self.above = {path[:depth] for path in matched for depth in range(len(path))}
        self.done: dict[int, Any] = {}

    def layer(self, layer: Layer, path: Path, frozen: bool) -> Layer:
        """The layer with what is named in it changed; `frozen`: a container around it was, and is not any longer."""
        if path in self.matched:
            return self.all(layer)
        frozen = frozen or not layer.trainable
        if path not in self.above:
            return replace(layer, trainable=False) if frozen and layer.trainable else layer
        opens = frozen and self.trainable
        inner = {name: self.layer(child, (*path, name), opens) for name, child in held_layers(layer).items()}
        return replace(layer, **held_options(layer, inner), trainable=layer.trainable or opens)

    def all(self, value: Any) -> Any:
        """The layer, and each that it holds, trainable or not."""
        if type(value) is tuple:
            return tuple(map(self.all, value))
        if not isinstance(value, Layer):
            return value
        if id(value) not in self.done:
            options = {f.name: self.all(getattr(value, f.name)) for f in fields(value)}
            self.done[id(value)] = replace(value, **(options | {"trainable": self.trainable}))
        return self.done[id(value)]


def _paths(layer: Layer, path: Path) -> Iterator[Path]:
    yield path
    for name, child in held_layers(layer).items():
        yield from _paths(child, (*path, name))


def held_layers(layer: Layer) -> Mapping[str, Layer]:
    """The layers that a layer was given, by their names in its params; what it makes by itself is not among them."""
    if isinstance(layer, Sequential):
        return dict(named(layer.layers))
    if isinstance(layer, StackedRNNCells):
        return dict(named(layer.cells))
    if isinstance(layer, Functional):
        return dict(layer.by_name)
    if isinstance(layer, Bidirectional):
        back = layer.backward_layer or replace(layer.layer, go_backwards=not layer.layer.go_backwards)
        return {"forward_layer": layer.layer, "backward_layer": back}
    values = {f.name: getattr(layer, f.name) for f in fields(layer)}
    return {name: value for name, value in values.items() if isinstance(value, Layer)}


def held_options(layer: Layer, inner: Mapping[str, Layer]) -> dict[str, Any]:
    """The fields of a layer that hold those layers, which are named as `held_layers` names them."""
    if isinstance(layer, Sequential):
        return {"layers": tuple(inner[name] for name, _ in named(layer.layers))}
    if isinstance(layer, StackedRNNCells):
        return {"cells": tuple(inner[name] for name, _ in named(layer.cells))}
    if isinstance(layer, Functional):
        return {"layers": tuple(inner[str(old.name)].renamed(old.name) for old in layer.layers)}
    if isinstance(layer, Bidirectional):
        return {"layer": inner["forward_layer"], "backward_layer": inner["backward_layer"]}
    return dict(inner)
