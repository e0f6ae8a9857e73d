"""FeatureSpaces of Keras and of ours, made alike, and the table that they adapt to."""

import numpy as np

ROWS, BATCH = 12, 30


def table():
    draw, n = np.random.RandomState(0), 100
    return {
        "age": draw.normal(40, 10, n).astype("float32"),
        "size": draw.normal(0, 1, n).astype("float32"),
        "bin": draw.normal(0, 1, n).astype("float32"),
        "few": draw.choice([1.0, 2.0, 3.0], n).astype("float32"),
        "raw": np.arange(n).astype("float32"),
        "city": draw.choice(["Rome", "Oslo", "Paris"], n),
        "zip": draw.randint(0, 5, n),
        "user": draw.randint(0, 50, n),
        "word": draw.choice(["a", "b", "c", "d"], n),
    }


KINDS = {
    "age": "float_normalized",
    "size": "float_rescaled",
    "bin": "float_discretized",
    "few": "float_discretized",  # of fewer values than bins
    "raw": "float",
    "city": "string_categorical",
    "zip": "integer_categorical",
    "user": "integer_hashed",
    "word": "string_hashed",
}


def kinds(*names):
    return {name: KINDS[name] for name in names}


SPACES = {  # a function of the class FeatureSpace and a module of layers, and whether it adapts to batches
    "table": (lambda space, layers: space(KINDS), False),
    "batches": (lambda space, layers: space(KINDS), True),
    "sizes": (
        lambda space, layers: space(kinds("word", "bin", "user"), num_discretization_bins=5, hashing_dim=7),
        False,
    ),
    "crosses": (
        lambda space, layers: space(
            kinds("city", "raw", "zip", "age"), crosses=[("zip", "city"), ("city", "zip")], crossing_dim=9
        ),
        False,
    ),
    "dict": (
        lambda space, layers: space(
            {
                "city": space.string_categorical(output_mode="int"),
                "zip": space.integer_categorical(max_tokens=4, num_oov_indices=2, output_mode="int"),
                "bin": space.float_discretized(4, output_mode="int"),
                "user": space.integer_hashed(6, output_mode="int"),
                "age": "float_normalized",
                "word": space.string_hashed(5),
            },
            output_mode="dict",
            crosses=[space.cross(("city", "zip"), 5, output_mode="int"), space.cross(("bin", "user"), 4)],
        ),
        False,
    ),
    "own": (
        lambda space, layers: space(
            {
                "size": space.float_rescaled(2.0, 1.0),
                "zip": space.feature("int32", layers.IntegerLookup(mask_token=0, num_oov_indices=2), "one_hot"),
                "age": space.feature("float32", layers.Normalization(mean=3.0, variance=4.0), "float"),
            }
        ),
        False,
    ),
}
