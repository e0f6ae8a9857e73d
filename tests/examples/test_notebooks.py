"""The notebooks, executed from the first cell to the last: what they print and draw is checked; git holds no outputs."""

import json
import os
import pathlib
import re
from importlib import metadata, util

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

FOLDER = pathlib.Path(__file__).parents[2] / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
# What stands in the first cell of scaling_on_tpu alone, since jax reads it before it looks for devices.
VIRTUAL = r"(# Eight virtual devices.*\n)?jax\.config\.update\(\"jax_num_cpu_devices\", 8\)\n\n"
SECONDS = 90  # that each may take on two cores; held as processor time, which a busy machine does not stretch


class Shown:
    """What an executed notebook shows, by the id of the cell."""

    def __init__(self, book):
        self.outputs = {cell.id: cell.outputs for cell in book.cells if cell.cell_type == "code"}

    def text(self, cell):
        return "".join(out.text for out in self.outputs[cell] if out.output_type == "stream")

    def numbers(self, cell):
        return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?", self.text(cell).replace(",", ""))]

    def kinds(self, cell):
        return [kind for out in self.outputs[cell] for kind in out.get("data", {})]

    def pictures(self):
        return {cell for cell in self.outputs for kind in self.kinds(cell) if kind in ("image/png", "image/svg+xml")}


@pytest.fixture
def executed(tmp_path):
    def execute(name):
        book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        before = sum(os.times()[2:4])
        NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
        assert sum(os.times()[2:4]) - before < 2 * SECONDS
        warned = [out.text for cell in book.cells for out in cell.get("outputs", []) if out.get("name") == "stderr"]
        assert not warned, "a reader would see warnings"
        return Shown(book)

    return execute


def code(path):
    book = nbformat.read(path, as_version=4)
    return [cell for cell in book.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_git_holds_no_outputs(path):
    text = path.read_text(encoding="utf8")
    book = json.loads(text)
    nbformat.validate(book)
    assert text == json.dumps(book, indent=1, ensure_ascii=False) + "\n"
    assert set(book["metadata"]) <= {"colab", "kernelspec", "language_info"}
    assert all(not cell["metadata"] for cell in book["cells"])
    assert all(not cell.outputs and cell.execution_count is None for cell in code(path))


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_each_opens_in_colab_and_has_short_cells(path):
    first = nbformat.read(path, as_version=4).cells[0].source
    address = f"https://colab.research.google.com/github/fnlayers/fnlayers/blob/main/notebooks/{path.name}"
    assert f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})" in first
    assert all(cell.source.count("\n") <= 40 for cell in code(path))
    links = re.findall(r"\]\(([^)#]+)\)", " ".join(c.source for c in nbformat.read(path, 4).cells))
    if (FOLDER.parent / "README.md").exists():  # a wheel comes without documents
        assert not [link for link in links if not link.startswith("http") and not (FOLDER / link).exists()]


def test_the_first_cell_pins_the_installed_jax(tmp_path, monkeypatch, capsys):
    """It is the same in all; where fnlayers is not installed, pip keeps the jax that is."""
    source, *others = (re.sub(VIRTUAL, "", code(path)[0].source) for path in BOOKS)
    assert others == [source] * (len(BOOKS) - 1)
    magics = []

    class Shell:
        def run_line_magic(self, *magic):
            magics.append(magic)

    find_spec = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None if name == "fnlayers" else find_spec(name, *rest))
    monkeypatch.chdir(tmp_path)
    exec(TransformerManager().transform_cell(source), {"get_ipython": Shell})
    assert magics == [("pip", 'install -q --constraint pins.txt "fnlayers[notebooks]"')]
    pins = (tmp_path / "pins.txt").read_text().splitlines()
    assert {f"{name}=={metadata.version(name)}" for name in ("jax", "jaxlib")} <= set(pins)
    assert re.search(r"jax \S+ on \d+ (CPU|GPU|TPU): .*\nmatmul precision: ", capsys.readouterr().out)


@pytest.mark.slow
def test_quickstart(executed):
    shown = executed("quickstart")
    assert " on " in shown.text("setup") and "matmul precision" in shown.text("setup")
    assert "is True" in shown.text("pair") and "by hand, from the same arrays: the same" in shown.text("apply")
    assert "text/html" in shown.kinds("model") and len(shown.outputs["model"]) == 1
    assert "has state (moving_mean)" in shown.text("forgotten")
    assert shown.numbers("train")[-1] > 0.96
    assert shown.numbers("wrong")[0] < 15
    assert shown.text("save").count("True") == 2
    right, guessing = shown.numbers("reuse")
    assert right > 0.93 > 0.6 > guessing and "the eyes are unchanged: True" in shown.text("reuse")
    *each, together = shown.numbers("ensemble-train")
    assert len(each) == 8 and together > 0.95 and together > sum(each) / 8 - 0.005
    eager, compiled = shown.numbers("jit")[1:3]
    assert compiled < eager
    assert shown.pictures() == {"data", "history", "wrong", "functional", "grad", "doubt"}


@pytest.mark.slow
def test_layers_and_activations(executed):
    shown = executed("layers_and_activations")
    assert "the same numbers: True" in shown.text("as-argument")
    assert shown.numbers("options")[-3:] == [-0.3, -0.2, -0.01]
    assert shown.numbers("softmax")[3] == 1.0 and "loss of the sigmoid: inf" in shown.text("softmax")
    reached = dict(re.findall(r"^(\w+), .* gets (\S+) of", shown.text("deep"), re.MULTILINE))
    assert float(reached["sigmoid"]) < 1e-15 and all(float(reached[name]) > 0.1 for name in ("tanh", "relu", "selu"))
    for padding, sizes in {"valid": [8, 4, 6], "same": [10, 5, 10], "causal": [10, 5, 10]}.items():
        assert re.search(rf"^{padding} +{' +'.join(map(str, sizes))}$", shown.text("sizes"), re.MULTILINE)
    assert shown.numbers("train")[-1] > 0.85
    masked, plain = re.findall(r"is (\S+) from", shown.text("masking"))
    assert float(masked) < 1e-6 and float(plain) > 1e-3
    memory = dict(re.findall(r"^(.*?) +100 steps ago: (\S+)$", shown.text("memory"), re.MULTILINE))
    assert float(memory["LSTM with gates that keep 0.993"]) > 0.3 > 1e-3 > float(memory["LSTM"]) > float(memory["GRU"])
    assert "Dot(axes=1)    [7.]" in shown.text("merging")
    chance, distance, true = shown.numbers("graph-train")[-3:]
    assert chance > 0.9 and abs(distance - true) < 0.4
    assert shown.text("own-pair").endswith("True\n") and shown.text("own-file").count("True") == 2
    drawn = "gallery options deep initializers variance edges pooling features memory batch-norm penalties graph"
    assert shown.pictures() == set(drawn.split())


@pytest.mark.slow
def test_augmentation(executed):
    shown = executed("augmentation")
    assert shown.text("keys").count("True") == 3
    assert "mask of classes [0 1]" in shown.text("boxes")
    weights = shown.numbers("mixing")
    assert all(abs(sum(pair) - 1) < 0.02 for pair in zip(weights[::2], weights[1::2], strict=True))
    plain, augmented = shown.numbers("train")
    assert augmented > plain > 0.8
    assert shown.pictures() == {"geometry", "colors", "boxes", "mixing", "sounds"}


@pytest.mark.slow
def test_functional_graphs(executed):
    shown = executed("functional_graphs")
    assert "Conv2D(filters=8, kernel_size=3) takes 4 axes" in shown.text("wrong")
    adder, reader = re.findall(r"([\d,]+) (?:numbers in the adder|in one reader)", shown.text("summary"))
    assert adder == reader
    assert shown.numbers("train")[0] > 0.8
    left, right, total = (re.findall(r"\d+", line) for line in shown.text("cut").splitlines()[:3])
    assert [int(a) + int(b) for a, b in zip(left, right, strict=True)] == [int(n) for n in total]
    assert shown.numbers("confusion")[0] > 0.85
    assert shown.pictures() == {"branches", "shared", "pairs", "confusion", "row"}


@pytest.mark.slow
def test_custom_layers(executed):
    shown = executed("custom_layers")
    assert "is True" in shown.text("class") and "(None, 64) (None, 7, 8)" in shown.text("class")
    relu, sine = shown.numbers("train")
    assert sine < 0.03 < relu / 2
    error, steps = shown.numbers("layers-train")
    assert error < 0.03 and steps == 300
    assert shown.text("pair").endswith("True\n") and shown.text("follows").endswith("True\n")
    assert "['dense/bias', 'dense/kernel', 'sine_1/bias', 'sine_1/kernel']" in shown.text("follows")
    assert shown.pictures() == {"train", "grad", "larger"}


@pytest.mark.slow
def test_regularizers_and_constraints(executed):
    shown = executed("regularizers_and_constraints")
    pixels, _, best, every = shown.numbers("path")
    assert pixels < 64 and best > every > 0.85
    lines = re.findall(r"^(\w+).* smallest +(\S+), .* length +(\S+)$", shown.text("constraints"), re.MULTILINE)
    kernels = {name: (float(smallest), float(length)) for name, smallest, length in lines}
    assert (
        kernels["NonNeg"][0] == 0 > kernels["no"][0]
        and kernels["UnitNorm"][1] == 1
        and kernels["MaxNorm"][1] <= 2 < kernels["no"][1]
    )
    assert re.findall(r"^(\S+) +columns of length 1$", shown.text("project"), re.MULTILINE) == ["dense/kernel"]
    free, parts = shown.numbers("parts")
    assert free < parts < 0.08
    plain, decayed = re.findall(r"length (\S+),", shown.text("decay"))
    assert float(decayed) < float(plain)
    assert shown.pictures() == {"penalties", "path-drawn", "constraints", "free", "nonneg"}


@pytest.mark.slow
def test_recurrent_and_masks(executed):
    shown = executed("recurrent_and_masks")
    masked, plain = re.findall(r"mask: +(\d\S+)", shown.text("padding"))
    assert float(masked) < 1e-5 < 0.1 < float(plain)
    assert re.findall(r"after (\w+) .* a mask", shown.text("ways")) == ["Masking", "LSTM", "Dropout"]
    assert "put fnlayers.DropMask() before it" in shown.text("refused")
    with_mask, without = ([float(n) for n in re.findall(r"0\.\d+", line)] for line in shown.text("train").splitlines())
    assert with_mask[7] == without[7] > 0.75 and with_mask[3] > without[3] + 0.3
    assert "after row 8: 3" in shown.text("stateful") and shown.numbers("stateful")[-1] < 1e-5
    assert shown.numbers("attention")[0] > 0.7 and shown.numbers("masked") == [0]
    assert shown.pictures() == {"accuracy", "when", "attention", "masked"}


@pytest.mark.slow
def test_ensembles_and_per_example_gradients(executed):
    shown = executed("ensembles_and_per_example_gradients")
    assert "(8, 2, 32)" in shown.text("ensemble") and "(600, 64, 32)" in shown.text("gradients")
    near, far = (float(n) for n in re.findall(r"differ by (\S+) at", shown.text("doubt")))
    assert near < 0.1 < far
    (positions,) = re.findall(r"gradients, (\d+) belong", shown.text("gradients"))
    assert int(positions) > 20
    (supporting,) = re.findall(r"is a 1; .* \[((?:\d ){9}\d)\]", shown.text("influence"))
    assert supporting.count("1") > 5
    plain, clipped, private = re.findall(r"(0\.\d{3}); .* (\d\.\d+)$", shown.text("private"), re.MULTILINE)
    assert float(clipped[0]) > float(plain[0]) and float(clipped[1]) <= float(plain[1]) and float(private[0]) > 0.8
    assert shown.pictures() == {"doubt", "lengths", "suspects", "influence"}


@pytest.mark.slow
def test_scaling_on_tpu(executed):
    shown = executed("scaling_on_tpu")
    assert "on 8 CPU" in shown.text("setup") and "'data': 4, 'model': 2" in shown.text("imports")
    assert re.search(r"wide/kernel +data\+tensor +P\(None, 'model'\)", shown.text("plan"))
    assert shown.numbers("step")[-1] < 1e-5
    sizes = {name: int(size) for name, size in re.findall(r"^(\S+(?: device)?) +(\d+) KiB", shown.text("memory"), re.M)}
    assert (
        sizes["one device"] == sizes["data"]
        and sizes["fsdp"] < sizes["data"] / 7
        and sizes["data+tensor"] < sizes["data"] / 1.9
    )
    assert shown.numbers("train")[-1] > 0.88
    assert shown.pictures() == {"pieces", "memory"}


@pytest.mark.slow
def test_keras_to_jax(executed):
    shown = executed("keras_to_jax")
    assert "trained by Keras" in shown.text("file") and not shown.text("ours")
    assert "'norm/moving_variance'" in shown.text("load")
    right, difference = shown.numbers("same")
    assert right > 0.8 and difference < 1e-5
    assert "in the file: True" in shown.text("head")
    untrained, head = (float(n) for n in re.findall(r"0\.\d{3}", shown.text("head")))
    tuned, scratch = shown.numbers("tune")
    assert min(head, tuned) > 0.75 > 0.7 > max(untrained, scratch)
    assert shown.numbers("back")[0] < 1e-4 and shown.text("back").endswith("True\n")
    assert shown.pictures() == {"features", "filters", "confusion"}
