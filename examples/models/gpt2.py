"""GPT-2 (Radford et al., 2019) as Hugging Face's transformers have it, and the table for its weights.

    model = gpt2()
    params, _ = fl.load_state_dict(model, None, "gpt2/model.safetensors", GPT2)
    logits = model.apply(params, tokens)

A GPT2LMHeadModel's own state dict has longer names, and the output matrix once more:

    mapping = prefixed("transformer.", GPT2) | {"lm_head.weight": tied("transformer.wte.weight")}

`fl.cached(model, 1024)` writes step by step. Its matrices are (in, out) already: Conv1D of transformers is none.
"""

from typing import Any

import fnlayers as fl
from fnlayers.state_dicts import dense, embedding, norm, projection, qkv

BLOCK = "blocks/layer"
GPT2 = {
    "wte": embedding("wte"),
    "wpe": embedding("wpe"),
    "h.{i}.ln_1": norm(f"{BLOCK}/self_attention_layer_norm"),
    "h.{i}.attn.c_attn": qkv(f"{BLOCK}/self_attention", inputs_first=True),
    "h.{i}.attn.c_proj": projection(f"{BLOCK}/self_attention/attention_output", inputs_first=True),
    "h.{i}.attn.bias": None,  # the causal mask
    "h.{i}.attn.masked_bias": None,
    "h.{i}.ln_2": norm(f"{BLOCK}/feedforward_layer_norm"),
    "h.{i}.mlp.c_fc": dense(f"{BLOCK}/feedforward_intermediate_dense", inputs_first=True),
    "h.{i}.mlp.c_proj": dense(f"{BLOCK}/feedforward_output_dense", inputs_first=True),
    "ln_f": norm("ln_f"),
}


def gelu_tanh(x: Any) -> Any:
    """The approximation by tanh, with which GPT-2 was trained."""
    return fl.activations.gelu(x, approximate=True)


def gpt2(
    vocabulary: int = 50_257, width: int = 768, depth: int = 12, heads: int = 12, positions: int = 1024
) -> fl.Functional:
    """Integers (batch, steps) -> logits (batch, steps, vocabulary). The numbers given are those of the smallest one."""
    block = fl.TransformerDecoder(4 * width, heads, activation=gelu_tanh, normalize_first=True)
    tokens = fl.Input((None,), dtype="int32")
    table = fl.ReversibleEmbedding(vocabulary, width, name="wte")
    x = table(tokens)
    x = x + fl.PositionEmbedding(positions, name="wpe")(x)
    x = fl.Repeat(block, depth, name="blocks")(x)
    x = fl.LayerNormalization(epsilon=1e-5, name="ln_f")(x)
    return fl.functional(tokens, table(x))  # of floats: logits by the same table
