"""Llama (Touvron et al., 2023) as Hugging Face's transformers have it, and the table for its weights.

    model = llama(32_000, 2048, 22, 32, 4, 5632)                 # TinyLlama-1.1B
    params, _ = fl.load_state_dict(model, None, "TinyLlama/model.safetensors", LLAMA)
    logits = model.apply(params, tokens)

`fl.cached(model, 2048)` writes step by step. Mistral and Qwen2 have this layout, too (Qwen2 with biases in query, key
and value); models whose config has a rope_scaling (Llama 3.1 and later) rotate otherwise beyond their first steps.
"""

import fnlayers as fl
from fnlayers.state_dicts import dense, embedding, projection, rms_norm, tied, transpose

BLOCK, THEIRS = "blocks/layer", "model.layers.{i}"
LLAMA = {
    "model.embed_tokens": embedding("embedding"),
    f"{THEIRS}.input_layernorm": rms_norm(f"{BLOCK}/attention_norm"),
    f"{THEIRS}.self_attn.q_proj": projection(f"{BLOCK}/attention/query"),
    f"{THEIRS}.self_attn.k_proj": projection(f"{BLOCK}/attention/key"),
    f"{THEIRS}.self_attn.v_proj": projection(f"{BLOCK}/attention/value"),
    f"{THEIRS}.self_attn.o_proj": projection(f"{BLOCK}/attention/attention_output"),
    f"{THEIRS}.self_attn.rotary_emb.inv_freq": None,  # of older versions
    f"{THEIRS}.post_attention_layernorm": rms_norm(f"{BLOCK}/feedforward_norm"),
    f"{THEIRS}.mlp.{{part}}_proj": dense(f"{BLOCK}/{{part}}"),
    "model.norm": rms_norm("norm"),
    "lm_head.weight": ("embedding/reverse_embeddings", transpose),
}
LLAMA_TIED = LLAMA | {"lm_head.weight": tied("model.embed_tokens.weight")}  # of llama(tie_weights=True)


def llama(
    vocabulary: int = 32_000,
    width: int = 4096,
    depth: int = 32,
    heads: int = 32,
    key_value_heads: int = 32,
    hidden: int = 11_008,
    *,
    rope_theta: float = 10_000,
    epsilon: float = 1e-5,
    tie_weights: bool = False,
) -> fl.Functional:
    """Integers (batch, steps) -> logits (batch, steps, vocabulary). The numbers given are those of Llama-2-7B."""
    tokens = fl.Input((None,), dtype="int32")
    table = fl.ReversibleEmbedding(vocabulary, width, tie_weights, name="embedding")
    block = llama_block(width, heads, key_value_heads, hidden, rope_theta, epsilon)
    x = fl.Repeat(block, depth, name="blocks")(table(tokens))
    x = fl.RMSNormalization(epsilon=epsilon, name="norm")(x)
    return fl.functional(tokens, table(x))  # of floats: logits


def llama_block(
    width: int, heads: int, key_value_heads: int, hidden: int, rope_theta: float, epsilon: float
) -> fl.Functional:
    """Attention with rotated queries and keys, then a gated dense layer, each added to what it was given."""
    attention = fl.GroupQueryAttention(
        width // heads,
        heads,
        key_value_heads,
        use_bias=False,
        use_causal_mask=True,
        rotary_wavelength=rope_theta,
        name="attention",
    )
    start = x = fl.Input((None, width))
    x = x + attention(fl.RMSNormalization(epsilon=epsilon, name="attention_norm")(x))
    y = fl.RMSNormalization(epsilon=epsilon, name="feedforward_norm")(x)
    gate = fl.Dense(hidden, "silu", use_bias=False, name="gate")(y)
    y = gate * fl.Dense(hidden, use_bias=False, name="up")(y)
    return fl.functional(start, x + fl.Dense(width, use_bias=False, name="down")(y))
