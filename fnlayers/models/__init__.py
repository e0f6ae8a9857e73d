"""Combinators: layers made of layers."""

from typing import Any

from fnlayers.core.elsewhere import refuse_name
from fnlayers.models.cached import cached
from fnlayers.models.functional import Functional, functional
from fnlayers.models.lora import LoRA
from fnlayers.models.pair import Pair, flax_pair, haiku_pair, stax_pair
from fnlayers.models.pipeline import Pipeline
from fnlayers.models.repeat import Repeat
from fnlayers.models.sequential import Sequential

__all__ = [
    "Functional", "LoRA", "Pair", "Pipeline", "Repeat", "Sequential", "cached", "flax_pair", "functional", "haiku_pair",
    "stax_pair",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return refuse_name("fnlayers.models", name, __all__)
