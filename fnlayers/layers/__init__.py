"""The layers, one family a file or a folder; and, as in Keras, each by its name: `layers.Dense` is `fnlayers.Dense`."""

import sys
from typing import Any

from fnlayers.core.elsewhere import refuse_name
from fnlayers.core.layer import Layer


def __getattr__(name: str) -> Any:
    # Read from the package, the only place where all layers stand: importing this one loads no family
    if name in __dir__():
        return getattr(sys.modules["fnlayers"], name)
    return refuse_name("fnlayers.layers", name, __dir__())


def __dir__() -> list[str]:
    public = vars(sys.modules["fnlayers"])
    classes = (name for name, value in public.items() if isinstance(value, type) and issubclass(value, Layer))
    merging = getattr(sys.modules.get("fnlayers.layers.merge"), "__all__", ())
    return sorted({*classes, *(name for name in ("Input", "InputLayer", *merging) if name in public)})
