"""What real Keras computed (tests/golden/make_functions.py), one `Golden` for each key of functions.npz."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "functions.npz"))


class Golden(NamedTuple):
    name: str
    arguments: dict
    value: np.ndarray
    gradient: np.ndarray | None

    def __str__(self):
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.arguments.items())})"


def golden(kind):
    """The cases of one kind: "activation", "regularizer" or "constraint"."""
    keys = [key.removesuffix(" value") for key in GOLDEN if key.startswith(f"{kind} ") and key.endswith(" value")]
    split = [(key, *key.split(" ", 2)[1:]) for key in keys]
    return [
        Golden(name, json.loads(text), GOLDEN[f"{key} value"], GOLDEN.get(f"{key} gradient"))
        for key, name, text in split
    ]


def with_prefix(prefix):
    """The arrays whose keys start so, by the rest of the key."""
    return {key.removeprefix(prefix): value for key, value in GOLDEN.items() if key.startswith(prefix)}
