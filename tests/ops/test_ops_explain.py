"""What `explain` says is what runs."""

import jax
import pytest

import fnlayers as fl
from fnlayers.ops.cpu.problem import HAS_YNNPACK

MODEL = fl.Sequential(
    [fl.Conv2D(8, 1), fl.Sequential([fl.MaxPooling2D(3, 1)], name="inner"), fl.BatchNormalization(), fl.Flatten()]
)


def test_a_model_is_explained_layer_by_layer_and_platform_by_platform():
    choices = fl.ops.explain(MODEL, (4, 9, 9, 64)).choices
    said = [(choice.path, choice.operation, choice.programs) for choice in choices]
    assert said == [
        ("conv2d", "conv", "cpu"),
        ("conv2d", "conv", "cuda, tpu"),
        ("inner/max_pooling2d", "max_pool", "cpu"),
        ("inner/max_pooling2d", "max_pool", "cuda, tpu"),
        ("batch_normalization", "gradient_once", "cpu"),
    ]
    assert dict(choices[2].algorithms) == {"forward": "max_by_taps", "input_gradient": "max_tangent_by_taps"}
    assert choices[1].algorithms == choices[3].algorithms == ()
    assert fl.ops.explain(MODEL, (4, 9, 9, 64)).choices == choices  # nothing is memoized away


def test_it_prints_what_runs_and_why():
    text = str(fl.ops.explain(MODEL, (4, 9, 9, 64), "cpu"))
    assert "conv2d conv\n  cpu: pointwise in all passes\n    pointwise: XLA's CPU backend runs a 1x1" in text
    assert "forward: max_by_taps; gradient of the input: max_tangent_by_taps; else the reference" in text
    assert "cuda" not in text
    assert str(fl.ops.explain(MODEL, (4, 9, 9, 64), "tpu")).splitlines()[:2] == [
        "conv2d conv",
        "  tpu: lax.conv_general_dilated",
    ]
    assert str(fl.ops.explain(fl.Flatten(), (2, 3, 4))) == "the reference runs everywhere"


@pytest.mark.skipif(not HAS_YNNPACK, reason="this XLA has only its own convolutions")
def test_the_two_jits_are_told_apart_where_they_differ():
    ours, theirs = fl.ops.explain(fl.Conv2D(32, 3), (2, 28, 28, 16), "cpu").choices
    assert (ours.programs, theirs.programs) == ("cpu, fl.jit", "cpu, jax.jit")
    assert ours.algorithms == (("kernel_gradient", "row_tiles"),) and theirs.algorithms == ()


def test_what_it_says_of_a_layer_in_training_is_what_is_traced():
    """The algorithm of the gradient leaves its marks in the program: no select_and_scatter where taps are compared."""
    layer, shape = fl.MaxPooling2D(2), (2, 8, 8, 3)
    (choice,) = fl.ops.explain(layer, shape, "cpu").choices
    program = jax.jit(jax.grad(lambda x: layer.apply({}, x).sum())).lower(jax.ShapeDtypeStruct(shape, "float32"))
    assert dict(choice.algorithms) == {"input_gradient": "max_tangent_by_taps"}
    assert "select_and_scatter" not in program.as_text()


@pytest.mark.parametrize(
    "args, message",
    [
        ((MODEL, (None, 9, 9, 64)), "unknown sizes, which decide here"),
        ((MODEL, (4, 9, 9, 64), "gpu"), "platform='gpu' is not known; choose from 'cpu', 'cuda', 'tpu'"),
    ],
)
def test_what_cannot_be_explained_is_an_error(args, message):
    with pytest.raises(ValueError, match=message):
        fl.ops.explain(*args)


def test_nobody_writes_down_what_nobody_asks_for():
    from fnlayers.ops import record

    fl.ops.explain(MODEL, (4, 9, 9, 64))
    assert record.current() is None
