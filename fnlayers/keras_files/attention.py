"""Calls of attention layers in Keras's model configs: what is given at the call, as our inputs, masks and fields.

Arrays (query, value, key, attention_mask) become inputs, plain data (use_causal_mask, return_attention_scores) fields.
"""

from dataclasses import replace
from typing import Any, NamedTuple

from fnlayers.core.errors import ConfigError
from fnlayers.layers.attention.multi_head import MultiHeadAttention
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.attention.single_head import SingleHead

# The arguments of a call, in Keras's order.
SINGLE = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
HEADED = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask",
          "return_attention_scores", "training", "use_causal_mask")  # fmt: skip


class AttentionCall(NamedTuple):
    """The layer with the call's options as fields, its inputs, and for each its mask: a tensor, or None for its own."""

    layer: SingleHead | MultiHead
    inputs: Any
    masks: Any
    train: bool | None


def attention_call(layer: SingleHead | MultiHead, args: list, kwargs: dict) -> AttentionCall:
    """What a call in a Keras config means. Tensors stay as they are in the config."""
    names = SINGLE if isinstance(layer, SingleHead) else HEADED
    if len(args) > len(names) or not set(kwargs) <= set(names[len(args) :]):
        raise ConfigError(f"{type(layer).__name__} is called with {len(args)} arguments and {', '.join(kwargs)}")
    arguments = {
        name: value for name, value in {**dict(zip(names, args, strict=False)), **kwargs}.items() if value is not None
    }
    options = {name: arguments.pop(name, False) for name in ("use_causal_mask", "return_attention_scores")}
    if not all(isinstance(value, bool) for value in options.values()):
        raise ConfigError(f"{type(layer).__name__}: {options} are no options of a call")
    train = arguments.pop("training", None)
    inputs, masks = _single(arguments) if isinstance(layer, SingleHead) else _headed(layer, arguments)
    return AttentionCall(replace(layer, **options, keras_masks=True), inputs, masks, train)


def _single(arguments: dict) -> tuple[tuple, tuple]:
    """A list of inputs, and a list of masks for the first ones of them."""
    inputs, masks = arguments.get("inputs"), arguments.get("mask")
    if not isinstance(inputs, list) or not isinstance(masks, (list, type(None))):
        raise ConfigError("Attention is called on a list of inputs, and with a list of masks")
    if masks is None:
        return tuple(inputs), (None,) * len(inputs)
    explicit = [False if mask is None else mask for mask in masks]  # a mask that is not in the list is not there
    return tuple(inputs), (*explicit, *(False,) * len(inputs))[: len(inputs)]


def _headed(layer: MultiHead, arguments: dict) -> tuple[dict, dict]:
    """The inputs and the masks by name."""
    if not {"query", "value"} <= arguments.keys():
        raise ConfigError(f"{type(layer).__name__} is called without query or value")
    inputs = {name: arguments[name] for name in ("query", "value", "key", "attention_mask") if name in arguments}
    masks = {name: arguments.get(f"{name}_mask") for name in ("query", "value", "key")}
    if masks["key"] is not None:
        inputs.setdefault("key", arguments["value"])
    if isinstance(layer, MultiHeadAttention):
        masks["query"] = None  # Keras: it looks at the query's own mask, whatever is given
    return inputs, {name: masks.get(name) for name in inputs}
