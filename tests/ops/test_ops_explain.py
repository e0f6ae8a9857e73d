"""What `explain` says is what runs."""

import jax
import pytest

import fnlayers as fl
from fnlayers.ops.problem import HAS_YNNPACK

MODEL = fl.Sequential(
    [fl.Conv2D(8, 1), fl.Sequential([fl.MaxPooling2D(3, 1)], name="inner"), fl.BatchNormalization(), fl.Flatten()]
)


def test_a_model_is_explained_layer_by_layer_and_platform_by_platform():
    choices = fl.ops.explain(MODEL, (4, 9, 9, 64)).choices
    rows = [(choice.path, choice.operation, choice.programs) for choice in choices]
    assert rows == [
        ("conv2d", "conv", "cpu"),
        ("conv2d", "conv", "cuda, tpu"),
        ("inner/max_pooling2d", "max_pool", "cpu"),
        ("inner/max_pooling2d", "max_pool", "cuda, tpu"),
        ("batch_normalization", "gradient_once", "cpu"),
        ("batch_normalization", "gradient_once", "cuda, tpu"),
        *([("", "products", "cpu with fl.jit")] if HAS_YNNPACK else []),
    ]
    whole = dict.fromkeys(("forward", "training"), "max_by_taps")
    assert dict(choices[2].algorithms) == whole | {"input_gradient": "max_tangent_by_taps"}
    assert choices[1].algorithms == choices[3].algorithms == ()
    assert fl.ops.explain(MODEL, (4, 9, 9, 64)).choices == choices  # nothing is memoized away


def test_it_prints_what_runs_and_why():
    text = str(fl.ops.explain(MODEL, (4, 9, 9, 64), "cpu"))
    assert "conv2d conv\n  cpu: pointwise in all passes\n    pointwise: XLA's CPU backend runs a 1x1" in text
    assert "forward, forward in training: max_by_taps; gradient of the input: max_tangent_by_taps" in text
    assert "cuda" not in text
    assert str(fl.ops.explain(MODEL, (4, 9, 9, 64), "tpu")).splitlines()[:2] == [
        "conv2d conv",
        "  tpu: lax.conv_general_dilated",
    ]
    assert str(fl.ops.explain(fl.Flatten(), (2, 3, 4))).startswith("there is nothing to choose from")


@pytest.mark.skipif(not HAS_YNNPACK, reason="this XLA has only its own convolutions")
def test_the_two_jits_are_told_apart_where_they_differ():
    ours, theirs = fl.ops.explain(fl.Conv2D(32, 3), (2, 28, 28, 16), "cpu").choices
    assert (ours.programs, theirs.programs) == ("cpu with fl.jit", "cpu with jax.jit")
    assert ours.algorithms == (("kernel_gradient", "row_tiles"),) and theirs.algorithms == ()


def lowered(layer, shape, platform, train):
    """The lowered program of a layer, or of its gradients."""
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0), shape))

    def cost(params, x):
        return layer.apply(params, x).sum()

    function = jax.grad(cost, (0, 1)) if train else layer.apply
    x = jax.ShapeDtypeStruct(shape, "float32")
    return jax.jit(function).trace(params, x).lower(lowering_platforms=(platform,)).as_text()


# What `explain` says of a layer on a platform, whether its gradients are lowered, what is in the program, and what is not
LOWERED = [
    (fl.MaxPooling2D(2), (2, 8, 8, 3), "cpu", {"input_gradient": "max_tangent_by_taps"}, True, "x3xi1>", "select_and_scatter"),
    (fl.MaxPooling2D(2), (2, 8, 8, 3), "cuda", {}, True, "select_and_scatter", "EQ"),
    (fl.Conv2D(3, 1), (2, 4, 4, 5), "cpu", {"forward": "pointwise"}, False, "dot_general", "stablehlo.convolution"),
    (fl.Conv2D(3, 1), (2, 4, 4, 5), "tpu", {}, False, "stablehlo.convolution", "dot_general"),
    (fl.Dense(3), (2, 4, 5), "cpu", {"forward": "one_matrix_product"}, False, "(tensor<8x5xf32>", "(tensor<2x4x5xf32>, tensor<5x3"),
    (fl.Dense(3), (2, 4, 5), "cuda", {}, False, "(tensor<2x4x5xf32>, tensor<5x3xf32>)", "(tensor<8x5xf32>"),
    (fl.LSTM(128), (16, 10, 32), "cpu", {"training": "features_major"}, True, "32x80xf32", "10x16x512xf32"),
    (fl.LSTM(8), (2, 10, 3), "cpu", {"forward": "projected_inside"}, False, "(tensor<2x3xf32>, tensor<3x32xf32>)", "10x2x32"),
    (fl.LSTM(8), (2, 10, 3), "cpu", {"training": "small_steps"}, True, "10x2x32xf32", "(tensor<2x3xf32>, tensor<3x32xf32>)"),
    (fl.LSTM(8), (2, 10, 3), "tpu", {}, True, "(tensor<10x2x3xf32>, tensor<3x32xf32>)", "(tensor<2x3xf32>, tensor<3x32xf32>)"),
    (fl.SimpleRNN(8), (2, 10, 3), "cpu", {"forward": "single_gate"}, False, "(tensor<20x3xf32>", "(tensor<2x3xf32>, tensor<3x8"),
]  # fmt: skip


@pytest.mark.parametrize("layer, shape, platform, algorithms, train, there, absent", LOWERED, ids=str)
def test_what_it_says_is_what_is_in_the_lowered_program(layer, shape, platform, algorithms, train, there, absent):
    choice = next(c for c in fl.ops.explain(layer, shape, platform).choices if c.operation != "products")
    assert algorithms.items() <= dict(choice.algorithms).items() and bool(algorithms) == bool(choice.algorithms)
    text = lowered(layer, shape, platform, train)
    assert there in text and absent not in text


LAYERS = {
    "attention": (fl.Attention(), ((2, 6, 8), (2, 7, 8)), {"attention"}),
    "multi-head": (fl.MultiHeadAttention(2, 16), ((2, 6, 8), (2, 6, 8)), {"dot", "attention", "products"}),
    "grouped": (fl.GroupQueryAttention(8, 4, 2), ((2, 6, 8), (2, 6, 8)), {"dot", "attention", "products"}),
    "block": (fl.TransformerEncoder(8, 2), (2, 6, 8), {"dot", "attention", "products"}),
    "both ways": (fl.Bidirectional(fl.GRU(3)), (2, 4, 3), {"scan_dense"}),
    "cells": (fl.RNN(fl.StackedRNNCells([fl.LSTMCell(3), fl.GRUCell(2)])), (2, 4, 3), {"scan", "products"}),
    "convolutions in steps": (fl.ConvLSTM1D(2, 3), (2, 4, 6, 3), {"scan", "conv", "products"}),
    "wrapper": (fl.TimeDistributed(fl.Conv1D(2, 3)), (2, 4, 6, 3), {"conv"}),
    "transposed": (fl.Conv2DTranspose(2, 3, 2), (2, 4, 4, 3), {"conv_transpose", "products"}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_no_layer_is_silent_about_what_it_chooses(name):
    layer, shape, operations = LAYERS[name]
    explanation = fl.ops.explain(layer, shape)
    assert {choice.operation for choice in explanation.choices} - operations <= {"products"}
    assert operations - {"products"} <= {choice.operation for choice in explanation.choices}
    for platform in ("cpu", "cuda", "tpu"):
        explained = {c.operation for c in explanation.choices if platform in c.programs}
        assert operations - {"products"} <= explained, platform
    assert all(dict(choice.because).keys() == {name for _, name in choice.algorithms} for choice in explanation.choices)


def test_cuda_has_the_kernels_of_cudnn():
    (lstm,) = fl.ops.explain(fl.LSTM(3), (2, 4, 3), "cuda").choices
    assert lstm.names == "cudnn_lstm in all passes"
    (masked,) = fl.ops.explain(fl.LSTM(3, recurrent_dropout=0.1), (2, 4, 3), "cuda").choices
    assert masked.algorithms == ()
    layer = fl.MultiHeadAttention(2, 8, dtype="mixed_bfloat16")
    choices = fl.ops.explain(layer, ((2, 6, 8), (2, 6, 8)), "cuda").choices
    assert [choice.names for choice in choices if choice.operation == "attention"] == ["cudnn_attention in all passes"]


@pytest.mark.parametrize(
    "args, message",
    [
        ((MODEL, (None, 9, 9, 64)), "unknown sizes, which decide here"),
        ((MODEL, (4, 9, 9, 64), "gpu"), "platform='gpu' is unknown; choose from cpu, cuda, tpu"),
    ],
)
def test_what_cannot_be_explained_is_an_error(args, message):
    with pytest.raises(ValueError, match=message):
        fl.ops.explain(*args)


def test_without_explain_nothing_is_recorded():
    from fnlayers.ops import record

    fl.ops.explain(MODEL, (4, 9, 9, 64))
    assert record.current() is None
