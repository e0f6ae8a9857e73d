"""The lessons of the tutorial, run as they stand: what each prints is checked, number by number."""

import pathlib
import re
import runpy

import numpy as np
import pytest
from numpy.testing import assert_allclose

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "tutorial"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("optimized")]
LESSONS = sorted(FOLDER.glob("[0-9]*.py"))


@pytest.fixture
def lesson(capsys):
    """The text that a lesson prints."""

    def run(number):
        runpy.run_path(str(LESSONS[number - 1]))
        return capsys.readouterr().out

    return run


def numbers(text, start, which=0):
    """The numbers that stand in a line after `start`; `which` of several such lines."""
    texts = [line.split(start, 1)[1] for line in text.splitlines() if start in line]
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?", texts[which].replace(",", ""))]


def test_lessons_are_short_numbered_and_listed():
    listed = re.findall(r"`(\d\d_\w+\.py)`", (FOLDER / "README.md").read_text(encoding="utf8"))
    assert listed == [path.name for path in LESSONS]
    assert [int(name[:2]) for name in listed] == list(range(1, len(LESSONS) + 1))
    assert all(path.read_text(encoding="utf8").count("\n") <= 65 for path in LESSONS)
    here = pathlib.Path(__file__).read_text(encoding="utf8")
    assert all(f"lesson({number})" in here for number in range(1, len(LESSONS) + 1))


def test_dense_and_activation(lesson):
    out = lesson(1)
    assert "same numbers: True; the smallest is 0.0" in out and "class: Dense, name: 'hidden', without one: None" in out
    assert "names in a container: dense dense_1 hidden" in out
    assert (
        "{'name': 'hidden', 'units': 32, 'activation': 'relu'}" in out and "a layer made from it is equal: True" in out
    )


def test_activation_layers(lesson):
    out = lesson(2)
    for formula, values in {
        "min(max(x, 0), 6)": [0, 0, 2, 6, 0, 0, 1, 0],
        "0.1 x below 0": [-0.2, 0, 2, 7, 0.1, 1, 1, 1],
        "all three": [-0.5, -0.3, -0.1, 6, 0.1, 0.1, 0.1, 0],
        "0.3 x below 0": [-0.6, 0, 2, 7, 0.3, 1, 1, 1],
        "learned alpha x below 0": [-0.5, 0, 2, 7, 0.25, 0, 1, 1],
        "exp(x) - 1 below 0": [np.expm1(-2), 0, 2, 7, np.exp(-2), 1, 1, 1],
        "elu(x, alpha=1.6733)": [-1.52, 0, 2.1, 7.35, 0.24, 1.76, 1.05, 1.05],
    }.items():
        assert_allclose(numbers(out, formula)[:8], values, atol=0.006)
    assert "alpha is (1, 1, 3)" in out
    assert numbers(out, "[1.0, 2.0, 3.0] -> ") == [0.09, 0.2447, 0.6652, 1.0]
    assert numbers(out, "the last one masked:") == [0.2689, 0.7311, 0.0]


def test_activation_curves(lesson):
    out = lesson(3)
    assert out.startswith("400 points from -10 to 10") and out.count("     slope ") == 8
    slopes = [line for line in out.splitlines() if "near 0 on" in line]
    ranges = {0: (0, 1, 50), 1: (0.2, 1, 0), 3: (0, 0.25, 55), 4: (0, 1, 70)}  # relu, leaky_relu, sigmoid, tanh
    for row, expected in ranges.items():
        low, high, zero, flat = (float(n) for n in re.findall(r"-?\d+\.?\d*", slopes[row]))
        assert (low, high, flat) == expected and zero == 0
    assert numbers(out, "of all points together: sum") == [1.0]
    assert [
        numbers(out, name)[0] for name in ("jax.nn.leaky_relu", "activations.leaky_relu", "the layer LeakyReLU")
    ] == [
        -0.01,
        -0.2,
        -0.3,
    ]
    assert "[0.71, 0.26, 0.04], sum 1" in out and "[0.88, 0.73, 0.27], each by itself" in out


def test_weights(lesson):
    out = lesson(4)
    assert "385 numbers:" in out and out.count("True") == 4 and "False" not in out
    shapes = dict(re.findall(r"^  (dense\S+) +(\(.*\))$", out, re.MULTILINE))
    assert shapes == {
        "dense/kernel": "(10, 32)",
        "dense/bias": "(32,)",
        "dense_1/kernel": "(32, 1)",
        "dense_1/bias": "(1,)",
    }
    low, high, limit = numbers(out, "kernel (10, 32): from")
    assert -limit <= low < 0 < high <= limit == 0.378
    before, after = np.array(numbers(out, "probabilities")), np.array(numbers(out, "with a bias of 2 at the end"))
    assert_allclose(np.log(after / (1 - after)) - np.log(before / (1 - before)), 2, atol=0.03)


def test_flatten_and_reshape(lesson):
    out = lesson(5)
    for shape, out_shape in (
        ("(32, 10, 64)", "(32, 640)"),
        ("(32, 10, 10, 64)", "(32, 6400)"),
        ("(None, 28, 28)", "(None, 784)"),
        ("(32, None, 64)", "(32, None, 16)"),
        ("(32, 64)", "(32, 5, 64)"),
    ):
        assert re.search(f"{re.escape(shape)} +-> {re.escape(out_shape)}", out)
    assert "[[[0, 3], [1, 4], [2, 5]], [[6, 9], [7, 10], [8, 11]]]" in out and "x is the same: True" in out
    assert "axis 1 of (None, None, 64) must be known; write its size" in out and "64 elements for each example" in out


def test_dense_on_any_rank(lesson):
    out = lesson(6)
    for shape in ("(32, 128)", "(32, 10, 128)", "(32, 10, 10, 128)"):
        assert re.search(rf"-> {re.escape(shape)} +flatten, apply, reshape: difference \d", out)
    assert all(float(n) < 1e-5 for n in re.findall(r"difference (\S+)", out)) and out.count("difference") == 4
    assert "TimeDistributed: (None, 10, 4)" in out and "82,048 numbers instead of 8,320" in out


def test_convolution(lesson):
    out = lesson(7)
    for options, sizes in {
        "kernel 3, stride 1, dilation 1": [8, 10, 10],
        "kernel 5, stride 1, dilation 1": [6, 10, 10],
        "kernel 3, stride 2, dilation 1": [4, 5, 5],
        "kernel 4, stride 3, dilation 1": [3, 4, 4],
        "kernel 3, stride 1, dilation 2": [6, 10, 10],
    }.items():
        assert numbers(out, options) == sizes
    assert "(None, 28, 28, 1) -> (None, 26, 26, 32)" in out and "(None, 14, 62, 62, 8)" in out
    assert "groups=4: kernel (3, 3, 1, 8)" in out and "one is the other transposed: True" in out
    assert numbers(out, "  same   ") == [5, 6, 7] and numbers(out, "  causal ") == [6, 7, 8]


def test_separable_convolution(lesson):
    out = lesson(8)
    assert "(None, 32, 32, 64), 18,496 numbers" in out and "(None, 32, 32, 64), 2,400 numbers" in out
    assert "7.7 times fewer" in out
    assert len(differences := re.findall(r"difference (\S+)", out)) == 2 and all(float(n) < 1e-5 for n in differences)


def test_transposed_convolution(lesson):
    out = lesson(9)
    assert re.search(r"\(None, 7, 7, 64\)\s+Conv2DTranspose +\(None, 14, 14, 32\)\s+\S+ +\(None, 28, 28, 1\)", out)
    assert "  1 1 1 0 0\n  1 1 1 0 0\n  1 1 3 2 2\n  0 0 2 2 2\n  0 0 2 2 2\n" in out
    assert [numbers(out, f"      {strides}  ") for strides in (1, 2, 4)] == [[7, 5], [11, 10], [20, 20]]
    assert "9 -> 5 -> 9 (0) or 10 (1)" in out and "10 -> 5 -> 9 (0) or 10 (1)" in out


def test_pooling(lesson):
    out = lesson(10)
    table = [[int(n) for n in line.split()] for line in out.splitlines()[1:6]]
    assert table == [[28, 2, 2, 14, 14], [27, 2, 2, 13, 14], [28, 3, 2, 13, 14], [28, 3, 1, 26, 28], [5, 3, 3, 1, 2]]
    assert "[[6.0, 8.0], [9.0, 7.0]]" in out and "[[3.5, 5.5], [6.5, 3.5]]" in out
    assert re.search(r"GlobalAveragePooling2D\(keepdims=True\) +\(1, 1, 1, 1\) +\[4.75\]", out)
    assert "'same': [[1.0, 1.0], [1.0, 1.0]]" in out and "minus ones: [[-1.0, -1.0], [-1.0, -1.0]]" in out
    assert "[[2.0, 3.0], [6.0, 7.0], [10.0, 11.0]]" in out and "masked after 4 steps: [[3.0, 4.0]]" in out


def test_embedding(lesson):
    out = lesson(11)
    assert "(1000, 64), 64,000 numbers from -0.05 to 0.05" in out and "(None, None) -> (None, None, 64)" in out
    assert "(32, 3) -> (32, 3, 64)" in out and "(32, 7) -> (32, 7, 64)" in out
    assert "rows of the table: True" in out and "trains: {2: 1, 4: 2}" in out
    assert "[999, 1000, -1]: NaN: [False, True, True]" in out and "the mask [True, True, False, False]" in out


def test_masking(lesson):
    out = lesson(12)
    assert "mask [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]" in out and "steps with a gradient: [0, 1, 2, 3]" in out
    assert numbers(out, "LSTM alone:")[0] > 0.01
    assert numbers(out, "Masking, then LSTM:") == numbers(out, "LSTM with a mask:") == [0]
    assert numbers(out, "against [5, 2, 9]:") == [0]
    assert "does not support a mask" in out and "with DropMask between them: (1, 80)" in out


def test_recurrent(lesson):
    out = lesson(13)
    assert "params: 31,649" in out and "(4, 5, 10) -> (4, 1)" in out and "(4, 50, 10) -> (4, 1)" in out
    for name, count in (("SimpleRNN", "4,800"), ("GRU", "14,592"), ("LSTM", "19,200")):
        assert re.search(rf"  {name} .* = +{count} numbers, +\d+\.\d ms", out)
    assert numbers(out, "from the state they left:")[0] < 1e-5 and "both ways: (None, 16)" in out


def test_vanishing_gradients(lesson):
    out = lesson(14)
    last = {
        name: numbers(out, name)[-1] for name in ("random numbers", "orthogonal recurrent", "GRU", "0.73 ", "0.993 ")
    }
    assert last["random numbers"] < 1e-30 and last["GRU"] < 1e-20 and last["0.73 "] < 1e-10
    assert 1e-4 < last["orthogonal recurrent"] < 0.1 < last["0.993 "] < 1
    depth = [
        numbers(out, name)[0] for name in ("sigmoid  glorot_uniform", "relu     glorot_uniform", "relu     he_normal")
    ]
    assert depth[0] < 1e-15 and 1e-6 < depth[1] < 1e-3 and 0.1 < depth[2] < 10
    assert 0.1 < numbers(out, "selu     lecun_normal")[0] < 10


def test_lambda(lesson):
    out = lesson(15)
    assert "[[-1.225, 0.0, 1.225], [-1.225, 0.0, 1.225]]" in out and "[[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]" in out
    assert "(None, 3) -> (None, 6)" in out and "of several inputs: [3.0, 3.0]" in out
    assert "saved: {'given': 'standardized'}" in out and "it is equal: True" in out
    assert "layers=[standardized]" in out and out.count("cannot be saved") == 2


def test_dropout(lesson):
    out = lesson(16)
    for rate, others in ((0.2, 1.25), (0.5, 2), (0.9, 10)):
        dropped, scaled, mean = numbers(out, f"{rate}    ")
        assert abs(dropped - rate) < 0.02 and scaled == others and abs(mean - 1) < 0.15
    assert out.count("x as it is") == 4 and "drops the same: True" in out and "pass rng=jax.random.key" in out
    assert abs(numbers(out, "another draw:")[0] - 50) < 3 and abs(numbers(out, "independently:")[0] - 25) < 3
    for line in ("whole channels:", "rows and columns:"):
        by_channel = np.reshape(numbers(out, line), (4, 6))
        assert (by_channel == by_channel[0]).all() and set(by_channel[0]) == {0, 2}
    assert_allclose(numbers(out, "AlphaDropout(rate=0.2)")[-2:], [0, 1], atol=0.05)


def test_batch_normalization(lesson):
    out = lesson(17)
    mean_variance = numbers(out, "training: y has mean")
    assert_allclose(mean_variance, [0, 0, 1, 1], atol=0.005)
    data = numbers(out, "the data: mean")
    for steps in (0, 1, 10, 100):
        decay = 0.9**steps
        expected = decay * np.array([0, 0, 1, 1]) + (1 - decay) * np.array(data)
        assert_allclose(numbers(out, f"after {steps:>3} steps")[:4], expected, atol=0.005)
    assert all(float(n) < 1e-5 for n in re.findall(r"difference (\S+)", out)) and out.count("difference") == 2
    assert "state = model.init_state(shape)" in out and "would drop new state" in out and "in training: True" in out


def test_initializers(lesson):
    out = lesson(18)
    rows = re.findall(r"^(\w+)\(.*\) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+)  ", out, re.MULTILINE)
    assert len(rows) == 15
    for _, mean, deviation, rule, _, _ in rows:
        assert abs(float(deviation) - float(rule)) < 0.002 and (float(rule) == 0 or abs(float(mean)) < 0.003)
    by_name = {name: tuple(map(float, row)) for name, *row in rows}
    assert by_name["Ones"][0] == 1 and by_name["Constant"][0] == 0.3 and by_name["RandomUniform"][3:] == (-0.05, 0.05)
    assert by_name["TruncatedNormal"][3:] == (-0.1, 0.1)
    assert numbers(out, "Orthogonal columns:")[0] < 1e-5
    assert numbers(out, "relu   random_normal")[2] < 1e-10 and numbers(out, "relu   glorot_uniform")[2] < 1e-6
    for good in ("relu   he_normal", "selu   lecun_normal"):
        assert all(0.3 < variance < 2 for variance in numbers(out, good))


def test_regularizers(lesson):
    out = lesson(19)
    assert "sum |w| = 3.5, sum w^2 = 5.25" in out
    assert numbers(out, "L1()  ") == [0.035, 1, 0.01, 0.5, 0.01]
    assert numbers(out, "L2()  ") == [0.0525, 1, 0.02, 0.5, 0.01]
    assert_allclose(numbers(out, "l2=0.0001)")[0], 1e-5 * 3.5 + 1e-4 * 5.25, atol=1e-6)
    assert "kernel and bias: 0.1250" in out and "8 times: 0.2425" in out
    sizes = {}
    for rule in ("None", "L1(l1=0.3)", "L2(l2=1.0)"):
        *kernel, small, start, _, _, _, end = numbers(out, f"  {rule}  ")
        assert len(kernel) == 10
        sizes[rule] = (small, end)
    assert sizes["L1(l1=0.3)"][0] == 7 > sizes["None"][0]  # those seven features mean nothing
    assert sizes["L2(l2=1.0)"][1] < sizes["L1(l1=0.3)"][1] < sizes["None"][1]


def test_constraints(lesson):
    out = lesson(20)
    assert "MaxNorm()                                      lengths [2.0, 0.62, 1.41]" in out
    assert "UnitNorm()                                     lengths [1.0, 1.0, 1.0]" in out
    assert "lengths [2.0, 1.0, 1.41]" in out and "lengths [3.5, 0.81, 1.41]" in out and "of length 1.00" in out
    free, positive, short, unit = (
        numbers(out, f"  {rule} ", which=-1) for rule in ("None", "NonNeg()", "MaxNorm(max_value=1)", "UnitNorm()")
    )
    assert free[-3:] == [2, -1, 0] and positive[1::2][:4] == [0] * 4
    assert_allclose(np.hypot(*short[-3:-1]), 1, atol=0.01)
    assert_allclose(np.hypot(unit[:-1:2], unit[1:-1:2]), 1, atol=0.01)


def test_sequential(lesson):
    out = lesson(21)
    rows = re.findall(r"^(\w+) +(\(None.*?\)) +(\S+) numbers$", out, re.MULTILINE)
    assert rows == [
        ("Conv2D", "(None, 26, 26, 32)", "320"),
        ("MaxPooling2D", "(None, 13, 13, 32)", "0"),
        ("Flatten", "(None, 5408)", "0"),
        ("Dense", "(None, 10)", "54,090"),
    ]
    assert "each row sums to 1.0000; 54,410 numbers" in out and "the first two layers: (5, 13, 13, 32)" in out
    assert numbers(out, "difference from the whole model")[0] < 1e-5 and numbers(out, "jit:")[0] < 1e-5
    assert "kernel (3, 5408, 10), answers (3, 5, 10)" in out and "each pixel: (28, 28, 1)" in out


def test_summary(lesson):
    out = lesson(22)
    for what, count in (("params", 897), ("trainable", 449), ("frozen", 448), ("state", 32), ("bytes", 3716)):
        assert numbers(out, f"{what:<10} ") == [count, count]
    assert "2 calls" in out and "kernel: l2, max_norm" in out and "the largest layer: eyes" in out
    assert out.count("head/dense ") == 1  # not in the second table


def test_image_classifier(lesson):
    out = lesson(23)
    assert "(None, 128)" in out and "params: 9,610" in out and "(1437, 8, 8) images" in out
    loss, accuracy = numbers(out, "test loss")
    assert loss < 0.3 and accuracy > 0.93
    first, last = numbers(out, "    1  ")[0], numbers(out, "   10  ")[0]
    assert last < first / 5
    assert re.search(r"this is a (\d) with probability 0\.\d+; it was labelled \1", out)


def test_functional(lesson):
    out = lesson(24)
    for shape in ("(None, 28, 28)", "(None, 784)", "(None, 128)", "(None, 10)"):
        assert f"<Symbol float32{shape}, " in out
    assert "the same params as the Sequential's: True; 101,770 numbers" in out
    assert numbers(out, "the same answers:")[0] < 1e-5
    assert "{'hidden': (5, 128), 'logits': (5, 10)}" in out and "(5, 128), the same: True" in out
    assert "(None, 2, 28, 28) -> (None, 2, 10)" in out and "got the shape (None, 128)" in out


def test_merging(lesson):
    out = lesson(25)
    a, b = np.array([1, 2, 3]), np.array([10, 0, -1])
    for layer, expected in {
        "Add()": a + b,
        "Subtract()": a - b,
        "Multiply()": a * b,
        "Average()": (a + b) / 2,
        "Maximum()": np.maximum(a, b),
        "Minimum()": np.minimum(a, b),
        "Concatenate()": [*a, *b],
        "Dot(axes=1)": [7],
    }.items():
        assert numbers(out, layer) == list(expected)
    assert "2 calls" in out and "params: 2,242" in out
    start, end = numbers(out, "loss ")
    assert end < start / 5
    for pair, farther in (("(0.0, 0.5): the first farther out:", 1), ("(-1.0, -1.0): the first farther out:", 0)):
        chance, distance, true = numbers(out, pair)
        assert abs(chance - farther) < 0.1 and abs(distance - true) < 0.6


def test_custom_layer(lesson):
    out = lesson(26)
    assert "params: 50 (trainable: 50" in out and "on 4 features: (3, 10)" in out
    assert abs(numbers(out, "weights of deviation")[0] - 0.05) < 0.015
    assert "2. a pair of functions: 50 numbers" in out and "with the layer's weights, the same answers: True" in out
    assert "an equal layer: True, the same answers: True" in out


def test_transfer_learning(lesson):
    out = lesson(27)
    assert "trainable: 130, frozen: 37,632" in out and "its frozen part is as it was: True" in out
    untrained = numbers(out, "a head that is not trained:")[0]
    head, scratch = numbers(out, "the head trained on 40:")[0], numbers(out, "all trained on 40 alone:")[0]
    assert head > scratch + 0.1 and head > untrained + 0.2


def test_layers_of_layers(lesson):
    out = lesson(28)
    assert "params: 36 (trainable: 36, frozen: 0)   state: 14" in out and "x comes out unchanged: True" in out
    assert "steps: 4.0, state of a child: ['moving_mean', 'moving_variance']" in out
    assert numbers(out, "losses of the two dense layers:")[0] == 2 and "other elements: True" in out
    assert numbers(out, "after them y differs from x by")[0] > 0.1
