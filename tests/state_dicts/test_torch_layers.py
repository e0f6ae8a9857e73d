"""Layers of PyTorch with their weights: the numbers that PyTorch gave (golden/make_layers.py)."""

import dataclasses
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.state_dicts import (
    attention,
    batch_norm,
    conv,
    conv_transpose,
    dense,
    depthwise,
    embedding,
    gru,
    lstm,
    norm,
    prelu,
    projection,
    qkv,
    reverse_embedding,
    rms_norm,
    rnn,
)

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "layers.npz")
SEQUENCES = dict(return_sequences=True)

# name: our layer, the rule for theirs, and whether their channels stand first
LAYERS = {
    "linear": (fl.Dense(4), dense("a"), False),
    "conv1d": (fl.Conv1D(6, 3, 2, groups=2), conv("a"), True),
    "conv2d": (fl.Conv2D(5, (3, 2), dilation_rate=(1, 2)), conv("a"), True),
    "conv3d": (fl.Conv3D(3, 2, use_bias=False), conv("a"), True),
    "conv1d_transpose": (fl.Conv1DTranspose(3, 4, 2), conv_transpose("a"), True),
    "conv2d_transpose": (fl.Conv2DTranspose(3, (3, 2), (2, 1)), conv_transpose("a"), True),
    "conv3d_transpose": (fl.Conv3DTranspose(3, 2), conv_transpose("a"), True),
    "depthwise1d": (fl.DepthwiseConv1D(3, depth_multiplier=2), depthwise("a"), True),
    "depthwise2d": (fl.DepthwiseConv2D((3, 2), depth_multiplier=2), depthwise("a"), True),
    "batch_norm": (fl.BatchNormalization(epsilon=1e-5), batch_norm("a"), True),
    "layer_norm": (fl.LayerNormalization(epsilon=1e-5), norm("a"), False),
    "group_norm": (fl.GroupNormalization(2, epsilon=1e-5), norm("a"), True),
    "rms_norm": (fl.RMSNormalization(epsilon=1e-6), rms_norm("a"), False),
    "prelu": (fl.PReLU(), prelu("a"), True),
    "embedding": (fl.Embedding(7, 3), embedding("a"), False),
    "lstm": (fl.LSTM(4, **SEQUENCES), lstm("a/cell"), False),
    "gru": (fl.GRU(4, **SEQUENCES), gru("a/cell"), False),
    "gru_both": (
        fl.Bidirectional(fl.GRU(4, **SEQUENCES)),
        gru("a/forward_layer/cell", "a/backward_layer/cell", bidirectional=True),
        False,
    ),
    "rnn": (fl.SimpleRNN(4, **SEQUENCES), rnn("a/cell"), False),
    "lstm_cell": (fl.LSTMCell(4), lstm("", cell=True), False),
    "gru_cell": (fl.GRUCell(4), gru("", cell=True), False),
    "attention": (fl.MultiHeadAttention(2, 3), attention("a"), False),
}


SIDES = [f"{name}/{side}_layer/cell" for name in ("one", "two") for side in ("forward", "backward")]
TABLE = fl.ReversibleEmbedding(7, 3, tie_weights=False, name="table")


def both_ends():
    ids = fl.Input((5,), dtype="int32")
    return fl.functional(ids, TABLE(TABLE(ids)))


# Models whose channels are last where theirs are first, and are flattened or made of what is flat; the mapping for each
NETWORKS = {
    "flattened": (
        [
            fl.Conv2D(3, 2, name="conv"),
            fl.Flatten(),
            fl.BatchNormalization(epsilon=1e-5, name="bn"),
            fl.Dense(4, name="fc"),
        ],
        {
            "0": conv("conv"),
            "2": batch_norm("bn", flattened=(3, 3, 2)),
            "3": dense("fc", flattened=(3, 3, 2)),
        },
    ),
    "unflattened": (
        [
            fl.Dense(18, name="fc"),
            fl.BatchNormalization(epsilon=1e-5, name="bn"),
            fl.Reshape((3, 2, 3)),
            fl.Conv2DTranspose(2, 2, name="conv"),
        ],
        {
            "0": dense("fc", unflattened=(3, 3, 2)),
            "1": batch_norm("bn", flattened=(3, 3, 2)),
            "3": conv_transpose("conv"),
        },
    ),
    "columns": (
        [fl.Permute((2, 1, 3)), fl.Reshape((5, 6))]
        + [fl.Bidirectional(fl.LSTM(4, **SEQUENCES), name=name) for name in ("one", "two")],
        {"1": lstm(*SIDES, bidirectional=True, flattened=(3, 2))},
    ),
    "untied": (both_ends(), {"0": embedding("table"), "1": reverse_embedding("table")}),
}


def network(name):
    """(model, mapping, x, y), the images with channels last."""
    layers, mapping = NETWORKS[name]
    x, y = (np.moveaxis(a, 1, -1) if a.ndim == 4 else a for a in (GOLDEN[f"{name}/x0"], GOLDEN[f"{name}/y"]))
    return fl.Sequential(layers) if isinstance(layers, list) else layers, mapping, x, y


def theirs(name):
    start = f"{name}/theirs/"
    return {key.removeprefix(start): GOLDEN[key] for key in GOLDEN.files if key.startswith(start)}


def prefixed(name):
    return {f"m.{key}": array for key, array in theirs(name).items()}


def close(ours, golden):
    np.testing.assert_allclose(ours, golden, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_of_torch_gives_the_same_numbers(name):
    layer, rule, channels_first = LAYERS[name]
    x, y = GOLDEN[f"{name}/x0"], GOLDEN[f"{name}/y"]
    if channels_first:
        x, y = np.moveaxis(x, 1, -1), np.moveaxis(y, 1, -1)
    model = layer if name.endswith("cell") else fl.Sequential([dataclasses.replace(layer, name="a")])
    params, state = fl.load_state_dict(model, x.shape, prefixed(name), {"m": rule})
    close(model.apply(params, x, state=state), y)


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_that_are_flattened_and_two_ends_of_a_table(name):
    model, mapping, x, y = network(name)
    params, state = fl.load_state_dict(model, x.shape, theirs(name), mapping)
    close(model.apply(params, x, state=state), y)


def test_matrices_with_inputs_first_that_meet_flattened_channels():
    sizes, kernel = (2, 3, 2), np.arange(12 * 12.0).reshape(12, 12)  # of (channels, height, width), both ends
    order = np.arange(12).reshape(sizes).transpose(1, 2, 0).ravel()
    both = {"flattened": sizes, "unflattened": sizes}
    for weight, rule in ((kernel, dense("", inputs_first=True, **both)), (kernel.T, dense("", **both))):
        params, _ = fl.load_state_dict(
            fl.Dense(12), (None, 12), {"fc.weight": weight, "fc.bias": kernel[0]}, {"fc": rule}
        )
        np.testing.assert_array_equal(params["kernel"], kernel[order][:, order])
        np.testing.assert_array_equal(params["bias"], kernel[0][order])
    for sizes, match in (((2, 3), "not flattened from"), (12, "no sizes"), ((3, 0), "no sizes"), ("ab", "no sizes")):
        with pytest.raises(fl.ConfigError, match=match):
            rule = dense("", flattened=sizes)
            fl.load_state_dict(fl.Dense(12), (None, 12), {"w.weight": kernel, "w.bias": kernel[0]}, {"w": rule})


def test_a_bidirectional_lstm_of_two_layers():
    x, y = GOLDEN["lstm_deep/x0"], GOLDEN["lstm_deep/y"]
    names = ("one", "two")
    model = fl.Sequential([fl.Bidirectional(fl.LSTM(4, **SEQUENCES), name=name) for name in names])
    paths = [f"{name}/{side}_layer/cell" for name in names for side in ("forward", "backward")]
    params, _ = fl.load_state_dict(model, x.shape, theirs("lstm_deep"), {"": lstm(*paths, bidirectional=True)})
    close(model.apply(params, x), y)


def test_attention_with_three_input_matrices():
    query, key, value = (GOLDEN[f"attention_apart/x{i}"] for i in range(3))
    layer = fl.MultiHeadAttention(2, 3)
    inputs = (query, value, key)
    shape = tuple(a.shape for a in inputs)
    params, _ = fl.load_state_dict(layer, shape, theirs("attention_apart"), {"": attention("")})
    close(layer.apply(params, inputs), GOLDEN["attention_apart/y"])


def test_one_matrix_of_query_key_and_value_and_heads():
    weights = theirs("attention")
    separate = {}
    for part in ("weight", "bias"):
        whole = weights[f"in_proj_{part}"]
        separate |= {f"{n}.{part}": a for n, a in zip("qkv", np.split(whole, 3), strict=True)}
    out = {f"o.{part}": weights[f"out_proj.{part}"] for part in ("weight", "bias")}
    fused = {"qkv.weight": weights["in_proj_weight"].T, "qkv.bias": weights["in_proj_bias"]} | {
        "o.weight": out["o.weight"].T,
        "o.bias": out["o.bias"],
    }
    model, x = fl.Sequential([fl.MultiHeadAttention(2, 3, name="a")]), GOLDEN["attention/x0"]
    names = {"q": "query", "k": "key", "v": "value", "o": "attention_output"}
    apart = {theirs: projection(f"a/{ours}") for theirs, ours in names.items()}
    inputs_first = {"qkv": qkv("a", inputs_first=True), "o": projection("a/attention_output", inputs_first=True)}
    for arrays, mapping in ((separate | out, apart), (fused, inputs_first)):
        params, _ = fl.load_state_dict(model, x.shape, arrays, mapping)
        close(model.apply(params, jnp.asarray(x)), GOLDEN["attention/y"])
