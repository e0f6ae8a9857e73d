"""Sequentials of Keras 1 that begin with a Merge of other Sequentials, which are graphs with several inputs."""

from collections.abc import Callable
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files.legacy_nodes import declared_input, input_layer, merge_entry, parts, tensor


def begins_with_merge(config: Any) -> bool:
    """Whether a Sequential's config, a list of layers or an object with one, begins with a Merge."""
    layers = config.get("layers") if isinstance(config, dict) else config
    first = layers[0] if isinstance(layers, list) and layers else None
    return isinstance(first, dict) and first.get("class_name") == "Merge"


def graph_of_branches(layers: list, translate: Callable[[Any], dict]) -> dict:
    """The config of a Functional, in Keras 3's form: the branches' layers stand in it, as they do among the weights.

    Arguments:
        layers: of the Sequential, the Merge first.
        translate: translates a layer.
    """
    entries: list[dict] = []
    inputs: list[list] = []
    last = _branch(layers, translate, entries, inputs)
    return {"layers": entries, "input_layers": inputs, "output_layers": [last, 0, 0]}


def _branch(layers: Any, translate: Callable[[Any], dict], entries: list[dict], inputs: list[list]) -> str:
    """Add one Sequential's layers; returns the name of the last."""
    if not isinstance(layers, list) or not layers:
        raise ConfigError(f"a branch of a Merge is {str(layers)[:80]}, expected a list of layers")
    if begins_with_merge(layers):
        last = _merged(parts(layers[0])[1], translate, entries, inputs)
        rest = layers[1:]
    else:
        start = input_layer(layers[0]) or declared_input(layers[0])
        if start is None:
            raise ConfigError("a branch of a Merge does not say the shape of its input")
        last = _name(start)
        entries.append({**start, "name": last, "inbound_nodes": []})
        inputs.append([last, 0, 0])
        rest = layers[input_layer(layers[0]) is not None :]
    for layer in rest:
        entry = translate(layer)
        entries.append({**entry, "name": _name(entry), "inbound_nodes": [{"args": [tensor(last)], "kwargs": {}}]})
        last = _name(entry)
    return last


def _merged(config: Any, translate: Callable[[Any], dict], entries: list[dict], inputs: list[list]) -> str:
    """Add the branches of a Merge, and it; returns its name."""
    branches = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(branches, list) or not branches:
        raise ConfigError(f"a Merge of {str(branches)[:80]}, expected a list of models")
    ends = []
    for branch in branches:
        kind, inner = parts(branch)
        if kind != "Sequential":
            raise ConfigError(
                f"a branch of a Merge is a {kind[:80]}, which is not supported here; it must be a Sequential"
            )
        inner = inner.get("layers") if isinstance(inner, dict) else inner
        ends.append(tensor(_branch(inner, translate, entries, inputs)))
    entry = merge_entry(config.get("name"), config)
    entries.append({**entry, "name": _name(entry), "inbound_nodes": [{"args": [ends], "kwargs": {}}]})
    return _name(entry)


def _name(entry: dict) -> str:
    name = entry["config"].get("name") if isinstance(entry["config"], dict) else None
    if not isinstance(name, str):
        raise ConfigError(f"a layer of a branch has the name {str(name)[:80]!r}")
    return name
