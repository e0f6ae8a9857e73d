"""Keras's FeatureSpace in its files: a dict of features, each with the config of a layer; what it learned lies aside.

A `.keras` file of one has the texts of vocabularies, and the statistics of its Normalizations as arrays; bins stand in
the config. All of it becomes options of the layers: a FeatureSpace has no state.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.core.names import number_from, snake_case
from fnlayers.keras_files import limits
from fnlayers.keras_files.nodes import parts, safe_name
from fnlayers.layers.preprocessing.columns import Cross, Feature, of_column
from fnlayers.layers.preprocessing.feature_space import FeatureSpace
from fnlayers.layers.preprocessing.numeric import Normalization

KIND, HOME = "FeatureSpace", "keras.utils"
IDENTITY = "TFDIdentity"  # of columns that stay as they are
INSIDE = "keras.src.layers.preprocessing.feature_space"
STATISTICS = ("mean", "variance")  # of a Normalization, by number; after them stands a count


def feature_space_of(node: Any, model: Callable[[Any], Layer]) -> FeatureSpace:
    """The space that a config describes.

    Arguments:
        node: the config.
        model: reads the config of a layer.
    """
    config = dict(parts(node)[1])
    if node.get("module") != HOME or node.get("registered_name") not in (None, KIND):
        raise ConfigError("FeatureSpace is not Keras's own: give it in layers=")
    features = config.pop("features", None)
    if not isinstance(features, dict) or len(features) > limits.MAX_LAYERS:
        raise ConfigError(f"FeatureSpace: features={str(features)[:80]}, expected a dict")
    crosses = [_inside(cross, "Cross") for cross in config.pop("crosses", None) or ()]
    known = {key: config.pop(key) for key in ("output_mode", "crossing_dim", "hashing_dim") if key in config}
    bins = config.pop("num_discretization_bins", 32)
    if unknown := sorted(config.keys() - {"name", "trainable", "dtype"}):
        raise ConfigError(f"FeatureSpace: {', '.join(unknown)[:80]} is not supported here")
    by_column = {}
    for name, inner in features.items():
        with of_column(safe_name(name)):
            by_column[name] = _feature(inner, model)
    return FeatureSpace(
        by_column, crosses=[_cross(options) for options in crosses], num_discretization_bins=bins, **known
    )


def _inside(node: Any, kind: str) -> dict:
    """The options of a Feature or a Cross."""
    class_name, config = parts(node)
    if class_name != kind or node.get("module") != INSIDE:
        raise ConfigError(f"a FeatureSpace has a {str(class_name)[:80]} where it has a {kind}")
    return config


def _feature(node: Any, model: Callable[[Any], Layer]) -> Feature:
    config = _inside(node, "Feature")
    if config.keys() != {"dtype", "preprocessor", "output_mode"}:
        raise ConfigError(f"a Feature has {', '.join(map(str, config))[:80]}")
    inner = config["preprocessor"]
    kind, options = parts(inner)
    if kind == IDENTITY:
        return Feature(config["dtype"], None, config["output_mode"])
    depth = options.get("num_bins") if kind == "Discretization" else None  # which Keras's vectors have, adapted or not
    return Feature(config["dtype"], model(inner).renamed(None), config["output_mode"], depth)


def _cross(config: dict) -> Cross:
    names = config.get("feature_names")
    if config.keys() != {"feature_names", "crossing_dim", "output_mode"} or not isinstance(names, list):
        raise ConfigError(f"a Cross has {str(config)[:80]}")
    return Cross(tuple(names), config["crossing_dim"], config["output_mode"])


# Where a file keeps what was learned


def folders_of_config(config: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """The name of each feature, the config of its layer, and the layer's folder: numbered by class."""
    features = config.get("features")
    pairs = []
    for name, feature in features.items() if isinstance(features, dict) else ():
        options = feature.get("config") if isinstance(feature, dict) else None
        inner = options.get("preprocessor") if isinstance(options, dict) else None
        if isinstance(inner, dict):
            pairs.append((name, inner))
    folders = _numbered(str(inner.get("class_name"))[:200] for _, inner in pairs)
    yield from ((name, inner, folder) for (name, inner), folder in zip(pairs, folders, strict=True))


def folders_of_space(space: FeatureSpace) -> Iterator[tuple[str, Layer | None, str]]:
    """The name of each feature, its layer, and the layer's folder."""
    layers = [feature.preprocessor for feature in space.features.values()]
    folders = _numbered(IDENTITY if layer is None else type(layer).__name__ for layer in layers)
    yield from zip(space.features, layers, folders, strict=True)


def _numbered(kinds: Iterator[str]) -> Iterator[str]:
    taken: set[str] = set()
    counts: dict[str, int] = {}
    for kind in kinds:
        base = snake_case(kind)
        name, counts[base] = number_from(base, taken, counts.get(base, 0))
        taken.add(name)
        yield f"preprocessors/{name}/"


def filled_space(config: dict, fill: Callable[[Any, str], Any]) -> dict:
    """The config of a space with what `fill(config of a layer, folder)` finds for each layer."""
    entries = config.get("features")
    features = dict(entries) if isinstance(entries, dict) else {}
    for name, inner, folder in folders_of_config(config):
        feature = features[name]
        features[name] = {**feature, "config": {**feature["config"], "preprocessor": fill(inner, folder)}}
    return {**config, "features": features or entries}


def with_statistics(node: Any, folder: str, arrays: frozenset[str], read: Callable[[str], np.ndarray]) -> Any:
    """The config of a Normalization with the statistics that a file has of it, as its options."""
    config = node.get("config")
    places = [f"{folder}vars/{index}" for index in range(len(STATISTICS))]
    learned = node.get("class_name") == "Normalization" and isinstance(config, dict) and config.get("mean") is None
    if not learned or not arrays.issuperset(places):
        return node
    return {**node, "config": {**config, **{k: read(p).tolist() for k, p in zip(STATISTICS, places, strict=True)}}}


def arrays_of_space(space: FeatureSpace) -> Iterator[str]:
    """The arrays that a file has of Normalizations whose statistics are options here."""
    for _, layer, folder in folders_of_space(space):
        if isinstance(layer, Normalization):
            yield from (f"{folder}vars/{index}" for index in range(len(STATISTICS) + 1))
