"""A bidirectional LSTM that says which language a sentence is in, character by character.

    python examples/text_classifier.py                           sentences in 15 languages (come with chatterbot-corpus)
    python examples/text_classifier.py --data FILE               any lines of "label<TAB>text"

Sentences have any length. They go in batches of like length, filled up with 0 to one of a few lengths, so that there
are few shapes to compile; `Embedding(mask_zero=True)` masks what was filled up, and the LSTMs pass over it. It prints
the accuracy on sentences it has not seen, saves the model and loads it back.
"""

import argparse
import collections
import importlib.util
import pathlib
import sys
from collections.abc import Iterator, Sequence

import jax
import numpy as np
import optax

import fnlayers as fl

LENGTHS = (16, 32, 64, 128)  # characters; what follows is cut off
FEWEST, MOST = 150, 700  # sentences of a language in the corpus

Example = tuple[str, str]  # label, text
Batch = tuple[np.ndarray, np.ndarray]


def corpus() -> list[Example]:
    """Sentences of conversations, for each language that has enough of them."""
    package = importlib.util.find_spec("chatterbot_corpus")
    if package is None or package.origin is None:
        sys.exit("the default sentences: pip install chatterbot-corpus pyyaml, or pass a file with --data")
    import yaml

    sentences: dict[str, set[str]] = collections.defaultdict(set)
    for path in sorted((pathlib.Path(package.origin).parent / "data").glob("*/*.yml")):
        for conversation in yaml.safe_load(path.read_text(encoding="utf8"))["conversations"] or []:
            sentences[path.parent.name] |= {" ".join(str(line).split()) for line in conversation}
    rng = np.random.default_rng(0)
    enough = {label: texts for label, texts in sorted(sentences.items()) if len(texts) >= FEWEST}
    return [(label, str(text)) for label, texts in enough.items() for text in rng.permutation(sorted(texts))[:MOST]]


def read(path: pathlib.Path) -> list[Example]:
    """The lines "label<TAB>text" of a file."""
    lines = [line.split("\t", 1) for line in path.read_text(encoding="utf8").splitlines() if line.strip()]
    wrong = next((number for number, line in enumerate(lines, 1) if len(line) != 2), None)
    if wrong is not None:
        sys.exit(f"{path}: line {wrong} has no tab between a label and a text")
    return [(label, text) for label, text in lines]


def split(examples: Sequence[Example], fraction: float = 0.2) -> tuple[list[Example], list[Example]]:
    """Most of each label's examples to train with, and a fixed fraction to test with."""
    rng = np.random.default_rng(1)
    train, test = [], []
    for label in sorted({label for label, _ in examples}):
        mine = [examples[n] for n in rng.permutation([n for n, example in enumerate(examples) if example[0] == label])]
        held_out = round(fraction * len(mine))
        test += mine[:held_out]
        train += mine[held_out:]
    return train, test


class Encoder:
    """Characters and labels to numbers: 0 is padding, 1 a character that was not in the training data."""

    def __init__(self, examples: Sequence[Example]) -> None:
        seen = collections.Counter(character for _, text in examples for character in text.lower())
        frequent = sorted(character for character, count in seen.items() if count > 1)
        self.characters = {character: number for number, character in enumerate(frequent, 2)}
        self.labels = sorted({label for label, _ in examples})

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Tokens (examples, length), the shortest of LENGTHS that holds all, or is the longest; labels (examples,)."""
        longest = max(len(text) for _, text in examples)
        length = next((length for length in LENGTHS if length >= longest), LENGTHS[-1])
        tokens = np.zeros((len(examples), length), "int32")
        for row, (_, text) in zip(tokens, examples, strict=True):
            numbers = [self.characters.get(character, 1) for character in text.lower()[:length]]
            row[: len(numbers)] = numbers
        return tokens, np.array([self.labels.index(label) for label, _ in examples], "int32")


def batches(
    examples: Sequence[Example], encode: Encoder, size: int, rng: np.random.Generator | None = None
) -> Iterator[Batch]:
    """Batches of like length; with `rng` in another order each time, and each with other neighbors."""
    order = np.arange(len(examples)) if rng is None else rng.permutation(len(examples))
    bucket = [np.searchsorted(LENGTHS, min(len(examples[n][1]), LENGTHS[-1])) for n in order]
    order = order[np.argsort(bucket, kind="stable")]
    starts = np.flatnonzero(np.diff(np.sort(bucket), prepend=-1))
    cut = [part[n : n + size] for part in np.split(order, starts[1:]) for n in range(0, len(part), size)]
    for n in range(len(cut)) if rng is None else rng.permutation(len(cut)):
        yield encode([examples[m] for m in cut[n]])


def classifier(characters: int, labels: int) -> fl.Sequential:
    """The last step of either direction says what the sentence is."""
    return fl.Sequential(
        [
            fl.Embedding(characters, 32, mask_zero=True),
            fl.Bidirectional(fl.LSTM(64)),
            fl.Dropout(0.3),
            fl.Dense(labels),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help='lines of "label<TAB>text"; default: sentences to tell apart')
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    parser.add_argument("--min-accuracy", type=float, default=0.0, help="exit with an error below this")
    args = parser.parse_args()

    train, test = split(read(args.data) if args.data else corpus())
    encode, rng = Encoder(train), np.random.default_rng(args.seed)
    print(f"{len(train)} texts to train with, {len(test)} to test with, in {len(encode.labels)} classes")
    model = classifier(len(encode.characters) + 2, len(encode.labels))
    print(fl.summary(model, (None, None)))

    held_out = list(batches(test, encode, args.batch_size))
    steps = args.epochs * sum(1 for _ in batches(train, encode, args.batch_size))
    result = fl.fit(
        model,
        lambda: batches(train, encode, args.batch_size, rng),
        loss=optax.softmax_cross_entropy_with_integer_labels,
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, steps))),
        epochs=args.epochs,
        validation_data=held_out,
        metrics={"accuracy": fl.metrics.accuracy},
        rng=jax.random.key(args.seed),
    )
    accuracy = result.history["val_accuracy"][-1]
    print(f"test accuracy {accuracy:.4f} after {args.epochs} epochs")

    args.out.mkdir(parents=True, exist_ok=True)
    fl.save(args.out / "text_classifier.safetensors", model, result.params, result.state)
    loaded, params, _ = fl.load(args.out / "text_classifier.safetensors")
    before, after = (
        np.concatenate([np.argmax(fl.predict(m, p, x), axis=-1) for x, _ in held_out])
        for m, p in ((model, result.params), (loaded, params))
    )
    print(f"saved and loaded back, its answers are identical: {np.array_equal(before, after)}")
    wrong = collections.Counter(
        (encode.labels[y], encode.labels[guess])
        for y, guess in zip(np.concatenate([y for _, y in held_out]), after, strict=True)
        if y != guess
    )
    for (label, guess), count in wrong.most_common(5):
        print(f"  {label} taken for {guess}: {count}")
    if accuracy < args.min_accuracy:
        sys.exit(f"test accuracy {accuracy:.4f} is below {args.min_accuracy}")


if __name__ == "__main__":
    main()
