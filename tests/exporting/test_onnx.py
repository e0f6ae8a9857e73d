"""Models as ONNX files, run by onnxruntime. The table in docs/export.md says what passes, and is held to that."""

import os
import pathlib
import re
import textwrap
from importlib import import_module

import jax
import numpy as np
import pytest

import cases
import fnlayers as fl
from fnlayers.core.shapes import is_shape
from fnlayers.plain_data import map_nest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "export.md"
TABLE = re.compile(r"(?<=<!-- onnx -->\n).*?(?=<!-- /onnx -->)", re.DOTALL)


def onnxruntime():
    pytest.importorskip("jax2onnx")
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    return runtime


def run(path, arrays):
    session = onnxruntime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return session.run(None, dict(zip(names, map(np.asarray, arrays), strict=True)))


@pytest.mark.slow
def test_a_convolutional_network(tmp_path, caplog):
    onnxruntime()
    shape = (None, 8, 8, 1)
    model = fl.Sequential(
        [fl.Conv2D(4, 3, activation="relu"), fl.BatchNormalization(), fl.MaxPooling2D(), fl.Flatten(), fl.Dense(3)]
    )
    params, state = model.init(jax.random.key(0), shape), model.init_state(shape)
    x = np.random.RandomState(0).rand(5, 8, 8, 1).astype("float32")
    wanted = model.apply(params, x, state=state)  # traced with the algorithms of this platform before
    fl.to_onnx(tmp_path / "m.onnx", model, params, state, shape=shape)
    assert not caplog.records  # of the packages inside, which nobody could act on
    np.testing.assert_allclose(run(tmp_path / "m.onnx", [x])[0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_inputs_and_outputs_have_names(tmp_path):
    runtime = onnxruntime()
    ids, row = fl.Input((None,), name="ids", dtype="int32"), fl.Input((3,), name="row")
    model = fl.functional((ids, row), (fl.GlobalMaxPooling1D()(fl.Embedding(5, 3)(ids)) + row, row))
    params = model.init(jax.random.key(0))
    fl.to_onnx(tmp_path / "m.onnx", model, params)
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    assert [(entry.name, entry.shape) for entry in session.get_inputs()] == [
        ("ids", ["batch", "size_1"]),
        ("row", ["batch", 3]),
    ]
    assert [entry.name for entry in session.get_outputs()] == ["y0", "y1"]


@pytest.mark.slow
def test_jax_is_as_it_was(tmp_path):
    onnxruntime()
    model = fl.Dense(1)
    fl.to_onnx(tmp_path / "m.onnx", model, model.init(jax.random.key(0), (1, 2)), shape=(None, 2))
    of_others = {
        f"jax.{module}.{name}": value.__module__
        for module in ("numpy", "lax", "nn", "random", "tree", "scipy.special")
        for name, value in vars(import_module(f"jax.{module}")).items()
        if callable(value) and not name.endswith("_p") and getattr(value, "__module__", "").startswith("jax2onnx")
    }
    assert not of_others


def test_errors_say_what_to_write(tmp_path, monkeypatch):
    model = fl.Dense(1)
    params = model.init(jax.random.key(0), (1, 2))
    with pytest.raises(fl.ConfigError, match=r"write .*m\.onnx"):
        fl.to_onnx(tmp_path / "m.keras", model, params, shape=(None, 2))
    monkeypatch.setitem(__import__("sys").modules, "jax2onnx", None)
    with pytest.raises(fl.MissingError, match=r"pip install 'fnlayers\[onnx\]'"):
        fl.to_onnx(tmp_path / "m.onnx", model, params, shape=(None, 2))


def outcome(case, folder) -> str:
    """ "yes" where the outputs are onnxruntime's with an open batch; else what works, or why not."""
    name = type(case.layer).__name__
    params, state, x = case.weights(fl.Param), case.weights(fl.State), case.inputs()
    wanted, dtype = case.layer.apply(params, x, state=state), map_nest(lambda a: str(a.dtype), x)
    opened = map_nest(lambda sizes: (None, *sizes[1:]), case.shape, is_leaf=is_shape)
    reason = ""
    for shape, says in ((opened, "yes"), (case.shape, "with a known batch size")):
        path = folder / f"{name}.onnx"
        try:
            fl.to_onnx(path, case.layer, params, state, shape=shape, dtype=dtype)
            outputs = run(path, jax.tree.leaves(x))
        except Exception as error:
            reason = re.sub(r"^to_onnx: jax2onnx cannot convert this \w+: ", "", str(error)).split(";")[0]
            continue
        for a, b in zip(outputs, jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, np.asarray(b), rtol=1e-4, atol=1e-5, err_msg=name)
        return says
    return f"no: {' '.join(reason.split())[:90]}"


def table(outcomes: dict[str, str]) -> str:
    passed = ", ".join(name for name, says in outcomes.items() if says == "yes")
    others = "".join(f"| {name} | {says} |\n" for name, says in outcomes.items() if says != "yes")
    head = "\n| layer | passes |\n|---|---|\n" if others else ""
    return "\n".join(textwrap.wrap(f"{passed} pass.", 120)) + f"\n{head}{others}"


@pytest.mark.slow
def test_the_table_of_layers_is_true(tmp_path):
    onnxruntime()
    plainest = {}
    for case in sorted(cases.CASES, key=lambda case: len(str(case))):
        keeps_batch = "cache=" in str(case) or "stateful=True" in str(case)  # its state has a known batch size
        if case.mask is None and not case.layer.dtype and not keeps_batch:
            plainest.setdefault(type(case.layer).__name__, case)
    written = table({name: outcome(plainest[name], tmp_path) for name in sorted(plainest)})
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(TABLE.sub(lambda _: written, PAGE.read_text()))
    assert TABLE.search(PAGE.read_text()).group() == written
