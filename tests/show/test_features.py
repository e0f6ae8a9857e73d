"""Feature maps and histograms of weights."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.show import features, weights
from fnlayers.show.features import outputs

KEY = jax.random.key(0)
PNG = b"\x89PNG\r\n\x1a\n"


def convnet() -> fl.Sequential:
    stem = fl.Sequential([fl.Conv2D(3, 3, activation="relu"), fl.BatchNormalization()], name="stem")
    return fl.Sequential([stem, fl.MaxPooling2D(2), fl.Flatten(), fl.Dropout(0.5), fl.Dense(4)])


def images() -> Any:
    return jax.random.normal(KEY, (2, 8, 8, 1))


def test_outputs_are_those_of_the_layers_run_one_by_one() -> None:
    model, x = convnet(), images()
    params, state = model.init(KEY, x.shape), model.init_state(x.shape)
    by_path = outputs(model, params, x, state)
    assert list(by_path) == [
        "stem/conv2d", "stem/batch_normalization", "max_pooling2d", "flatten", "dropout", "dense",
    ]  # fmt: skip
    np.testing.assert_array_equal(by_path["dense"], model.apply(params, x, state=state))
    np.testing.assert_array_equal(
        by_path["stem/conv2d"], fl.Conv2D(3, 3, activation="relu").apply(params["stem"]["conv2d"], x)
    )
    np.testing.assert_array_equal(by_path["flatten"].reshape(by_path["max_pooling2d"].shape), by_path["max_pooling2d"])


def test_a_shared_model_shows_each_call() -> None:
    a, b = fl.Input((4,), name="a"), fl.Input((4,), name="b")
    encoder = fl.Sequential([fl.Dense(3), fl.BatchNormalization()], name="encoder")
    model = fl.functional({"a": a, "b": b}, {"y": fl.Add()(encoder(a), encoder(b)), "z": a})
    params, state = model.init(KEY, model.in_shape), model.init_state(model.in_shape)
    x = {"a": jnp.ones((2, 4)), "b": jnp.zeros((2, 4))}
    by_path = outputs(model, params, x, state)
    last = "encoder/batch_normalization"
    assert list(by_path) == ["encoder/dense", last, "encoder/dense (call 2)", f"{last} (call 2)", "add"]
    np.testing.assert_array_equal(by_path["add"], by_path[last] + by_path[f"{last} (call 2)"])


def test_masks_and_several_outputs_go_along() -> None:
    inner = fl.Sequential([fl.LSTM(3, return_sequences=True, return_state=True), fl.Lambda(lambda x: x[0])])
    model = fl.Sequential([fl.Embedding(9, 4, mask_zero=True), fl.LSTM(5, return_sequences=True), inner])
    x = jnp.array([[1, 2, 0, 0], [3, 4, 5, 6]])
    params = model.init(KEY, x.shape)
    by_path = outputs(model, params, x)
    assert list(by_path) == [
        "embedding", "lstm", *(f"sequential/lstm [{i}]" for i in range(3)), "sequential/lambda",
    ]  # fmt: skip
    np.testing.assert_allclose(by_path["sequential/lambda"], model.apply(params, x), rtol=1e-6)


def rows_of(figure: Any) -> dict[str, Any]:
    return {axes.get_ylabel().split("\n")[0]: axes for axes in figure.axes if axes.get_ylabel()}


def test_the_figure_has_a_row_for_the_input_and_each_layer(tmp_path: Any) -> None:
    model, x = convnet(), images()
    params, state = model.init(KEY, x.shape), model.init_state(x.shape)
    figure = features(model, params, x, tmp_path / "a.png", state=state, example=1, channels=2)
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert labels[:2] == ["input\n(8, 8, 1)", "stem/conv2d\n(6, 6, 3)"]
    assert labels[-1] == "dense\n(4,)" and len(labels) == 7
    assert (tmp_path / "a.png").read_bytes().startswith(PNG) and figure._repr_png_().startswith(PNG)


def test_one_scale_and_one_zero_for_all_rows() -> None:
    model, x = convnet(), images()
    figure = features(model, model.init(KEY, x.shape), x, state=model.init_state(x.shape))
    rows = rows_of(figure)
    norms = {axes.images[0].norm for axes in rows.values() if axes.images}
    (norm,) = norms
    assert norm(0.0) == 0.5 and norm.vmin == -norm.vmax
    assert figure.axes[-1].get_ylabel() == "" and figure.axes[-1].get_xlim() == (norm.vmin, norm.vmax)  # the bar
    for name in ("flatten", "dense"):
        assert rows[name].get_ylim() == (norm.vmin, norm.vmax)


def test_rows_of_very_different_size_are_in_a_logarithmic_scale() -> None:
    model = fl.Sequential([fl.Lambda(lambda x: x / 1e4), fl.Dense(2)])
    x = jnp.linspace(-255.0, 255.0, 12).reshape(1, 12)
    figure = features(model, model.init(KEY, x.shape), x)
    (first, *_), bars = figure.axes, rows_of(figure)["dense"]
    assert bars.get_yscale() == "symlog" and first.get_ylim() == bars.get_ylim()


def test_steps_that_a_mask_leaves_out_are_hatched() -> None:
    model = fl.Sequential([fl.Embedding(9, 4, mask_zero=True), fl.LSTM(3, return_sequences=True), fl.LSTM(1)])
    x = jnp.array([[1, 2, 3, 4, 5], [3, 4, 5, 0, 0]])
    params = model.init(KEY, x.shape)
    for example, masked in ((0, 0), (1, 2)):
        rows = rows_of(features(model, params, x, example=example))
        for name in ("embedding", "lstm"):
            assert [patch.get_hatch() for patch in rows[name].patches] == ["////"] * masked
            assert rows[name].get_ylabel().endswith("2 of 5 steps masked") == bool(masked)
    alone = fl.Sequential([fl.LSTM(2)])
    mask = jnp.array([[True, True, False]] * 2)
    hatched = features(alone, alone.init(KEY, (2, 3, 4)), jnp.ones((2, 3, 4)), mask=mask)
    assert rows_of(hatched)["input"].get_ylabel() == "input\n(3, 4)\n1 of 3 steps masked"


def test_a_single_number_is_a_slim_bar_with_the_number() -> None:
    model = fl.Sequential([fl.Dense(1)])
    figure = features(model, {"dense": {"kernel": jnp.full((2, 1), 0.25), "bias": jnp.zeros(1)}}, jnp.ones((1, 2)))
    axes = rows_of(figure)["dense"]
    (bar,) = axes.patches
    assert bar.get_width() < 0.05 * np.ptp(axes.get_xlim()) and [t.get_text() for t in axes.texts] == ["0.5"]


def test_inputs_have_their_names_and_integers_are_no_values() -> None:
    a, b = fl.Input((4,), name="words", dtype="int32"), fl.Input((8,), name="other")
    model = fl.functional((a, b), fl.Concatenate()(fl.Flatten()(fl.Embedding(5000, 2)(a)), b))
    x = (jnp.array([[7, 4000, 0, 1]]), jnp.ones((1, 8)))
    rows = rows_of(features(model, model.init(KEY, model.in_shape), x))
    assert list(rows) == ["words", "other", "embedding", "flatten", "concatenate"]
    assert [t.get_text() for t in rows["words"].texts] == ["7", "4000", "0", "1"]
    assert rows["other"].get_ylim()[1] == 1.0
    named = rows_of(features(model, model.init(KEY, model.in_shape), {"other": x[1], "words": x[0]}))
    assert list(named) == list(rows)


@pytest.mark.parametrize("wrong", [{"example": 2}, {"example": -3}, {"example": 0.0}, {"channels": 0}])
def test_what_cannot_be_drawn(wrong: dict) -> None:
    model, x = fl.Sequential([fl.Dense(1)]), jnp.ones((2, 3))
    with pytest.raises(fl.ConfigError, match="show.features"):
        features(model, model.init(KEY, x.shape), x, **wrong)


@pytest.mark.parametrize(
    "layer, shape", [(fl.Conv3D(2, 2), (1, 4, 4, 4, 1)), (fl.Conv1D(2, 2), (1, 5, 1)), (fl.Dense(3000), (1, 2))]
)
def test_any_rank(layer: fl.Layer, shape: Any) -> None:
    model = fl.Sequential([layer])
    assert features(model, model.init(KEY, shape), jnp.ones(shape))._repr_png_().startswith(PNG)


def test_a_layer_without_layers() -> None:
    layer = fl.Dense(2)
    with pytest.raises(fl.ConfigError, match="show.features: Dense holds no layers"):
        features(layer, layer.init(KEY, (1, 2)), jnp.ones((1, 2)))


def test_histograms(tmp_path: Any) -> None:
    tree = {"a": {"kernel": jnp.array([1.0, 3.0, jnp.nan])}, "b": jnp.zeros((2, 2), "bfloat16"), "none": jnp.zeros(0)}
    figure = weights(tree, tmp_path / "w.svg", bins=5)
    assert [axes.get_title() for axes in figure.axes] == ["a/kernel", "b"]
    assert figure.axes[0].get_xlabel() == "(3,)\nmean 2, deviation 1\n1 not finite"
    assert len(figure.axes[0].patches) == 5
    assert (tmp_path / "w.svg").stat().st_size > 1000


def test_an_array_with_nothing_finite() -> None:
    assert weights({"a": jnp.full(3, jnp.nan)}).axes[0].get_xlabel() == "(3,)\n3 not finite"


def test_no_weights() -> None:
    with pytest.raises(fl.ConfigError, match="no array in the tree"):
        weights({})


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(fl.MissingError, match=r"show.weights draws .* pip install 'fnlayers\[plot\]'"):
        weights({"a": jnp.ones(2)})
