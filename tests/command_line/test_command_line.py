"""The command line: what it prints, its exit status, and one line for what is wrong."""

import json
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.command_line import main
from fnlayers.command_line.convert import Parts
from fnlayers.saving import container

TORCH = Path(__file__).parents[1] / "state_dicts" / "golden"


@pytest.fixture
def run(capsys):
    def run(*arguments):
        status = main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        assert (status == 0) == bool(out) and (status == 2) == bool(err) and err.count("\n") == (status == 2)
        return out or err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of ours, arrays without a model, and files that are none."""
    folder = tmp_path_factory.mktemp("models")
    base = fl.Sequential([fl.Dense(4), fl.BatchNormalization()], name="base")
    model = fl.Sequential([fl.Input((3,)), base, fl.Dense(2, name="head")])
    fl.save(folder / "model.safetensors", model, model.init(jax.random.key(0)), model.init_state())
    with open(folder / "arrays.safetensors", "wb") as file:
        arrays = {"encoder.weight": np.ones((3, 4), "float32"), "encoder.bias": np.ones(3, "float16")}
        container.write(file, {n: (a.shape, a.dtype.name) for n, a in arrays.items()}, {}, arrays.__getitem__)
    (folder / "empty.keras").write_bytes(b"")
    (folder / "text.h5").write_text("not a model, but a text of some length")
    with zipfile.ZipFile(folder / "numpy.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY")
    return folder


def test_versions_and_devices(run):
    lines = dict(line.split(maxsplit=1) for line in run().splitlines())
    assert lines["fnlayers"] == fl.__version__ and lines["jax"] == jax.__version__ and "cpu:0" in lines["devices"]
    assert {"python", "jaxlib", "numpy", "optax", "h5py", "keras"} <= lines.keys()


def test_inspect_a_model_of_ours(run, folder):
    out = run("inspect", folder / "model.safetensors")
    assert f"a model of fnlayers {fl.__version__}\n8 arrays, 42 numbers" in out
    assert all(word in out for word in ("base", "batch_normalization", "head", "(None, 4)", "params: 34"))


def test_inspect_arrays_without_a_model(run, folder):
    out = run("inspect", folder / "arrays.safetensors").splitlines()
    assert out[0].endswith("arrays without a model") and out[1] == "2 arrays, 15 numbers"
    assert sorted(out[3:]) == ["encoder.bias    float16(3,)", "encoder.weight  float32(3, 4)"]


def test_a_model_with_functions_of_ones_own_shows_its_arrays(run, tmp_path):
    def twice(x):
        return 2 * x

    model = fl.Sequential([fl.Input((3,)), fl.Lambda(twice), fl.Dense(2)])
    fl.save(tmp_path / "own.safetensors", model, model.init(jax.random.key(0)))
    out = run("inspect", tmp_path / "own.safetensors")
    assert "no layers are shown: the config names twice" in out and "params/dense/kernel  float32(3, 2)" in out


@pytest.mark.parametrize("weights", ["inside", "beside"])
def test_inspect_an_exported_program(run, tmp_path, weights):
    model = fl.Dense(2)
    fl.export(
        tmp_path / "m.exported", model, model.init(jax.random.key(0), (None, 3)), shape=(None, 3), weights=weights
    )
    out = run("inspect", tmp_path / "m.exported")
    assert (
        f"a program exported by fnlayers {fl.__version__}, for cpu" in out and f"weights {weights} it: float32" in out
    )
    assert ("params/kernel  float32(3, 2)" in out) == (weights == "beside")
    assert "load_exported" in run("convert", tmp_path / "m.exported", tmp_path / "m.safetensors")


def test_inspect_tensors_of_pytorch(run, tmp_path):
    assert "7 arrays, 17 numbers" in (out := run("inspect", TORCH / "state_dict.pt"))
    assert "tensors of PyTorch" in out and "0.weight               float32(2, 3)" in out
    assert "it has epoch, model, optimizer, lr" in run("inspect", TORCH / "checkpoint.pt")
    assert "7 arrays" in run("inspect", TORCH / "checkpoint.pt", "--key", "model")
    assert "is a pickle" in run("inspect", TORCH / "legacy.pt")
    assert "load_state_dict(model, shape, path, mapping)" in run(
        "convert", TORCH / "state_dict.pt", tmp_path / "a.keras"
    )


def test_what_is_wrong_is_one_line(run, folder, tmp_path):
    assert "nowhere.keras: No such file or directory" in run("inspect", folder / "nowhere.keras")
    for name in ("empty.keras", "text.h5"):
        assert "is no model that fnlayers reads" in run("inspect", folder / name)
    assert run("inspect", folder / "numpy.npz").endswith(f"to fnlayers.load_state_dict (in {folder / 'numpy.npz'})\n")
    assert "is not a file" in run("inspect", folder)
    model = folder / "model.safetensors"
    assert "choose from .safetensors" in run("convert", model, tmp_path / "model.pb")
    assert "is there already; give another name, or --force" in run("convert", model, model)
    assert "is there already; give another name" in run("convert", model, model, "--force")
    assert "no model that fnlayers.save wrote" in run(
        "convert", folder / "arrays.safetensors", tmp_path / "a.safetensors"
    )
    with pytest.raises(SystemExit) as stopped:
        main(["inspct"])
    assert stopped.value.code == 2


def test_convert_writes_the_same_model(run, folder, tmp_path):
    source, target = folder / "model.safetensors", tmp_path / "copy.safetensors"
    assert run("convert", source, target).endswith("copy.safetensors: Sequential, 34 params, 8 numbers of state\n")
    run("convert", source, target, "--force")
    for first, second in zip(fl.load(source), fl.load(target), strict=True):
        same = first == second if isinstance(first, fl.Layer) else jax.tree.map(np.array_equal, first, second)
        assert jax.tree.all(same)


def test_convert_writes_a_file_of_keras(run, folder, tmp_path):
    target = tmp_path / "model.keras"
    assert run("convert", folder / "model.safetensors", target).endswith("8 numbers of state\n")
    model, params, state = fl.load(folder / "model.safetensors")
    loaded, x = fl.load_keras(target), np.ones((2, 3), "float32")
    np.testing.assert_allclose(
        loaded.model.apply(loaded.params, x, state=loaded.state), model.apply(params, x, state=state), rtol=1e-6
    )


def test_convert_writes_a_program(run, folder, tmp_path):
    target = tmp_path / "model.exported"
    assert run("convert", folder / "model.safetensors", target).endswith("8 numbers of state\n")
    model, params, state = fl.load(folder / "model.safetensors")
    x = np.ones((2, 3), "float32")
    np.testing.assert_allclose(fl.load_exported(target)(x), model.apply(params, x, state=state), rtol=1e-6)


@pytest.mark.slow
def test_convert_writes_an_onnx_file(run, folder, tmp_path):
    pytest.importorskip("jax2onnx")
    runtime, target = pytest.importorskip("onnxruntime"), tmp_path / "model.onnx"
    assert run("convert", folder / "model.safetensors", target).endswith("8 numbers of state\n")
    model, params, state = fl.load(folder / "model.safetensors")
    session, x = runtime.InferenceSession(str(target), providers=["CPUExecutionProvider"]), np.ones((2, 3), "float32")
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(y, model.apply(params, x, state=state), rtol=1e-5, atol=1e-6)


def test_as_a_program():
    done = subprocess.run([sys.executable, "-m", "fnlayers", "inspect", "nowhere"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "fnlayers: nowhere: No such file or directory\n")


def test_view_serves_a_file_until_it_is_stopped(run, folder, tmp_path, monkeypatch):
    seen = []

    def look(page):
        with urllib.request.urlopen(page.url + "model.json") as answer:
            seen.append((page.url, json.loads(answer.read())))
        with urllib.request.urlopen(page.url + "first") as answer:
            seen.append(answer.read())
        raise KeyboardInterrupt

    monkeypatch.setattr(fl.show.LivePage, "wait", look)
    monkeypatch.setattr("webbrowser.open", pytest.fail)
    input_path = tmp_path / "x.npy"
    np.save(input_path, np.ones((2, 3), "float32"))
    out = run("view", folder / "model.safetensors", "--input", input_path, "--no-browser")
    (url, index), data = seen
    assert out == f"{folder / 'model.safetensors'}: {url}   (Ctrl+C ends it)\nclosed\n"
    assert index["params"] == 34 and index["first"] == "x.npy" and data == input_path.read_bytes()
    assert "no model that fnlayers.save wrote" in run("view", folder / "arrays.safetensors")
    assert "holds tensors without a model" in run("view", TORCH / "state_dict.pt")
    assert "nowhere.npy: No such file" in run("view", folder / "model.safetensors", "--input", "nowhere.npy")
    assert "port=-1: give a number" in run("view", folder / "model.safetensors", "--port", "-1")
    monkeypatch.setattr("fnlayers.command_line.view.read", lambda path: Parts(fl.Dense(2), {}, {}))
    assert "fnlayers.show.view(model, params, state, shape)" in run("view", "weights_without_an_input_shape.h5")
