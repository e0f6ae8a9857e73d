"""The layers, one family a file or a folder; and, as in Keras, each by its name: `layers.Dense` is `fnlayers.Dense`."""

import sys
from typing import Any

from fnlayers.core.elsewhere import refuse_name
from fnlayers.core.layer import Layer

FUNCTIONS = (
    "Input",
    "InputLayer",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
)


def __getattr__(name: str) -> Any:
    # read from the package, the only place where all layers stand: importing this one loads no family
    if name in __dir__():
        return getattr(sys.modules["fnlayers"], name)
    return refuse_name("fnlayers.layers", name)


def __dir__() -> list[str]:
    public = vars(sys.modules["fnlayers"])
    classes = (name for name, value in public.items() if isinstance(value, type) and issubclass(value, Layer))
    return sorted({*classes, *(name for name in FUNCTIONS if name in public)})
