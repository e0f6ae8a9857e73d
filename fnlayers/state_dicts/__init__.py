"""Weights of other libraries in our models: by a table of names (docs/from_pytorch.md)."""

from fnlayers.state_dicts.arrays import read_state_dict
from fnlayers.state_dicts.changes import (
    ChannelsLast,
    Flattened,
    Gates,
    Part,
    added,
    conv_kernel,
    depthwise_kernel,
    gru_biases,
    heads,
    slopes,
    split_axes,
    transpose,
)
from fnlayers.state_dicts.load import Weights, load_state_dict
from fnlayers.state_dicts.match import Proposal, match_weights
from fnlayers.state_dicts.rules import (
    RULES,
    Rule,
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
    prefixed,
    prelu,
    projection,
    qkv,
    reverse_embedding,
    rms_norm,
    rnn,
    tied,
)

__all__ = [
    "RULES", "ChannelsLast", "Flattened", "Gates", "Part", "Proposal", "Rule", "Weights", "added", "attention",
    "batch_norm", "conv", "conv_kernel", "conv_transpose", "dense", "depthwise", "depthwise_kernel", "embedding",
    "gru", "gru_biases", "heads", "load_state_dict", "lstm", "match_weights", "norm", "prefixed", "prelu",
    "projection", "qkv", "read_state_dict", "reverse_embedding", "rms_norm", "rnn", "slopes", "split_axes", "tied",
    "transpose",
]  # fmt: skip
