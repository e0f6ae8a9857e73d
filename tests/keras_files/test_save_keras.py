"""save_keras: what is written is read back as it was, by us and by real Keras, which runs in a process of its own."""

# Arguments of wrong types are given on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportMissingImports=false

import json
import os
import pathlib
import subprocess
import sys
import zipfile
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from cases import CASES, runs_by_default
from fnlayers.core.operation import Constant, Cut, Slot
from fnlayers.core.operations import OPERATIONS
from fnlayers.models.functional import Node

HERE = pathlib.Path(__file__).parent
IDS = np.array([[1, 2, 0, 0], [3, 4, 2, 0]], "int32")
X = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 3, 4)


def drawn(model, shape):
    params, state = model.init(jax.random.key(1), shape), model.init_state(shape)
    return params, jax.tree.map(lambda a: a + 0.1 if a.dtype == jnp.float32 else a, state)


def written(folder, name, model, x):
    shape = jax.tree.map(lambda a: (None, *a.shape[1:]), x)
    params, state = drawn(model, shape)
    fl.save_keras(folder / f"{name}.keras", model, params, state, shape)
    named = x if isinstance(x, dict) else {str(i): a for i, a in enumerate(jax.tree.leaves(x))}
    np.savez(folder / f"{name}.npz", **named)
    return jax.tree.leaves(model.apply(params, x, state=state))


def opened(folder):
    """What Keras makes of every file in the folder."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    run = [sys.executable, str(HERE / "open_in_keras.py"), str(folder)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def theirs(folder, name):
    error = folder / f"{name}.error"
    assert not error.exists(), error.read_text()
    arrays = np.load(folder / f"{name}.out.npz")
    return [arrays[key] for key in arrays if key != "frozen"], int(arrays["frozen"])


def branches():
    """Layers of one class and shape, of which Keras runs the last one named here first: by depth, not by name."""
    x = fl.Input((4,), name="x")
    short, long = fl.Dense(4, name="b")(x), fl.Dense(4, name="a")(fl.Dense(4, "tanh", name="c")(x))
    return fl.functional(x, fl.Subtract()(short, fl.Activation("relu")(long)))


def shared():
    a, b = fl.Input((3, 4), name="a"), fl.Input((3, 4), name="b")
    encoder = fl.Sequential([fl.LSTM(3, return_sequences=True), fl.BatchNormalization()], name="encoder")
    left, right = encoder(a), encoder(b)
    joined = fl.Concatenate()(left[:, 1:, :], right[:, :2] * 2.0)
    return fl.functional((a, b), {"y": fl.GlobalMaxPooling1D()(joined), "sum": left + right})


def masked():
    """Masks that are used, dropped, merged, and given to a layer that is called with states."""
    x = fl.Input((4,), dtype="int32", name="x")
    words = fl.Embedding(5, 4, mask_zero=True)(x)
    both = fl.Add()(words, fl.Dropout(0.5)(fl.Embedding(5, 4, mask_zero=True)(x)))
    dropped = fl.GRU(3)(fl.DropMask()(words))
    y, h, c = fl.LSTM(3, return_state=True)(both)
    return fl.functional(x, (y, dropped, fl.GlobalAveragePooling1D()(fl.LSTM(3, return_sequences=True)(words, h, c))))


def chain():
    return fl.Sequential(
        [
            fl.Input((4,), dtype="int32"), fl.Embedding(5, 4, mask_zero=True, trainable=False),
            fl.Bidirectional(fl.GRU(2, return_sequences=True)), fl.TimeDistributed(fl.Dense(3, "gelu")),
            fl.DropMask(), fl.Conv1D(2, 2, kernel_regularizer=fl.regularizers.L1L2(0.1, 0.2)),
            fl.RNN([fl.GRUCell(2), fl.LSTMCell(3, kernel_initializer=fl.initializers.HeNormal(seed=1))]),
            fl.Dense(3, fl.LeakyReLU(0.1), kernel_constraint=fl.constraints.MaxNorm(3)), fl.Dense(2, "legacy_sparsemax"),
        ],
        name="chain",
    )  # fmt: skip


def scaled():
    x = fl.Input((3, 4), name="x")
    return fl.functional(x, fl.StochasticDepth(0.5)(fl.CustomScaleLayer(0.5)(x, fl.Dense(4)(x))))


def constants():
    """Arrays that a graph holds: among what layers are called with, on each side of an operator, and in an Einsum."""
    x = fl.Input((3, 4), name="x")
    row, square = np.array([[[1.0, -2.0, 0.5, 4.0]]], "float32"), np.arange(16, dtype="float32").reshape(4, 4)
    scaled = fl.Concatenate()(fl.Multiply()(row, x), fl.Add()(x, jnp.asarray(row)))
    products = fl.Operation("Einsum", (Slot(0), Slot(1)), {"subscripts": "bij,bkj->bik"})(x, (row - x) @ square)
    return fl.functional(x, (scaled, products))


MODELS = {
    "constants": (constants, X),
    "scaled": (scaled, X),
    "branches": (branches, X[:, 0]),
    "shared": (shared, (X, -X)),
    "masked": (masked, IDS),
    "chain": (chain, IDS),
    "images": (
        lambda: fl.Sequential(
            [fl.Rescaling(1 / 255), fl.Normalization(), fl.SeparableConv2D(3, 2), fl.LayerScale(0.1, 3)]
        ),
        np.arange(96, dtype="float32").reshape(2, 4, 4, 3),
    ),
    "half": (lambda: fl.Sequential([fl.Dense(3, "relu"), fl.LayerNormalization()], dtype="mixed_bfloat16"), X),
    "alone": (lambda: fl.MultiHeadAttention(2, 3, use_causal_mask=True, name="heads"), (X, -X)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Each model written; with our outputs."""
    folder = tmp_path_factory.mktemp("files")
    return folder, {name: written(folder, name, make(), x) for name, (make, x) in MODELS.items()}


def same_in_keras(folder, ours, names):
    for name in names:
        for part in (".keras", ".npz"):
            (folder / "opened").mkdir(exist_ok=True)
            (folder / "opened" / f"{name}{part}").write_bytes((folder / f"{name}{part}").read_bytes())
    opened(folder / "opened")
    for name in names:
        for a, b in zip(ours[name], theirs(folder / "opened", name)[0], strict=True):
            close = 2e-2 if name == "half" else 1e-5
            np.testing.assert_allclose(np.asarray(a, "float32"), b, rtol=close, atol=close, err_msg=name)


@pytest.mark.slow
def test_keras_gives_the_same(files):
    same_in_keras(*files, list(MODELS))
    folder, _ = files
    assert theirs(folder / "opened", "chain")[1] == 1  # the frozen Embedding


@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_is_read_and_written_again(files, name):
    folder, ours = files
    path, again = folder / f"{name}.keras", folder / "again.keras"
    loaded = fl.load_keras(path)
    y = loaded.model.apply(loaded.params, MODELS[name][1], state=loaded.state)
    for a, b in zip(ours[name], jax.tree.leaves(y), strict=True):
        np.testing.assert_allclose(np.asarray(a, "float32"), np.asarray(b, "float32"), rtol=1e-5, atol=1e-5)
    shape = (None, *MODELS[name][1].shape[1:]) if loaded.model.in_shape is None else None
    fl.save_keras(again, loaded.model, loaded.params, loaded.state, shape)
    assert path.read_bytes() == again.read_bytes() or fl.load_keras(again).model == loaded.model


def test_frozen_layers_stay_frozen(files):
    folder, _ = files
    assert fl.load_keras(folder / "chain.keras").non_trainable == ["embedding/embeddings"]


def lacking(model, shape=(None, 3, 4)):
    return lambda path: fl.save_keras(path, model, *drawn(model, shape), shape)


def of_x(formula):
    x = fl.Input((3, 4))
    return fl.functional(x, formula(x))


def always_training():
    """As a file of Keras 1 or 2 has it where a layer was called with training=True."""
    model = of_x(fl.Dropout(0.5, name="noise"))
    nodes = tuple(node._replace(train=True) if isinstance(node, Node) else node for node in model.nodes)
    return replace(model, nodes=nodes)


@pytest.mark.parametrize(
    ("save", "match"),
    [
        (lacking(always_training()), "noise: Dropout is in training mode in each run, which Keras cannot express"),
        (lacking(fl.Sequential([fl.Dense(2), fl.Lambda(jnp.sin)])), "lambda: Lambda holds a function of yours, which Keras"),
        (lacking(fl.Repeat(fl.Dense(4), 2)), "Repeat is not a layer of Keras, .*; list the layers"),
        (lacking(fl.Sequential([fl.SpectralNormalization(fl.Dense(2))])), "SpectralNormalization divides its kernel"),
        (lacking(fl.Sequential([fl.Equalization(name="even")]), (None, 2, 2, 3)), "even: Equalization is in Keras an error"),
        (lacking(fl.Sequential([fl.TransformerEncoder(4, 2)])), "TransformerEncoder is not a layer of Keras"),
        (lacking(fl.Sequential([fl.Dense(2, jnp.sin)])), "dense/activation: .* is a function of yours"),
        (lacking(fl.Sequential([fl.Dense(2, "sparsemax")])), "write activation='legacy_sparsemax'"),
        (lacking(fl.Sequential([fl.RMSNormalization(1)])), "RMSNormalization normalizes over axis=1, not the last"),
        (lacking(fl.Sequential([fl.BatchNormalization(synchronized=True)])), "synchronized=True on JAX"),
        (lacking(fl.Sequential([fl.Cropping1D(1, data_format="channels_first")])), "has data_format='channels_first'"),
        (lambda path: fl.save_keras(path.with_suffix(".h5"), fl.Dense(2), {}), "must end in .keras; write model.keras"),
        (lambda path: fl.save_keras(path, fl.Dense, {}), "takes a layer, got the class Dense"),
        (lambda path: fl.save_keras(path, fl.Dense(2), []), "params is a list"),
        (lambda path: fl.save_keras(path, fl.Dense(2), {"kernel": 1}), "params/kernel is 1, not an array; give"),
        (lambda _: fl.save_keras("", fl.Dense(2), {}), "is not the name of a file; give one that ends in .keras"),
        (lambda path: fl.save_keras(path, fl.Dense(2), {}, shape=(None, 3)), "kernel"),
        (lambda path: fl.save_keras(path, fl.Add(), {}), "does not know the shape of its input"),
        (lacking(fl.TimeDistributed(fl.GRU(2, return_state=True)), (None, 2, 3, 4)), "makes several outputs"),
        (lacking(fl.GRUCell(2), (None, 4)), "is given no states"),
        (lacking(of_x(lambda x: fl.Subtract()(np.ones((1, 3, 4)), x))), "subtract: .* with an array of numbers first"),
        (lacking(of_x(lambda x: x * np.inf)), "operation: inf is not a number in JSON"),
        (lacking(of_x(lambda x: x + np.array([1.0, 2.0, 3.0, -np.inf]))), "operation: -inf is not a number in JSON"),
        (lambda path: fl.save(path, fl.Dense(2), {}), r"for a file of Keras: fnlayers.save_keras\('model.keras'"),
    ],
)  # fmt: skip
def test_what_keras_cannot_express_is_an_error(tmp_path, save, match):
    with pytest.raises(fl.LayerError, match=match):
        save(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


def long(count):
    return fl.Sequential([fl.Input((2,)), *(fl.ReLU() if i % 2 else fl.Identity() for i in range(count))], name="m")


def joined(count):
    """Each layer is given all arrays before it."""
    symbols = [fl.Input((2,))]
    for _ in range(count):
        symbols.append(fl.Maximum()(*symbols, symbols[0]))
    return fl.functional(symbols[0], symbols[-1], name="m")


def added(count):
    x = y = fl.Input((2,))
    for _ in range(count // 2):
        y = fl.ReLU()(y + 1.0)
    return fl.functional(x, y, name="m")


def nested(count):
    model = fl.ReLU()
    for i in range(count):
        model = fl.Sequential([model], name=f"m{i}")
    return fl.Sequential([fl.Input((2,)), model], name="m")


@pytest.mark.parametrize("make, count", [(long, 500), (added, 1000), (joined, 50), (nested, 25)])
def test_models_without_weights_are_within_the_limits_of_load_keras(tmp_path, make, count):
    model = make(count)
    fl.save_keras(tmp_path / "m.keras", model, {}, {})
    loaded = fl.load_keras(tmp_path / "m.keras").model
    assert len(loaded.layers) == len(model.layers) and loaded.in_shape == model.in_shape


def test_what_load_keras_would_not_read_is_not_written(tmp_path):
    with pytest.raises(fl.ConfigError, match="more than 30 layers inside each other"):
        fl.save_keras(tmp_path / "m.keras", nested(31), {}, {})
    assert not list(tmp_path.iterdir())


def test_operations_are_split_into_config_and_call(tmp_path):
    x = fl.Input((3, 4), name="x")
    parts = (
        fl.Operation("Mean", (Slot(0), 1), {"keepdims": True}), fl.Operation("GetItem", (Slot(0), (Cut(), 0))),
        fl.Operation("Reshape", (Slot(0), (-1, 2))), fl.Operation("Clip", (Slot(0), -0.5, 0.5)),
        fl.Operation("Transpose", (Slot(0),), {"axes": (0, 2, 1)}), fl.Operation("Gelu"),
        fl.Operation("Subtract", (Constant((1.0, 2.0, 3.0, 4.0), "float32"), Slot(0))),
        fl.Operation("Einsum", (Slot(0), Constant(((1.0,),) * 4, "float32")), {"subscripts": "bij,jk->bik"}),
    )  # fmt: skip
    model = fl.functional(x, tuple(part(x) for part in parts))
    ours = written(tmp_path, "operations", model, X)
    loaded = fl.load_keras(tmp_path / "operations.keras")
    for a, b in zip(ours, loaded.model.apply(loaded.params, X), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_operations_are_written_as_keras_writes_them(tmp_path):
    """What real Keras 3.15.1 wrote, with its numbers: test_legacy.py compares those."""
    with zipfile.ZipFile(HERE / "golden" / "operations.zip") as archive:
        archive.extract("operations.keras", tmp_path)
    model = fl.load_keras(tmp_path / "operations.keras").model
    assert set(OPERATIONS) - {layer.function for layer in model.layers} == {"Abs"}  # which keras.ops.abs is not
    fl.save_keras(tmp_path / "again.keras", model, {})
    for ours, theirs in zip(entries(tmp_path / "again.keras"), entries(tmp_path / "operations.keras"), strict=True):
        assert ours == theirs


def entries(path):
    """What a graph says of its operations, and with how many arguments each is called."""
    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    rows = [(y["name"], y["module"], y["class_name"], y["config"], y["inbound_nodes"]) for y in layers]
    calls = [[(len(call["args"]), sorted(call["kwargs"])) for call in entry[-1]] for entry in rows]
    return sorted((*entry[:-1], call) for entry, call in zip(rows, calls, strict=True) if "ops" in entry[1])


OPERATION_LIMITS = [
    (fl.Operation("Split", (Slot(0), 2000, 1)), "makes 2000 arrays, where at most 1000"),
    (fl.Operation("Unstack", (Slot(0),), {"axis": 1}), "makes 4000 arrays, where at most 1000"),
    (fl.Operation("Diff", (Slot(0), 10**6, 1)), "n=1000000, where at most 100"),
    (fl.Operation("Pad", (Slot(0),), {"pad_width": ((0, 0), (0, 2**26)), "mode": "symmetric"}), "padded by 67108864"),
    (fl.Operation("Pad", (Slot(0),), {"pad_width": 1, "mode": "wrap"}), "choose from constant, reflect, symmetric"),
]


@pytest.mark.parametrize("operation, match", OPERATION_LIMITS)
def test_operations_that_would_take_long_to_trace(operation, match):
    with pytest.raises(fl.ConfigError, match=match):
        operation.out_shape((None, 4000))


def without_carry(path, a):
    """Keras does not save carries: a model that is opened starts from zeros."""
    return a * 0 if "carry_" in jax.tree_util.keystr(path) else a


@pytest.mark.slow
def test_cases_of_the_table_open_in_keras(tmp_path):
    """All that save_keras writes; what it refuses is refused with a reason. FNLAYERS_CASES=all tries all cases."""
    chosen = CASES if os.environ.get("FNLAYERS_CASES") == "all" else list(filter(runs_by_default, CASES))
    ours, refused, wrong = {}, {}, []
    for number, case in enumerate(chosen):
        name = f"{number:04}"
        state = jax.tree_util.tree_map_with_path(without_carry, case.state)
        try:
            fl.save_keras(tmp_path / f"{name}.keras", case.layer, case.params, state, case.shape)
        except fl.LayerError as error:
            refused[str(case)] = str(error)
            continue
        x = case.inputs()
        named = x if isinstance(x, dict) else {str(i): a for i, a in enumerate(jax.tree.leaves(x))}
        np.savez(tmp_path / f"{name}.npz", **named)
        ours[name] = case, jax.tree.leaves(case.run(mask=None, state=state).y)
    opened(tmp_path)
    for name, (case, y) in ours.items():
        if "'attention_mask'" in str(case):  # a query there attends to nothing: docs/deviations.md
            loaded = fl.load_keras(tmp_path / f"{name}.keras")
            y = jax.tree.leaves(loaded.model.apply(loaded.params, case.inputs()))
        try:
            outputs, _ = theirs(tmp_path, name)
            for a, b in zip(y, outputs, strict=True):
                np.testing.assert_allclose(np.asarray(a, "float32"), b, **case.tolerance)
        except AssertionError as error:
            wrong.append(f"{case}: {str(error)[:300]}")
    assert not wrong, "\n".join(wrong)
    assert len(ours) > 0.8 * len(chosen) and all("Keras" in reason for reason in refused.values()), refused


def test_the_page_is_what_its_program_writes(monkeypatch):
    docs = HERE.parents[1] / "docs"
    monkeypatch.syspath_prepend(str(docs))
    import write_from_keras

    assert write_from_keras.PAGE.read_text() == write_from_keras.page()
