"""BERT (Devlin et al., 2018) as Hugging Face's transformers have it, and the table for its weights.

    theirs = transformers.BertModel.from_pretrained("bert-base-uncased").state_dict()      # or its model.safetensors
    model = bert()
    params, _ = fl.load_state_dict(model, None, theirs, BERT)
    out = model.apply(params, {"tokens": tokens, "types": types})    # out["hidden"], out["pooled"]

Token 0 is padding, which no step attends to. Where their names begin with "bert." (BertForMaskedLM and the like), give
`fnlayers.state_dicts.prefixed("bert.", BERT)`, with rows for the head.
"""

import fnlayers as fl
from fnlayers.state_dicts import dense, embedding, norm, projection

BLOCK, THEIRS = "blocks/layer", "encoder.layer.{i}"
BERT = {
    "embeddings.word_embeddings": embedding("embeddings/token_embedding"),
    "embeddings.position_embeddings": embedding("embeddings/position_embedding"),
    "embeddings.token_type_embeddings": embedding("types"),
    "embeddings.LayerNorm": norm("norm"),
    "embeddings.position_ids": None,
    f"{THEIRS}.attention.self.{{part}}": projection(f"{BLOCK}/self_attention/{{part}}"),
    f"{THEIRS}.attention.output.dense": projection(f"{BLOCK}/self_attention/attention_output"),
    f"{THEIRS}.attention.output.LayerNorm": norm(f"{BLOCK}/self_attention_layer_norm"),
    f"{THEIRS}.intermediate.dense": dense(f"{BLOCK}/feedforward_intermediate_dense"),
    f"{THEIRS}.output.dense": dense(f"{BLOCK}/feedforward_output_dense"),
    f"{THEIRS}.output.LayerNorm": norm(f"{BLOCK}/feedforward_layer_norm"),
    "pooler.dense": dense("pooler"),
}


def bert(
    vocabulary: int = 30_522,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    positions: int = 512,
    types: int = 2,
    dropout: float = 0.1,
) -> fl.Functional:
    """{"tokens", "types"}: integers (batch, steps) -> "hidden" (batch, steps, width) and "pooled" (batch, width)."""
    block = fl.TransformerEncoder(4 * width, heads, dropout, activation="gelu", layer_norm_epsilon=1e-12)
    tokens = fl.Input((None,), dtype="int32", name="tokens")
    segments = fl.Input((None,), dtype="int32", name="types")
    x = fl.TokenAndPositionEmbedding(vocabulary, positions, width, mask_zero=True, name="embeddings")(tokens)
    x = fl.add([x, fl.Embedding(types, width, name="types")(segments)])  # which passes on the mask of the tokens
    x = fl.Dropout(dropout)(fl.LayerNormalization(epsilon=1e-12, name="norm")(x))
    x = fl.Repeat(block, depth, name="blocks")(x)
    pooled = fl.Dense(width, "tanh", name="pooler")(fl.DropMask()(x)[:, 0])
    return fl.functional({"tokens": tokens, "types": segments}, {"hidden": x, "pooled": pooled})
