"""Metrics that are no means in evaluate, fit and make_step: exact over ragged batches, weights and masks; whoever wrote them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import SGD, classes

import fnlayers as fl
from fnlayers.training import evaluate, fit, make_step, metrics
from fnlayers.training.accumulated import Gathered
from fnlayers.training.directions import direction_of
from fnlayers.training.objective import objective_of

X, Y = classes(n=11)
ANSWERS = (Y == 1)[:, None].astype("int32")
LOGITS, SCORES = fl.Dense(1), fl.Dense(3)
P1, P3 = LOGITS.init(jax.random.key(0), X.shape), SCORES.init(jax.random.key(0), X.shape)
ENTROPY = "sparse_categorical_crossentropy"


def alone(metric, y_pred, y_true, weight=None):
    return metric.result(metric.update(metric.init(y_pred.shape), y_pred, y_true, weight))


class Right:
    """A user's triple."""

    better = "max"

    def init(self):
        return {"right": jnp.zeros(()), "all": jnp.zeros(())}

    def update(self, sums, y_pred, y_true, weight=None):
        weight = jnp.ones(y_true.shape) if weight is None else weight
        right = (y_pred.argmax(-1) == y_true) * weight
        return {"right": sums["right"] + right.sum(), "all": sums["all"] + weight.sum()}

    def result(self, sums):
        return sums["right"] / sums["all"]


class Largest:
    """One whose state is no sum."""

    def init(self):
        return jnp.zeros(())

    def update(self, largest, y_pred, y_true):
        return jnp.maximum(largest, y_pred.max())

    def result(self, largest):
        return largest


class LargestMerged(Largest):
    def merge(self, largest, other):
        return np.maximum(largest, other)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Clu:
    """The protocol of clu and google-metrax."""

    total: jax.Array
    count: jax.Array

    @classmethod
    def empty(cls):
        return cls(jnp.zeros(()), jnp.zeros(()))

    @classmethod
    def from_model_output(cls, predictions, labels, sample_weights=None, scale=1.0):
        weight = jnp.ones(labels.shape) if sample_weights is None else sample_weights
        return cls(scale * ((predictions.argmax(-1) == labels) * weight).sum(), weight.sum())

    def merge(self, other):
        return Clu(self.total + other.total, self.count + other.count)

    def compute(self):
        return self.total / self.count


def test_ragged_weighted_batches_are_the_whole_set():
    weight = np.arange(11, dtype="float32")
    own = {"scale": functools.partial(Clu.from_model_output, scale=2.0), "clu": Clu, "right": Right()}
    chosen = {"cm": metrics.ConfusionMatrix(3), "acc": metrics.accuracy, **own, "top": metrics.top_k_accuracy(1)}
    logs = evaluate(SCORES, P3, (X, Y, weight), loss=ENTROPY, metrics=chosen, batch_size=4)
    y = SCORES.apply(P3, X)
    assert list(logs) == ["loss", *chosen]
    assert logs["cm"] == alone(chosen["cm"], y, Y, weight).tolist()
    exact = float(np.average(np.asarray(y.argmax(-1)) == Y, weights=weight))
    assert logs["right"] == logs["clu"] == pytest.approx(exact) == logs["acc"] == logs["top"]
    assert logs["scale"] == pytest.approx(2 * exact)


def test_names_follow_the_loss():
    """By name, metrics of a model that returns logits are of their sigmoid; "accuracy" is the one that fits."""
    figures = evaluate(
        LOGITS, P1, (X, ANSWERS), loss="bce", metrics=["accuracy", "auc", "precision", "f1_score"], batch_size=4
    )
    y = LOGITS.apply(P1, X)
    assert figures["auc"] == pytest.approx(float(alone(metrics.AUC(), jax.nn.sigmoid(y), ANSWERS)))
    assert figures["auc"] == pytest.approx(float(alone(metrics.AUC(from_logits=True), y, ANSWERS)))
    assert figures["accuracy"] == pytest.approx(float(np.mean((np.asarray(y) > 0) == ANSWERS)))
    ends = fl.Dense(1, activation="sigmoid")
    same = evaluate(ends, P1, (X, ANSWERS), loss="BinaryCrossentropy", metrics={"p": "Precision"}, batch_size=11)
    assert same["loss"] == pytest.approx(figures["loss"], rel=1e-5) and same["p"] == pytest.approx(figures["precision"])


def test_in_fit_and_in_a_step():
    chosen = {"accuracy": "accuracy", "iou": metrics.MeanIoU(3, sparse_y_pred=False), "cm": metrics.ConfusionMatrix(3)}
    seen = []
    result = fit(
        SCORES, (X, Y), loss=ENTROPY, optimizer=SGD, metrics=chosen, epochs=2, batch_size=4, shuffle=False, verbose=False,
        validation_data=(X[:2], Y[:2]), callbacks=[fl.KeepBest("val_iou"), lambda event: seen.append(event.directions)],
    )  # fmt: skip
    assert np.sum(result.history["cm"][0]) == 11 and np.sum(result.history["val_cm"][1]) == 2
    assert seen[0]["val_iou"] == "max" and seen[0]["cm"] is None
    step = make_step(LOGITS, "binary_crossentropy", SGD, metrics=["auc"])
    _, logs = step(fl.TrainState.create(LOGITS, X.shape, SGD, params=P1), (X, ANSWERS))
    assert float(logs["auc"]) == pytest.approx(
        float(alone(metrics.AUC(from_logits=True), LOGITS.apply(P1, X), ANSWERS))
    )


def test_masks_count():
    """The steps of padding are in no count, and a whole set is without them."""
    model = fl.Sequential([fl.Masking(), fl.Dense(3, kernel_initializer="ones")])
    x = np.array([[[1.0, 2], [0, 0]], [[3, 1], [2, 2]]], "float32")
    y = np.array([[1, 0], [0, 0]])
    whole = metrics.OnWholeSet(lambda y_pred, y_true: len(y_pred) + 0.1 * y_true.sum())
    chosen = {"cm": metrics.ConfusionMatrix(3), "whole": whole}
    logs = evaluate(model, model.init(jax.random.key(0), x.shape), (x, y), loss=ENTROPY, metrics=chosen, batch_size=1)
    assert logs["cm"] == [[2, 0, 0], [1, 0, 0], [0, 0, 0]] and logs["whole"] == pytest.approx(3.1)


def test_a_function_of_the_whole_set():
    def middle(y_pred, y_true, weight):
        return np.median(np.repeat(y_pred[:, 0], weight.astype(int)))

    weight = np.array([1, 0, 2, 1, 1, 1, 3, 1, 0, 1, 1], "float32")
    metric = metrics.OnWholeSet(middle, "min", name="middle")
    figures = evaluate(SCORES, P3, (X, Y, weight), loss=ENTROPY, metrics=[metric], batch_size=4)
    y = np.asarray(SCORES.apply(P3, X))[:, 0]
    assert figures["middle"] == pytest.approx(np.median(np.repeat(y, weight.astype(int))))
    assert direction_of(metric) == "min"
    for function, text in ((lambda p, y: 1.0, "takes no weights"), (lambda p, y, w: p[99], "failed .IndexError")):
        with pytest.raises(fl.ConfigError, match=text):
            evaluate(SCORES, P3, (X, Y, weight), loss=ENTROPY, metrics={"m": metrics.OnWholeSet(function)})
    with pytest.raises(fl.ConfigError, match="is of a whole set"):
        make_step(SCORES, ENTROPY, SGD, metrics=[metric])


def test_what_is_no_sum_needs_a_merge():
    with pytest.raises(fl.ConfigError, match="its update does not add .* give it a method merge"):
        evaluate(SCORES, P3, (X, Y), loss=ENTROPY, metrics={"m": Largest()}, batch_size=4)
    figures = evaluate(SCORES, P3, (X, Y), loss=ENTROPY, metrics={"m": LargestMerged()}, batch_size=4)
    assert figures["m"] == pytest.approx(float(SCORES.apply(P3, X).max()))
    with pytest.raises(fl.ConfigError, match="has no argument for weights"):
        evaluate(SCORES, P3, (X, Y, Y), loss=ENTROPY, metrics={"m": LargestMerged()})


def test_counts_are_exact_beyond_single_precision():
    """33 million examples in one cell of the matrix: in float32 adding 1 to them changes nothing."""
    metric = metrics.ConfusionMatrix(2)
    kinds = jax.eval_shape(metric.init)
    gathered = Gathered(objective_of("mse", [metric]).sums and (type("A", (), {"metric": metric})(),), (kinds,))
    assert gathered.merge(np.full(4, 2.0**25), np.ones(4)).tolist() == [2.0**25 + 1] * 4


def test_transforms_take_them():
    metric, y = metrics.AUC(), jax.random.uniform(jax.random.key(0), (3, 4))
    true = jnp.arange(12).reshape(3, 4) % 2
    sums, _ = jax.lax.scan(lambda sums, b: (metric.update(sums, *b), None), metric.init(), (y, true))
    each = jax.vmap(lambda p, t: metric.update(metric.init(), p, t))(y, true)
    together = jax.tree.map(lambda a: a.sum(0), each)
    for actual in (sums, together):
        jax.tree.map(np.testing.assert_array_equal, actual, metric.update(metric.init(), y, true))
    assert metric == metrics.AUC() and hash(metric) == hash(metrics.AUC()) and metric != metrics.AUC(curve="PR")


def test_several_outputs():
    a = fl.Input((5,))
    two = fl.functional(a, {"a": fl.Dense(3)(a), "b": fl.Dense(1)(a)})
    params, y = two.init(jax.random.key(0)), {"a": Y, "b": ANSWERS}
    losses = {"a": ENTROPY, "b": "bce"}
    chosen = {"a": ["accuracy"], "b": {"area": "auc"}}
    logs = evaluate(two, params, (X, y), loss=losses, loss_weights={"a": 2.0}, metrics=chosen, batch_size=4)
    assert logs["loss"] == pytest.approx(2 * logs["a_loss"] + logs["b_loss"]) and "b_area" in logs
    for weights, text in (({"c": 1.0}, "'c', which has no loss"), (3.0, "a number for each"), ({"a": "x"}, "finite")):
        with pytest.raises(fl.ConfigError, match=text):
            evaluate(two, params, (X, y), loss=losses, loss_weights=weights)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: metrics.IoU(3), "IoU needs target_class_ids; write"),
        (lambda: metrics.IoU(2, (2,)), "must be classes from 0 to 1"),
        (lambda: metrics.AUC(curve="x"), "curve='x' is unknown; choose from ROC"),
        (lambda: metrics.AUC(1), "give a whole number of at least 2"),
        (lambda: metrics.AUC(num_labels=2), "num_labels is for multi_label"),
        (lambda: metrics.Precision(2.0), "must be from 0 to 1"),
        (lambda: metrics.Recall(()), "is empty"),
        (lambda: metrics.F1Score("mean"), "average='mean' is unknown"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta must be above 0"),
        (lambda: metrics.R2Score(num_regressors=-1), "give 0 or more"),
        (lambda: alone(metrics.AUC(), jnp.ones(3), jnp.ones((3, 1))), "takes two arrays of one shape"),
        (lambda: alone(metrics.AUC(), jnp.ones(3), jnp.ones(3), jnp.ones(2)), "does not fit values"),
        (lambda: alone(metrics.Precision(class_id=4), jnp.ones((2, 3)), jnp.ones((2, 3))), "class_id=4 does not fit"),
        (lambda: alone(metrics.MeanIoU(3), jnp.ones((2, 3)), jnp.ones(2, int)), "give sparse_y_pred=False"),
        (lambda: fl.losses.binary_crossentropy(jnp.ones(2), jnp.ones(2), label_smoothing=2), "from 0 to 1"),
        (lambda: fl.losses.ctc(jnp.ones((2, 3)), jnp.ones((2, 3))), "ctc takes logits"),
    ],
)
def test_errors(make, text):
    with pytest.raises(fl.LayerError, match=text):
        make()


def test_a_label_that_is_ignored_does_not_count():
    y = np.array([0, 1, -1, 2, 1, 0, 2, 1, -1, 0, 1])
    loss = functools.partial(fl.losses.sparse_categorical_crossentropy, from_logits=True, ignore_class=-1)
    figures = evaluate(SCORES, P3, (X, y), loss=loss, metrics={"p": metrics.Perplexity(True, -1)}, batch_size=4)
    expected = optax.softmax_cross_entropy_with_integer_labels(SCORES.apply(P3, X[y >= 0]), y[y >= 0]).mean()
    assert figures["loss"] == pytest.approx(float(expected)) and figures["p"] == pytest.approx(float(np.exp(expected)))


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Text(Clu):
    """One of texts."""

    @classmethod
    def from_model_output(cls, predictions, references):
        raise AssertionError


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Inherits(Clu):
    """One that says of itself that it has no merge."""

    def merge(self, other):
        raise NotImplementedError("Must override merge()")


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Text, "'m': Text compares texts, and a step has arrays"),
        (Inherits, "'m': Inherits has no merge of its own, so it cannot be of more than one batch; give"),
    ],
)
def test_classes_that_cannot_be_taken(metric, text):
    with pytest.raises(fl.ConfigError, match=text):
        evaluate(SCORES, P3, (X, Y), loss=ENTROPY, metrics={"m": metric}, batch_size=4)


RANKS = np.array([1, 2])
METRAX = {
    "Precision": {"threshold": 0.4}, "Recall": {}, "AUCPR": {"num_thresholds": 50}, "AUCROC": {}, "MAE": {}, "MSE": {},
    "RMSE": {}, "RSQUARED": {}, "Dice": {}, "SNR": {}, "MRR": {"ks": RANKS}, "NDCGAtK": {"ks": RANKS}, "RecallAtK": {"ks": RANKS},
}  # fmt: skip
WEIGHTED = ("AUCPR", "AUCROC", "MAE", "MSE", "RMSE")


@pytest.fixture(scope="module")
def metrax():
    return pytest.importorskip("metrax")


@pytest.mark.slow
def test_metrax_over_ragged_batches_is_metrax_of_the_whole_set(metrax):
    model, draw = fl.Activation("sigmoid"), np.random.default_rng(0)
    weight = draw.random(11).astype("float32")
    for columns in (1, 5):
        options = {name: more for name, more in METRAX.items() if ("ks" in more) == (columns == 5)}
        chosen = {n: functools.partial(getattr(metrax, n).from_model_output, **more) for n, more in options.items()}
        x, y = draw.normal(size=(11, columns)).astype("float32"), draw.integers(0, 2, (11, columns)).astype("float32")
        p = np.asarray(model.apply({}, x))
        figures = evaluate(model, {}, (x, y), loss="mse", metrics=chosen, batch_size=4)
        for name, make in chosen.items():
            rows = (p.ravel(), y.ravel()) if "AUC" in name else (p, y)
            np.testing.assert_allclose(figures[name], make(*rows).compute(), rtol=1e-4, err_msg=name)
        weighted = {name: make for name, make in chosen.items() if name in WEIGHTED}
        figures = evaluate(model, {}, (x, y, weight), loss="mse", metrics=weighted, batch_size=4)
        for name, make in weighted.items():
            expected = make(p.ravel(), y.ravel(), sample_weights=weight).compute()
            np.testing.assert_allclose(figures[name], expected, rtol=1e-5, err_msg=name)


@pytest.mark.slow
def test_metrax_classes_in_fit(metrax):
    nnx = pytest.importorskip("metrax.nnx")
    model = fl.Dense(1, activation="sigmoid")
    chosen = {"p": metrax.Precision, "area": nnx.AUCROC(), "mse": metrax.MSE, "mean": metrax.Average}
    figures = evaluate(model, P1, (X, ANSWERS), loss="bce", metrics=chosen, batch_size=4)
    y = jax.nn.sigmoid(LOGITS.apply(P1, X))
    assert figures["p"] == pytest.approx(float(alone(metrics.Precision(), y, ANSWERS)))
    assert figures["mse"] == pytest.approx(float(np.mean((y - ANSWERS) ** 2)))
    assert [direction_of(metric) for metric in chosen.values()] == ["max", "max", "min", None]
    keep = fl.KeepBest("val_area")
    options = {"loss": "bce", "optimizer": SGD, "metrics": chosen, "validation_data": (X, ANSWERS), "verbose": False}
    assert len(fit(model, (X, ANSWERS), callbacks=[keep], batch_size=4, **options).history["area"]) == 1
    with pytest.raises(fl.ConfigError, match="MRR needs ks; write functools.partial.MRR.from_model_output, ks=..."):
        evaluate(model, P1, (X, ANSWERS), loss="bce", metrics={"m": metrax.MRR})
    with pytest.raises(fl.ConfigError, match="WER compares texts"):
        evaluate(model, P1, (X, ANSWERS), loss="bce", metrics={"m": metrax.WER})
