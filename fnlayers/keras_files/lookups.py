"""Layers with a vocabulary in Keras's files: what their configs say, and where their tokens and weights lie."""

from typing import Any

LISTS = ("vocabulary", "idf_weights", "bin_boundaries")  # options of as many values as there are tokens
FUNCTIONS = ("standardize", "split")  # options that may be a function of the caller's


SPARSE = (
    ("CategoryEncoding", "Discretization", "HashedCrossing", "Hashing")
    + ("IntegerLookup", "StringLookup", "TextVectorization")
)  # fmt: skip


def known_options(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The config of a layer without what changes no number, or says the same twice."""
    found = dict(config)
    if kind in SPARSE and found.get("sparse") is True:
        found["sparse"] = False  # results are dense
    if kind == "Discretization" and found.get("bin_boundaries") is not None:
        found["num_bins"] = None  # it was adapted
    if kind == "StringLookup":
        found.pop("oov_method", None)  # of integers
    return found
