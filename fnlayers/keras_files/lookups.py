"""Layers with a vocabulary in Keras's files: what their configs say, and where their tokens and weights lie.

A vocabulary that was given stands in the config; one that was learned is a text in the archive, a token a line, in a
folder that is named as that of the layer's weights is. It is read as data: no path in a config is opened.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.names import number_from, snake_case
from fnlayers.keras_files.feature_spaces import KIND, arrays_of_space, filled_space, with_statistics
from fnlayers.keras_files.hdf5 import Hdf5
from fnlayers.layers.preprocessing.feature_space import FeatureSpace
from fnlayers.layers.preprocessing.hashing import HashedCrossing, Hashing, output_dtype
from fnlayers.layers.preprocessing.lookup_base import Lookup
from fnlayers.layers.preprocessing.text import TextVectorization

LISTS = ("vocabulary", "idf_weights", "bin_boundaries")  # options of as many values as there are tokens
FUNCTIONS = ("standardize", "split")  # options that may be a function of the caller's
WITH_VOCABULARY = ("IntegerLookup", "StringLookup", "TextVectorization")
SPARSE = ("CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", *WITH_VOCABULARY)
MAX_OPTION = 100_000  # numbers of an array that becomes an option
INSIDE = "_lookup_layer/"  # of a TextVectorization, where Keras writes all a second time
_INTEGER = re.compile(r"-?[0-9]{1,19}")


def known_options(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The config of a layer without what changes no number, or says the same twice."""
    options = dict(config)
    if kind in SPARSE and options.get("sparse") is True:
        options["sparse"] = False  # results are dense
    if kind == "Discretization" and options.get("bin_boundaries") is not None:
        options["num_bins"] = None  # it was adapted
    if kind == "StringLookup":
        options.pop("oov_method", None)  # of integers
    return options


class Stored(NamedTuple):
    """What a file stores of vocabularies: the texts by folder, and its arrays."""

    texts: dict[str, str]
    file: Hdf5
    arrays: frozenset[str]

    def small(self, name: str) -> np.ndarray:
        """An array that becomes an option."""
        if math.prod(self.file.stored(name).shape) > MAX_OPTION:
            raise ConfigError(f"{name} has the shape {self.file.stored(name).shape}, for a column of a table")
        return np.asarray(self.file.read(name), np.float32)


def with_vocabularies(node: Any, stored: Stored) -> Any:
    """The config of a model with the tokens and weights that its file stores.

    Raises:
        ConfigError: for a text that belongs to no layer, or is not what its layer's config says.
    """
    used: set[str] = set()
    filled = _filled(node, stored, "", used)
    if strange := sorted(stored.texts.keys() - used):
        raise ConfigError(f"it holds a vocabulary that no layer of the model has: {strange[0][:200]}vocabulary.txt")
    return filled


def options_among(names: Any) -> frozenset[str]:
    """Those arrays of a file that become options here: weights of tokens, and statistics of columns."""
    return frozenset(n for n in names if n.endswith("vars/idf_weights") or n.startswith("preprocessors/"))


def _filled(node: Any, stored: Stored, folder: str, used: set[str]) -> Any:
    kind, config = (node.get("class_name"), node.get("config")) if isinstance(node, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(config, dict):
        return node
    if kind in WITH_VOCABULARY:
        used |= {folder, folder + INSIDE}
        return {**node, "config": config | _learned(kind, config, stored, folder)}
    if kind == KIND:

        def fill(inner: Any, place: str) -> Any:
            inner = with_statistics(inner, folder + place, stored.arrays, stored.small)
            return _filled(inner, stored, folder + place, used)

        return {**node, "config": filled_space(config, fill)}
    if kind not in ("Sequential", "Functional") or not isinstance(config.get("layers"), list):
        return node
    taken: set[str] = set()
    counts: dict[str, int] = {}
    layers = []
    for inner in config["layers"]:
        base = snake_case(str(inner.get("class_name"))[:200]) if isinstance(inner, dict) else ""
        name, counts[base] = number_from(base, taken, counts.get(base, 0))
        taken.add(name)
        layers.append(_filled(inner, stored, f"{folder}layers/{name}/", used))
    return {**node, "config": {**config, "layers": layers}}


def _learned(kind: str, config: Mapping[str, Any], stored: Stored, folder: str) -> dict[str, Any]:
    """The vocabulary and weights that the file stores of one layer."""
    text = stored.texts.get(folder)
    if config.get("vocabulary") is not None or text is None:
        return {}
    lines, size = text.split("\n"), config.get("vocabulary_size")
    if type(size) is int and size != len(lines):
        raise ConfigError(
            f"{folder}vocabulary.txt has {len(lines)} lines, and its layer {size} tokens: some hold line ends, and "
            "Keras does not restore them either"
        )
    learned: dict[str, Any] = {"vocabulary": list(map(_integer, lines)) if kind == "IntegerLookup" else lines}
    weights = f"{folder}vars/idf_weights"
    if config.get("output_mode") == "tf_idf" and weights in stored.arrays:
        if stored.file.stored(weights).shape < (len(lines),):
            raise ConfigError(f"{weights} has the shape {stored.file.stored(weights).shape}, for {len(lines)} tokens")
        learned["idf_weights"] = np.asarray(stored.file.read(weights), np.float64).ravel()[: len(lines)].tolist()
    return learned


def _integer(line: str) -> int:
    if not _INTEGER.fullmatch(line):
        raise ConfigError(f"a vocabulary of integers has the line {line[:80]!r}")
    return int(line)


# Writing


def policy_name(layer: Layer) -> str | None:
    """The policy that Keras has for the layer, whose own default depends on its mode."""
    return output_dtype(layer).name if isinstance(layer, (HashedCrossing, Hashing)) else layer.dtype


def stored_weights(layer: Layer, shape: Shape, folders: Any, theirs: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The weights of tokens that Keras reads from a file, each with its place there.

    Arguments:
        layer: a model in Keras's form.
        shape: of its input.
        folders: see `weights.default_folders`.
        theirs: where the layer itself lies.
    """
    if isinstance(layer, (Lookup, TextVectorization)):
        if layer.output_mode == "tf_idf" and layer.vocabulary is not None:
            lookup = layer.lookup if isinstance(layer, TextVectorization) else layer
            inside = [INSIDE] if isinstance(layer, TextVectorization) else []
            for folder in ("", *inside):
                yield f"{theirs}{folder}vars/idf_weights", lookup.weights_of_all()
        return
    if isinstance(layer, FeatureSpace):
        yield from ((f"{theirs}{name}", np.zeros(0)) for name in arrays_of_space(layer))
    children = layer.children(shape) if layer.has_children else {}
    for name, folder in folders(layer, children, theirs):
        child, child_shape = children[name]
        yield from stored_weights(child, child_shape, folders, f"{theirs}{folder}/")
