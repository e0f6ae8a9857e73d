"""TextVectorization on one core: how long 200,000 short texts take to be adapted to and encoded.

    taskset -c 0 python benchmarks/text.py [--texts 200000] [--words 12]

Words are drawn by Zipf's law from 50,000, with capitals and punctuation. Times are of the processor.
"""

import argparse
import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import numpy as np

import fnlayers as fl

WORDS = 50_000
MODES: tuple[dict, ...] = (
    {"output_mode": "int", "output_sequence_length": 16},
    *({"output_mode": mode, "max_tokens": 1000} for mode in ("multi_hot", "count", "tf_idf")),
)


def texts(count: int, words: int) -> list[str]:
    """Texts of about so many words."""
    rng = np.random.RandomState(0)
    vocabulary = np.array([f"w{i:x}" if i % 3 else f"W{i:x}," for i in range(WORDS)], object)
    drawn = vocabulary[np.minimum(rng.zipf(1.3, count * words), WORDS) - 1].reshape(count, words)
    return [" ".join(row) for row in drawn]


def seconds(function) -> tuple[float, object]:
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--words", type=int, default=12)
    options = parser.parse_args()
    data = texts(options.texts, options.words)
    total = 0.0
    for mode in MODES:
        layer = fl.TextVectorization(**mode)
        adapting, layer = seconds(lambda layer=layer: layer.adapt(data, verbose=False))
        encoding, y = seconds(lambda layer=layer: layer.apply({}, data))
        total += adapting + encoding
        print(
            f"{mode['output_mode']:9} {options.texts} texts: adapt {adapting:.2f} s, encode {encoding:.2f} s, "
            f"{layer.vocabulary_size()} words, output {y.dtype}{y.shape}"
        )
        del y  # as large as the data, or larger
    print(f"all of them: {total:.1f} s")


if __name__ == "__main__":
    main()
