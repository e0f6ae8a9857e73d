"""match_weights: proposals from shapes and names; what is not sure is listed, never chosen."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers import state_dicts
from fnlayers.state_dicts import batch_norm
from test_models import GOLDEN, example, theirs
from test_torch_layers import network, prefixed as layer_weights, theirs as weights_of


def pasted(proposal):
    """The mapping that its text means."""
    names = {}
    exec(str(proposal), names)
    return names["mapping"]


def same_weights(model, shape, arrays, mapping, expected):
    loaded = fl.load_state_dict(model, shape, arrays, mapping)
    wanted = fl.load_state_dict(model, shape, arrays, expected)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, loaded, wanted))


def test_a_network_is_proposed_but_for_layers_that_no_name_tells_apart():
    """Three norms of a block have one shape, and "downsample.1" does not say that it is one of them."""
    resnet = example("resnet")
    model = resnet.resnet((2, 1), bottleneck=False, classes=5, width=4)
    proposal = fl.match_weights(model, None, theirs("resnet_basic"))
    assert not (proposal.unused or proposal.unfilled), str(proposal)
    norms = ["layer2.0.bn1", "layer2.0.bn2", "layer2.0.downsample.1"]
    assert proposal.unsure == [(norms, ["layer2_0_bn1", "layer2_0_bn2", "layer2_0_downsample_bn"])]
    rest = {name: batch_norm(path) for name, path in zip(*proposal.unsure[0], strict=True)}
    same_weights(model, None, theirs("resnet_basic"), pasted(proposal) | rest, resnet.RESNET)


def test_stacks_heads_and_matrices_that_are_the_other_way_around():
    gpt2 = example("gpt2")
    model, arrays = gpt2.gpt2(30, 12, 2, 3, 16), theirs("gpt2")
    proposal = fl.match_weights(model, None, arrays)
    text = str(proposal)
    assert "'h.{i}.attn.c_attn': qkv('blocks/layer/self_attention', inputs_first=True)" in text
    assert "'h.{i}.mlp.c_fc': dense('blocks/layer/feedforward_intermediate_dense', inputs_first=True)" in text
    assert "# alike: 'h.{i}.ln_1', 'h.{i}.ln_2'" in text  # which is first is not in the names
    rest = {key: gpt2.GPT2[key] for key in gpt2.GPT2 if "ln_" in key or "bias" in key or key not in proposal.mapping}
    same_weights(model, None, arrays, rest | proposal.mapping, gpt2.GPT2)


@pytest.mark.parametrize("name", ["lstm", "gru_both", "attention", "batch_norm", "depthwise2d", "conv1d_transpose"])
def test_layers_with_rules_of_their_own(name):
    import test_torch_layers as layers

    layer, rule, _ = layers.LAYERS[name]
    x = layers.GOLDEN[f"{name}/x0"]
    shape = np.moveaxis(x, 1, -1).shape if layers.LAYERS[name][2] else x.shape
    model = fl.Sequential([layer.renamed("a")])
    proposal = fl.match_weights(model, shape, layer_weights(name))
    assert repr(proposal.mapping) == repr({"m": rule})


def proposed(name):
    model, mapping, x, _ = network(name)
    return fl.match_weights(model, x.shape, weights_of(name)), mapping


@pytest.mark.parametrize("name", ["flattened", "unflattened"])
def test_channels_that_pytorch_flattens_first(name):
    proposal, mapping = proposed(name)
    assert pasted(proposal) == mapping


def test_an_order_that_is_not_known_is_not_guessed():
    proposal, _ = proposed("columns")
    assert proposal.mapping == {} and len(proposal.unfilled) == 12


FIRST = {"data_format": "channels_first"}
HEAD = fl.Dense(5, name="fc")


@pytest.mark.parametrize(
    "layers, sizes, flattened",
    [
        ([fl.Flatten(), HEAD], (2, 3, 4), (4, 2, 3)),
        ([fl.Reshape((24,)), fl.Dropout(0.5), HEAD], (2, 3, 4), (4, 2, 3)),
        ([fl.Sequential([fl.ReLU(), fl.Flatten()]), HEAD], (2, 3, 4), (4, 2, 3)),
        ([fl.MaxPooling1D(2), fl.Flatten(), HEAD], (4, 3), (3, 2)),
        ([fl.AveragePooling2D(2, **FIRST), fl.Flatten(), HEAD], (3, 4, 4), None),
        ([fl.AveragePooling2D(2, **FIRST), fl.Flatten(**FIRST), HEAD], (3, 4, 4), (3, 2, 2)),
        ([fl.Permute((3, 1, 2)), fl.Flatten(), HEAD], (2, 3, 4), None),  # ours is in their order already
        ([fl.Flatten(), HEAD], (3, 4), None),  # steps and features, in both
        ([fl.Flatten(), HEAD], (2, 3, 1), None),
        ([fl.GlobalAveragePooling2D(), HEAD], (2, 3, 4), None),
        ([fl.GlobalAveragePooling2D(keepdims=True), fl.Flatten(), HEAD], (2, 3, 4), None),
        ([fl.Permute((2, 1, 3)), fl.Flatten(), HEAD], (2, 3, 4), "not known"),
    ],
)
def test_what_is_flattened(layers, sizes, flattened):
    model, shape = fl.Sequential(layers), (None, *sizes)
    inputs = model.specs(shape)["fc"]["kernel"].shape[0]
    mapping = fl.match_weights(model, shape, {"c.weight": np.ones((5, inputs)), "c.bias": np.ones(5)}).mapping
    expected = {} if flattened == "not known" else {"c": state_dicts.dense("fc", flattened=flattened)}
    assert mapping == expected and repr(mapping) == repr(expected)


def test_recurrent_layers_in_a_row_are_one_module():
    proposal = fl.match_weights(
        fl.Sequential([fl.Bidirectional(fl.LSTM(4, return_sequences=True), name=name) for name in ("one", "two")]),
        (None, 5, 3),
        layer_weights("lstm_deep"),
    )
    cells = [f"{name}/{side}_layer/cell" for name in ("one", "two") for side in ("forward", "backward")]
    assert pasted(proposal) == {"m": state_dicts.lstm(*cells, bidirectional=True)}
    stack = fl.RNN(fl.StackedRNNCells([fl.GRUCell(4), fl.GRUCell(4)]))
    arrays = {f"g.weight_ih_l{n}": np.ones((12, 3 + n)) for n in (0, 1)} | {
        f"g.{part}_l{n}": np.ones((12, 4)[: 2 if part == "weight_hh" else 1])
        for n in (0, 1) for part in ("weight_hh", "bias_ih", "bias_hh")
    }  # fmt: skip
    (goal,) = fl.match_weights(stack, (None, 5, 3), arrays).mapping.values()
    assert len(goal.rows) == 6 and str(goal).startswith("gru(")


def test_two_ends_of_a_table():
    def model(tied):
        table, ids = fl.ReversibleEmbedding(7, 3, tied, name="table"), fl.Input((5,), dtype="int32")
        return fl.functional(ids, table(table(ids)))

    theirs = {"embed_tokens.weight": np.arange(21.0).reshape(7, 3), "lm_head.weight": np.ones((7, 3))}
    proposal = fl.match_weights(model(False), None, theirs)
    rules = {"embed_tokens": state_dicts.embedding("table"), "lm_head": state_dicts.reverse_embedding("table")}
    assert pasted(proposal) == rules
    theirs = (
        {"lm_head.weight": theirs["embed_tokens.weight"]} | theirs | {"lm_head.weight": theirs["embed_tokens.weight"]}
    )
    tied = {"embed_tokens": rules["embed_tokens"], "lm_head.weight": state_dicts.tied("embed_tokens.weight")}
    assert pasted(fl.match_weights(model(True), None, theirs)) == tied
    unnamed = {f"{n}.weight": np.full((7, 3), float(n)) for n in range(2)}
    assert fl.match_weights(model(False), None, unnamed).unsure == [(["0", "1"], ["table/reverse_embeddings", "table"])]


def dense_weights(*names, size=3):
    return {f"{name}.{part}": np.ones((size,) * n) for name in names for part, n in (("weight", 2), ("bias", 1))}


@pytest.mark.parametrize(
    "ours, names, sure",
    [
        (("one", "two"), ("fc1", "fc2"), False),
        (("dense", "dense_1"), ("dense1", "dense2"), False),  # numbers from 0 and from 1
        (("up", "down"), ("mlp.down", "mlp.up"), True),
        (("block0_up", "block1_up"), ("blocks.0.up", "blocks.1.up"), True),
        (("query", "key"), ("attn.q", "attn.k"), True),
    ],
)
def test_equal_shapes_are_told_apart_by_clear_names_alone(ours, names, sure):
    model = fl.Sequential([fl.Dense(3, name=name) for name in ours])
    proposal = fl.match_weights(model, (None, 3), dense_weights(*names))
    if sure:
        last = {key: goal.rows[0][1][0][0].split("/")[0] for key, goal in proposal.mapping.items()}
        words = {"q": "query", "k": "key"}
        assert all(words.get(key.split(".")[-1], key.split(".")[-1]) in last[key] for key in names)
        assert [re.findall(r"\d", key) == re.findall(r"\d", last[key]) for key in names] == [True, True]
    else:
        assert proposal.mapping == {} and proposal.unsure == [(list(names), list(ours))]
        assert pasted(proposal) == {}


def test_what_is_left_is_listed():
    model = fl.Sequential([fl.Dense(5, name="head"), fl.Dense(2, name="other")])
    arrays = {"a.weight": np.ones((5, 3)), "a.bias": np.ones(5), "b.weight": np.ones((7, 7)), "n": np.ones(4)}
    proposal = fl.match_weights(model, (None, 3), arrays)
    assert list(proposal.mapping) == ["a"]
    assert proposal.unused == ['"b.weight" float64(7, 7)', '"n" float64(4,)']
    assert proposal.unfilled == ["other/kernel (5, 2)", "other/bias (2,)"]
    assert "# not filled: other/bias (2,)" in str(proposal)
    assert set(state_dicts.RULES) >= {"dense", "lstm"} and json.loads(str(GOLDEN["vit/types"]))
