"""Metrics and losses have Keras's names, defaults and numbers (tests/golden/make_metrics.py)."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers.training import losses, metrics

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "metrics.npz"))
WEIGHT, CUT = GOLDEN["weight"], 5
NAMES = {re.sub(r"_[0-9]+$", "", name) for name in GOLDEN["metric names"]}  # Keras numbers those that it names itself
NEITHER = {"Mean", "MeanMetricWrapper", "Sum"}  # a function of values is that here
# Keras takes the mean along the last axis of these, where here are values.
MEANS = {
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
    "log_cosh", "huber", "poisson", "hinge", "squared_hinge", "binary_crossentropy", "binary_focal_crossentropy",
}  # fmt: skip


def data(kind):
    return GOLDEN[f"data {kind} y_pred"], GOLDEN[f"data {kind} y_true"]


def cases(what):
    """{name: [(arguments, kind of data, what, the value)]}."""
    by_name = {}
    for key, value in GOLDEN.items():
        if key.startswith(f"{what} ") and "{" in key:
            name, rest = key.removeprefix(f"{what} ").split(" ", 1)
            text, kind, of = rest.rsplit(" ", 2)
            by_name.setdefault(name, []).append((json.loads(text), kind, of, value))
    return by_name


def frozen(arguments):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


@pytest.mark.parametrize(("name", "several"), cases("metric").items(), ids=lambda p: p if isinstance(p, str) else "")
def test_metrics_are_those_of_keras(name, several):
    """Over two batches of different sizes, with and without weights, by host and by device."""
    for arguments, kind, of, expected in several:
        metric, (y_pred, y_true) = getattr(metrics, name)(**frozen(arguments)), data(kind)
        weight = WEIGHT if of == "weighted" else None
        if "num_regressors" in arguments and weight is not None:
            continue  # Keras counts examples without weight (docs/deviations.md)
        sums = metric.init(y_pred.shape)
        shapes = jax.tree.map(jnp.shape, sums)
        for part in (slice(0, CUT), slice(CUT, None)):
            sums = metric.update(sums, y_pred[part], y_true[part], None if weight is None else weight[part])
        assert jax.tree.map(jnp.shape, sums) == shapes and f"{name} {metric.name}" in NAMES
        for result in (metric.result(sums), metric.result(jax.tree.map(lambda a: np.asarray(a, "float64"), sums))):
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6, err_msg=f"{metric} {kind} {of}")


@pytest.mark.parametrize(("name", "several"), cases("loss").items(), ids=lambda p: p if isinstance(p, str) else "")
def test_losses_are_those_of_keras(name, several):
    for arguments, kind, of, expected in several:
        y_pred, y_true = data(kind)

        def loss(p, arguments=arguments, y_true=y_true):
            values = getattr(losses, name)(p, y_true, **arguments)
            return values.mean(-1) if name in MEANS else values

        result = loss(y_pred) if of == "value" else jax.grad(lambda p: jnp.sum(loss(p)))(y_pred)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=2e-6, err_msg=f"{name} {arguments} {kind} {of}")


def test_all_of_keras_is_there():
    assert set(GOLDEN["metric classes"]) - NEITHER - set(dir(metrics)) == {"Metric"} - set(dir(metrics))
    assert all(hasattr(losses, name) for name in GOLDEN["loss names"] if len(name) > 4)


def test_the_confusion_matrix():
    y_pred, y_true = data("sparse")
    metric = metrics.ConfusionMatrix(3)
    np.testing.assert_array_equal(
        metric.result(metric.update(metric.init(), y_pred, y_true, WEIGHT)), GOLDEN["confusion matrix"]
    )
