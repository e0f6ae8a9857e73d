"""Cases that real Keras wrote on TensorFlow: how a record is read, run and compared (their README)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import fnlayers as fl
from fnlayers.keras_files.config import model_of
from fnlayers.layers.preprocessing.vocabulary import Vocabulary

SET = Path(__file__).parents[4] / "shared" / "textgold" / "public"
TUPLES = ("ngrams", "axis", "salt")


def records(folder: Path) -> dict:
    """The cases and models of a set; none where there is no such folder."""
    path = folder / "cases.json"
    return json.loads(path.read_text()) if path.is_file() else {"cases": [], "models": []}


def array(value: dict) -> np.ndarray:
    """A value as an array; rows of several lengths as an array of lists."""
    if value["dtype"] == "string":
        items = nested(value["data"], lambda s: bytes.fromhex(s["hex"]) if isinstance(s, dict) else s)
        if value.get("ragged"):
            return filled(items)
        array = np.empty(value["shape"], object)
        array[...] = np.array(items, object).reshape(value["shape"])
        return array
    items = nested(value["data"], float) if value["dtype"].startswith(("float", "bfloat")) else value["data"]
    if value.get("ragged"):
        return filled([np.array(row, value["dtype"]) for row in items])
    return np.array(items, value["dtype"]).reshape(value["shape"])


def nested(data: Any, leaf: Any) -> Any:
    return [nested(item, leaf) for item in data] if isinstance(data, list) else leaf(data)


def filled(rows: list) -> np.ndarray:
    array = np.empty(len(rows), object)
    for index, row in enumerate(rows):
        array[index] = row
    return array


def arguments(options: dict) -> dict:
    return {key: token_list(value) if key == "vocabulary" else value for key, value in options.items()}


def token_list(tokens: Any) -> Any:
    if not isinstance(tokens, list):
        return tokens
    return [bytes.fromhex(token["hex"]) if isinstance(token, dict) else token for token in tokens]


def built(case: dict) -> fl.Layer:
    """(A): from the constructor's arguments, adapted."""
    options = arguments(case["init_args"])
    options.pop("sparse", None)  # results are dense: the numbers are the same
    layer = getattr(fl, case["class_name"])(**options, name="layer")
    adapt = case["adapt"]
    if adapt is None:
        return layer
    data = array(adapt["data"]) if adapt["kind"] == "array" else map(array, adapt["data"])
    return layer.adapt(data, verbose=False)  # type: ignore[attr-defined]


def restored(case: dict) -> fl.Layer:
    """(B): from its config, with the state put in."""
    config = dict(case["config"])
    layer: Any = model_of({"class_name": case["class_name"], "config": config})
    state = case["state"]
    if "vocabulary" in state and layer.vocabulary is None:
        tokens = tuple(token_list(state["vocabulary"]))
        weights = {}
        if "idf_weights" in state:
            weights["idf_weights"] = array(state["idf_weights"]).tolist()[: len(tokens)]
        return replace(layer, vocabulary=Vocabulary(tokens), **weights)
    if "kept_axes_mean" in state:
        mean, variance = (array(state[f"kept_axes_{name}"]) for name in ("mean", "variance"))
        return replace(layer, mean=mean.tolist(), variance=variance.tolist())
    return layer


def outputs(layer: fl.Layer, case: dict) -> Any:
    arrays = [array(value) for value in case["inputs"]]
    x: Any = tuple(arrays) if case["class_name"] == "HashedCrossing" else arrays[0]
    if "count_weights" in (case.get("call_kwargs") or {}):
        x = (x, array(case["call_kwargs"]["count_weights"]))
    return layer.apply({}, x)


def same(got: Any, value: dict, tolerance: dict, exact_dtype: bool = True) -> None:
    """Assert that a value is what Keras gave: shape, dtype and numbers."""
    got = got if isinstance(got, np.ndarray) else np.asarray(got)
    if value["dtype"] == "string":
        assert got.shape == tuple(value["shape"]), (got.shape, value["shape"])
        expected = nested(value["data"], lambda s: bytes.fromhex(s["hex"]) if isinstance(s, dict) else s.encode())
        assert nested(got.tolist(), lambda s: s.encode() if isinstance(s, str) else s) == expected
        return
    if value.get("ragged"):
        assert len(got) == len(value["data"])
        for row, wanted in zip(got, value["data"], strict=True):
            assert row.dtype == value["dtype"] and row.tolist() == wanted
        return
    wanted = array(value)
    assert got.shape == wanted.shape, (got.shape, wanted.shape)
    assert not exact_dtype or got.dtype == wanted.dtype, (got.dtype, wanted.dtype)
    np.testing.assert_allclose(got, wanted, **tolerance)


def same_state(layer: Any, state: dict, tolerance: dict) -> None:
    """Assert that a layer learned what Keras learned."""
    loose = {"rtol": max(tolerance["rtol"], 1e-6), "atol": tolerance["atol"]}
    if "vocabulary" in state:
        shown = [token.decode() if isinstance(token, bytes) else token for token in layer.get_vocabulary()]
        assert [t.rstrip("\0") if isinstance(t, str) else t for t in shown] == token_list(state["vocabulary"])
        assert layer.vocabulary_size() == state["vocabulary_size"]
    if "idf_weights" in state:
        lookup = getattr(layer, "lookup", layer)
        np.testing.assert_allclose(lookup.weights_of_all(), array(state["idf_weights"]), **loose)
    if "bin_boundaries" in state:
        np.testing.assert_allclose(layer.bin_boundaries, state["bin_boundaries"], **loose)
    for name in ("mean", "variance"):
        if f"kept_axes_{name}" in state:
            np.testing.assert_allclose(np.asarray(getattr(layer, name)), array(state[f"kept_axes_{name}"]), **loose)


def check(case: dict) -> None:
    """Assert that a case holds, built in both ways; that it is refused where Keras raises."""
    error = case["error"]
    if error is not None:
        try:
            layer = built(case)
            if error["stage"] == "call":
                outputs(layer, case)
        except ValueError as refused:
            assert isinstance(refused, fl.LayerError), refused
            return
        raise AssertionError(f"nothing was raised; Keras: {error['core'][:200]}")
    layers = [built(case)]
    same_state(layers[0], case["state"], case["tolerance"])
    if "state_not_enough" not in case["tags"]:
        layers.append(restored(case))
    for layer in layers if case["outputs"] is not None else ():
        same(outputs(layer, case), case["outputs"], case["tolerance"])
