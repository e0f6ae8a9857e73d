"""The table of a model's layers."""

import functools
import io
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnlayers as fl
from fnlayers.show import Summary, summary

KEY = jax.random.key(0)


def convnet() -> fl.Sequential:
    return fl.Sequential(
        [
            fl.Conv2D(4, 3, kernel_regularizer="l2", kernel_constraint=fl.constraints.MaxNorm(3)),
            fl.BatchNormalization(),
            fl.Flatten(),
            fl.Dense(2, activity_regularizer=fl.regularizers.L1(0.1), trainable=False),
        ]
    )


def siamese() -> fl.Functional:
    a, b = fl.Input((4,), name="a"), fl.Input((4,), name="b")
    encoder = fl.Sequential([fl.Dense(3), fl.BatchNormalization()], name="encoder")
    return fl.functional({"a": a, "b": b}, {"y": fl.Add()(encoder(a), encoder(b)), "z": a})


@fl.layerclass
class Residual(fl.Layer):
    """A layer with a weight of its own and one inside."""

    inner: fl.Layer

    def weights(self, shape: Any) -> Any:
        return {"scale": fl.Param((shape[-1],), "ones")}

    def children(self, shape: Any) -> Any:
        return {"inner": (self.inner, shape)}

    def forward(self, params: Any, x: Any, ctx: Any) -> Any:
        out = ctx.run("inner", self.inner, params, x)
        return fl.Out(x + params["scale"] * out.y)


def init_pair(rng: Any, shape: Any) -> Any:
    return {"w": jnp.ones(shape[-1]), "more": (jnp.ones(2, "int8"),)}


def apply_pair(params: Any, x: Any) -> Any:
    return x * params["w"]


def table(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


def test_the_table_of_a_convnet() -> None:
    text = str(summary(convnet(), (None, 6, 6, 1), width=200))
    assert table(text) == [
        ["path", "layer", "output shape", "dtype", "params", "state", "trainable", "rules"],
        ["conv2d", "Conv2D", "(None, 4, 4, 4)", "float32", "40", "0", "yes", "kernel: l2, MaxNorm(max_value=3)"],
        ["batch_normalization", "BatchNormalization", "(None, 4, 4, 4)", "float32", "8", "8", "yes", ""],
        ["flatten", "Flatten", "(None, 64)", "float32", "0", "0", "-", ""],
        ["dense", "Dense", "(None, 2)", "float32", "130", "0", "no", "output: L1(l1=0.1)"],
    ]
    assert text.splitlines()[0] == "Sequential, input float32(None, 6, 6, 1)"
    assert text.splitlines()[-1] == "params: 178 (trainable: 48, frozen: 130)   state: 8   memory: 744 B"


MODELS = {
    "convnet": (convnet(), (None, 6, 6, 1)),
    "siamese": (siamese(), {"a": (None, 4), "b": (None, 4)}),
    "dense": (fl.Dense(3), (None, 4)),
    "nothing": (fl.Sequential([]), (None, 4)),
    "repeat": (fl.Sequential([fl.Repeat(fl.Sequential([fl.Dense(4), fl.BatchNormalization()]), 3)]), (None, 4)),
    "time": (fl.TimeDistributed(fl.Conv2D(2, 2)), (None, None, 5, 5, 1)),
    "text": (fl.Sequential([fl.Embedding(7, 4), fl.LSTM(3, return_state=True)]), (None, None)),
    "pair": (fl.Pair(init_pair, apply_pair), (None, 4)),
    "own": (Residual(fl.Dense(4)), (None, 4)),
    "merge": (fl.Add(), ((None, 4), (None, 4))),
    "halves": (fl.Sequential([fl.Dense(3, dtype="bfloat16"), fl.Dense(3, dtype="mixed_float16")]), (None, 4)),
}


@pytest.mark.parametrize("name", MODELS)
def test_totals_are_those_of_the_arrays(name: str) -> None:
    model, shape = MODELS[name]
    shown = summary(model, shape)
    params, state = model.init(KEY, shape), model.init_state(shape)
    assert shown.params == fl.count(params) == shown.trainable + shown.frozen
    assert shown.state == fl.count(state)
    assert shown.bytes == sum(leaf.nbytes for leaf in jax.tree.leaves((params, state)))
    top = [row for row in shown.rows if "/" not in row.path]
    top = top[:1] if top[0].path == "" else top
    assert sum(row.params for row in top) == shown.params
    assert sum(row.state for row in top) == shown.state


@pytest.mark.parametrize("name", MODELS)
def test_the_last_row_has_the_models_output(name: str) -> None:
    model, shape = MODELS[name]
    shown = summary(model, shape)
    outputs = [row.output for row in shown.rows if "/" not in row.path]
    assert model.out_type(shape) in outputs or name in ("siamese", "repeat", "time", "own")


def test_a_shared_layer_has_one_line() -> None:
    shown = summary(siamese(), width=200)
    assert [(row.path, row.calls, row.params) for row in shown.rows] == [
        ("encoder", 2, 21),
        ("encoder/dense", 1, 15),
        ("encoder/batch_normalization", 1, 6),
        ("add", 1, 0),
    ]
    assert ["encoder", "2 calls"] in [row[:1] + row[-1:] for row in table(str(shown))]
    layer = fl.Dense(4)
    assert [row.calls for row in summary(fl.Sequential([layer, fl.ReLU(), layer]), (None, 4)).rows] == [2, 1]


def test_numbers_that_a_row_above_counts_too_are_in_parentheses() -> None:
    shown = table(str(summary(fl.Sequential([fl.LSTM(3), fl.Dense(2)]), (None, 5, 4), width=100)))
    assert [row[4] for row in shown] == ["params", "96", "(96)", "8"]
    own = [row.cells[4] for row in summary(Residual(fl.Dense(4)), (None, 4)).rows]
    assert own == ["24", "(20)"]


def test_levels() -> None:
    model = fl.Sequential([fl.Sequential([fl.Sequential([fl.Dense(2)], name="c")], name="b")], name="a")
    paths = ["b", "b/c", "b/c/dense"]
    assert [row.path for row in summary(model, (None, 2)).rows] == paths
    assert [row.path for row in summary(model, (None, 2), depth=2).rows] == paths[:2]
    assert [row.path for row in summary(model, (None, 2), depth=0).rows] == [""]
    assert "|   b/c " in str(summary(model, (None, 2), width=100))


def test_dtypes_are_those_of_a_run() -> None:
    half = {"dtype": "mixed_bfloat16"}
    model = fl.Sequential([fl.Embedding(5, 3), fl.Dense(2, **half), fl.TimeDistributed(fl.Flatten(**half)), fl.ReLU()])
    shown = summary(model, (None, 4))
    assert [row.output.dtype for row in shown.rows] == ["float32", *["bfloat16"] * 3, "float32"]
    assert summary(fl.Flatten(dtype="float16"), (None, 4), dtype="float32").rows[0].output.dtype == "float16"
    assert summary(fl.Flatten(), (None, 4), dtype=jnp.int32).rows[0].output.dtype == "int32"
    carried = summary(fl.Sequential([fl.LSTM(3, return_state=True)]), (None, 5, 2)).rows[0]
    assert carried.cells[2:4] == ("((None, 3), (None, 3), (None, 3))", "float32")


def test_a_stack_says_how_many() -> None:
    rows = summary(*MODELS["repeat"]).rows
    assert [(row.path, row.layer, row.params) for row in rows[:2]] == [
        ("repeat", "Repeat x 3", 84),
        ("repeat/layer", "Sequential", 84),
    ]


def test_long_names_do_not_break_the_table() -> None:
    model = fl.Sequential([fl.Dense(2, name="x" * 200, kernel_regularizer=fl.regularizers.L1L2(0.1234567, 0.1234567))])
    text = str(summary(model, (None, *range(10, 30)), width=200))
    lines = [line for line in text.splitlines() if line[0] in "+|"]
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) < 200
    assert "".join(row[0] for row in table(text)[1:]) == "x" * 200


def deep() -> fl.Sequential:
    model: fl.Layer = fl.Dense(4)
    for _ in range(12):
        model = fl.Sequential([model, fl.BatchNormalization(name="a_rather_long_name_of_a_layer")])
    return fl.Sequential([model])


def residual(blocks: int) -> fl.Functional:
    x = a = fl.Input((8, 8, 4))
    for _ in range(blocks):
        x = fl.Add()(x, fl.BatchNormalization()(fl.Conv2D(4, 3, padding="same", kernel_regularizer="l2")(x)))
    return fl.functional(a, x)


WIDE: dict[str, Any] = {**MODELS, "deep": (deep(), (None, 4)), "residual": (residual(50), None)}


@pytest.mark.parametrize("name", WIDE)
def test_it_fits_the_width_it_has(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = summary(*WIDE[name])
    for columns in (40, 60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        text = str(shown)
        assert max(map(len, text.splitlines())) <= columns
        assert text == str(summary(*WIDE[name], width=columns))
        assert columns < 80 or all(row.path.rpartition("/")[2] in text for row in shown.rows)


def test_a_table_of_80_columns_says_all_that_a_wide_one_says() -> None:
    text = str(summary(convnet(), (None, 6, 6, 1), width=80))
    assert text.splitlines()[1:-1] == [
        "path                | layer              | output          | params | state",
        "--------------------+--------------------+-----------------+--------+------",
        "conv2d              | Conv2D             | (None, 4, 4, 4) |     40 |     0",
        "    kernel: l2, MaxNorm(max_value=3)",
        "batch_normalization | BatchNormalization | (None, 4, 4, 4) |      8 |     8",
        "flatten             | Flatten            | (None, 64)      |      0 |     0",
        "dense               | Dense              | (None, 2)       |    130 |     0",
        "    frozen; output: L1(l1=0.1)",
    ]
    half = fl.Sequential([fl.Dense(3, dtype="mixed_bfloat16", name="half" * 9)] * 2)
    assert "bfloat16(None, 3)" in str(summary(half, (None, 3), width=60))


def test_a_graph_says_what_is_connected_to_what() -> None:
    rows = {row.path: row.connected for row in summary(residual(2)).rows}
    assert rows == {
        "conv2d": "input_layer",
        "batch_normalization": "conv2d",
        "add": "input_layer, batch_normalization",
        "conv2d_1": "add",
        "batch_normalization_1": "conv2d_1",
        "add_1": "add, batch_normalization_1",
    }
    assert [row.connected for row in summary(siamese()).rows] == ["a; b", "", "", "encoder (call 1), encoder (call 2)"]
    x = fl.Input((5, 2))
    h = fl.LSTM(3, return_state=True, name="lstm")(x)
    assert summary(fl.functional(x, fl.Add()(h[1], h[2]))).rows[-1].connected == "lstm[1], lstm[2]"
    wide, narrow = (str(summary(residual(2), width=width)) for width in (200, 80))
    assert "| connected to " in wide and "| add, batch_normalization_1 " in wide
    assert narrow.count("from:") == 3  # the row above is taken for granted
    assert "\n    from: add, batch_normalization_1\n" in narrow


def test_functions_and_constants_are_shown() -> None:
    slot, cut = fl.core.operation.Slot, fl.core.operation.Cut
    cases = {
        fl.Lambda(jnp.sum, arguments={"axis": -1, "keepdims": True}): "sum(axis=-1, keepdims=True)",
        fl.Lambda(functools.partial(jnp.clip, max=3)): "clip(max=3)",
        fl.Lambda(lambda x: x + 1): "lambda, test_summary.py:",
        fl.Activation("relu"): "relu",
        fl.Activation(jnp.tanh): "tanh",
        fl.Operation("Multiply", (slot(0), 2.0)): "Multiply(x, 2.0)",
        fl.Operation("GetItem", (slot(0), ("...", cut(None, 2), 0))): "GetItem(x, [..., :2, 0])",
        fl.Operation("Mean", (slot(0),), {"axis": -1}): "Mean(x, axis=-1)",
        fl.Dense(3): "",
    }
    for layer, text in cases.items():
        (row,) = summary(layer, (None, 3)).rows
        assert row.function.startswith(text) and bool(row.function) == bool(text)
        assert row.function in str(summary(fl.Sequential([layer]), (None, 3), width=80))
    (row,) = summary(fl.Operation("Add", (slot(0), slot(1))), ((None, 3), (None, 3))).rows
    assert row.function == "Add(x0, x1)"


@pytest.mark.parametrize("width", [39, "80", 80.0, True])
def test_a_width_that_is_none(width: Any) -> None:
    with pytest.raises(fl.ConfigError, match="give a whole number of at least 40"):
        summary(fl.Dense(3), (None, 4), width=width)


def test_the_table_is_plain_and_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = str(summary(convnet(), (None, 6, 6, 1), width=80))
    assert plain.isascii()
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert str(summary(convnet(), (None, 6, 6, 1), width=80)) == plain
    assert str(summary(convnet(), (None, 6, 6, 1))) == repr(summary(convnet(), (None, 6, 6, 1))) != plain


def test_html_is_escaped() -> None:
    model = fl.Sequential([fl.Dense(2, name="<script>"), fl.Dense(2, name="[bold]")])
    shown = summary(model, (None, 4))
    text = shown._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert text.count("<tr>") == 3
    assert "[bold]" in str(shown)


def test_rich_draws_it_in_color() -> None:
    from rich.console import Console

    file = io.StringIO()
    Console(file=file, width=200, force_terminal=True, color_system="standard").print(summary(fl.Dense(3), (None, 4)))
    assert "\x1b[1m" in file.getvalue()
    assert "Dense" in file.getvalue()


def test_no_array_is_made() -> None:
    model, shape = fl.Sequential([fl.Dense(10_000) for _ in range(20)]), (None, 10_000)  # 8 GB of weights
    before = len(jax.live_arrays())
    text = str(summary(model, shape))
    assert "7.5 GiB" in text
    assert len(jax.live_arrays()) == before


def test_what_a_model_does_not_know_is_asked_for() -> None:
    with pytest.raises(fl.MissingError, match="Dense does not know its input"):
        summary(fl.Dense(3))
    with pytest.raises(fl.ShapeError, match="conv2d"):
        summary(convnet(), (None, 6))
    assert isinstance(summary(siamese()), Summary)


def test_it_says_which_algorithms_run() -> None:
    model = fl.Sequential([fl.Conv2D(8, 1), fl.Sequential([fl.MaxPooling2D(3, 1)], name="inner"), fl.Flatten()])
    table = summary(model, (4, 9, 9, 64), explain="cpu")
    assert {row.path: row.algorithms for row in table.rows} == {
        "conv2d": "conv: pointwise",
        "inner": "",
        "inner/max_pooling2d": "max_pool: max_by_taps, max_tangent_by_taps",
        "flatten": "",
    }
    for width in (60, 80, 160):
        lines = str(replace(table, width=width)).splitlines()
        assert max(map(len, lines)) <= width
        assert any("conv: pointwise" in line for line in lines)
    assert "algorithms" in str(replace(table, width=160)) and "conv: pointwise" in table._repr_html_()
    assert [row.algorithms for row in summary(model, (4, 9, 9, 64), explain="cuda").rows][0] == "conv: reference"
    assert summary(model, (4, 9, 9, 64), explain=True).rows[0].algorithms.startswith("conv: ")
    assert not any(row.algorithms for row in summary(model, (4, 9, 9, 64)).rows)


def test_it_says_what_a_layer_runs_that_holds_others() -> None:
    row, cell = summary(fl.LSTM(3), (2, 4, 3), explain="cuda").rows
    assert (row.path, row.algorithms, cell.algorithms) == ("", "scan_dense: cudnn_lstm", "")


def test_algorithms_need_sizes_and_a_platform() -> None:
    with pytest.raises(fl.ShapeError, match="unknown sizes, which decide here"):
        summary(fl.Dense(3), (None, 4), explain=True)
    with pytest.raises(fl.ConfigError, match="give True, False or a platform: 'cpu', 'cuda', 'tpu'"):
        summary(fl.Dense(3), (2, 4), explain="gpu")


def test_what_each_device_holds():
    """Numbers and axes of the split weights by row, bytes in all, and what does not divide."""
    mesh = jax.sharding.AbstractMesh((2, 4), ("data", "model"))
    model = fl.Sequential([fl.Dense(8, "relu"), fl.Dense(4), fl.BatchNormalization(), fl.MultiHeadAttention(3, 2)])
    table = summary(model, (None, 5, 6), mesh=mesh, rules="data+tensor", width=200)
    first, second, norm, attention = table.rows
    assert (first.params, first.device, first.split) == (56, 14, "kernel: (None, 'model'); bias: ('model',)")
    assert (second.params, second.device, second.split) == (36, 12, "kernel: ('model',)")
    assert norm.device == norm.params + norm.state and attention.device == attention.params
    assert table.device_bytes == table.bytes - 4 * (42 + 24)
    assert "multi_head_attention/query/kernel: heads 3 does not divide by 4 (model)" in str(table)
    assert (
        "| a device |" in str(table)
        and f"on each device: {table.device_bytes} B" in str(table)
        and "a device" in table._repr_html_()
    )
    assert "a device" not in str(summary(model, (None, 5, 6)))
