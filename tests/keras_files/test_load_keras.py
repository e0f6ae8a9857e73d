"""Keras's files, made here by hand: a config and an HDF5 file in a zip. (Files that Keras wrote are run in CI.)"""

import zipfile

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.keras_files.config import model_of
from keras_entries import BIAS, DENSE, KERNEL, X, functional, layer, sequential, start, tensor, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.keras"


def test_a_sequential_and_its_weights(path):
    loaded = fl.load_keras(write(path, sequential(layer("Dense", "head", units=2, activation="relu")), DENSE))
    assert loaded.model == fl.Sequential([fl.Input((3,), name="x"), fl.Dense(2, "relu", name="head")], name="net")
    assert loaded.trainable == ["head/kernel", "head/bias"] and loaded.non_trainable == []
    np.testing.assert_allclose(loaded.model.apply(loaded.params, X), np.maximum(X @ KERNEL + BIAS, 0))


def test_weights_in_bfloat16(path):
    """HDF5 has no such type: two bytes without a meaning, and an attribute that gives them one."""

    def put(file):
        for i, array in enumerate((KERNEL, BIAS)):
            data = np.asarray(jnp.asarray(array, "bfloat16")).view("V2")
            file.create_dataset(f"layers/dense/vars/{i}", data=data).attrs["dtype"] = "bfloat16"

    config = sequential(layer("Dense", "head", units=2))
    config["config"]["layers"][1]["config"]["dtype"] = "bfloat16"
    loaded = fl.load_keras(write(path, config, h5=put))
    assert loaded.params["head"]["kernel"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(loaded.params["head"]["kernel"].astype("float32"), KERNEL)
    with pytest.raises(fl.ConfigError, match=r"layers/dense/vars/0: it holds \|V2, expected numbers"):
        fl.load_keras(
            write(path, config, h5=lambda file: file.update({"layers/dense/vars/0": KERNEL.view("V2")[:, ::2]}))
        )


def test_state_comes_after_params_and_frozen_weights_are_not_trainable(path):
    norm = layer("BatchNormalization", "norm", axis=-1)
    frozen = layer("Dense", "head", units=2)
    frozen["config"]["trainable"] = False
    vars_ = {f"layers/batch_normalization/vars/{i}": np.full(3, i + 1.0, "float32") for i in range(4)}
    loaded = fl.load_keras(write(path, sequential(norm, frozen), DENSE | vars_))
    assert loaded.trainable == ["norm/gamma", "norm/beta"]
    assert loaded.non_trainable == ["norm/moving_mean", "norm/moving_variance", "head/kernel", "head/bias"]
    assert loaded.state["norm"]["moving_variance"].tolist() == [4.0, 4.0, 4.0]


def test_a_graph_with_a_shared_layer_and_an_operation(path):
    shared = layer("Dense", "shared", [("x",)], [("shared", 0)], units=3)
    plus = {
        "module": "keras.src.ops.numpy",
        "class_name": "Add",
        "config": {"name": "y"},
        "name": "y",
        "inbound_nodes": [{"args": [tensor("shared", 1), 2.0], "kwargs": {}}],
    }
    square = {"layers/dense/vars/0": np.eye(3, dtype="float32") * 2, "layers/dense/vars/1": np.ones(3, "float32")}
    loaded = fl.load_keras(write(path, functional([plus, shared, start()]), square))  # the order in a file is free
    np.testing.assert_allclose(loaded.model.apply(loaded.params, X), (X * 2 + 1) * 2 + 1 + 2)
    assert loaded.trainable == ["shared/kernel", "shared/bias"]


def scaled(value, dtype="float32", kind="__numpy__"):
    """The entries of a graph that multiplies by an array."""
    array = {"class_name": kind, "config": {"value": value, "dtype": dtype}}
    call = {"args": [tensor("x"), array], "kwargs": {}}
    times = {"module": "keras.src.ops.numpy", "class_name": "Multiply", "config": {"name": "y"}, "name": "y"}
    return functional([start(), times | {"inbound_nodes": [call]}])


@pytest.mark.parametrize("kind", ["__numpy__", "__tensor__"])
def test_an_array_as_a_constant_of_a_graph(path, kind):
    loaded = fl.load_keras(write(path, scaled([[1.0, 2.0, 4.0]], kind=kind)))
    np.testing.assert_array_equal(loaded.model.apply({}, X), X * np.array([1, 2, 4]))


@pytest.mark.parametrize(
    "value, dtype, match",
    [
        ([1.0, [2.0]], "float32", "y: .*constant .* inhomogeneous"),
        ([1.0, "2"], "float32", "y: .* holds what is not a number"),
        ([1.0, {"class_name": "__keras_tensor__"}], "float32", "not an array of float32"),
        ([10**400], "float32", "not a number|not an array|digits"),
        ([1.0, 2.0], "object", "dtype='object' is unknown"),
        ([1.0, 2.0], ["float32"], "expected value and dtype"),
        ([1.5, 2.0], "int32", "is not of int32"),
        ([2**40], "int64", "which int32 cannot hold"),
        ([0.0] * 10_001, "float32", "more than 10000 values"),
    ],
)
def test_arrays_that_are_none(path, value, dtype, match):
    with pytest.raises(fl.ConfigError, match=match):
        fl.load_keras(write(path, scaled(value, dtype)))


def test_an_array_that_a_layer_is_called_with(path):
    array = {"class_name": "__numpy__", "config": {"value": [[1.0, 2.0, 4.0]], "dtype": "float32"}}
    entries = [
        layer(kind, kind) | {"inbound_nodes": [{"args": [[array, tensor("x")]]}]} for kind in ("Add", "Multiply")
    ]
    ends = {"outputs": [["Add", 0, 0], ["Multiply", 0, 0]]}
    model = fl.load_keras(write(path, functional([start(), *entries], **ends))).model
    total, product = model.apply({}, X)
    np.testing.assert_array_equal([total[0], product[0]], [X[0] + [1, 2, 4], X[0] * [1, 2, 4]])
    fl.save_keras(path, model, {}, {})
    np.testing.assert_array_equal(fl.load_keras(path).model.apply({}, X), [total, product])


@pytest.mark.parametrize("recorded", [False, True])
def test_the_mode_of_a_run_replaces_the_one_that_a_call_is_recorded_with(path, recorded):
    """Keras 3.15: model(x, training=...) and predict do so; model(x) alone does not, and our runs always have a mode."""
    call = {"args": [tensor("x")], "kwargs": {"training": recorded}}
    entries = [start(), layer("Dropout", "y", rate=0.5) | {"inbound_nodes": [call]}]
    model = fl.load_keras(write(path, functional(entries))).model
    for train in (False, True):
        y = model.apply({}, np.ones((9, 3), "float32"), rng=jax.random.key(0), train=train)
        assert (y == 1).all() == (not train)


def test_a_mode_that_is_none(path):
    call = {"args": [tensor("x")], "kwargs": {"training": 5}}
    with pytest.raises(fl.ConfigError, match="y: a layer is called with training=5, expected a boolean"):
        fl.load_keras(write(path, functional([start(), layer("Dropout", "y", rate=0.5) | {"inbound_nodes": [call]}])))


@pytest.mark.parametrize("count, kind", [(1, "Functional"), (0, "Sequential")])
def test_a_model_whose_output_is_that_of_a_model_inside(path, count, kind):
    """At the ends of a graph, Keras counts the calls of a Functional from 1."""
    inner = functional([start(), layer("Dense", "y", [("x",)], units=2)]) if kind == "Functional" else None
    inner = inner or sequential(layer("Dense", "y", units=2))
    nested = {**inner, "name": "net", "inbound_nodes": layer("", "", [("x",)])["inbound_nodes"]}
    weights = {f"layers/{kind.lower()}/{name}": array for name, array in DENSE.items()}
    loaded = fl.load_keras(write(path, functional([start(), nested], outputs=("net", count, 0)), weights))
    assert loaded.trainable == ["net/y/kernel", "net/y/bias"]
    np.testing.assert_allclose(loaded.model.apply(loaded.params, X), X @ KERNEL + BIAS)
    with pytest.raises(fl.ConfigError, match="the graph refers to call 1 of 'net', which it does not hold"):
        fl.load_keras(write(path, functional([start(), nested], outputs=("net", count + 1, 0)), weights))


def test_a_mask_ends_where_keras_ends_it(path):
    layers = [
        start(shape=(None, 4)),
        layer("Embedding", "words", [("x",)], input_dim=5, output_dim=3, mask_zero=True),
        layer("Conv1D", "conv", [("words",)], filters=2, kernel_size=2),
        layer("GlobalAveragePooling1D", "y", [("conv",)]),
    ]
    weights = {
        "layers/embedding/vars/0": np.ones((5, 3), "float32"),
        "layers/conv1d/vars/0": np.ones((2, 3, 2), "float32"),
        "layers/conv1d/vars/1": np.zeros(2, "float32"),
    }
    loaded = fl.load_keras(write(path, functional(layers), weights))
    np.testing.assert_allclose(loaded.model.apply(loaded.params, jnp.array([[1, 0, 0, 0]])), [[6.0, 6.0]])


def lone(entry):
    return sequential(entry)


REFUSED = [
    (lone(layer("Lambda", "y", function={"class_name": "__lambda__", "config": {}})), "not a layer that a file"),
    (lone(layer("TorchModuleWrapper", "y", module="x")), "not a layer that a file may name"),
    (lone(layer("TransformerEncoder", "y", intermediate_dim=2, num_heads=1)), "not a layer that a file may name"),
    (
        lone(layer("MultiHeadAttention", "y", num_heads=1, key_dim=2, cache=10**12)),
        "cache=1000000000000 is not supported",
    ),
    (lone(layer("Dense", "y", units=2, filepath="/etc/passwd")), "filepath=/etc/passwd is not supported"),
    (lone(layer("Dense", "y", units=2, activation="os.system")), "not an activation of Keras"),
    (lone(layer("Dense", "y", units=2, kernel_initializer={"class_name": "Path", "config": {}})), "no initializer"),
    (functional([start(), layer("Dense", "y", [("z",)], units=2)]), "which it does not hold"),
    (functional([start(), layer("Dense", "y", [("y",)], units=2)]), "runs in a circle"),
    (functional([start(), layer("Dense", "y", [("x",)], units=2)], inputs=("z", 0, 0)), "the graph's inputs name 'z'"),
    (functional([start(), layer("Dense", "y", [("x",)], units=2)], outputs=("y", 0)), "expected .layer, call, output."),
    ({"class_name": "Functional"}, "has the form"),
    ([1, 2], "has the form"),
]


@pytest.mark.parametrize("config, text", REFUSED, ids=[text for _, text in REFUSED])
def test_what_the_table_does_not_name_is_refused(path, config, text):
    with pytest.raises(fl.ConfigError, match=text):
        fl.load_keras(write(path, config, DENSE))


def test_weights_that_are_not_the_models(path):
    config = sequential(layer("Dense", "head", units=2))
    with pytest.raises(fl.ShapeError, match=r"head/kernel: the model has shape \(3, 2\), the file's .* \(2, 3\)"):
        fl.load_keras(write(path, config, DENSE | {"layers/dense/vars/0": KERNEL.T}))
    with pytest.raises(fl.MissingError, match="no layers/dense/vars/1 for head/bias"):
        fl.load_keras(write(path, config, {"layers/dense/vars/0": KERNEL}))


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual"])
def test_arrays_that_lie_elsewhere_are_not_read(path, tmp_path, kind):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["d"] = KERNEL

    def elsewhere(file):
        group = file.create_group("layers/dense/vars")
        group["1"] = BIAS
        if kind == "external link":
            group["0"] = h5py.ExternalLink(str(secret), "/d")
        elif kind == "soft link":
            group["0"] = h5py.SoftLink("/layers/dense/vars/1")
        elif kind == "external storage":
            group.create_dataset("0", (3, 2), "float32", external=[(str(secret), 0, 24)])
        else:
            layout = h5py.VirtualLayout((3, 2), "float32")
            layout[:] = h5py.VirtualSource(str(secret), "d", (3, 2))
            group.create_virtual_dataset("0", layout)

    with pytest.raises(fl.LayerError, match="not a plain array|link to elsewhere"):
        fl.load_keras(write(path, sequential(layer("Dense", "head", units=2)), h5=elsewhere))


def test_files_of_other_kinds(path, tmp_path):
    path.write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(fl.ConfigError, match="not a .keras file"):
        fl.load_keras(path)
    with pytest.raises(fl.ConfigError, match="is not a regular file"):
        fl.load_keras(tmp_path)
    with pytest.raises(fl.ConfigError, match="is no JSON"):
        fl.load_keras(write(path, None, text="{"))
    write(path, sequential(layer("Dense", "head", units=2)), DENSE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../outside", "x")
    with pytest.raises(fl.ConfigError, match="would leave its folder: '../../outside'"):
        fl.load_keras(path)


# Attention: what Keras gives at the call


def attention_graph(kind, *calls, shape=(None, 4, 3), after=(), **config):
    """A graph of one attention layer, each call (arguments, keyword arguments), on x and a boolean m."""
    entry = layer(kind, "y", **config)
    entry["inbound_nodes"] = [{"args": args, "kwargs": kwargs} for args, kwargs in calls]
    mask = start("m", shape[:2])
    mask["config"]["dtype"] = "bool"
    graph = functional([start(shape=shape), mask, entry, *after], inputs=[["x", 0, 0], ["m", 0, 0]])
    return model_of(graph)


ON_X, ON_M = tensor("x"), tensor("m")
HEADS = {"num_heads": 2, "key_dim": 3}


def test_options_of_a_call_become_fields():
    model = attention_graph(
        "MultiHeadAttention", ([ON_X, ON_X], {"use_causal_mask": True, "value_mask": ON_M}), **HEADS
    )
    assert model["y"].use_causal_mask and model["y"].keras_masks
    node = model.nodes[-1]
    assert node.inputs == {"query": (0, 0), "value": (0, 0)} and node.mask == {"query": None, "value": (1, 0)}


def test_an_attention_mask_becomes_an_input():
    for call in (([ON_X, ON_X, None, None, None, None, ON_M], {}), ([ON_X, ON_X], {"attention_mask": ON_M})):
        model = attention_graph("MultiHeadAttention", call, **HEADS)
        assert model.nodes[-1].inputs["attention_mask"] == (1, 0)


def test_a_list_of_masks_is_for_the_first_inputs():
    model = attention_graph("Attention", ([[ON_X, ON_X, ON_X]], {"mask": [None, ON_M]}))
    assert model.nodes[-1].mask == (False, (1, 0), False)


def test_keras_takes_the_masks_off_what_it_attended_to():
    calls = [[tensor("x"), tensor("y")]]
    added = layer("Add", "z")
    added["inbound_nodes"] = [{"args": calls, "kwargs": {}}]
    entry = layer("MultiHeadAttention", "y", ["x"], **HEADS)
    entry["inbound_nodes"] = [{"args": [ON_X, ON_X], "kwargs": {}}]
    model = model_of(functional([start(shape=(None, 4, 3)), entry, added], outputs=("z", 0, 0)))
    assert model.nodes[-1].mask == (False, None)
    x = jnp.ones((2, 4, 3))
    params = model.init(jax.random.key(0), x.shape)
    assert model.run(params, x, mask=jnp.ones((2, 4), bool)).mask is None


@pytest.mark.parametrize(
    "kind, calls, text",
    [
        ("MultiHeadAttention", [([ON_X], {})], "is called without query or value"),
        ("MultiHeadAttention", [([ON_X, ON_X], {"mask": ON_M})], "is called with 2 arguments and mask"),
        ("MultiHeadAttention", [([ON_X, ON_X], {"use_causal_mask": ON_M})], "are no options of a call"),
        (
            "MultiHeadAttention",
            [([ON_X, ON_X], {}), ([ON_X, ON_X], {"use_causal_mask": True})],
            "with options that differ",
        ),
        ("Attention", [([ON_X], {})], "Attention is called on a list of inputs"),
    ],
)
def test_calls_of_attention_that_mean_nothing(kind, calls, text):
    with pytest.raises(fl.ConfigError, match=text):
        attention_graph(kind, *calls, **(HEADS if kind != "Attention" else {}))


# Recurrent layers: what Keras gives at the call, and where it keeps weights


def recurrent_graph(kind, args, kwargs, *after, outputs=("y", 0, 0), **config):
    """A graph of a recurrent layer y on Masking of x, with states h and c and a boolean m to give at the call."""
    starts = [start("x", (None, 4, 3)), start("h", (None, 2)), start("c", (None, 2)), start("m", (None, 4))]
    starts[-1]["config"]["dtype"] = "bool"
    entry = layer(kind, "y", **config)
    entry["inbound_nodes"] = [{"args": args, "kwargs": kwargs}]
    layers = [*starts, layer("Masking", "e", [("x", 0, 0)]), entry, *after]
    return model_of(functional(layers, [[name, 0, 0] for name in "xhcm"], outputs))


ON_E, ON_H, ON_C = tensor("e"), tensor("h"), tensor("c")


@pytest.mark.parametrize(
    "args, kwargs",
    [
        ([ON_E, [ON_H, ON_C]], {}),
        ([ON_E], {"initial_state": [ON_H, ON_C]}),
        ([], {"sequences": ON_E, "initial_state": [ON_H, ON_C], "mask": None, "training": None}),
    ],
)
def test_initial_states_become_inputs(args, kwargs):
    node = recurrent_graph("LSTM", args, kwargs, units=2).nodes[-1]
    assert (node.inputs, node.mask, node.train) == (((4, 0), (1, 0), (2, 0)), False, None)


def test_a_cell_in_a_graph_is_given_its_carry():
    model = recurrent_graph("LSTMCell", [tensor("h"), [ON_H, ON_C]], {"training": True}, units=2)
    assert model.nodes[-1][1:] == (((1, 0), (1, 0), (2, 0)), False, None)


def test_a_mask_given_with_states_is_for_the_sequences():
    node = recurrent_graph("GRU", [ON_E, ON_H], {"mask": tensor("m")}, units=2).nodes[-1]
    assert node.mask == ((3, 0), False)


def test_a_call_with_states_sees_no_mask_and_hands_it_on():
    """As Keras does: the layer after it uses the mask that it has not seen."""
    after = layer("GRU", "z", [("y", 0, 0)], units=2)
    options = {"units": 2, "return_sequences": True, "return_state": True}
    model = recurrent_graph("GRU", [ON_E, ON_H], {}, after, outputs=[["y", 0, 0], ["z", 0, 0]], **options)
    x = {"x": jnp.ones((2, 4, 3)).at[0, 2:].set(0), "h": jnp.ones((2, 2))}
    x |= {"c": jnp.ones((2, 2)), "m": jnp.ones((2, 4), bool)}
    params = model.init(jax.random.key(0), model.in_shape)
    out = model.run(params, x)
    mask = jnp.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)
    first, second = (fl.GRU(2, return_sequences=name == "y") for name in "yz")
    expected = first.apply(params["y"], (x["x"], x["h"]))
    np.testing.assert_array_equal(out.y[0], expected)
    np.testing.assert_array_equal(out.y[1], second.apply(params["z"], expected, mask=mask))
    np.testing.assert_array_equal(out.mask[0], mask)


@pytest.mark.parametrize("merge_mode, copies", [("concat", 1), (None, 2)])
def test_each_sequence_of_both_directions_carries_the_mask(merge_mode, copies):
    one = layer("GRU", "one", units=2, return_sequences=True)
    model = recurrent_graph("Bidirectional", [ON_E, [ON_H, ON_C]], {}, layer=one, merge_mode=merge_mode)
    assert sum(isinstance(inner, fl.CopyMask) for inner in model.layers) == copies


def test_an_unrolled_loop_masks_as_in_keras():
    for unroll in (False, True):
        model = recurrent_graph("LSTM", [ON_E], {}, units=2, unroll=unroll)
        assert model["y"].keras_masks is unroll


@pytest.mark.parametrize(
    "args, kwargs, message",
    [
        ([ON_E], {"constants": [ON_H]}, "GRU is called with 1 arguments and constants"),
        ([ON_E, 0.5], {}, "GRU is called on tensors of the graph, got 0.5"),
        ([], {"initial_state": [ON_H]}, "GRU is called on tensors of the graph, got None"),
    ],
)
def test_other_calls_of_recurrent_layers_are_refused(args, kwargs, message):
    with pytest.raises(fl.ConfigError, match=message):
        recurrent_graph("GRU", args, kwargs, units=2)


def test_a_carry_that_stays_is_not_in_the_file(path):
    weights = {f"layers/gru/cell/vars/{i}": np.ones(s, "float32") for i, s in enumerate([(3, 6), (2, 6), (2, 6)])}
    entry = layer("GRU", "a", units=2, stateful=True)
    loaded = fl.load_keras(write(path, sequential(entry, shape=(5, None, 3)), weights))
    assert loaded.state["a"]["carry_0"].tolist() == [[0, 0]] * 5 and not loaded.non_trainable
    assert loaded.trainable == ["a/cell/kernel", "a/cell/recurrent_kernel", "a/cell/bias"]


def test_stacked_cells_are_numbered_by_class(path):
    shapes = {"simple_rnn_cell": [(3, 2), (2, 2), (2,)], "simple_rnn_cell_1": [(2, 4), (4, 4), (4,)]}
    weights = {
        f"layers/rnn/cell/cells/{name}/vars/{i}": np.full(shape, len(name), "float32")
        for name, three in shapes.items()
        for i, shape in enumerate(three)
    }
    cells = [layer("SimpleRNNCell", name, units=units) for name, units in (("first", 2), ("second", 4))]
    entry = layer("RNN", "a", cell=layer("StackedRNNCells", "s", cells=cells))
    loaded = fl.load_keras(write(path, sequential(entry, shape=(None, None, 3)), weights))
    assert loaded.params["a"]["cell"]["second"]["kernel"].tolist() == [[17.0] * 4] * 2


@pytest.mark.parametrize(
    "inner", [layer("Dense", "d", units=2, activity_regularizer="l2"), layer("ActivityRegularization", "r", l2=0.1)]
)
def test_the_activity_loss_of_a_distributed_layer_is_overlooked_as_in_keras(inner):
    model = model_of(sequential(layer("TimeDistributed", "t", layer=inner), shape=(None, 4, 2)))
    params = model.init(jax.random.key(0), (None, 4, 2))
    assert sum(model.run(params, jnp.ones((2, 4, 2))).losses) == 0


def test_a_missing_file_and_a_damaged_one_are_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        fl.load_keras(tmp_path / "absent.keras")
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    with pytest.raises(fl.ConfigError, match="the file cannot be read"):
        fl.load_keras(tmp_path / "m.h5")


TABLE = np.arange(10.0, dtype="float32").reshape(5, 2)
IDS = np.array([[1.0, 4.7], [0.0, 3.0]], "float32")  # Keras cuts them off


def embedding(*calls, kind="ReversibleEmbedding", **config):
    return layer(kind, "e", *calls, input_dim=5, output_dim=2, **config)


def test_a_reversible_embedding_looks_up_floats(tmp_path):
    weights = {"layers/reversible_embedding/vars/0": TABLE}
    model, params, _, *_ = fl.load_keras(write(tmp_path / "a.keras", sequential(embedding(), shape=(None, 2)), weights))
    assert np.array_equal(model.apply(params, IDS), TABLE[IDS.astype(int)])
    inner = {"module": "keras.layers", "class_name": "ReversibleEmbedding", "config": embedding()["config"]}
    steps = sequential(layer("TimeDistributed", "t", layer=inner), shape=(None, 2))
    model = model_of(steps)
    params = {"t": {"layer": {"embeddings": jnp.asarray(TABLE)}}}
    assert np.array_equal(model.apply(params, IDS), TABLE[IDS.astype(int)])


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_a_reversible_embedding_goes_back_where_the_call_says_so(tmp_path, dtype):
    back = embedding([("x",)], [("y",)])
    back["inbound_nodes"][1]["kwargs"] = {"reverse": True}
    layers = [start(shape=(None, 2)), back, layer("ReLU", "y", [("e",)])]
    layers[0]["config"]["dtype"] = dtype
    config = functional(layers, outputs=("e", 1, 0))
    path = write(tmp_path / "a.keras", config, {"layers/reversible_embedding/vars/0": TABLE})
    model, params, *_ = fl.load_keras(path)
    assert [node.layer for node in model.nodes[1:]] == ["cast_before_e"] * (dtype == "float32") + ["e", "y", "e"]
    rows = TABLE[IDS.astype(int)]
    assert np.allclose(model.apply(params, IDS.astype(dtype)), rows @ TABLE.T)
