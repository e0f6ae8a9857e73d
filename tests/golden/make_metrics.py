"""Writes metrics.npz: metrics and losses as Keras 3.15.1 computes them on JAX.

Run it from the repository root, where Keras is installed: KERAS_BACKEND=jax python tests/golden/make_metrics.py
Each key of the file is "metric|loss Name {arguments as JSON} data what", so the tests need no table of their own.
"""

import functools
import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras.src.metrics.metrics_utils import confusion_matrix

CUT = 5  # the first batch of eight; the second one is smaller
THRESHOLDS = [None, {"thresholds": 0.3}, {"thresholds": [0.7, 0.1, 0.4]}, {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}]
CHOSEN = [{"top_k": 2}, {"class_id": 1}, {"top_k": 1, "class_id": 2}, {"thresholds": 0.2, "top_k": 2}]
COUNTS = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
CURVES = [
    {"curve": curve, "summation_method": method}
    for curve in ("ROC", "PR", "PRGAIN")
    for method in ("interpolation", "minoring", "majoring")
]
LABELED = {"multi_label": True, "num_labels": 3}
MATRIX = {"sparse_y_true": True, "sparse_y_pred": False}
# (name, data, several arguments)
METRICS = [
    *((name, "rows", THRESHOLDS) for name in COUNTS),
    *((name, "rows", [*THRESHOLDS, *CHOSEN]) for name in ("Precision", "Recall")),
    ("SensitivityAtSpecificity", "rows", [{"specificity": 0.5}, {"specificity": 0.5, "num_thresholds": 1}]),
    ("SpecificityAtSensitivity", "rows", [{"sensitivity": 0.4}, {"sensitivity": 0.6, "class_id": 0}]),
    ("PrecisionAtRecall", "rows", [{"recall": 0.5}, {"recall": 0.5, "num_thresholds": 3}]),
    ("RecallAtPrecision", "rows", [{"precision": 0.6}]),
    ("AUC", "rows", [*CURVES, {"num_thresholds": 7}, {"thresholds": [0.2, 0.9, 0.35]}, {"thresholds": [0.5]}]),
    ("AUC", "rows", [LABELED, {**LABELED, "curve": "PR"}, {**LABELED, "label_weights": [1.0, 3.0, 0.5]}]),
    ("AUC", "rows", [{"label_weights": [1.0, 3.0, 0.5]}]),
    ("AUC", "logits", [{"from_logits": True}]),
    ("F1Score", "one_hot", [None, {"average": "micro"}, {"average": "macro"}, {"average": "weighted"}]),
    ("F1Score", "rows", [{"threshold": 0.4}]),
    ("FBetaScore", "one_hot", [{"average": "macro", "beta": 2.0}, {"beta": 0.5, "threshold": 0.3}]),
    ("IoU", "sparse", [{"num_classes": 3, "target_class_ids": [0, 2], **MATRIX}]),
    ("MeanIoU", "sparse", [{"num_classes": 3, **MATRIX}, {"num_classes": 5, "ignore_class": 1, **MATRIX}]),
    ("MeanIoU", "classes", [{"num_classes": 3}]),
    ("OneHotIoU", "one_hot", [{"num_classes": 3, "target_class_ids": [1]}]),
    ("OneHotMeanIoU", "one_hot", [{"num_classes": 3}]),
    ("BinaryIoU", "column", [None, {"threshold": 0.3, "target_class_ids": [1]}]),
    ("R2Score", "numbers", [None, {"class_aggregation": "variance_weighted_average"}, {"class_aggregation": None}]),
    ("R2Score", "numbers", [{"num_regressors": 2}]),
    ("Accuracy", "classes", [None]),
    ("BinaryAccuracy", "rows", [None, {"threshold": 0.2}]),
    ("CategoricalAccuracy", "one_hot", [None]),
    ("SparseCategoricalAccuracy", "sparse", [None]),
    ("TopKCategoricalAccuracy", "one_hot", [{"k": 2}]),
    ("SparseTopKCategoricalAccuracy", "sparse", [{"k": 2}]),
    *(
        (name, "numbers", [None])
        for name in (
            "RootMeanSquaredError MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError "
            "MeanSquaredLogarithmicError LogCoshError CosineSimilarity PearsonCorrelation ConcordanceCorrelation"
        ).split()
    ),
    *((name, "rows", [None]) for name in ("Hinge", "SquaredHinge", "Poisson", "BinaryCrossentropy")),
    *((name, "one_hot", [None]) for name in ("CategoricalHinge", "KLDivergence")),
    ("BinaryCrossentropy", "logits", [{"from_logits": True, "label_smoothing": 0.2}]),
    ("CategoricalCrossentropy", "one_hot", [None, {"from_logits": True, "label_smoothing": 0.2}]),
    ("SparseCategoricalCrossentropy", "sparse", [None, {"from_logits": True}]),
]
LOSSES = [
    *(
        (name, "numbers", [None])
        for name in (
            "mean_squared_error mean_absolute_error mean_absolute_percentage_error mean_squared_logarithmic_error "
            "log_cosh cosine_similarity"
        ).split()
    ),
    ("huber", "numbers", [None, {"delta": 0.3}]),
    *((name, "rows", [None]) for name in ("poisson", "hinge", "squared_hinge")),
    ("hinge", "signs", [None]),
    *((name, "one_hot", [None]) for name in ("kl_divergence", "categorical_hinge")),
    *((name, "rows", [None, {"axis": 1}, {"axis": 0}]) for name in ("dice", "tversky")),
    ("tversky", "rows", [{"alpha": 0.2, "beta": 0.9, "axis": 1}]),
    ("binary_crossentropy", "logits", [{"from_logits": True}, {"from_logits": True, "label_smoothing": 0.1}]),
    ("binary_focal_crossentropy", "rows", [None, {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}]),
    ("binary_focal_crossentropy", "logits", [{"from_logits": True, "label_smoothing": 0.2}]),
    ("categorical_crossentropy", "one_hot", [{"label_smoothing": 0.2}, {"from_logits": True, "label_smoothing": 0.2}]),
    ("categorical_focal_crossentropy", "one_hot", [None, {"from_logits": True, "gamma": 1.0, "label_smoothing": 0.1}]),
    ("sparse_categorical_crossentropy", "sparse", [{"from_logits": True}, {"ignore_class": 1}]),
    ("ctc", "steps", [None]),
    ("circle", "embeddings", [None, {"gamma": 4.0, "margin": 0.2, "remove_diagonal": False}]),
]


def make_data(rng):
    rows = rng.uniform(size=(8, 3)).astype("float32")
    rows[0] = [0.0, 0.5, 1.0]
    rows[1] = [0.25, 0.2, 0.75]
    answers = (rng.uniform(size=(8, 3)) > 0.5).astype("int32")
    classes = rng.integers(0, 3, 8)
    one_hot, logits = np.eye(3, dtype="float32")[classes], rng.normal(size=(8, 3)).astype("float32") * 2
    numbers = rng.normal(size=(2, 8, 3)).astype("float32")
    embeddings = rng.normal(size=(8, 4)).astype("float32")
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = np.array([[1, 2, 0], [3, 3, 1], [2, 0, 0], [0, 0, 0], [1, 1, 0], [3, 0, 0], [2, 1, 3], [1, 0, 0]])
    return {
        "rows": (rows, answers),
        "logits": (logits, answers),
        "signs": (logits, 2 * answers - 1),
        "one_hot": (rows, one_hot),
        "sparse": (rows, classes.astype("int32")),
        "classes": (rng.integers(0, 3, 8).astype("int32"), classes.astype("int32")),
        "column": (rows[:, :1], answers[:, :1]),
        "numbers": (numbers[0], numbers[1]),
        "steps": (rng.normal(size=(8, 6, 4)).astype("float32"), labels.astype("int32")),
        "embeddings": (embeddings, classes.astype("int32")),
    }


def measured(name, arguments, y_pred, y_true, weight):
    metric = getattr(keras.metrics, name)(**arguments)
    for part in (slice(0, CUT), slice(CUT, None)):
        metric.update_state(y_true[part], y_pred[part], None if weight is None else weight[part])
    return np.asarray(metric.result())


def main():
    assert keras.__version__ == "3.15.1" and keras.backend.backend() == "jax"
    rng, out = np.random.default_rng(0), {}
    data = make_data(rng)
    weight = np.array([1, 2, 0, 1, 3, 1, 2, 1], "float32")
    out["weight"] = weight
    for name, (y_pred, y_true) in data.items():
        out[f"data {name} y_pred"], out[f"data {name} y_true"] = y_pred, y_true
    for name, kind, several in METRICS:
        for arguments in several:
            for weighted in (False, True):
                # An IoU in Keras's integers warns of weights that are floats
                weights = None if not weighted else weight.astype("int32") if "IoU" in name else weight
                value = measured(name, arguments or {}, *data[kind], weights)
                out[f"metric {name} {json.dumps(arguments or {})} {kind} {'weighted' if weighted else 'plain'}"] = value
    for name, kind, several in LOSSES:
        y_pred, y_true = map(jnp.asarray, data[kind])
        for arguments in several:
            weights = {k: tuple(v) if isinstance(v, list) else v for k, v in (arguments or {}).items()}
            loss = functools.partial(getattr(keras.losses, name), y_true, **weights)
            key = f"loss {name} {json.dumps(arguments or {})} {kind}"
            out[f"{key} value"] = np.asarray(loss(y_pred))
            out[f"{key} gradient"] = np.asarray(jax.grad(lambda p, loss=loss: jnp.sum(loss(p)))(y_pred))
    scores, classes = data["sparse"]
    out["confusion matrix"] = np.asarray(confusion_matrix(classes, scores.argmax(-1), 3, weight.astype("int32")))
    names = {cls: getattr(keras.metrics, cls) for cls in dir(keras.metrics) if cls[0].isupper()}
    out["metric classes"] = np.array(sorted(names))
    out["metric names"] = np.array(
        [f"{name} {getattr(keras.metrics, name)(**(several[0] or {})).name}" for name, _, several in METRICS]
    )
    out["loss names"] = np.array(
        sorted(n for n, o in keras.src.losses.ALL_OBJECTS_DICT.items() if not isinstance(o, type))
    )
    np.savez_compressed(Path(__file__).with_name("metrics.npz"), **out)
    print(len(out), "arrays")


if __name__ == "__main__":
    main()
