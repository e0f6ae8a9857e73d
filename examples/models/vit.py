"""Vision Transformer (Dosovitskiy et al., 2020) as timm has it, and the table for its weights.

import timm
theirs = timm.create_model("vit_base_patch16_224", pretrained=True).state_dict()
params, _ = fl.load_state_dict(vit(), None, theirs, VIT)
logits = vit().apply(params, images)                         # images (batch, 224, 224, 3), normalized as theirs
"""

from typing import Any

import jax.numpy as jnp

import fnlayers as fl
from fnlayers.state_dicts import conv, dense, norm, projection, qkv

BLOCK = "blocks/layer"  # of a Repeat: the blocks' weights are stacked, and {i} numbers them
VIT = {
    "patch_embed.proj": conv("patches"),
    "cls_token": "class_token/token",
    "pos_embed": ("positions/embeddings", lambda array: array[0]),
    "blocks.{i}.norm1": norm(f"{BLOCK}/self_attention_layer_norm"),
    "blocks.{i}.attn.qkv": qkv(f"{BLOCK}/self_attention"),
    "blocks.{i}.attn.proj": projection(f"{BLOCK}/self_attention/attention_output"),
    "blocks.{i}.norm2": norm(f"{BLOCK}/feedforward_layer_norm"),
    "blocks.{i}.mlp.fc1": dense(f"{BLOCK}/feedforward_intermediate_dense"),
    "blocks.{i}.mlp.fc2": dense(f"{BLOCK}/feedforward_output_dense"),
    "norm": norm("norm"),
    "head": dense("head"),
}


@fl.layerclass
class ClassToken(fl.Layer):
    """A learned vector before the first step: (batch, steps, features) -> (batch, 1 + steps, features)."""

    def weights(self, shape: Any) -> dict:
        return {"token": fl.Param((1, 1, fl.known(shape, -1, "features")), "zeros")}

    def call(self, params: Any, x: Any) -> Any:
        token = jnp.broadcast_to(params["token"], (x.shape[0], 1, x.shape[-1]))
        return jnp.concatenate([token, x], axis=1)


def vit(
    size: int = 224, patch: int = 16, width: int = 768, depth: int = 12, heads: int = 12, classes: int = 1000
) -> fl.Functional:
    """(batch, size, size, 3) -> logits (batch, classes). The numbers given are those of ViT-B/16."""
    block = fl.TransformerEncoder(4 * width, heads, activation="gelu", layer_norm_epsilon=1e-6, normalize_first=True)
    image = fl.Input((size, size, 3))
    x = fl.Conv2D(width, patch, strides=patch, name="patches")(image)
    x = ClassToken(name="class_token")(fl.Reshape((-1, width))(x))
    x = x + fl.PositionEmbedding((size // patch) ** 2 + 1, name="positions")(x)
    x = fl.Repeat(block, depth, name="blocks")(x)
    x = fl.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return fl.functional(image, fl.Dense(classes, name="head")(x[:, 0]))
