"""Rules for whole layers of PyTorch: which of their arrays go where in ours, and how each is laid out again.

A rule stands in a mapping for all arrays of one module: {"classifier": dense("head")} means classifier.weight and
classifier.bias.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.state_dicts import changes
from fnlayers.state_dicts.changes import ChannelsLast, Gates, Part

Sizes = tuple[int, ...]  # of theirs, channels first
Goal = tuple[str, Callable]  # the path of one of our arrays, and the function that makes it


@dataclass(frozen=True)
class Rule:
    """The rows for the arrays of one module: names in it -> goals, None where they are skipped."""

    rows: tuple[tuple[tuple[str, ...], tuple[Goal, ...] | None], ...]
    written: str = ""

    def __repr__(self) -> str:
        return self.written or f"Rule({self.rows!r})"


@dataclass(frozen=True)
class Tied:
    """An array that is there twice: skipped, if it equals the other one; else that is an error."""

    name: str

    def __repr__(self) -> str:
        return f"tied({self.name!r})"


def tied(name: str) -> Tied:
    """A row for an array that repeats another one, such as the output matrix that is the table of an embedding.

    Arguments:
        name: of the other array, in the file.
    """
    return Tied(name)


def prefixed(prefix: str, mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """The mapping for arrays whose names begin with that, as where a model is a part of theirs.

    >>> prefixed("bert.", {"pooler.dense": dense("pooler")})
    {'bert.pooler.dense': dense('pooler')}
    """
    if not isinstance(prefix, str) or not isinstance(mapping, Mapping):
        raise ConfigError(
            f"prefixed takes the beginning of names and a table, got {prefix!r:.80} and {mapping!r:.80}; write "
            "prefixed('bert.', {'pooler.dense': dense('pooler')})"
        )

    def longer(key: Any) -> Any:
        return tuple(map(longer, key)) if isinstance(key, tuple) else f"{prefix}{key}"

    return {longer(key): Tied(longer(goal.name)) if isinstance(goal, Tied) else goal for key, goal in mapping.items()}


def dense(
    path: str, *, inputs_first: bool = False, flattened: Sizes | None = None, unflattened: Sizes | None = None
) -> Rule:
    """torch.nn.Linear as our Dense: weight (out, in) -> kernel (in, out), bias.

    Arguments:
        path: of our layer.
        inputs_first: whether their weight is (in, out) already, as in Conv1D of transformers' GPT-2.
        flattened: (channels, height, width), or (channels, ...), of what theirs flattens before it, where ours
            flattens (height, width, channels).
        unflattened: the same of what their outputs are shaped into, as in a decoder that begins with a Linear.
    """
    inputs, outputs = (0, 1) if inputs_first else (1, 0)
    change = _channels_last(flattened, inputs, changes.same if inputs_first else changes.transpose)
    written = _call("dense", path, inputs_first=inputs_first, flattened=flattened, unflattened=unflattened)
    return _rule(
        written,
        weight=(f"{path}/kernel", _channels_last(unflattened, outputs, change)),
        bias=(f"{path}/bias", _channels_last(unflattened)),
    )


def projection(path: str, *, inputs_first: bool = False) -> Rule:
    """torch.nn.Linear as a projection of our attention layers, which have an axis for the heads.

    Arguments:
        path: of our projection: "attention/query", or "attention/attention_output".
        inputs_first: see `dense`.
    """
    change = changes.split_axes if inputs_first else changes.heads
    written = _call("projection", path, inputs_first=inputs_first)
    return _rule(written, weight=(f"{path}/kernel", change), bias=(f"{path}/bias", changes.split_axes))


def qkv(path: str, *, inputs_first: bool = False) -> Rule:
    """One torch.nn.Linear that makes query, key and value, side by side, as three projections of our attention layer.

    Arguments:
        path: of our attention layer.
        inputs_first: see `dense`.
    """
    axis, change = (1, changes.split_axes) if inputs_first else (0, changes.heads)
    return _rule(_call("qkv", path, inputs_first=inputs_first), **_three(path, "weight", "bias", change, axis))


def attention(path: str) -> Rule:
    """torch.nn.MultiheadAttention as our MultiHeadAttention, with one input matrix or with three (kdim, vdim).

    Its masks are the other way around: True in attn_mask and key_padding_mask forbids.
    """
    rows: dict[str, Any] = _three(path, "in_proj_weight", "in_proj_bias", changes.heads, 0)
    for name in ("query", "key", "value"):
        rows[f"{name[0]}_proj_weight"] = (f"{path}/{name}/kernel", changes.heads)
    rows["out_proj.weight"] = (f"{path}/attention_output/kernel", changes.heads)
    rows["out_proj.bias"] = (f"{path}/attention_output/bias", changes.split_axes)
    return _rule(_call("attention", path), **rows)


def conv(path: str) -> Rule:
    """torch.nn.Conv1d to Conv3d, groups too, as ours: weight OIHW -> kernel HWIO, bias.

    Their padding=1 is on both sides: put ZeroPadding2D(1) before a convolution that pads nothing; our "same" pads as
    Keras does, and with strides that is not the same.
    """
    return _rule(_call("conv", path), weight=(f"{path}/kernel", changes.conv_kernel), bias=f"{path}/bias")


def conv_transpose(path: str) -> Rule:
    """torch.nn.ConvTranspose1d to 3d (without groups) as ours: weight (in, out, ...) -> kernel (..., out, in)."""
    written = _call("conv_transpose", path)
    return _rule(written, weight=(f"{path}/kernel", changes.conv_kernel), bias=f"{path}/bias")


def depthwise(path: str) -> Rule:
    """torch.nn.Conv1d or Conv2d with as many groups as channels as our DepthwiseConv."""
    written = _call("depthwise", path)
    return _rule(written, weight=(f"{path}/kernel", changes.depthwise_kernel), bias=f"{path}/bias")


def norm(path: str, *, flattened: Sizes | None = None) -> Rule:
    """torch.nn.LayerNorm or GroupNorm as ours: weight -> gamma, bias -> beta. Their epsilon is 1e-5, ours 1e-3.

    Arguments:
        path: of our layer.
        flattened: see `dense`.
    """
    change, written = _channels_last(flattened), _call("norm", path, flattened=flattened)
    return _rule(written, weight=(f"{path}/gamma", change), bias=(f"{path}/beta", change))


def rms_norm(path: str, *, flattened: Sizes | None = None) -> Rule:
    """torch.nn.RMSNorm, or that of Llama, as our RMSNormalization: weight -> scale.

    Arguments:
        path: of our layer.
        flattened: see `dense`.
    """
    written = _call("rms_norm", path, flattened=flattened)
    return _rule(written, weight=(f"{path}/scale", _channels_last(flattened)))


def batch_norm(path: str, *, flattened: Sizes | None = None) -> Rule:
    """torch.nn.BatchNorm1d to 3d as our BatchNormalization, its running statistics as our state.

    Their epsilon is 1e-5 (ours 1e-3); their momentum 0.1 is our 0.9; their running variance is the unbiased one.

    Arguments:
        path: of our layer.
        flattened: see `dense`.
    """
    change = _channels_last(flattened)
    return _rule(
        _call("batch_norm", path, flattened=flattened),
        weight=(f"{path}/gamma", change),
        bias=(f"{path}/beta", change),
        running_mean=(f"{path}/moving_mean", change),
        running_var=(f"{path}/moving_variance", change),
        num_batches_tracked=None,
    )


def embedding(path: str) -> Rule:
    """torch.nn.Embedding as our Embedding: weight -> embeddings."""
    return _rule(_call("embedding", path), weight=f"{path}/embeddings")


def reverse_embedding(path: str) -> Rule:
    """torch.nn.Linear that makes logits, without a bias, as the reverse matrix of our ReversibleEmbedding.

    Of one with tie_weights=False; its table is an `embedding`.
    """
    return _rule(_call("reverse_embedding", path), weight=(f"{path}/reverse_embeddings", changes.transpose))


def prelu(path: str, *, flattened: Sizes | None = None) -> Rule:
    """torch.nn.PReLU as ours: weight -> alpha.

    Arguments:
        path: of our layer.
        flattened: see `dense`.
    """
    change = _channels_last(flattened, 0, changes.slopes)
    return _rule(_call("prelu", path, flattened=flattened), weight=(f"{path}/alpha", change))


def lstm(*paths: str, bidirectional: bool = False, cell: bool = False, flattened: Sizes | None = None) -> Rule:
    """torch.nn.LSTM, or LSTMCell, as our LSTMs: matrices transposed, both biases added.

    The gates have one order, which PyTorch calls i, f, g, o and Keras i, f, c, o.

    Arguments:
        paths: of our cells: "lstm/cell", one for each of its num_layers; where it is bidirectional two for each,
            "bidirectional/forward_layer/cell" and "bidirectional/backward_layer/cell".
        bidirectional: whether theirs is.
        cell: whether theirs is an LSTMCell.
        flattened: see `dense`; of the features of each step.
    """
    return _recurrent("lstm", paths, bidirectional, cell, flattened, np.transpose, changes.added)


def gru(*paths: str, bidirectional: bool = False, cell: bool = False, flattened: Sizes | None = None) -> Rule:
    """torch.nn.GRU, or GRUCell, as our GRUs with reset_after=True: gates r, z, n as z, r, h, biases (2, 3 units).

    Arguments:
        paths, bidirectional, cell, flattened: see `lstm`.
    """
    return _recurrent("gru", paths, bidirectional, cell, flattened, Gates("rzn", "zrn"), changes.gru_biases)


def rnn(*paths: str, bidirectional: bool = False, cell: bool = False, flattened: Sizes | None = None) -> Rule:
    """torch.nn.RNN, or RNNCell, as our SimpleRNNs: matrices transposed, both biases added.

    Arguments:
        paths, bidirectional, cell, flattened: see `lstm`.
    """
    return _recurrent("rnn", paths, bidirectional, cell, flattened, np.transpose, changes.added)


RULES: Mapping[str, Callable[..., Rule]] = {
    rule.__name__: rule
    for rule in (
        dense, projection, qkv, attention, conv, conv_transpose, depthwise, norm, rms_norm, batch_norm, embedding,
        reverse_embedding, prelu, lstm, gru, rnn,
    )
}  # fmt: skip


def _three(path: str, weight: str, bias: str, change: Callable, axis: int) -> dict[str, list[Goal]]:
    """The rows of one matrix and one bias for query, key and value."""
    parts = {name: partial(Part, index, 3) for index, name in enumerate(("query", "key", "value"))}
    return {
        weight: [(f"{path}/{name}/kernel", part(change, axis)) for name, part in parts.items()],
        bias: [(f"{path}/{name}/bias", part(changes.split_axes, 0)) for name, part in parts.items()],
    }


def _recurrent(
    name: str,
    paths: tuple[str, ...],
    bidirectional: bool,
    cell: bool,
    flattened: Sizes | None,
    matrix: Callable,
    biases: Callable,
) -> Rule:
    rows: list = []
    for index, path in enumerate(paths):
        layer, backward = divmod(index, 2) if bidirectional else (index, 0)
        end = "" if cell else f"_l{layer}" + "_reverse" * backward
        inputs = _channels_last(flattened, 1, matrix) if layer == 0 else matrix
        rows += [
            ((f"weight_ih{end}",), goals_of((f"{path}/kernel", inputs))),
            ((f"weight_hh{end}",), goals_of((f"{path}/recurrent_kernel", matrix))),
            ((f"bias_ih{end}", f"bias_hh{end}"), goals_of((f"{path}/bias", biases))),
        ]
    return Rule(tuple(rows), _call(name, *paths, bidirectional=bidirectional, cell=cell, flattened=flattened))


def _channels_last(sizes: Sizes | None, axis: int = 0, change: Callable = changes.same) -> Callable:
    """The change, after the channels of what was flattened along that axis are moved to its end."""
    return change if sizes is None else ChannelsLast(sizes, axis, change)


def _rule(written: str, **rows: Any) -> Rule:
    return Rule(tuple(((name,), goals_of(value)) for name, value in rows.items()), written)


def goals_of(value: Any) -> tuple[Goal, ...] | None:
    """What a row of a mapping leads to, in one form; a TypeError for what is none."""
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    goals = [(entry, changes.same) if isinstance(entry, str) else entry for entry in values]
    for goal in goals:
        if not (isinstance(goal, tuple) and len(goal) == 2 and isinstance(goal[0], str) and callable(goal[1])):
            raise TypeError(goal)
    return tuple(
        (path.removeprefix("/"), change) for path, change in goals
    )  # of a rule for the model itself: dense("")


def _call(name: str, *args: Any, **options: Any) -> str:
    """The call as it is written, options at their defaults left out."""
    texts = [repr(arg) for arg in args] + [f"{key}={value!r}" for key, value in options.items() if value]
    return f"{name}({', '.join(texts)})"
